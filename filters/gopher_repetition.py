r"""Reject documents that repeat themselves: the repetition rules of Gopher.

One row in -> out: ``"buy now\nbuy now\nbuy now"`` -> rejected, ``gopher_duplicate_lines``; a page of prose -> kept,
with the share of each kind of repetition as scores.

Thresholds: Rae et al. 2021 (arXiv 2112.11446), Table A1. `filters.repetition` says how each share is measured.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import polars as pl

from filters.measured import Remembered, measured
from filters.repetition import measure_names, repetition
from mashbill.records import Document
from mashbill.step import Filter

Limits = tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class GopherRepetition(Filter[Document]):
    """Gopher's repetition rules; a limit at its default is the paper's."""

    max_duplicate_lines: float = 0.3
    """Share of lines seen before in the document."""
    max_duplicate_paragraphs: float = 0.3
    max_duplicate_line_chars: float = 0.2
    """Share of the document's characters that lie in duplicate lines."""
    max_duplicate_paragraph_chars: float = 0.2
    max_top_grams: Limits = ((2, 0.20), (3, 0.18), (4, 0.16))
    """(n, share of characters in the most frequent n-gram)."""
    max_duplicate_grams: Limits = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
    """(n, share of characters in n-grams seen before)."""

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        limits = {
            "duplicate_lines": self.max_duplicate_lines,
            "duplicate_paragraphs": self.max_duplicate_paragraphs,
            "duplicate_line_chars": self.max_duplicate_line_chars,
            "duplicate_paragraph_chars": self.max_duplicate_paragraph_chars,
            **{f"top_{n}_gram_chars": limit for n, limit in self.max_top_grams},
            **{f"duplicate_{n}_gram_chars": limit for n, limit in self.max_duplicate_grams},
        }
        share = self.scores()
        return {f"gopher_{name}": share[f"gopher_{name}"] > limit for name, limit in limits.items()}

    def scores(self) -> dict[str, pl.Expr]:
        """Every share the reasons compare."""
        top = tuple(n for n, _ in self.max_top_grams)
        duplicate = tuple(n for n, _ in self.max_duplicate_grams)
        shares = measured(measurement(top, duplicate), "text", measure_names(top, duplicate))
        return {f"gopher_{name}": share for name, share in shares.items()}


@functools.cache
def measurement(top: tuple[int, ...], duplicate: tuple[int, ...]) -> Remembered:
    """The one measurement all expressions for these n share."""
    return Remembered(functools.partial(repetition, top=top, duplicate=duplicate))
