r"""Counts of words, characters and lines as polars expressions, shared by the row filters.

A word is a run of characters that are not white space, as in the Gopher paper ("splitting on whitespace"); white
space is the Unicode property. A line ends at ``\n``. The expressions are built the same way each time, so that a
stack of filters that counts the same thing counts it once (polars merges expressions of equal structure).

One row in -> out: ``"the  salt\nguild"`` -> 3 words, 2 lines, 15 characters.
"""

from __future__ import annotations

import polars as pl

WORD = r"\S+"
SYMBOL = r"\p{P}\p{S}\p{C}"
"""Punctuation, symbols and control characters: a word of nothing else is no word to Gopher's counts."""
REAL_WORD = rf"\S*[^\s{SYMBOL}]\S*"
"""A word with at least one character that is not a symbol."""
LETTER_WORD = r"\S*\p{L}\S*"


def char_count(column: str) -> pl.Expr:
    """Characters (code points)."""
    return pl.col(column).str.len_chars()


def word_count(column: str) -> pl.Expr:
    """Words.

    >>> pl.DataFrame({"text": ["the  salt guild", ""]}).select(word_count("text"))["text"].to_list()
    [3, 0]
    """
    return pl.col(column).str.count_matches(WORD)


def real_word_count(column: str) -> pl.Expr:
    """Words that are more than symbols: ``"a - b"`` has two."""
    return pl.col(column).str.count_matches(REAL_WORD)


def real_word_chars(column: str) -> pl.Expr:
    """Characters in all `real_word_count` words together."""
    # Everything but the words' characters, taken away: what is left outside real words is white space and symbols.
    text = pl.col(column)
    return text.str.len_chars() - text.str.replace_all(REAL_WORD, "").str.len_chars()


def letter_word_count(column: str) -> pl.Expr:
    """Words with at least one letter."""
    return pl.col(column).str.count_matches(LETTER_WORD)


def line_count(column: str) -> pl.Expr:
    """Lines; a newline at the very end begins no further line, and an empty text has none."""
    text = pl.col(column)
    return text.str.count_matches("\n", literal=True) + ((text != "") & ~text.str.ends_with("\n")).cast(pl.UInt32)


def distinct_words_of(column: str, words: tuple[str, ...]) -> pl.Expr:
    """How many of the given words occur, as whole words and in the same case."""
    text = pl.col(column)
    found = [text.str.contains(rf"(?:^|\s){_escape(word)}(?:\s|$)").cast(pl.UInt32) for word in words]
    return pl.sum_horizontal(found) if found else pl.lit(0, dtype=pl.UInt32)


def ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """A share of a whole that is 0 only where the part is, and then the share is 0: NaN is greater than every limit."""
    # Each operand is used once (`fill_nan` and `when` would use them again): polars merges equal expressions one level
    # deep, so what is inside a merged one is evaluated as often as it is named.
    return part / pl.max_horizontal(whole, 1)


def _escape(word: str) -> str:
    return "".join(char if char.isalnum() else f"\\x{{{ord(char):x}}}" for char in word)
