"""Weakness: shares by group, how few questions shrink, and which errors are confident."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.weakness import Answered, accuracy_of, confident_errors, group_scores

ANSWERS = st.lists(
    st.builds(
        Answered,
        groups=st.lists(st.sampled_from("abc"), max_size=2, unique=True).map(tuple),
        right=st.booleans(),
        sure=st.none() | st.floats(-9, 0),
    ),
    max_size=30,
)


@given(ANSWERS, st.floats(0, 20))
def test_a_smoothed_accuracy_lies_between_the_group_and_the_whole(answers: list[Answered], smoothing: float) -> None:
    overall = accuracy_of(answers)
    for one in group_scores(answers, smoothing=smoothing):
        own = [each for each in answers if one.name in each.groups]
        assert (one.asked, one.right) == (len(own), sum(each.right for each in own))
        low, high = sorted((one.accuracy, overall))
        assert low - 1e-9 <= one.smoothed <= high + 1e-9
        assert one.low - 1e-12 <= one.accuracy <= one.high + 1e-12
        assert one.confident_errors <= one.asked - one.right


@given(ANSWERS)
def test_confident_errors_are_wrong_and_as_sure_as_the_mean_of_the_right(answers: list[Answered]) -> None:
    found = confident_errors(answers)
    sure = [one.sure for one in answers if one.right and one.sure is not None]
    assert found == sorted(found, key=lambda at: -(answers[at].sure or 0.0))
    for at, one in enumerate(answers):
        surer = bool(sure) and one.sure is not None and one.sure >= sum(sure) / len(sure) + 1e-9
        assert at not in found or not one.right
        assert at in found or one.right or not surer


def test_a_group_of_one_question_proves_little() -> None:
    answers = [Answered(groups=("big",), right=at < 40) for at in range(50)] + [Answered(groups=("one",), right=False)]
    big, one = group_scores(answers, smoothing=4)
    assert big.smoothed == pytest.approx(0.8, abs=0.01)
    assert one.accuracy == 0
    assert one.smoothed == pytest.approx(4 * 40 / 51 / 5)
    assert group_scores(answers, smoothing=0)[1].smoothed == 0
    assert one.high == pytest.approx(0.793, abs=0.01)
    with pytest.raises(ValueError, match="smoothing is -1"):
        group_scores(answers, smoothing=-1)
