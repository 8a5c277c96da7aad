"""Budgets over recipes and groups, the records that are chosen for them, and the rows that fill them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.loop_allocation import NO_GROUP, Candidate, allocation_of, choose, whole_shares
from flows.loop_order import Made, likely
from flows.loop_questions import repeated
from flows.loop_round import GAIN_SCALE, worths
from flows.loop_spec import Rewards, Weak
from flows.loop_waves import within
from mashbill.costs import Tokens
from mashbill.weakness import Answered, group_scores

WEAK = Weak(by=("domain",), gamma=2, least=0.2, most=4)
GROUPS = st.sampled_from(["a", "b", "c", NO_GROUP])


@given(st.integers(0, 5000), st.lists(st.floats(0.001, 1), min_size=1, max_size=6))
def test_whole_shares_add_up_and_are_off_by_less_than_one(total: int, shares: list[float]) -> None:
    found = whole_shares(total, shares)
    assert sum(found) == total
    assert all(abs(one - total * share / sum(shares)) < 1 for one, share in zip(found, shares, strict=True))


@given(st.lists(st.tuples(GROUPS, st.booleans()), min_size=1, max_size=40), st.integers(1, 3000), st.data())
def test_an_allocation_spends_the_budget_and_weaker_groups_get_no_less(
    asked: list[tuple[str, bool]], budget: int, data: st.DataObject
) -> None:
    answers = [Answered(groups=(name,), right=right) for name, right in asked]
    scores = group_scores(answers, smoothing=2)
    records = {
        name: data.draw(st.dictionaries(GROUPS, st.integers(1, 9), min_size=1), label=name) for name in ("x", "y")
    }
    found = allocation_of(
        2, budget=budget, unit="rows", weak=WEAK, scores=scores, overall=0.5, shares={"x": 0.3, "y": 0.7},
        records=records,
    )  # fmt: skip
    assert sum(sum(own.values()) for own in found.wanted.values()) == budget
    smoothed = {one.name: one.smoothed for one in scores}
    for own in found.wanted.values():
        known = sorted((smoothed[name], amount) for name, amount in own.items() if name in smoothed)
        assert all(one[1] >= other[1] - 1 for one, other in itertools.pairwise(known) if one[0] < other[0])
        least = int(0.2 * sum(own.values()) / len(own))
        assert all(amount >= least for amount in own.values())


def test_an_allocation_says_what_it_does_not_know() -> None:
    scores = group_scores([Answered(groups=("a",), right=False), Answered(groups=("b",), right=True)], smoothing=0)
    said = {
        "budget": 90, "unit": "rows", "weak": WEAK, "scores": scores, "shares": {"x": 1.0},
        "records": {"x": {"a": 3, "c": 1, NO_GROUP: 2}},
    }  # fmt: skip
    found = allocation_of(1, overall=0.5, **said)  # type: ignore[arg-type]
    assert found.notes == (
        "asked about by no question, and taken to be of overall accuracy: c",
        "no recipe has a record of it, so nothing is written: b",
    )
    assert found.wanted["x"]["a"] > found.wanted["x"]["c"] == found.wanted["x"][NO_GROUP]
    first = allocation_of(1, overall=None, **said)  # type: ignore[arg-type]
    assert first.wanted["x"] == {"a": 30, "c": 30, NO_GROUP: 30}
    assert first.notes[0] == "nothing is measured yet, so every group gets as much"
    chosen = allocation_of(1, overall=0.5, **{**said, "records": {"x": {}}})  # type: ignore[arg-type]
    assert chosen.wanted == {"x": {NO_GROUP: 90}}


CANDIDATES = st.lists(st.lists(st.sampled_from("abc"), max_size=2, unique=True).map(tuple), max_size=25).map(
    lambda groups: [Candidate(f"r{at}", own) for at, own in enumerate(groups)]
)


@given(CANDIDATES, st.dictionaries(GROUPS, st.floats(0, 30), min_size=1), st.floats(0.5, 5), st.data())
def test_records_are_taken_once_a_wave_least_used_first_and_never_too_often(
    candidates: list[Candidate], missing: dict[str, float], each: float, data: st.DataObject
) -> None:
    used = {one.id: data.draw(st.integers(0, 3)) for one in candidates}
    picks = choose(candidates, missing, each=each, used=used, most=3, seed=1)
    names = [name for name, _, _ in picks]
    assert len(set(names)) == len(names)
    assert all(again == used[name] < 3 for name, _, again in picks)
    groups = {one.id: one.groups or (NO_GROUP,) for one in candidates}
    assert all(group in groups[name] for name, group, _ in picks)
    turned = choose(candidates[::-1], missing, each=each, used=used, most=3, seed=1)
    assert turned == picks
    for group in missing:
        own = [used[name] for name, taken_for, _ in picks if taken_for == group]
        left = [used[one.id] for one in candidates if group in groups[one.id] and one.id not in names]
        assert not own or not left or max(own) <= min([*left, 3])


def test_others_stand_in_for_a_group_that_has_too_few_records() -> None:
    candidates = [Candidate("one", ("a",)), *(Candidate(f"b{at}", ("b",)) for at in range(9))]
    picks = choose(candidates, {"a": 5.0, "b": 1.0}, each=1.0, used={}, most=1, seed=0)
    assert len(picks) == 6
    assert [group for _, group, _ in picks].count("a") == 1


@given(
    st.dictionaries(st.integers(0, 60).map(str), st.tuples(st.sampled_from("ab"), st.integers(1, 20)), max_size=30),
    st.integers(0, 120),
    st.integers(0, 120),
)
def test_rows_never_exceed_the_budget_and_none_that_would_fit_is_left(
    rows: dict[str, tuple[str, int]], first: int, second: int
) -> None:
    wanted, sizes = {"a": first, "b": second}, {name: size for name, (_, size) in rows.items()}
    kept = within(list(rows), wanted, {name: group for name, (group, _) in rows.items()}, sizes.__getitem__)
    total = sum(sizes[name] for name in kept)
    assert total <= first + second
    assert kept == [name for name in rows if name in kept]
    assert all(total + sizes[name] > first + second for name in rows if name not in kept)


def made(rows: int, tokens: int, asked: int, generated: int, novel: int) -> Made:
    return Made(
        recipe="x", stored=None, rows=rows, tokens=tokens, records=4, generated=generated, novel=novel,
        usable=2 * tokens, asked={"scripted/x": Tokens(1, asked, 0)},
    )  # fmt: skip


def test_a_recipe_is_worth_its_tokens_its_news_and_its_gain() -> None:
    found = worths(
        {"x": made(9, 900, 4000, 10, 9), "y": made(9, 1800, 4000, 10, 5), "z": made(0, 0, 4000, 0, 0)},
        {"x": 0.04, "y": None, "z": 0.1},
        Rewards(),
    )
    assert (found["x"].tokens, found["x"].novelty) == (0.5, 0.9)
    assert found["x"].gain == pytest.approx(0.5 + 0.04 / GAIN_SCALE)
    assert found["x"].reward == pytest.approx(0.25 * 0.5 + 0.25 * 0.9 + 0.5 * 0.7)
    # What was not measured weighs nothing; what made no row is worth nothing.
    assert found["y"].reward == pytest.approx((0.25 * 1.0 + 0.25 * 0.5) / 0.5)
    assert found["z"].reward == 0
    assert worths({"x": made(1, 10, 0, 1, 1)}, {"x": 5.0}, Rewards())["x"].reward == 1
    assert likely(made(2, 10, 9, 1, 1), 1.0) == 5.0
    assert likely(made(0, 0, 9, 1, 1), 7.0) == 7.0


def test_a_question_is_known_again_among_questions_and_long_ones_in_texts() -> None:
    keys = ["who led the salt guild?", "who led it all in the end?"]
    assert repeated({"question": "Who  led the Salt Guild?", "context": "Once."}, keys) == {keys[0]}
    assert repeated({"question": "Well, who led the salt guild?"}, keys) == set()
    assert repeated({"text": "He asked: Who led it all in the END? Nobody."}, keys) == {keys[1]}
    assert repeated({"text": "who led the salt"}, ["led the salt"]) == set()
