"""Reject worked answers that show their writer was given the answer, or that name or sound like the teacher.

One row in -> out: ``"As given in the context, the guild sold salt."`` -> rejected, ``mentions_path``; ``"The correct
answer is marked as B."`` -> ``mentions_given_answer``; ``"I'm sorry, but I can't help with that."`` -> ``refusal``.

Traces written from a path through a graph, or with the answer as a hint, are asked not to mention it and sometimes do;
what they cite is not there when the student is asked. The phrases are in `mashbill.matching.leaks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from mashbill.matching.leaks import LEAKS, checked_patterns, leak_expressions
from mashbill.matching.refusal_phrases import REFUSAL_PATTERNS
from mashbill.records import Rationale
from mashbill.step import Filter


@dataclass(frozen=True, kw_only=True)
class TraceLeaks(Filter[Rationale]):
    """Rejects mentions of what the student will not be shown."""

    names: tuple[str, ...] = ()
    """Names of the teacher, ``mentions_teacher``: whole words in any case."""
    patterns: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(LEAKS))
    """Reason -> regular expressions (Rust syntax); given ones stand in place of all of these."""

    def __post_init__(self) -> None:
        """Refuse patterns that cannot be run, or that hit every row."""
        checked_patterns(self.patterns, self.names)

    def reasons(self) -> dict[str, pl.Expr]:
        """Reason -> True where the row must go."""
        text = pl.col("rationale")
        found = leak_expressions("rationale", names=self.names, patterns=self.patterns)
        return {**found, "refusal": pl.any_horizontal([text.str.contains(one) for one in REFUSAL_PATTERNS])}
