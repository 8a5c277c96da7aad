from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.calibration import calibration, options_brier, shares_of

ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


@given(ANSWERS, st.integers(1, 20))
def test_every_answer_is_in_one_bin_and_the_error_is_no_smaller_than_the_whole_gap(
    answers: list[tuple[float, bool]], bins: int
) -> None:
    found = calibration([value for value, _ in answers], [good for _, good in answers], bins=bins)
    assert sum(one.count for one in found.bins) == len(answers) == found.questions
    assert len(found.bins) == bins
    for one in found.bins:
        assert one.confidence is None or one.low - 1e-9 <= one.confidence <= one.high + 1e-9
    # Jensen: gaps of opposite sign in two bins cancel in the whole, and not in the sum over bins.
    assert found.ece >= abs(found.accuracy - found.confidence) - 1e-9
    assert 0 <= found.brier <= 1


def test_known_values() -> None:
    sure = calibration([1.0, 1.0, 0.0, 0.0], [True, True, False, False])
    assert (sure.ece, sure.brier) == (0.0, 0.0)
    wrong = calibration([1.0] * 4, [True, False, False, False])
    assert (wrong.ece, wrong.brier, wrong.confidence) == (0.75, 0.75, 1.0)
    half = calibration([0.5] * 4, [True, False, True, False])
    assert (half.ece, half.brier) == (0.0, 0.25)


def test_an_edge_belongs_to_the_bin_it_ends() -> None:
    found = calibration([0.0, 0.1, 0.2, 0.3, 0.6, 0.7, 1.0], [True] * 7)
    assert [one.count for one in found.bins] == [2, 1, 1, 0, 0, 1, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("values", "bins", "message"), [([], 10, "0 answers"), ([0.5], 0, "0 bins"), ([1.1], 5, "1.1")]
)
def test_what_is_no_probability_is_refused(values: list[float], bins: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibration(values, [True] * len(values), bins=bins)


def test_brier_over_options() -> None:
    assert options_brier([[1.0, 0.0], [0.0, 1.0]], [0, 0]) == 1.0
    assert options_brier([[0.25] * 4], [2]) == pytest.approx(0.75)
    assert sum(shares_of([-1000.0, -1001.0, -1003.0])) == pytest.approx(1.0)
