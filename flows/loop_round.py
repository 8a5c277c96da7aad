"""What one round of a loop gave, and what its recipes were worth.

Round 2: the recipe *notes* was asked 4,000 tokens for 900 new ones, nine of ten rows were new, and a student that went
on with its rows alone gained 0.04 on the validation questions::

    tokens   900/4000 against 1800/4000 of the best recipe   0.50
    novelty  0.90                                            0.90
    gain     0.5 + 0.04 / 0.2                                0.70
    reward   0.25 * 0.50 + 0.25 * 0.90 + 0.5 * 0.70          0.70
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.loop_allocation import Allocation
from flows.loop_order import Made
from flows.loop_questions import Validated
from flows.loop_spec import Rewards
from mashbill.bandit import Belief
from mashbill.intervals import Interval, wilson
from mashbill.store import Stored

GAIN_SCALE = 0.2
"""A gain of half of this in accuracy is a reward of 1, a loss of as much one of 0; no change is a half."""


@dataclass(frozen=True, kw_only=True)
class Worth:
    """What a recipe was worth in a round, part by part; None where nothing was measured."""

    tokens: float
    novelty: float
    gain: float | None
    measured_gain: float | None
    """The change in validation accuracy that `gain` is made of."""
    reward: float


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round, finished; round 0 is the student before any."""

    number: int
    model: Path = field(repr=False)
    validated: Validated = field(repr=False)
    allocation: Allocation | None = None
    made: Mapping[str, Made] = field(default_factory=dict)
    release: Path | None = None
    steps: int = 0
    trained_tokens: int = 0
    final_loss: float | None = None
    worth: Mapping[str, Worth] = field(default_factory=dict)
    beliefs: Mapping[str, Belief] = field(default_factory=dict)
    """Of the recipes that are still there, after this round."""
    notes: tuple[str, ...] = ()

    @property
    def accuracy(self) -> Interval:
        """On the validation questions, with Wilson's 95 % interval."""
        return wilson(self.validated.right, len(self.validated.answers))

    @property
    def kept(self) -> list[Stored]:
        """The rows of the round, recipe by recipe."""
        return [one.stored for one in self.made.values() if one.stored is not None]

    @property
    def new_tokens(self) -> int:
        """Of the round's rows."""
        return sum(one.tokens for one in self.made.values())

    @property
    def new_rows(self) -> int:
        """How many there are."""
        return sum(one.rows for one in self.made.values())

    def plain(self, root: Path) -> dict[str, Any]:
        """For the report and the round's file; paths relative to the root, so that two roots give the same bytes."""
        sure = self.accuracy
        return {
            "round": self.number,
            "validation": {
                "right": self.validated.right, "asked": len(self.validated.answers),
                "accuracy": sure.value, "low": sure.low, "high": sure.high,
            },
            "allocation": None if self.allocation is None else self.allocation.plain(),
            "made": {name: one.plain() for name, one in self.made.items()},
            "new_rows": self.new_rows,
            "new_tokens": self.new_tokens,
            "release": None if self.release is None else self.release.relative_to(root).as_posix(),
            "steps": self.steps,
            "trained_tokens": self.trained_tokens,
            "final_loss": self.final_loss,
            "worth": {
                name: {key: getattr(one, key) for key in ("tokens", "novelty", "gain", "measured_gain", "reward")}
                for name, one in self.worth.items()
            },
            "beliefs": {
                name: {"good": one.good, "bad": one.bad, "mean": one.mean} for name, one in self.beliefs.items()
            },
            "notes": list(self.notes),
        }  # fmt: skip


def worths(made: Mapping[str, Made], gains: Mapping[str, float | None], rewards: Rewards) -> dict[str, Worth]:
    """What each recipe of a round was worth; what was not measured has no part in its reward, nor has it a weight."""
    yields = {
        name: one.tokens / one.asked_tokens if one.asked_tokens else float(one.rows > 0) for name, one in made.items()
    }
    best = max(yields.values(), default=0.0)
    found = {}
    for name, one in made.items():
        tokens = yields[name] / best if best else 0.0
        novelty = one.novel / one.generated if one.generated else 0.0
        change = gains.get(name)
        gain = None if change is None else min(1.0, max(0.0, 0.5 + change / GAIN_SCALE))
        parts = [(rewards.tokens, tokens), (rewards.novelty, novelty)]
        parts += [] if gain is None else [(rewards.gain, gain)]
        weight = sum(share for share, _ in parts)
        reward = sum(share * value for share, value in parts) / weight if weight and one.rows else 0.0
        found[name] = Worth(tokens=tokens, novelty=novelty, gain=gain, measured_gain=change, reward=min(1.0, reward))
    return found
