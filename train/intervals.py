"""How sure a measured number is: intervals for shares, and for the difference of two students on the same questions.

>>> print(wilson(8, 10))
0.800 [0.490, 0.943]
>>> sign_test(won=9, lost=1)
0.021484375
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z95 = 1.959963984540054
"""The normal distribution has 95 % within this many deviations."""
DRAWS = 10_000
"""Bootstrap resamples: the ends of a 95 % interval are then steady to about a hundredth of its width."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(right: int, total: int) -> Interval:
    """Wilson's score interval of a share: never outside [0, 1] and sound for few questions or shares near 0 and 1."""
    if total == 0:
        return Interval(math.nan, math.nan, math.nan)
    share = right / total
    spread = Z95 * Z95 / total
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def bootstrap(
    values: Sequence[float], *, seed: int, groups: Sequence[Hashable] | None = None, draws: int = DRAWS
) -> Interval:
    """The mean of values with its percentile bootstrap interval.

    Given paired differences this is the paired bootstrap. With `groups` whole groups are drawn: questions about one
    document stand or fall together, and drawing them one by one would make the interval too narrow.
    """
    if not values:
        return Interval(math.nan, math.nan, math.nan)
    codes = list(range(len(values))) if groups is None else _codes(groups)
    count = max(codes) + 1
    sums = np.bincount(codes, weights=np.asarray(values), minlength=count).astype(np.float64)
    sizes = np.bincount(codes, minlength=count).astype(np.float64)
    means = _resampled(sums, sizes, np.random.Generator(np.random.PCG64(seed)), draws)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(np.mean(np.asarray(values))), float(low), float(high))


def _codes(groups: Sequence[Hashable]) -> list[int]:
    known: dict[Hashable, int] = {}
    return [known.setdefault(group, len(known)) for group in groups]


def _resampled(
    sums: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], rng: np.random.Generator, draws: int
) -> npt.NDArray[np.float64]:
    means = np.empty(draws)
    # In blocks, so that 10,000 draws of 100,000 questions do not ask for 8 GB.
    block = max(1, 10_000_000 // len(sums))
    for start in range(0, draws, block):
        stop = min(start + block, draws)
        picked = rng.integers(0, len(sums), size=(stop - start, len(sums)))
        means[start:stop] = sums[picked].sum(axis=1) / sizes[picked].sum(axis=1)
    return means


def sign_test(*, won: int, lost: int) -> float:
    """McNemar's exact test: the chance of a split at least this uneven were winning and losing equally likely."""
    total = won + lost
    if total == 0:
        return 1.0
    fewer = min(won, lost)
    tail: float = sum(math.comb(total, count) for count in range(fewer + 1)) / 2**total
    return min(1.0, 2.0 * tail)
