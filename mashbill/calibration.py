"""Whether a student is as often right as it is sure: expected calibration error, Brier score, reliability.

Four answers, given at 0.9, 0.9, 0.6 and 0.6, of which the first and the third are right::

    >>> found = calibration([0.9, 0.9, 0.6, 0.6], [True, False, True, False], bins=5)
    >>> round(found.ece, 3), round(found.brier, 3)
    (0.25, 0.335)
    >>> [(one.low, one.high, one.count, one.confidence, one.accuracy) for one in found.bins if one.count]
    [(0.4, 0.6, 2, 0.6, 0.5), (0.8, 1.0, 2, 0.9, 0.5)]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BINS = 10
"""Bins of equal width, as in Naeini et al. (AAAI 2015); Guo et al. (1706.04599) took 15 for tens of thousands of
questions, and a test set here has hundreds."""


@dataclass(frozen=True)
class Bin:
    """The answers whose confidence lies in (low, high]; the first bin has 0 too."""

    low: float
    high: float
    count: int
    confidence: float | None
    """Their mean confidence; None in an empty bin."""
    accuracy: float | None
    """The share of them that is right."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How confidence and accuracy go together."""

    questions: int
    ece: float
    """Expected calibration error: sum over bins of share x |accuracy - mean confidence|. It depends on the bins."""
    brier: float
    """Mean of (confidence - right)^2 over the answers given (Brier 1950, on the chosen answer): 0 is best, and always
    0.25 for one who says 0.5. Unlike the ECE it needs no bins, and falls with accuracy as well as with calibration."""
    confidence: float
    """Mean confidence; above the accuracy it is too sure of itself."""
    accuracy: float
    bins: tuple[Bin, ...]


def calibration(confidences: Sequence[float], right: Sequence[bool], *, bins: int = BINS) -> Calibration:
    """Sum up answers with their confidences, each from 0 to 1.

    Raises:
        ValueError: for a confidence outside [0, 1], no answer, or no bin.
    """
    if bins < 1 or not confidences:
        raise ValueError(f"calibration of {len(confidences)} answers in {bins} bins: at least one of each is wanted")
    wrong = [value for value in confidences if not 0 <= value <= 1]
    if wrong:
        raise ValueError(f"a confidence is {wrong[0]}; it is a probability, from 0 to 1")
    pairs = list(zip(confidences, right, strict=True))
    members: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for confidence, good in pairs:
        members[_bin(confidence, bins)].append((confidence, good))
    found = [_summed(number, own, bins) for number, own in enumerate(members)]
    gaps = [one.count * abs((one.accuracy or 0.0) - (one.confidence or 0.0)) for one in found]
    return Calibration(
        questions=len(pairs),
        ece=sum(gaps) / len(pairs),
        brier=sum((confidence - good) ** 2 for confidence, good in pairs) / len(pairs),
        confidence=sum(confidences) / len(pairs),
        accuracy=sum(right) / len(pairs),
        bins=tuple(found),
    )


def _bin(confidence: float, bins: int) -> int:
    # (low, high]: a confidence of 1.0 belongs to the last bin, and so does an edge to the bin it ends.
    # Rounded first, or 0.6 * 5 = 3.0000000000000004 would leave the bin that ends at 0.6.
    return max(0, math.ceil(round(confidence * bins, 9)) - 1)


def _summed(number: int, own: Sequence[tuple[float, bool]], bins: int) -> Bin:
    low, high = number / bins, (number + 1) / bins
    if not own:
        return Bin(low, high, 0, None, None)
    confidence = sum(value for value, _ in own) / len(own)
    return Bin(low, high, len(own), confidence, sum(good for _, good in own) / len(own))


def options_brier(probabilities: Sequence[Sequence[float]], gold: Sequence[int]) -> float:
    """Brier's score over all options: the mean of the sum over options of (p - 1 where right)^2, from 0 to 2.

    >>> options_brier([[0.5, 0.5, 0.0]], [0])
    0.5
    """
    scores = [
        sum((share - (place == right)) ** 2 for place, share in enumerate(shares))
        for shares, right in zip(probabilities, gold, strict=True)
    ]
    return sum(scores) / len(scores)


def shares_of(logprobs: Sequence[float]) -> tuple[float, ...]:
    """Log-likelihoods of options as probabilities among them (softmax).

    >>> shares_of([-1.0, -1.0])
    (0.5, 0.5)
    """
    most = max(logprobs)
    weights = [math.exp(value - most) for value in logprobs]
    return tuple(weight / sum(weights) for weight in weights)
