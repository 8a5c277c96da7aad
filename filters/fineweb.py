"""Reject pages that are lists, menus or boilerplate by the shape of their lines: the rules that FineWeb adds.

One row in -> out: a page whose lines end in no full stop -> rejected, ``fineweb_too_few_stopped_lines``; prose -> kept,
with the four shares as scores.

Thresholds: Penedo et al. 2024 (arXiv 2406.17557), section 3.5, as datatrove applies them: lines are split at newlines,
and blank ones left out; a line ends in a stop when its very last character has the Unicode property
Sentence_Terminal; line characters said again are a share of the text without newlines; newlines are counted per word.
datatrove's words are spaCy's tokens: give them as a column to have its decisions exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from filters.chunk import asked
from filters.questions import FineWebLines, Unspaced
from filters.rule import TextRule, named
from mashbill.records import Record
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class Fineweb(TextRule, Filter[Record]):
    """FineWeb's line rules; a limit at its default is the paper's."""

    min_stopped_lines: float = 0.12
    """Share of lines that end in the stop of a sentence."""
    max_short_lines: float = 0.67
    """Share of lines of at most `short_chars` characters."""
    short_chars: int = 30
    max_duplicate_chars: float = 0.01
    """Share of characters in lines said before."""
    max_newlines_per_word: float = 0.3

    def __post_init__(self) -> None:
        """Refuse limits that are no share."""
        super().__post_init__()
        self.refuse_shares(min_stopped_lines=self.min_stopped_lines, max_short_lines=self.max_short_lines)

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        number = self._numbers()
        lines = {
            "empty": number["lines"] == 0,
            "too_few_stopped_lines": number["stopped_lines"] < self.min_stopped_lines,
            "too_many_short_lines": number["short_lines"] > self.max_short_lines,
            "duplicate_line_chars": number["duplicate_chars"] > self.max_duplicate_chars,
        }
        words = {"too_many_newlines": number["newlines_per_word"] > self.max_newlines_per_word}
        unspaced = asked(self.column, self.words, Unspaced(), ["unspaced"])["unspaced"]
        return self.judged("fineweb_", unspaced, words, lines)

    def scores(self) -> dict[str, pl.Expr]:
        """Every number the reasons compare."""
        return named(self.column, self._numbers(), "fineweb_")

    def _numbers(self) -> dict[str, pl.Expr]:
        question = FineWebLines(self.short_chars)
        return asked(self.column, self.words, question, question.names())
