from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.errors import BillError
from synth.allocation import Claim, allocate


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Claim], int, float, int]:
    """Cells, a total that their floors and caps allow, gamma, and a protected floor that is possible."""
    claims = [
        Claim(
            accuracy=draw(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0]))),
            prior=draw(st.floats(0.01, 100)),
            floor=(floor := draw(st.integers(0, 20))),
            cap=draw(st.one_of(st.none(), st.integers(floor, floor + 200))),
            protected=draw(st.booleans()),
        )
        for _ in range(draw(st.integers(1, 12)))
    ]
    floors = sum(one.floor for one in claims)
    caps = sum(5000 if one.cap is None else one.cap for one in claims)
    total = draw(st.integers(floors, min(caps, floors + 3000)))
    guarded = [one for one in claims if one.protected]
    most = min(
        sum(total if one.cap is None else one.cap for one in guarded),
        total - sum(one.floor for one in claims if not one.protected),
    )
    return claims, total, draw(st.floats(0, 6)), draw(st.integers(0, max(0, most)))


@settings(deadline=None)
@given(problems())
def test_what_is_shared_out_is_the_total_within_every_floor_and_cap(
    problem: tuple[list[Claim], int, float, int],
) -> None:
    claims, total, gamma, protected_floor = problem
    shares = allocate(claims, total, gamma=gamma, protected_floor=protected_floor)
    assert sum(shares) == total
    for share, one in zip(shares, claims, strict=True):
        assert one.floor <= share <= (total if one.cap is None else one.cap)
    assert sum(share for share, one in zip(shares, claims, strict=True) if one.protected) >= protected_floor


@settings(deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=10), st.integers(0, 2000), st.floats(0.1, 4))
def test_a_weaker_cell_never_gets_less(thousandths: list[int], total: int, gamma: float) -> None:
    accuracies = [one / 1000 for one in thousandths]
    shares = allocate([Claim(accuracy=one) for one in accuracies], total, gamma=gamma)
    by_strength = [
        share for _, share in sorted(zip(accuracies, shares, strict=True), key=lambda pair: (pair[0], -pair[1]))
    ]
    assert by_strength == sorted(by_strength, reverse=True)


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 50))
def test_shares_are_in_proportion_to_weakness_where_that_comes_out_even(tenths: list[int], times: int) -> None:
    claims = [Claim(accuracy=1 - one / 10) for one in tenths]
    assert allocate(claims, sum(tenths) * times) == [one * times for one in tenths]


def test_gamma_sharpens_and_zero_leaves_the_priors_alone() -> None:
    claims = [Claim(accuracy=0.8, prior=3.0), Claim(accuracy=0.2, prior=1.0)]
    assert allocate(claims, 400, gamma=0) == [300, 100]
    assert allocate(claims, 700, gamma=1) == [300, 400]
    assert allocate(claims, 190, gamma=2) == [30, 160]


def test_a_student_that_gets_all_right_leaves_the_priors_and_one_that_gets_all_wrong_too() -> None:
    for accuracy in (0.0, 1.0):
        claims = [Claim(accuracy=accuracy, prior=1.0), Claim(accuracy=accuracy, prior=3.0)]
        assert allocate(claims, 100) == [25, 75]


def test_what_full_caps_leave_goes_to_cells_without_weakness() -> None:
    claims = [Claim(accuracy=0.0, cap=10), Claim(accuracy=1.0), Claim(accuracy=1.0, prior=2.0)]
    assert allocate(claims, 40) == [10, 10, 20]


def test_the_protected_cells_get_their_floor_by_their_own_weakness() -> None:
    claims = [Claim(accuracy=0.0), Claim(accuracy=0.99, protected=True), Claim(accuracy=0.97, protected=True)]
    assert allocate(claims, 1000, protected_floor=200) == [800, 50, 150]
    assert allocate(claims, 1000, protected_floor=10)[0] < 990, "a floor that is met anyway changes nothing"


@pytest.mark.parametrize(
    ("claims", "total", "protected", "message"),
    [
        ([], 10, 0, "no cell"),
        ([Claim(accuracy=0.5, floor=6)] * 2, 10, 0, r"floors of 2 cells ask for 12 .* budget is 10"),
        ([Claim(accuracy=0.5, cap=3)] * 2, 10, 0, r"caps of 2 cells allow 6 .* budget is 10"),
        ([Claim(accuracy=0.5)] * 2, 10, 2, r"protected cells is 2, and the 0 there are can take 0"),
        ([Claim(accuracy=0.5, floor=9), Claim(accuracy=0.5, protected=True)], 10, 2, "promised 2 .* ask for 9"),
    ],
)
def test_a_budget_that_cannot_be_shared_out_says_why(
    claims: list[Claim], total: int, protected: int, message: str
) -> None:
    with pytest.raises(BillError, match=message):
        allocate(claims, total, protected_floor=protected)


def test_numbers_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"accuracy is a share.* found 1\.5"):
        Claim(accuracy=1.5)
    with pytest.raises(ValueError, match="prior is above 0"):
        Claim(accuracy=0.5, prior=0)
    with pytest.raises(ValueError, match="floor of 5 and a cap of 2"):
        Claim(accuracy=0.5, floor=5, cap=2)
    with pytest.raises(ValueError, match="gamma is -1"):
        allocate([Claim(accuracy=0.5)], 5, gamma=-1)
    with pytest.raises(ValueError, match="total is -5"):
        allocate([Claim(accuracy=0.5)], -5)
