"""What decides a loop besides its recipes' steps, its student and its questions: the fields of a bill's ``loop``.

>>> LoopSpec(rounds=3, tokens=4000, recipes=("notes", "drills")).budget
4000
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mashbill.groups import Grouping

MOST_ROUNDS = 100


@dataclass(frozen=True, kw_only=True)
class Weak:
    """What counts as weak, and how sharply; a field of a loop."""

    by: tuple[str, ...]
    """``cells`` (discipline and difficulty), ``entities``, ``relations``, ``constraints``, or columns of the
    validation questions."""
    source: tuple[str, ...] = ()
    """The columns of what recipes write from that say the same; empty takes columns of the same names."""
    gamma: float = 1.0
    """A group's weight is (1 - accuracy) ** gamma: 0 does not look at weakness, 2 looks sharply."""
    smoothing: float = 4.0
    """Questions of overall accuracy that are added to each group, so that a group of two questions proves little."""
    least: float = 0.2
    """The least for a group, as a share of an equal share: what is known must not be forgotten."""
    most: float = 4.0
    """The most for a group, in multiples of an equal share."""

    def __post_init__(self) -> None:
        _ = self.grouping
        if not 0 <= self.gamma < 100 or not 0 <= self.smoothing < 1e9:
            raise ValueError(f"gamma is {self.gamma} and smoothing {self.smoothing}; both are 0 or more")
        if not 0 <= self.least <= 1 or not 1 <= self.most < 1e9:
            raise ValueError(f"least is {self.least}, from 0 to 1, and most {self.most}, 1 (an equal share) or more")

    @property
    def grouping(self) -> Grouping:
        """What makes two questions of one group."""
        return Grouping(by=self.by, source=self.source)


@dataclass(frozen=True, kw_only=True)
class Rewards:
    """How much of a recipe's reward each of three things is; a field of a loop."""

    tokens: float = 0.25
    """New tokens for each token asked, in comparison with the round's best recipe."""
    novelty: float = 0.25
    """The share of its rows that no earlier round had."""
    gain: float = 0.5
    """What its rows did for the student on the validation questions."""

    def __post_init__(self) -> None:
        if min(self.tokens, self.novelty, self.gain) < 0 or not self.tokens + self.novelty + self.gain:
            raise ValueError("the parts of a reward are 0 or more, and not all 0")


@dataclass(frozen=True, kw_only=True)
class LoopSpec:
    """What decides a loop besides its recipes, its student and its questions; all of it identity."""

    rounds: int
    tokens: int = 0
    """New tokens of each round, over all recipes, by the student's tokenizer."""
    rows: int = 0
    """New rows of each round, in place of `tokens`."""
    recipes: tuple[str, ...]
    """Streams of the bill, of one type of record."""
    from_errors: tuple[str, ...] = ()
    """Those of the recipes that are given the student's confident errors in place of what they would read."""
    start: Literal["base", "last"] = "base"
    """Each round's student begins at the base and learns from all rounds' rows; or goes on from the last one with new
    rows and a share of earlier ones."""
    earlier: float = 0.5
    """That share, of the tokens of a round, under ``start: last``."""
    patience: int = 2
    """Rounds in a row without a gain after which the loop stops; 0 never stops it."""
    min_gain: float = 0.0
    """The gain in validation accuracy that a round must have over the best one before, to count as one."""
    exploration: float = 0.2
    """The share of the budget that all recipes get alike, whatever they were worth."""
    discount: float = 0.8
    """What a reward still counts a round later."""
    probe: float = 0.25
    """Tokens of the training that measures what each recipe's rows do alone, as a share of a round's; 0 measures none
    and splits a round's gain over its recipes."""
    rewards: Rewards = Rewards()
    repeats: int = 3
    """How often one record is written from, over all rounds."""
    waves: int = 4
    """Times a recipe may ask again in a round for what is still missing."""
    control: Literal["", "uniform"] = ""
    """A second loop at the same budgets that looks at no weakness and at no reward, from the same seeds."""
    seed: int = 0

    def __post_init__(self) -> None:
        checks = {
            "rounds": (1 <= self.rounds <= MOST_ROUNDS, f"from 1 to {MOST_ROUNDS} are wanted"),
            "patience": (self.patience >= 0, "0 (never stop) or more is wanted"),
            "min_gain": (0 <= self.min_gain < 1, "a gain in accuracy, from 0 up to 1, is wanted"),
            "earlier": (0 <= self.earlier < 1, "a share from 0 up to 1 is wanted"),
            "exploration": (0 <= self.exploration <= 1, "a share from 0 to 1 is wanted"),
            "discount": (0 < self.discount <= 1, "a number above 0, at most 1, is wanted"),
            "probe": (0 <= self.probe <= 1, "a share from 0 to 1 is wanted"),
            "repeats": (self.repeats >= 1, "1 or more is wanted"),
            "waves": (self.waves >= 1, "1 or more is wanted"),
        }
        for name, (good, wanted) in checks.items():
            if not good:
                raise ValueError(f"{name} is {getattr(self, name)}; {wanted}")
        if (self.tokens > 0) == (self.rows > 0) or self.tokens < 0 or self.rows < 0:
            raise ValueError(f"tokens is {self.tokens} and rows {self.rows}; one of them is wanted, above 0")
        if not self.recipes or len(set(self.recipes)) < len(self.recipes):
            raise ValueError(f"recipes is {list(self.recipes)}; at least one stream is wanted, each named once")
        if other := [one for one in self.from_errors if one not in self.recipes]:
            raise ValueError(f"from_errors names {other[0]!r}, which is none of the recipes {', '.join(self.recipes)}")

    @property
    def unit(self) -> str:
        """``tokens`` or ``rows``."""
        return "tokens" if self.tokens else "rows"

    @property
    def budget(self) -> int:
        """Of each round, in that unit."""
        return self.tokens or self.rows
