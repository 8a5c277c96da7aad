"""Sharing a budget over arms whose worth is learnt while it is spent: Thompson sampling in batches.

Two recipes after one round, rewards 0.9 and 0.2, a tenth of the budget kept for looking around::

    >>> beliefs = learned(dict.fromkeys(("notes", "sums"), Belief()), {"notes": 0.9, "sums": 0.2})
    >>> {arm: round(share, 2) for arm, share in shares(beliefs, seed=1, exploration=0.1).items()}
    {'notes': 0.72, 'sums': 0.28}

An arm's worth is a Beta distribution over rewards in [0, 1]: one success and one failure before anything is known
(uniform), then each reward r counts as r of a success and 1 - r of a failure (Agrawal and Goyal 2012, 1111.1797,
section 2). A round's budget is not given to one arm but split as the draws of many samplings would split it: the share
of an arm is the probability that it is the best. What is old counts less: each round everything learnt before is
multiplied by `discount` (discounted Thompson sampling, Raj and Kalyani 2017, 1707.09727), since what helps a student
changes with what it has learnt.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from mashbill.fingerprint import seed_of

DRAWS = 2000
"""Samplings that a split is counted from: a share is then sure to about 0.02 (two standard errors at a half)."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What is known of one arm: rewards and what they lacked of 1, both summed and discounted."""

    good: float = 0.0
    bad: float = 0.0

    @property
    def mean(self) -> float:
        """The reward to expect.

        >>> Belief().mean, Belief(good=3, bad=1).mean
        (0.5, 0.6666666666666666)
        """
        return (1 + self.good) / (2 + self.good + self.bad)

    @property
    def seen(self) -> float:
        """How many rewards it rests on, discounted."""
        return self.good + self.bad


def learned(beliefs: Mapping[str, Belief], rewards: Mapping[str, float], *, discount: float = 1.0) -> dict[str, Belief]:
    """What is known after one more round; an arm without a reward in it only forgets.

    Raises:
        ValueError: for a reward outside [0, 1], an unknown arm, or a discount outside (0, 1].
    """
    if not 0 < discount <= 1:
        raise ValueError(f"the discount is {discount}; it lies above 0 and is at most 1 (nothing is forgotten)")
    for arm, reward in rewards.items():
        if arm not in beliefs:
            raise ValueError(f"a reward is for {arm!r}, and the arms are {', '.join(beliefs)}")
        if not 0 <= reward <= 1:
            raise ValueError(f"the reward of {arm!r} is {reward}; it must lie from 0 to 1")
    found = {}
    for arm, belief in beliefs.items():
        good, bad = belief.good * discount, belief.bad * discount
        if arm in rewards:
            good, bad = good + rewards[arm], bad + 1 - rewards[arm]
        found[arm] = Belief(good, bad)
    return found


def shares(
    beliefs: Mapping[str, Belief], *, seed: int, exploration: float = 0.1, draws: int = DRAWS
) -> dict[str, float]:
    """Arm -> its share of the next budget; they add up to 1, and each is at least ``exploration / arms``.

    With ``draws=1`` and no exploration it is plain Thompson sampling: one arm has it all. The same beliefs and seed
    give the same shares, in whatever order the arms are named.

    Raises:
        ValueError: when there is no arm, or `exploration` is no share.
    """
    if not beliefs or draws < 1:
        raise ValueError(f"there are {len(beliefs)} arms and {draws} draws; at least one of each is wanted")
    if not 0 <= exploration <= 1:
        raise ValueError(f"exploration is {exploration}; it is a share of the budget, from 0 to 1")
    arms, rng = sorted(beliefs), random.Random(seed_of("bandit", seed))
    best: Counter[str] = Counter()
    for _ in range(draws):
        best[max(arms, key=lambda arm: rng.betavariate(1 + beliefs[arm].good, 1 + beliefs[arm].bad))] += 1
    floor = exploration / len(arms)
    return {arm: floor + (1 - exploration) * best[arm] / draws for arm in beliefs}
