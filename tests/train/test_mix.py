from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.errors import BillError
from train.mix import interleave, quotas, token_shares

ROWS = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 30), min_size=1)


@given(ROWS)
def test_no_prefix_is_a_whole_row_off(rows: dict[str, int]) -> None:
    total = sum(rows.values())
    given_so_far: Counter[str] = Counter()
    for turn, name in enumerate(interleave(rows), start=1):
        given_so_far[name] += 1
        assert all(abs(given_so_far[one] - count * turn / total) < 1 for one, count in rows.items())
    assert dict(given_so_far) == {name: count for name, count in rows.items() if count}


@given(st.integers(1, 500), st.dictionaries(st.sampled_from("abcde"), st.floats(0.01, 10), min_size=1))
def test_quotas_add_up_and_are_within_a_row(rows: int, weights: dict[str, float]) -> None:
    shares = token_shares(weights, dict.fromkeys(weights, 1))
    assert sum(shares.values()) == 1
    got = quotas(rows, shares)
    assert sum(got.values()) == rows
    assert all(abs(got[name] - rows * shares[name]) < 1 for name in shares)


def test_replay_is_a_share_of_the_whole() -> None:
    shares = token_shares({}, {"a": 30, "b": 10, "web": 999}, replay="web", replay_share=0.2)
    assert shares == {"a": Fraction(3, 5), "b": Fraction(1, 5), "web": Fraction(1, 5)}


@pytest.mark.parametrize(
    ("weights", "replay", "share", "message"),
    [
        ({"a": 1.0}, "", 0.0, "name every stream once"),
        ({"a": 1.0, "b": 1.0}, "b", 0.1, "name every stream once"),
        ({"a": 1.0, "b": 0.0}, "", 0.0, "positive"),
        ({}, "b", 0.0, "say both"),
        ({}, "b", 1.0, r"in \[0, 1\)"),
        ({}, "zzz", 0.5, "name every stream once"),
    ],
)
def test_a_wrong_mix_is_refused(weights: dict[str, float], replay: str, share: float, message: str) -> None:
    with pytest.raises(BillError, match=message):
        token_shares(weights, {"a": 1, "b": 1}, replay=replay, replay_share=share)
