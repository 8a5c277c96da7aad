from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.pass_at_k import majority, majority_at_k, pass_at_k


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_all_draws_of_k_that_have_a_right_one(case: tuple[int, int, int]) -> None:
    samples, right, k = case
    draws = list(itertools.combinations([True] * right + [False] * (samples - right), k))
    expected = sum(any(draw) for draw in draws) / len(draws)
    assert pass_at_k(samples=samples, right=right, k=k) == pytest.approx(expected)


def test_pass_at_k_is_unbiased_where_the_plain_estimate_is_not() -> None:
    chance, samples, k = 0.3, 6, 4
    weights = [math.comb(samples, c) * chance**c * (1 - chance) ** (samples - c) for c in range(samples + 1)]
    truth = 1 - (1 - chance) ** k
    ours = sum(w * pass_at_k(samples=samples, right=c, k=k) for c, w in enumerate(weights))
    plain = sum(w * (1 - (1 - c / samples) ** k) for c, w in enumerate(weights))
    assert ours == pytest.approx(truth)
    assert plain < truth - 0.03


def test_pass_at_k_of_many_samples_does_not_overflow() -> None:
    assert 0 < pass_at_k(samples=10_000, right=1, k=100) < 0.0101


@pytest.mark.parametrize(("samples", "right", "k"), [(3, 0, 4), (3, 0, 0), (3, 4, 1), (0, 0, 1)])
def test_impossible_counts_are_refused(samples: int, right: int, k: int) -> None:
    with pytest.raises(ValueError, match="samples"):
        pass_at_k(samples=samples, right=right, k=k)


def test_a_tie_goes_to_the_answer_that_came_first() -> None:
    assert majority(["b", "a", "a", "b"]) == ("b", 0.5)
    assert majority(["a", "b", "b", "a"]) == ("a", 0.5)


def test_who_gives_no_answer_has_no_vote_but_counts() -> None:
    assert majority([None, None, None, "7"]) == ("7", 0.25)
    assert majority([None, None]) == (None, 0.0)
    assert majority([]) == (None, 0.0)


def test_a_vote_of_k_is_measured_over_disjoint_blocks() -> None:
    answers = ["1", "1", "2", "2", "2", "1", "1"]
    right = lambda answer: answer == "1"  # noqa: E731
    assert majority_at_k(answers, right, 3) == 0.5  # 1 1 2 is right, 2 2 1 is wrong, the last is not used
    assert majority_at_k(answers, right, 7) == 1.0
    assert majority_at_k(answers, right, 1) == pytest.approx(4 / 7)
    assert majority_at_k([None, None, "1"], right, 2) == 0.0
    with pytest.raises(ValueError, match="a vote of 8 from 7"):
        majority_at_k(answers, right, 8)
