r"""Reject documents that repeat themselves: the repetition rules of Gopher.

One row in -> out: ``"buy now\nbuy now\nbuy now"`` -> rejected, ``gopher_duplicate_lines``; a page of prose -> kept,
with the share of each kind of repetition as scores.

Thresholds: Rae et al. 2021 (arXiv 2112.11446), Table A1. Each share is measured as `definitions` says:

* A duplicate line or paragraph is one seen before in its text; its characters are counted each time but the first.
  Shares of characters are of those in lines (curator) or in the text (datatrove).
* The top n-gram is the most frequent one, the earliest of those when several are, and counts for its characters with
  single spaces: as often as `str.replace` would find it in the text (curator), or as it occurs (datatrove). An n-gram
  that occurs once repeats nothing and counts 0; with both others any text of a few words would be over the limit.
* Duplicate n-grams count the characters in n-grams seen before, none twice: all that are, with the spaces between their
  words (curator), or those that are left when a repeat is stepped over whole, without spaces (datatrove).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from filters.chunk import asked
from filters.questions import Definitions, Repetition, Unspaced
from filters.rule import TextRule, named
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import Filter

Limits = tuple[tuple[int, float], ...]
LONGEST = 32


@dataclass(frozen=True, kw_only=True)
class GopherRepetition(TextRule, Filter[Record]):
    """Gopher's repetition rules; a limit at its default is the paper's."""

    version = 2

    definitions: Definitions = "curator"
    max_duplicate_lines: float = 0.3
    """Share of lines seen before in the document."""
    max_duplicate_paragraphs: float = 0.3
    max_duplicate_line_chars: float = 0.2
    """Share of the characters that lie in duplicate lines."""
    max_duplicate_paragraph_chars: float = 0.2
    max_top_grams: Limits = ((2, 0.20), (3, 0.18), (4, 0.16))
    """(n, share of characters in the most frequent n-gram)."""
    max_duplicate_grams: Limits = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
    """(n, share of characters in n-grams seen before)."""

    def __post_init__(self) -> None:
        """Refuse n-grams of no length."""
        super().__post_init__()
        wrong = [n for n, _ in (*self.max_top_grams, *self.max_duplicate_grams) if not 1 <= n <= LONGEST]
        if wrong:
            raise BillError(f"n-grams of {wrong} words; n goes from 1 to {LONGEST}")

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        number = self._numbers()
        lines = {
            "duplicate_lines": self.max_duplicate_lines,
            "duplicate_paragraphs": self.max_duplicate_paragraphs,
            "duplicate_line_chars": self.max_duplicate_line_chars,
            "duplicate_paragraph_chars": self.max_duplicate_paragraph_chars,
        }
        grams = {f"top_{n}_gram_chars": limit for n, limit in self.max_top_grams}
        grams |= {f"duplicate_{n}_gram_chars": limit for n, limit in self.max_duplicate_grams}
        return self.judged(
            "gopher_",
            self._unspaced(),
            {name: number[name] > limit for name, limit in grams.items()},
            {name: number[name] > limit for name, limit in lines.items()},
        )

    def scores(self) -> dict[str, pl.Expr]:
        """Every share the reasons compare."""
        return named(self.column, self._numbers(), "gopher_")

    def _numbers(self) -> dict[str, pl.Expr]:
        top, duplicate = (tuple(n for n, _ in limits) for limits in (self.max_top_grams, self.max_duplicate_grams))
        question = Repetition(top, duplicate, self.definitions)
        return asked(self.column, self.words, question, question.names())

    def _unspaced(self) -> pl.Expr:
        return asked(self.column, self.words, Unspaced(), ["unspaced"])["unspaced"]
