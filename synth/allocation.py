"""Sharing a total out over cells by how weak a student is in each, in whole rows, between floors and caps.

Three cells in which a student is right in 90, 50 and 10 of 100, gamma 1 -> shares as 0.1 : 0.5 : 0.9::

    >>> allocate([Claim(accuracy=0.9), Claim(accuracy=0.5), Claim(accuracy=0.1)], 150)
    [10, 50, 90]
    >>> allocate([Claim(accuracy=0.9, floor=20), Claim(accuracy=0.5), Claim(accuracy=0.1, cap=70)], 150)
    [20, 60, 70]

A cell's weight is (1 - accuracy) ** gamma times its prior. Where nothing is bound, shares are in proportion to the
weights; a cell at its floor or cap stays there and the others share the rest in the same proportion. Whole numbers come
by largest remainder, so that they add up to the total exactly. BoostQA (only its abstract is public) probes what a
model lacks and writes more of it; the formula is ours.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from mashbill.errors import BillError

NEGLIGIBLE = 1e-9
"""A weight that is this much smaller than the largest gets what floors and full caps leave, like a weight of 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one cell asks of the total."""

    accuracy: float
    """Of the student there, from 0 to 1."""
    prior: float = 1.0
    """How much the cell matters whatever the accuracy; above 0."""
    floor: int = 0
    cap: int | None = None
    """The most it may get; None for no limit."""
    protected: bool = False
    """Whether it is one of those that `protected_floor` is for."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if not 0 <= self.accuracy <= 1:
            raise ValueError(f"an accuracy is a share, from 0 to 1; found {self.accuracy}")
        if not 0 < self.prior < math.inf:
            raise ValueError(f"a prior is above 0; found {self.prior}")
        if self.floor < 0 or (self.cap is not None and self.cap < self.floor):
            raise ValueError(f"a floor of {self.floor} and a cap of {self.cap} leave nothing between them")


def allocate(claims: Sequence[Claim], total: int, *, gamma: float = 1.0, protected_floor: int = 0) -> list[int]:
    """What each cell gets; the numbers add up to `total`.

    Args:
        claims: the cells.
        total: what is shared out, in whole rows or tokens.
        gamma: how sharply weakness counts: 0 not at all (shares as the priors), 1 in proportion, more sharper still.
        protected_floor: the least that the protected cells get together.

    Raises:
        BillError: when there is no cell, or floors and caps leave no way to share out exactly the total.
        ValueError: for a gamma or a total that means nothing.
    """
    if not 0 <= gamma < math.inf:
        raise ValueError(f"gamma is {gamma}; it must be 0 (weakness does not count) or more")
    if total < 0 or protected_floor < 0:
        raise ValueError(f"the total is {total} and the protected floor {protected_floor}; neither may be below 0")
    _check_possible(claims, total, protected_floor)
    shares = _whole(_shared(claims, total, gamma), claims, total)
    protected = [at for at, one in enumerate(claims) if one.protected]
    if sum(shares[at] for at in protected) >= protected_floor:
        return shares
    # The floor binds, so both groups have a total of their own.
    others = [at for at, one in enumerate(claims) if not one.protected]
    for group, its_total in ((protected, protected_floor), (others, total - protected_floor)):
        own = [claims[at] for at in group]
        for at, share in zip(group, _whole(_shared(own, its_total, gamma), own, its_total), strict=True):
            shares[at] = share
    return shares


def _check_possible(claims: Sequence[Claim], total: int, protected_floor: int) -> None:
    if not claims:
        raise BillError("there is no cell to share a budget out over")
    floors = sum(one.floor for one in claims)
    if floors > total:
        raise BillError(
            f"the floors of {len(claims)} cells ask for {floors:,} together and the budget is {total:,}; raise `total` "
            "or lower `least`"
        )
    if _most(claims, total) < total:
        raise BillError(
            f"the caps of {len(claims)} cells allow {_most(claims, total):,} together and the budget is {total:,}; "
            "raise `most` or lower `total`"
        )
    guarded = [one for one in claims if one.protected]
    others = [one for one in claims if not one.protected]
    if _most(guarded, total) < protected_floor:
        raise BillError(
            f"the floor of the protected cells is {protected_floor:,}, and the {len(guarded)} there are can take "
            f"{_most(guarded, total):,}; add seeds to them, or lower `non_stem`"
        )
    if protected_floor + sum(one.floor for one in others) > total:
        raise BillError(
            f"the protected cells are promised {protected_floor:,} and the floors of the others ask for "
            f"{sum(one.floor for one in others):,}, more than the budget of {total:,}; raise `total`, or lower `least` "
            "or `non_stem`"
        )


def _most(claims: Sequence[Claim], total: int) -> int:
    return sum(_cap(one, total) for one in claims)


def _cap(claim: Claim, total: int) -> int:
    return total if claim.cap is None else claim.cap


def _shared(claims: Sequence[Claim], total: int, gamma: float) -> list[float]:
    """The exact shares: weights first, and what full caps leave by the priors of the cells without weakness."""
    floors = [one.floor for one in claims]
    caps = [_cap(one, total) for one in claims]
    weights = [(1 - one.accuracy) ** gamma * one.prior for one in claims]
    largest = max(weights, default=0.0)
    weak = [weight > largest * NEGLIGIBLE for weight in weights]
    open_caps = [cap if on else floor for on, cap, floor in zip(weak, caps, floors, strict=True)]
    if sum(open_caps) >= total and any(weak):
        weights = [weight if on else 0.0 for on, weight in zip(weak, weights, strict=True)]
        return _filled(weights, floors, open_caps, total)
    # Where a student is weak is full (or is nowhere): the rest goes by the priors.
    raised = [cap if on else floor for on, cap, floor in zip(weak, caps, floors, strict=True)]
    priors = [0.0 if on else one.prior for on, one in zip(weak, claims, strict=True)]
    return _filled(priors, raised, caps, total)


def _filled(weights: Sequence[float], lows: Sequence[int], highs: Sequence[int], total: int) -> list[float]:
    """``clip(level * weight, low, high)`` of each at the level where they add up to the total."""
    largest = max(weights, default=0.0) or 1.0
    weights = [weight / largest for weight in weights]

    def at(level: float) -> list[float]:
        return [min(max(level * w, low), high) for w, low, high in zip(weights, lows, highs, strict=True)]

    # The sum is linear between the levels at which a cell leaves its floor or comes to its cap.
    bends = sorted(
        {bound / w for w, pair in zip(weights, zip(lows, highs, strict=True), strict=True) if w for bound in pair}
    )
    sums = [sum(at(level)) for level in bends]
    last = bisect_right(sums, total) - 1
    if last < 0 or last + 1 == len(bends):
        return at(bends[last] if bends and last >= 0 else 0.0)
    share = (total - sums[last]) / (sums[last + 1] - sums[last])
    return at(bends[last] + share * (bends[last + 1] - bends[last]))


def _whole(shares: Sequence[float], claims: Sequence[Claim], total: int) -> list[int]:
    """Whole numbers that add up: the largest remainders are rounded up, of equal ones the first."""
    whole = [max(one.floor, math.floor(share)) for one, share in zip(claims, shares, strict=True)]
    left = total - sum(whole)
    order = sorted(range(len(whole)), key=lambda at: (round(whole[at] - shares[at], 9), at))
    for at in order:
        if left > 0 and whole[at] < _cap(claims[at], total):
            whole[at] += 1
            left -= 1
    assert left == 0, "shares add up to the total within one a cell"
    return whole
