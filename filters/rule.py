"""What the rules about words and lines share: which column they read, what a word is, and where word rules end.

A rule set is a `Filter` with two fields more. `column` names the text column, so that one rule serves each kind of row:
``text`` of a document, ``answer`` of a question; in another column than ``text`` its name comes before each reason
and score (``answer_gopher_too_few_words``). `words` is the word rule: ``whitespace`` as in the papers, or the name of a
column with each text's words, a list of strings, that some tokeniser made.

Chinese, Japanese, Thai and others put no spaces between words, so words split at white space are clauses and every
number made of them is wrong. Where more than `max_unspaced` of the letters are of such a script and nobody gave
words, the rules about words say nothing, and the score ``…_unspaced`` says why; ``unsegmented: reject`` rejects such
rows instead, as ``…_unsegmented``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from filters.chunk import WHITESPACE
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import Filter


def named(column: str, found: Mapping[str, pl.Expr], prefix: str = "") -> dict[str, pl.Expr]:
    """Reasons or scores under the names they have for a column."""
    before = "" if column == "text" else f"{column}_"
    return {f"{before}{prefix}{name}": one for name, one in found.items()}


@dataclass(frozen=True, kw_only=True)
class TextRule(Filter[Record]):
    """A filter of one text column by its words and lines."""

    column: str = "text"
    words: str = WHITESPACE
    """``whitespace``, or a column of words."""
    unsegmented: Literal["keep", "reject"] = "keep"
    """What becomes of a text whose script has no spaces between words, where no words are given."""
    max_unspaced: float = 0.3
    """Share of letters of such scripts up to which words split at white space are words."""

    def __post_init__(self) -> None:
        """Refuse what could never be."""
        if not 0 <= self.max_unspaced <= 1:
            raise BillError(f"max_unspaced is {self.max_unspaced}; it is a share of the letters, from 0 to 1")
        if self.words == self.column:
            raise BillError(
                f"words and column are both {self.column!r}; write `words: {WHITESPACE}`, or name a column of words"
            )

    def columns(self) -> tuple[str, ...]:
        """The columns it reads."""
        return (self.column,) if self.words == WHITESPACE else (self.column, self.words)

    def judged(
        self, prefix: str, unspaced: pl.Expr, words: Mapping[str, pl.Expr], others: Mapping[str, pl.Expr]
    ) -> dict[str, pl.Expr]:
        """Reasons by name, those about words last: they hold only where there are words."""
        if self.words != WHITESPACE:
            return named(self.column, {**others, **words}, prefix)
        spaced = unspaced <= self.max_unspaced
        found = dict(others) | {name: spaced & hit for name, hit in words.items()}
        if self.unsegmented == "reject":
            found = {"unsegmented": ~spaced, **found}
        return named(self.column, found, prefix)

    def refuse_shares(self, **shares: Any) -> None:
        """Refuse limits that are no share."""
        wrong = {name: value for name, value in shares.items() if not 0 <= value <= 1}
        if wrong:
            raise BillError(f"{self.name} has {wrong}; each is a share, from 0 to 1")
