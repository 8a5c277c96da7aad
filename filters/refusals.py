r"""Reject generated texts in which the model refused or spoke of itself.

One row in -> out: ``"I'm sorry, but I can't help with that."`` -> rejected, ``refusal``; ``"I cannot help thinking of
Veylund."`` -> kept.

A wrong hit deletes a good text without a sound, so each pattern is anchored. A refusal opens the text, in the first
person, and refuses something an assistant is asked for ("I cannot" alone is ordinary prose). "As an AI language
model" counts anywhere, but only when the speaker goes on as "I".
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from filters.rule import named
from mashbill.matching.refusal_phrases import REFUSAL_PATTERNS
from mashbill.records import Record
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class Refusals(Filter[Record]):
    """Rejects model refusals and models that speak of themselves."""

    version = 2

    column: str = "text"
    patterns: tuple[str, ...] = ()
    """Further regular expressions (Rust syntax) that mark a refusal."""

    def columns(self) -> tuple[str, ...]:
        """The column it reads."""
        return (self.column,)

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        text = pl.col(self.column)
        refused = [text.str.contains(pattern) for pattern in (*REFUSAL_PATTERNS, *self.patterns)]
        return named(self.column, {"refusal": pl.any_horizontal(refused)})
