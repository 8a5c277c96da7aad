"""Logistic regression: the optimum of a stated loss, probabilities that sum to one, order that is used where it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mashbill.logistic import Logistic, fit_logistic, fit_temperature, probabilities_of

Floats = NDArray[np.float64]


def cases(seed: int, labels: int, count: int = 60, width: int = 3) -> tuple[Floats, NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(count, width))
    codes = (vectors @ draw.normal(size=(width, labels)) + draw.gumbel(size=(count, labels))).argmax(axis=1)
    codes[:labels] = np.arange(labels)  # each label has a case
    return vectors, codes


def loss_of(model: Logistic, vectors: Floats, codes: NDArray[np.int64], strength: float) -> float:
    chosen = model.probabilities(vectors)[np.arange(len(codes)), codes]
    return float(-np.log(chosen).mean() + strength / 2 * (model.weights**2).sum())


@pytest.mark.parametrize("ordinal", [False, True])
@pytest.mark.parametrize("labels", [2, 3, 5])
def test_no_small_change_of_a_coefficient_makes_the_loss_smaller(ordinal: bool, labels: int) -> None:
    vectors, codes = cases(labels, labels)
    model = fit_logistic(vectors, codes, labels, ordinal=ordinal, strength=0.01)
    best = loss_of(model, vectors, codes, 0.01)
    for name in ("weights", "offsets"):
        values = getattr(model, name)
        for place in np.ndindex(values.shape):
            for step in (-0.01, 0.01):
                moved = {key: getattr(model, key).copy() for key in ("weights", "offsets")}
                moved[name][place] += step
                assert loss_of(Logistic(**moved, ordinal=ordinal), vectors, codes, 0.01) > best - 1e-9


def test_two_labels_are_the_same_model_with_and_without_an_order() -> None:
    # Two levels are binary logistic regression; two labels are so with the weights split in halves, which costs half.
    vectors, codes = cases(7, 2)
    ordered = fit_logistic(vectors, codes, 2, ordinal=True, strength=0.01)
    free = fit_logistic(vectors, codes, 2, ordinal=False, strength=0.02)
    assert np.allclose(ordered.probabilities(vectors), free.probabilities(vectors), atol=1e-4)


@given(st.integers(0, 10_000), st.integers(2, 6), st.booleans())
def test_probabilities_are_probabilities(seed: int, labels: int, ordinal: bool) -> None:
    vectors, codes = cases(seed, labels, count=20)
    found = fit_logistic(vectors, codes, labels, ordinal=ordinal, strength=1e-5).probabilities(100 * vectors)
    assert np.all(found >= 0)
    assert np.allclose(found.sum(axis=1), 1)
    assert found.shape == (20, labels)


def test_a_level_that_nobody_gave_gets_next_to_nothing() -> None:
    line = np.linspace(-2, 2, 40)[:, None]
    codes = np.where(line[:, 0] < 0, 0, 2)
    found = fit_logistic(line, codes, 3, ordinal=True, strength=0.01).probabilities(line)
    assert found[:, 1].max() < 1e-3


def test_order_helps_where_there_are_few_cases() -> None:
    draw = np.random.default_rng(3)
    direction = draw.normal(size=20)

    def drawn(count: int) -> tuple[Floats, NDArray[np.int64]]:
        vectors = draw.normal(size=(count, 20))
        codes = np.digitize(vectors @ direction + draw.logistic(size=count), [-4, -1, 1, 4])
        return vectors, codes

    vectors, codes = drawn(120)
    new, truth = drawn(2000)
    gaps = [
        np.abs(
            fit_logistic(vectors, codes, 5, ordinal=order, strength=0.01).probabilities(new).argmax(1) - truth
        ).mean()
        for order in (True, False)
    ]
    assert gaps[0] < 0.85 * gaps[1]


def test_a_temperature_undoes_what_scores_were_multiplied_by() -> None:
    draw = np.random.default_rng(0)
    scores = draw.normal(size=(4000, 3)) * 2
    codes = (scores + draw.gumbel(size=scores.shape)).argmax(axis=1)
    assert fit_temperature(scores * 3, codes, ordinal=False) == pytest.approx(3, rel=0.1)
    thresholds = np.array([-1.0, 1.0]) - draw.normal(size=4000)[:, None] * 2
    levels = (draw.random(4000)[:, None] > 1 / (1 + np.exp(-thresholds))).sum(axis=1)
    assert fit_temperature(thresholds / 2, levels, ordinal=True) == pytest.approx(0.5, rel=0.15)


def test_scores_of_any_size_have_probabilities() -> None:
    huge = np.array([[1e6, -1e6, 0.0], [-1e6, -1e6, -1e6]])
    assert probabilities_of(huge, ordinal=False)[0].tolist() == [1.0, 0.0, 0.0]
    assert np.isfinite(probabilities_of(np.array([[-1e6, 1e6]]), ordinal=True)).all()


@pytest.mark.parametrize(("count", "labels", "strength"), [(0, 2, 1.0), (3, 1, 1.0), (3, 2, 0.0), (3, 2, float("nan"))])
def test_what_cannot_be_fitted_is_refused(count: int, labels: int, strength: float) -> None:
    with pytest.raises(ValueError, match="a case, two labels and a strength above 0 are wanted"):
        fit_logistic(np.zeros((count, 2)), np.zeros(count, dtype=np.int64), labels, ordinal=False, strength=strength)
