"""One rule of difficulty: a pass rate as a grade."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.difficulty import difficulty_of


@given(st.integers(1, 64), st.data())
def test_grades_lie_in_range_and_fall_with_the_pass_rate(k: int, data: st.DataObject) -> None:
    bins = data.draw(st.integers(1, 9))
    grades = [difficulty_of(right / k, bins) for right in range(k + 1)]
    assert grades == sorted(grades, reverse=True)
    assert grades[0] == bins
    assert grades[-1] == 1


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="a pass rate is a share"):
        difficulty_of(rate)


def test_no_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="bins is 0"):
        difficulty_of(0.5, 0)
