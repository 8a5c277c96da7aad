"""Logistic regression over vectors, for labels without an order and for levels with one, as probabilities.

Six points on a line and their labels; what lies in the middle is unsure:

>>> line = np.array([[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]])
>>> model = fit_logistic(line, np.array([0, 0, 0, 1, 1, 1]), 2, ordinal=False, strength=0.01)
>>> model.probabilities(np.array([[-3.0], [0.0], [3.0]])).round(2).tolist()
[[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]

Both models are convex and fitted by L-BFGS-B (scipy), in double precision, from zero:

* without an order: multinomial logistic regression, the loss of scikit-learn's ``LogisticRegression``;
* with one: the proportional-odds model of McCullagh (1980): P(level <= j) = sigmoid(threshold_j - w·x), one direction
  for all levels and thresholds that rise.

Coefficients are rounded to `DIGITS`: the optimum is one point, which another machine comes to but for the last digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

DIGITS = 5
"""Decimals of a coefficient that are kept: an optimum is found to about 1e-7."""
STEPS = 500
"""L-BFGS iterations at most; a few thousand unit vectors take 50 to 200, more where nothing can be learnt."""
GAP = 1e-4
"""The least distance of two thresholds, so that no level has no room at all."""
FAR = 50.0
"""The widest: past it a probability is 0 or 1 to the last digit."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """A fitted model."""

    weights: Floats
    """Without an order ``(dimensions, labels)``; with one ``(dimensions, 1)``."""
    offsets: Floats
    """Without an order one for each label; with one the thresholds, one fewer than there are levels."""
    ordinal: bool
    temperature: float = 1.0
    """What scores are divided by (Guo et al., arXiv 1706.04599): above 1 the model was too sure of itself."""

    def scores(self, vectors: NDArray[Any]) -> Floats:
        """Scores of vectors: of each label without an order, of each threshold with one."""
        raw = np.asarray(vectors, dtype=np.float64) @ self.weights
        return (self.offsets - raw if self.ordinal else raw + self.offsets) / self.temperature

    def probabilities(self, vectors: NDArray[Any]) -> Floats:
        """One row for each vector, that sums to 1; in the order of the labels."""
        return probabilities_of(self.scores(vectors), self.ordinal)


def probabilities_of(scores: Floats, ordinal: bool) -> Floats:
    """The probabilities of labels or levels that scores stand for."""
    if ordinal:
        edges = np.ones((len(scores), 1))
        below = np.hstack([0 * edges, _sigmoid(scores), edges])
        found: Floats = np.diff(below, axis=1)
        return found
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    found = raised / raised.sum(axis=1, keepdims=True)
    return found


def fit_logistic(
    vectors: NDArray[Any], codes: Ints, labels: int, *, ordinal: bool, strength: float, steps: int = STEPS
) -> Logistic:
    """The model of the least mean loss plus ``strength / 2`` times the squared length of its weights.

    Args:
        vectors: one row a case.
        codes: the place of each case's label, from 0; with an order, the level.
        labels: how many labels there are, 2 or more; one that no case has gets next to no probability.
        ordinal: whether the labels have an order.
        strength: how much large weights cost, above 0.
        steps: iterations at most.

    Raises:
        ValueError: for no case, fewer than two labels, or a strength of 0 or less.
    """
    if not len(vectors) or labels < 2 or not strength > 0:
        raise ValueError(
            f"{len(vectors)} cases, {labels} labels, strength {strength}: a case, two labels and a strength above 0 "
            "are wanted"
        )
    rows = np.asarray(vectors, dtype=np.float64)
    fit = _fit_ordinal if ordinal else _fit_nominal
    return fit(rows, codes, labels, strength, steps)


def fit_temperature(scores: Floats, codes: Ints, *, ordinal: bool) -> float:
    """The temperature that makes scores of cases the model was not fitted on the likeliest; from 0.05 to 20.

    >>> sure = np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
    >>> fit_temperature(sure, np.array([0, 0, 0, 1]), ordinal=False)   # right 3 times of 4, and sure of 98 %
    3.641
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return _mean_loss(probabilities_of(scores / np.exp(log_temperature), ordinal), codes)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded", options={"xatol": 1e-6})
    return round(float(np.exp(found.x)), 3)


def _mean_loss(probabilities: Floats, codes: Ints) -> float:
    chosen = probabilities[np.arange(len(codes)), codes]
    return float(-np.log(np.maximum(chosen, 1e-300)).mean())


def _fit_nominal(rows: Floats, codes: Ints, labels: int, strength: float, steps: int) -> Logistic:
    count, width = rows.shape
    wanted = np.zeros((count, labels))
    wanted[np.arange(count), codes] = 1.0

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights, offsets = flat[: width * labels].reshape(width, labels), flat[width * labels :]
        found = probabilities_of(rows @ weights + offsets, ordinal=False)
        wrong = (found - wanted) / count
        slope = rows.T @ wrong + strength * weights
        value = _mean_loss(found, codes) + strength / 2 * float((weights**2).sum())
        return value, np.concatenate([slope.ravel(), wrong.sum(axis=0)])

    best = _least(loss, np.zeros((width + 1) * labels), steps)
    return Logistic(best[: width * labels].reshape(width, labels), best[width * labels :], ordinal=False)


def _fit_ordinal(rows: Floats, codes: Ints, labels: int, strength: float, steps: int) -> Logistic:
    count, width = rows.shape
    places = np.arange(count)

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights, thresholds = flat[:width], np.cumsum(flat[width:])
        below = _sigmoid(thresholds - (rows @ weights)[:, None])
        edges = np.zeros((count, 1))
        upper, lower = np.hstack([below, edges + 1.0]), np.hstack([edges, below])
        chosen = np.maximum(upper[places, codes] - lower[places, codes], 1e-300)
        # With u and l the chances of a level at most this one and below it, d log(u - l) by the score of the upper
        # threshold is u(1 - u) / (u - l), and by that of the lower one -l(1 - l) / (u - l).
        steep = below * (1.0 - below) / chosen[:, None] / count
        up, down = np.zeros((count, labels + 1)), np.zeros((count, labels + 1))
        up[places, codes + 1], down[places, codes] = 1.0, 1.0
        by_score = (down[:, 1:labels] - up[:, 1:labels]) * steep
        slope = -rows.T @ by_score.sum(axis=1) + strength * weights
        by_gap = np.cumsum(by_score.sum(axis=0)[::-1])[::-1]
        value = float(-np.log(chosen).mean()) + strength / 2 * float((weights**2).sum())
        return value, np.concatenate([slope, by_gap])

    start = np.concatenate([np.zeros(width), [-1.0], np.ones(labels - 2)])
    bounds = [(None, None)] * width + [(-FAR, FAR)] + [(GAP, FAR)] * (labels - 2)
    best = _least(loss, start, steps, bounds)
    return Logistic(best[:width, None], np.cumsum(best[width:]).round(DIGITS), ordinal=True)


def _least(loss: Callable[[Floats], tuple[float, Floats]], start: Floats, steps: int, bounds: Any = None) -> Floats:
    from scipy.optimize import minimize

    # A stop at STEPS is no failure: what is found by then is as good as its agreement on held-out rows says.
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps, "ftol": 1e-12, "gtol": 1e-7}
    )
    best: Floats = np.asarray(found.x, dtype=np.float64).round(DIGITS)
    return best


def _sigmoid(scores: Floats) -> Floats:
    found: Floats = 0.5 * (1.0 + np.tanh(scores / 2.0))
    return found
