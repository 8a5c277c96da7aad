"""How much of which group each recipe is to make in a round, with its arithmetic, and which records it writes from.

Two groups of which a student knows one, 400 tokens, two recipes of equal share -> a round's allocation::

    group   asked  right                  smoothed   notes   drills
    lamps      20   0.90 [0.70, 0.97]         0.86      49      49
    salt       20   0.40 [0.22, 0.61]         0.43     151     151

The budget is split over the recipes first, as the bandit says, and each recipe's part over the groups that it has
records of: by weights (1 - smoothed accuracy) ** gamma, with a least and a most for each group
(`synth.allocation`). A group that no question asks about counts with the overall accuracy, and so do the records that
are in no group at all.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.loop_spec import Weak
from mashbill.fingerprint import content_id
from mashbill.weakness import GroupScore
from synth.allocation import Claim, allocate

NO_GROUP = ""
"""Records that are in no group."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that a recipe can write from."""

    id: str
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """What one round is to make."""

    round: int
    unit: str
    budget: int
    by: str
    """``weakness`` or ``uniform``."""
    gamma: float
    overall: float | None
    """Accuracy over all validation questions; None where nothing was measured yet."""
    groups: tuple[GroupScore, ...]
    shares: Mapping[str, float]
    """Recipe -> its share of the budget."""
    wanted: Mapping[str, Mapping[str, int]]
    """Recipe -> group -> what it is to make."""
    records: Mapping[str, Mapping[str, int]]
    """Recipe -> group -> the records it has of it."""
    notes: tuple[str, ...] = ()

    @property
    def by_group(self) -> dict[str, int]:
        """Group -> what all recipes are to make of it."""
        total: Counter[str] = Counter()
        for own in self.wanted.values():
            total.update(own)
        return dict(sorted(total.items()))

    @property
    def sentence(self) -> str:
        """The allocation in a sentence, for a card."""
        most = sorted(self.by_group.items(), key=lambda one: (-one[1], one[0]))[:3]
        shown = ", ".join(f"{name or 'no group'} {amount:,}" for name, amount in most)
        over = f"{self.budget:,} {self.unit} by {self.by} over {len(self.by_group)} groups"
        return f"round {self.round}: {over}, most for {shown}"

    def plain(self) -> dict[str, Any]:
        """As plain values, for a manifest."""
        return {**dataclasses.asdict(self), "groups": [dataclasses.asdict(one) for one in self.groups]}


def allocation_of(
    number: int,
    *,
    budget: int,
    unit: str,
    weak: Weak,
    scores: Sequence[GroupScore],
    overall: float | None,
    shares: Mapping[str, float],
    records: Mapping[str, Mapping[str, int]],
    uniform: bool = False,
) -> Allocation:
    """The allocation of a round; pure.

    `records` of a recipe that chooses for itself (one that makes a budget of its own, or that is given errors) is
    empty: its part of the budget is one amount, under `NO_GROUP`.
    """
    known = {} if overall is None else {one.name: one.smoothed for one in scores}
    gamma = 0.0 if uniform or overall is None else weak.gamma
    wanted = {}
    for recipe, amount in zip(shares, whole_shares(budget, list(shares.values())), strict=True):
        own = records.get(recipe) or {NO_GROUP: 1}
        wanted[recipe] = _shared(own, amount, gamma, weak, known, overall)
    return Allocation(
        round=number,
        unit=unit,
        budget=budget,
        by="uniform" if uniform else "weakness",
        gamma=gamma,
        overall=overall,
        groups=tuple(scores),
        shares=dict(shares),
        wanted=wanted,
        records={name: dict(sorted(own.items())) for name, own in records.items()},
        notes=tuple(_notes(scores, records, overall, uniform)),
    )


def whole_shares(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in these proportions that add up to the total: the largest remainders are rounded up.

    >>> whole_shares(10, [0.5, 0.25, 0.25])
    [5, 3, 2]
    """
    exact = [total * share / sum(shares) for share in shares]
    found = [math.floor(one) for one in exact]
    order = sorted(range(len(exact)), key=lambda at: (round(found[at] - exact[at], 9), at))
    for at in order[: total - sum(found)]:
        found[at] += 1
    return found


def _shared(
    groups: Mapping[str, int], amount: int, gamma: float, weak: Weak, known: Mapping[str, float], overall: float | None
) -> dict[str, int]:
    names, equal = sorted(groups), amount / len(groups)
    floor, cap = math.floor(weak.least * equal), math.ceil(weak.most * equal)
    claims = [Claim(accuracy=known.get(name, overall or 0.0), floor=floor, cap=max(cap, floor)) for name in names]
    return dict(zip(names, allocate(claims, amount, gamma=gamma), strict=True))


def _notes(
    scores: Sequence[GroupScore], records: Mapping[str, Mapping[str, int]], overall: float | None, uniform: bool
) -> list[str]:
    found = []
    if overall is None:
        found.append("nothing is measured yet, so every group gets as much")
    elif uniform:
        found.append("the control: every group gets as much, whatever the student can")
    there = {name for own in records.values() for name in own}
    if there:
        asked = {one.name for one in scores}
        if unasked := sorted(there - asked - {NO_GROUP}):
            found.append(f"asked about by no question, and taken to be of overall accuracy: {_named(unasked)}")
        if empty := sorted(asked - there):
            found.append(f"no recipe has a record of it, so nothing is written: {_named(empty)}")
    return found


def _named(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def choose(
    candidates: Sequence[Candidate],
    missing: Mapping[str, float],
    *,
    each: float,
    used: Mapping[str, int],
    most: int,
    seed: int,
) -> list[tuple[str, str, int]]:
    """The records to write from next: id, the group it is taken for, and how often it was used before.

    `missing` is what each group still wants and `each` what one record is likely to give. Groups that want most come
    first; within one, records that were used least, then by a hash. A record of several groups is taken for the first
    of them. Where a group has too few records, others of those that are left stand in, so that a round comes to its
    budget.
    """
    order = sorted(missing, key=lambda name: (-missing[name], name))
    left = sorted(
        (one for one in candidates if used.get(one.id, 0) < most),
        key=lambda one: (used.get(one.id, 0), content_id("loop", seed, one.id)),
    )
    members: dict[str, list[Candidate]] = {}
    for one in left:
        for name in one.groups or (NO_GROUP,):
            members.setdefault(name, []).append(one)
    taken: dict[str, tuple[str, str, int]] = {}
    wanted = {name: math.ceil(max(0.0, missing[name]) / each) for name in order}
    for name in order:
        own = [one for one in members.get(name, ()) if one.id not in taken]
        for one in own[: wanted[name]]:
            taken[one.id] = (one.id, name, used.get(one.id, 0))
    short = min(sum(wanted.values()), math.ceil(sum(max(0.0, one) for one in missing.values()) / each)) - len(taken)
    for name in order:
        for one in members.get(name, ()):
            if short > 0 and one.id not in taken:
                taken[one.id] = (one.id, name, used.get(one.id, 0))
                short -= 1
    return list(taken.values())
