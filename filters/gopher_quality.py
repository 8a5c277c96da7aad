"""Reject documents that do not look like running text: the quality rules of Gopher.

One row in -> out: a document of ten words -> rejected, ``gopher_too_few_words``; a page of prose -> kept, with
``gopher_words``, ``gopher_mean_word_chars`` and the other numbers compared as scores.

Thresholds and rules: Rae et al. 2021 (arXiv 2112.11446), appendix A1.1. Where the paper leaves room we do as
datatrove does, which FineWeb was made with: words of symbols only do not count as words for length, hyphens count as
bullets, stop words are counted once each and case-sensitively. Unlike datatrove, words are split at white space, as in
the paper, and a word of symbols is told by its Unicode categories instead of by a list.

Meant for web pages and books. On short synthetic rows (questions, rationales) it deletes valid items: use `Length`.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from filters.words import (
    distinct_words_of,
    letter_word_count,
    line_count,
    ratio,
    real_word_chars,
    real_word_count,
    word_count,
)
from mashbill.records import Document
from mashbill.step import Filter

BULLET_LINE = r"(?m)^[^\S\n]*[•\-]"
ELLIPSIS_LINE = r"(?m)(?:\.\.\.|…)[^\S\n]*$"


@dataclass(frozen=True, kw_only=True)
class GopherQuality(Filter[Document]):
    """Gopher's quality rules; a limit at its default is the paper's."""

    min_words: int = 50
    max_words: int = 100_000
    min_mean_word_chars: float = 3.0
    max_mean_word_chars: float = 10.0
    max_hash_ratio: float = 0.1
    """Hash signs per word."""
    max_ellipsis_ratio: float = 0.1
    """Ellipses, ``...`` or ``…``, per word."""
    max_bullet_lines: float = 0.9
    """Share of lines that begin with ``•`` or ``-``."""
    max_ellipsis_lines: float = 0.3
    """Share of lines that end in an ellipsis."""
    min_letter_words: float = 0.8
    """Share of words with a letter in them."""
    min_stop_words: int = 2
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    """English; for another language give its own or set `min_stop_words` to 0."""

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        number = self.scores()
        return {
            "gopher_too_few_words": number["gopher_words"] < self.min_words,
            "gopher_too_many_words": number["gopher_words"] > self.max_words,
            "gopher_words_too_short": number["gopher_mean_word_chars"] < self.min_mean_word_chars,
            "gopher_words_too_long": number["gopher_mean_word_chars"] > self.max_mean_word_chars,
            "gopher_too_many_hashes": number["gopher_hash_ratio"] > self.max_hash_ratio,
            "gopher_too_many_ellipses": number["gopher_ellipsis_ratio"] > self.max_ellipsis_ratio,
            "gopher_too_many_bullet_lines": number["gopher_bullet_lines"] > self.max_bullet_lines,
            "gopher_too_many_ellipsis_lines": number["gopher_ellipsis_lines"] > self.max_ellipsis_lines,
            "gopher_too_few_letter_words": number["gopher_letter_words"] < self.min_letter_words,
            "gopher_too_few_stop_words": number["gopher_stop_words"] < self.min_stop_words,
        }

    def scores(self) -> dict[str, pl.Expr]:
        """Every number the reasons compare."""
        text = pl.col("text")
        words, real, lines = word_count("text"), real_word_count("text"), line_count("text")
        ellipses = text.str.count_matches("...", literal=True) + text.str.count_matches("…", literal=True)
        return {
            "gopher_words": real,
            "gopher_mean_word_chars": ratio(real_word_chars("text"), real),
            "gopher_hash_ratio": ratio(text.str.count_matches("#", literal=True), words),
            "gopher_ellipsis_ratio": ratio(ellipses, words),
            "gopher_bullet_lines": ratio(text.str.count_matches(BULLET_LINE), lines),
            "gopher_ellipsis_lines": ratio(text.str.count_matches(ELLIPSIS_LINE), lines),
            "gopher_letter_words": ratio(letter_word_count("text"), words),
            "gopher_stop_words": distinct_words_of("text", self.stop_words),
        }
