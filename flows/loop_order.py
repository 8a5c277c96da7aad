"""What a recipe is told to make in a round, and what it made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mashbill.costs import Tokens
from mashbill.records import QA
from mashbill.runtime import RejectPolicy
from mashbill.store import Stored

ALL_MAY_FAIL = RejectPolicy(share=1.0)
"""A recipe that gives nothing loses its share to the others; it does not end the loop."""
FIRST = {"tokens": 100.0, "rows": 1.0}
"""What a record is taken to give before the recipe has been tried: 100 tokens is what `boostqa` takes a row to have."""
TokensOf = Callable[[Stored], Mapping[str, int]]
"""The tokens that a student reads of each row; a row it cannot learn from is not in it."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a recipe is to make."""

    recipe: str
    round: int
    wanted: Mapping[str, int]
    """Group -> amount, in the loop's unit."""
    note: Mapping[str, Any]
    """The round's allocation, for the manifests."""
    folder: Path
    """Where its lists lie."""
    earlier: Sequence[Stored]
    """Rows that are there: of earlier rounds, and of the recipes before it in this one."""
    used: Mapping[str, int]
    """Record -> how often it was written from."""
    each: float
    """What a record is likely to give."""
    errors: Sequence[QA] = ()
    tried: Sequence[QA] = ()


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a recipe made in a round."""

    recipe: str
    stored: Stored | None
    """The rows that are kept; None where there is none."""
    rows: int
    tokens: int
    records: int
    """Records that were written from, counted as often as they were."""
    generated: int
    """Rows before anything was compared with earlier rounds."""
    novel: int
    """Of those, what no earlier row is like."""
    usable: int
    """Their amount, in the loop's unit: what the budget left of them out included."""
    asked: Mapping[str, Tokens] = field(default_factory=dict)
    """Engine -> what it was asked, for all of it."""
    groups: Mapping[str, int] = field(default_factory=dict)
    """Group -> amount kept."""
    used: Mapping[str, int] = field(default_factory=dict)
    """Record -> how often it was written from by now."""
    note: str = ""

    @property
    def asked_tokens(self) -> int:
        """Read and written by models."""
        return sum(one.prompt + one.completion for one in self.asked.values())

    def plain(self) -> dict[str, Any]:
        """For the report."""
        names = ("rows", "tokens", "records", "generated", "novel", "asked_tokens", "note")
        return {
            **{name: getattr(self, name) for name in names},
            "asked": {engine: one._asdict() for engine, one in sorted(self.asked.items())},
            "groups": dict(sorted(self.groups.items())),
        }


def likely(made: Made, before: float) -> float:
    """What a record of a recipe is likely to give in its next round, in the loop's unit.

    >>> one = Made(recipe="a", stored=None, rows=4, tokens=90, records=3, generated=6, novel=5, usable=120)
    >>> likely(one, 100.0)
    40.0
    """
    return made.usable / made.records if made.usable and made.records else before
