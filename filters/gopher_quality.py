"""Reject documents that do not look like running text: the quality rules of Gopher.

One row in -> out: a document of ten words -> rejected, ``gopher_too_few_words``; a page of prose -> kept, with
``gopher_words``, ``gopher_mean_word_chars`` and the other numbers compared as scores.

Thresholds and rules: Rae et al. 2021 (arXiv 2112.11446), appendix A1.1. The paper leaves room, and the two
implementations everybody compares with fill it differently; `definitions` says whose numbers are computed, and
docs/filters.md has them side by side. What counts as a word decides more than any limit: with words split at white
space NeMo Curator's numbers come out, and with spaCy's tokens as a column and ``definitions: datatrove`` datatrove's.

Meant for web pages and books. On short synthetic rows (questions, rationales) it deletes valid items: use a profile.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from filters.chunk import asked
from filters.questions import Definitions, Quality
from filters.rule import TextRule, named
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import Filter

MOST_STOP_WORDS = 64


@dataclass(frozen=True, kw_only=True)
class GopherQuality(TextRule, Filter[Record]):
    """Gopher's quality rules; a limit at its default is the paper's."""

    version = 2

    definitions: Definitions = "curator"
    min_words: int = 50
    max_words: int = 100_000
    min_mean_word_chars: float = 3.0
    max_mean_word_chars: float = 10.0
    max_symbol_ratio: float = 0.1
    """Words that are hash signs or ellipses (curator); hash signs, and ellipses, per word (datatrove)."""
    max_bullet_lines: float = 0.9
    """Share of lines that begin with a bullet; for datatrove a hyphen is one."""
    max_ellipsis_lines: float = 0.3
    """Share of lines that end in an ellipsis."""
    min_letter_words: float = 0.8
    """Share of words with a letter in them."""
    min_stop_words: int = 2
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    """English; for another language give its own or set `min_stop_words` to 0."""

    def __post_init__(self) -> None:
        """Refuse limits that mean nothing."""
        super().__post_init__()
        self.refuse_shares(max_bullet_lines=self.max_bullet_lines, min_letter_words=self.min_letter_words)
        if len(self.stop_words) > MOST_STOP_WORDS:
            raise BillError(f"stop_words names {len(self.stop_words)}; at most {MOST_STOP_WORDS} are looked for")
        if self.min_words > self.max_words:
            raise BillError(f"min_words {self.min_words} is above max_words {self.max_words}: no row could pass")

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        number = self._numbers()
        words = {
            "too_few_words": number["words"] < self.min_words,
            "too_many_words": number["words"] > self.max_words,
            "words_too_short": number["mean_word_chars"] < self.min_mean_word_chars,
            "words_too_long": number["mean_word_chars"] > self.max_mean_word_chars,
            **{f"too_many_{name}": number[name] > self.max_symbol_ratio for name in self._signs()},
            "too_few_letter_words": number["letter_words"] < self.min_letter_words,
            "too_few_stop_words": number["stop_words"] < self.min_stop_words,
        }
        lines = {
            "too_many_bullet_lines": number["bullet_lines"] > self.max_bullet_lines,
            "too_many_ellipsis_lines": number["ellipsis_lines"] > self.max_ellipsis_lines,
        }
        return self.judged("gopher_", number["unspaced"], words, lines)

    def scores(self) -> dict[str, pl.Expr]:
        """Every number the reasons compare."""
        return named(self.column, self._numbers(), "gopher_")

    def _signs(self) -> list[str]:
        return ["sign_words"] if self.definitions == "curator" else ["hashes", "ellipses"]

    def _numbers(self) -> dict[str, pl.Expr]:
        question = Quality(self.stop_words, self.definitions)
        return asked(self.column, self.words, question, question.names())
