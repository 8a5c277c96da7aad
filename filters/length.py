"""Reject texts that are too short or too long, in words or characters.

One row in -> out: a text of three words with ``min_words=5`` -> rejected, ``length_too_few_words``.

The one rule that suits every kind of row: set the limits for the kind at hand. Nothing is limited unless set.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from filters.chunk import WHITESPACE, asked
from filters.questions import Sizes
from filters.rule import named
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class Length(Filter[Record]):
    """Limits on words and on characters; both ends are allowed lengths."""

    column: str = "text"
    words: str = WHITESPACE
    """``whitespace``, or a column of words; Chinese and others need one, or limits in characters."""
    min_words: int | None = None
    max_words: int | None = None
    min_chars: int | None = None
    max_chars: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that would keep nothing, or that set nothing."""
        if all(limit is None for limit in (self.min_words, self.max_words, self.min_chars, self.max_chars)):
            raise BillError("length has no limit; set at least one of min_words, max_words, min_chars, max_chars")
        for unit, low, high in (("words", self.min_words, self.max_words), ("chars", self.min_chars, self.max_chars)):
            if low is not None and high is not None and low > high:
                raise BillError(f"length has min_{unit} {low} above max_{unit} {high}: no row could pass; swap them")

    def columns(self) -> tuple[str, ...]:
        """The columns it reads."""
        return (self.column,) if self.words == WHITESPACE else (self.column, self.words)

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        size = self._sizes()
        words, chars = size["words"], size["chars"]
        limits = {
            "length_too_few_words": None if self.min_words is None else words < self.min_words,
            "length_too_many_words": None if self.max_words is None else words > self.max_words,
            "length_too_few_chars": None if self.min_chars is None else chars < self.min_chars,
            "length_too_many_chars": None if self.max_chars is None else chars > self.max_chars,
        }
        return named(self.column, {reason: limit for reason, limit in limits.items() if limit is not None})

    def scores(self) -> dict[str, pl.Expr]:
        """Words and characters."""
        return named(self.column, self._sizes())

    def _sizes(self) -> dict[str, pl.Expr]:
        return asked(self.column, self.words, Sizes(), ["words", "chars"])
