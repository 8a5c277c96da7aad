"""How sure a measured share is.

>>> print(wilson(8, 10))
0.800 [0.490, 0.943]
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Z95 = 1.959963984540054
"""The normal distribution has 95 % within this many deviations."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(right: float, total: int) -> Interval:
    """Wilson's score interval of a share: never outside [0, 1] and sound for few questions or shares near 0 and 1.

    `right` need not be whole: where each question was tried several times it is the sum of their pass rates, and
    `total` the questions, since the tries of one question are not worth as many questions.
    """
    if total == 0:
        return Interval(math.nan, math.nan, math.nan)
    share = right / total
    spread = Z95 * Z95 / total
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))
