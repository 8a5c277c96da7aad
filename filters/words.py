r"""Counts of words and characters as polars expressions, for filters that need no more than these.

A word is a run of characters that are not Unicode white space. The expressions are built the same way each time, so
that a stack of filters that counts the same thing counts it once (polars merges expressions of equal structure). Rules
about words and lines take theirs from `filters.questions`.

One row in -> out: ``"the  salt\nguild"`` -> 3 words, 15 characters.
"""

from __future__ import annotations

import polars as pl

WORD = r"\S+"


def char_count(column: str) -> pl.Expr:
    """Characters (code points)."""
    return pl.col(column).str.len_chars()


def word_count(column: str) -> pl.Expr:
    """Words.

    >>> pl.DataFrame({"text": ["the  salt guild", ""]}).select(word_count("text"))["text"].to_list()
    [3, 0]
    """
    return pl.col(column).str.count_matches(WORD)


def ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """A share of a whole that is 0 only where the part is, and then the share is 0: NaN is greater than every limit."""
    # Each operand is used once (`fill_nan` and `when` would use them again): polars merges equal expressions one level
    # deep, so what is inside a merged one is evaluated as often as it is named.
    return part / pl.max_horizontal(whole, 1)
