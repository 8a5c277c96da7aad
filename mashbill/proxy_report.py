"""How well a proxy does what its judge would have done, on rows of documents that it was not fitted on.

Forty held-out rows, 34 of which it labels as the judge did ->

    {"held_out": 40, "accuracy": 0.85, "kappa": 0.69, "most_frequent": 0.55, "calibration_error": 0.06,
     "bands": [{"sure": 0.8, "escalated": 0.25, "accuracy": 0.93}, …], …}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mashbill.agreement import cohens_kappa, weighted_kappa
from mashbill.calibration import calibration

if TYPE_CHECKING:
    from numpy.typing import NDArray

SURE = (0.6, 0.7, 0.8, 0.9, 0.95)
"""Where bands are reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """What it costs and brings to ask the judge about all rows that the proxy is less sure of than this."""

    sure: float
    escalated: float
    """The share of rows that go back to the judge."""
    accuracy: float | None
    """How often the proxy agrees on the others; None where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Agreement where all that matters is whether a row reaches a level."""

    level: str
    accuracy: float
    kappa: float | None
    """None where both always say one thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyReport:
    """Agreement with the judge on held-out rows."""

    fitted: int
    """Rows it was fitted on."""
    held_out: int
    """Rows of other source documents, on which the rest was measured."""
    accuracy: float
    """The share labelled as the judge did."""
    most_frequent: float
    """What always saying the most frequent label would have got: accuracy is to be read beside it."""
    kappa: float | None
    """Cohen's, agreement beyond chance; None where both always say one thing."""
    weighted_kappa: float | None
    """The same with quadratic weights, so that a mark one off counts less than one four off; None without an order."""
    calibration_error: float
    """Expected calibration error over ten bins: how far its probabilities are from how often it is right."""
    strength: float
    """How strongly the weights are held down, as chosen on folds of the fitted rows."""
    bands: tuple[Band, ...]
    decisions: tuple[Decision, ...] = ()
    """For labels with an order, each level but the lowest."""


def reported(
    probabilities: NDArray[np.float64],
    codes: NDArray[np.int64],
    labels: Sequence[str],
    *,
    fitted: int,
    strength: float,
    ordinal: bool,
) -> ProxyReport:
    """The report of held-out rows: what the proxy gives each label, and the judge's own (-1: none that it knows)."""
    sure, said = probabilities.max(axis=1), probabilities.argmax(axis=1)
    right = said == codes
    kappa = _kappa(said, codes)
    known = codes >= 0
    weighted = weighted_kappa(said[known].tolist(), codes[known].tolist(), len(labels)) if ordinal else None
    counts = np.bincount(codes[known], minlength=len(labels))
    return ProxyReport(
        fitted=fitted,
        held_out=len(codes),
        accuracy=round(float(right.mean()), 4),
        most_frequent=round(float(counts.max() / len(codes)), 4),
        kappa=kappa,
        weighted_kappa=None if weighted is None else round(weighted, 4),
        calibration_error=round(calibration(np.minimum(sure, 1.0).tolist(), right.tolist()).ece, 4),
        strength=strength,
        bands=tuple(bands(sure, right, SURE)),
        decisions=tuple(_decisions(probabilities[known], codes[known], labels)) if ordinal else (),
    )


def _decisions(
    probabilities: NDArray[np.float64], codes: NDArray[np.int64], levels: Sequence[str]
) -> Iterator[Decision]:
    for place in range(1, len(levels)):
        ours, theirs = probabilities[:, place:].sum(axis=1) >= 0.5, codes >= place
        accuracy = round(float((ours == theirs).mean()), 4) if len(codes) else 0.0
        yield Decision(level=levels[place], accuracy=accuracy, kappa=_kappa(ours, theirs))


def _kappa(ours: NDArray[Any], theirs: NDArray[Any]) -> float | None:
    pairs = [(str(one), str(other)) for one, other in zip(ours.tolist(), theirs.tolist(), strict=True)]
    kappa = cohens_kappa(pairs)
    return None if kappa is None else round(kappa, 4)


def bands(sure: NDArray[np.float64], right: NDArray[np.bool_], limits: Sequence[float]) -> list[Band]:
    """For each limit how many rows lie below it, and how often those above it are right.

    >>> bands(np.array([0.55, 0.9, 0.95, 0.99]), np.array([False, True, True, True]), [0.8])
    [Band(sure=0.8, escalated=0.25, accuracy=1.0)]
    """
    found = []
    for limit in limits:
        kept = sure >= limit
        accuracy = round(float(right[kept].mean()), 4) if kept.any() else None
        found.append(Band(sure=limit, escalated=round(float(1.0 - kept.mean()), 4), accuracy=accuracy))
    return found
