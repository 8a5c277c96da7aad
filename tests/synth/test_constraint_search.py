"""The search over sets of constraints: every state follows from its parent, and the counts are the paper's."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.constraint_sets import PLACEHOLDER, SetKey, canonical, constraint_key, set_key
from mashbill.embedders.hashed_ngrams import HashedNgrams
from mashbill.records import Constraint, Operation
from synth.constraint_conflicts import conflict, measures_of
from synth.constraint_search import OPERATIONS, Found, Plan, sampled, search
from synth.task_database import SimilarTask
from tests.synth.tcia_helpers import constraint

WORDS = ["salt", "rye", "oak", "tide", "lamp", "mill", "crow", "reed", "moss", "kiln", "barge", "thatch"]
SEED = tuple(constraint(f"mention the {word}") for word in WORDS[:5])
EMBEDDER = HashedNgrams()


def similar(at: int, *texts: str | Constraint, similarity: float = 0.5) -> SimilarTask:
    found = tuple(one if isinstance(one, Constraint) else constraint(one) for one in texts)
    return SimilarTask(f"task{at}", "naming", f"query {at}", found, similarity)


POOL = [similar(at, *(f"leave out all that is {word} {number}" for number in "ab")) for at, word in enumerate(WORDS)]


def run(seed: Any = SEED, pool: Any = POOL, seed_number: int = 7, **plan: Any) -> Found:
    return search(seed, pool, Plan(**plan), EMBEDDER, Random(seed_number))


def after(before: SetKey, done: Operation) -> SetKey:
    """What an operation makes of a set."""
    new = constraint_key(done.constraint)
    if done.name == "remove":
        return before - {new}
    return (before - {constraint_key(done.replaced)} if done.name == "replace" else before) | {new}


def hops(found: Found) -> Counter[int]:
    return Counter(state.hop for state in found.states[1:])


def test_without_dedup_it_is_the_papers_arithmetic() -> None:
    found = run(states=2700, repeats=10, unique=False)
    assert found.taken == 94
    assert len(found.states) - 1 == 2820
    assert hops(found) == {1: 30, 2: 900, 3: 1890}
    assert found.ended == "queue_full"
    assert {key: count for key, count in found.outcomes.items() if key[0] == 2} == {
        (2, name, "accepted"): 300 for name in OPERATIONS
    }


def test_with_dedup_it_takes_more_sets_to_fill_the_queue_and_none_is_there_twice() -> None:
    found = run(states=600, repeats=6)
    keys = [set_key(found.constraints(at)) for at in range(len(found.states))]
    assert len(set(keys)) == len(keys)
    plain = run(states=600, repeats=6, unique=False)
    assert found.taken > plain.taken == 36
    assert found.ended == "queue_full"
    assert sum(count for (_, _, outcome), count in found.outcomes.items() if outcome == "repeated") > 0
    assert len(found.states) - 1 == sum(n for (_, _, outcome), n in found.outcomes.items() if outcome == "accepted")


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(lambda words: f"say {' '.join(words)}")
said = st.builds(
    Constraint, category=st.sampled_from(["content", "style", "language", "numerical", PLACEHOLDER]), text=texts
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(said, max_size=5),
    st.lists(st.lists(said, max_size=4), max_size=5),
    st.integers(1, 120),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 99),
)
def test_every_state_follows_from_its_parent_by_one_operation(
    seed: list[Constraint], offered: list[list[Constraint]], states: int, repeats: int, unique: bool, number: int
) -> None:
    pool = [similar(at, *some, similarity=at / 9) for at, some in enumerate(offered)]
    found = run(canonical(seed), pool, number, states=states, repeats=repeats, unique=unique)
    root = set_key(seed)
    pinned = {constraint_key(one.text) for one in canonical(seed) if one.category == PLACEHOLDER}
    given = {f"task{at}": set_key(some) for at, some in enumerate(offered)}
    seen = {root}
    for at, state in enumerate(found.states[1:], start=1):
        key, parent = set_key(found.constraints(at)), found.states[state.parent]
        assert key == after(set_key(found.constraints(state.parent)), state.operation)
        assert state.hop == parent.hop + 1 == len(found.operations(at))
        assert state.parent < at
        assert state.operation.name in OPERATIONS
        if state.operation.name != "remove":
            assert constraint_key(state.operation.constraint) in given[state.operation.source_task]
        replayed = root
        for done in found.operations(at):
            replayed = after(replayed, done)
        assert replayed == key  # the lineage alone leads to the set
        assert pinned <= key
        assert key - pinned  # a set of placeholders alone asks for nothing
        written = found.constraints(at)
        assert written == canonical(written)
        assert {constraint_key(one.text) for one in written if one.category == PLACEHOLDER} <= pinned
        if unique:
            assert key not in seen
            new = state.operation.constraint
            others = [one for one in written if constraint_key(one.text) != constraint_key(new)]
            if state.operation.name != "remove":
                (added,) = [one for one in written if constraint_key(one.text) == constraint_key(new)]
                assert not any(conflict(added, one) for one in others)
        seen.add(key)
    assert sum(found.outcomes.values()) == found.taken * repeats * 3
    assert found.ended in ("queue_full", "exhausted", "most_sets")


def test_the_same_seed_number_gives_the_same_search_and_another_gives_another() -> None:
    one, same, other = (run(seed_number=number, states=200, repeats=4) for number in (1, 1, 2))
    assert one.states == same.states
    assert one.states != other.states


def test_only_tasks_of_the_pool_are_taken_from_the_likelier_ones_more_often() -> None:
    pool = [similar(0, *[f"near {word}" for word in WORDS], similarity=0.9), similar(1, "far", similarity=0.1)]
    found = run(pool=pool, states=2000, repeats=10, unique=False)
    taken = Counter(state.operation.source_task for state in found.states if state.operation.source_task)
    assert taken["task0"] > 4 * taken["task1"] > 0


def test_what_is_there_nearly_there_or_contradicts_is_not_added() -> None:
    seed = (constraint("Write in French.", "language"), constraint("Use at most five bullets.", "numerical"))
    outcomes = {
        "Write in French": "present",
        "Write it in French!": "near_present",
        "Answer in Greek": "contradicts",
        "No more than 3 short points": "contradicts",
        "Mention the weather": "accepted",
    }
    for text, outcome in outcomes.items():
        kind = "language" if "Greek" in text else "numerical" if "3" in text else "content"
        found = run(seed, [similar(0, constraint(text, kind))], states=9, repeats=1, near=0.75)
        assert {name for hop, op, name in found.outcomes if (hop, op) == (1, "add")} == {outcome}, text


def test_a_replacement_is_the_most_similar_one_and_changes_something() -> None:
    pool = [similar(0, "mention the salts of the sea", "write a sonnet", "be brief")]
    found = run((constraint("mention the salt"), constraint("write sonnets")), pool, states=40, repeats=6)
    swaps = {(state.operation.replaced, state.operation.constraint) for state in found.states if state.hop == 1}
    assert {("mention the salt", "mention the salts of the sea"), ("write sonnets", "write a sonnet")} <= swaps
    none = run((constraint("mention the salt"),), [similar(0, "mention the salts")], states=9, repeats=1, near=0.5)
    assert none.outcomes[1, "replace", "near_present"] == 1


def test_a_small_space_is_searched_to_its_end() -> None:
    found = run((constraint("be brief"),), [similar(0, "in rhymes")], states=100, repeats=4)
    assert found.ended == "exhausted"
    keys = {set_key(found.constraints(at)) for at in range(1, len(found.states))}
    assert keys == {frozenset({"in rhymes"}), frozenset({"be brief", "in rhymes"})}
    assert found.outcomes[1, "remove", "last_constraint"] == 4


def test_a_seed_without_constraints_can_only_be_added_to() -> None:
    place = Constraint(category=PLACEHOLDER, text="{notes}")
    for seed in ((), (place,)):
        found = run(seed, [similar(0, "in rhymes", "be brief")], states=10, repeats=5)
        assert {(name, outcome) for (hop, name, outcome) in found.outcomes if hop == 1} >= {
            ("add", "accepted"),
            ("remove", "last_constraint"),
            ("replace", "nothing_to_replace"),
        }


def test_a_search_without_a_pool_ends_at_once() -> None:
    place = Constraint(category=PLACEHOLDER, text="{notes}")
    for pool in ([], [similar(0, place)]):
        found = run(SEED, pool)
        assert (found.taken, len(found.states), found.ended) == (0, 1, "exhausted")


def test_a_queue_that_never_fills_ends_by_the_number_of_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.constraint_search.MOST_SETS", 1)
    found = run(states=50, repeats=1)
    assert found.ended == "most_sets"
    assert len(found.states) <= 50 + 4


@pytest.mark.parametrize("count", [1, 7, 50, 10_000])
@pytest.mark.parametrize("way", ["uniform", "stratified"])
def test_a_sample_has_each_set_once_in_order(way: str, count: int) -> None:
    found = run(states=300, repeats=5)
    places = sampled(found, count, way, Random(1))
    assert places == sorted(set(places))
    assert len(places) == min(count, len(found.states) - 1)
    assert 0 not in places


def test_a_stratified_sample_takes_as_many_of_each_hop_as_there_are() -> None:
    found = run(states=2700, repeats=10, unique=False)
    taken = Counter(found.states[at].hop for at in sampled(found, 600, "stratified", Random(1)))
    assert taken == {1: 30, 2: 285, 3: 285}
    taken = Counter(found.states[at].hop for at in sampled(found, 600, "uniform", Random(1)))
    assert taken[3] > 350  # two thirds of what there is


@pytest.mark.parametrize(
    ("text", "category", "measures"),
    [
        ("at most five bullet points", "numerical", {"items:bullet points"}),
        ("No more than 3 short points", "numerical", {"items:bullet points"}),
        ("each bullet under 10 words", "numerical", {"length:words:bullet point"}),
        ("between 50 and 100 words", "numerical", {"length:words:answer"}),
        ("some 4 terse stanzas", "numerical", {"length:stanzas:answer"}),
        ("no long words", "style", set()),
        ("In formal German", "language", {"language"}),
        ("reply in Japanese", "content", {"language"}),
        ("write about the French coast", "content", set()),
        ("as a JSON object", "format", {"form", "form:json"}),
        ("typeset in latex", "format", {"form"}),
        ("about a table of oak", "content", set()),
        ("all lowercase", "style", {"casing"}),
        ("in capital letters, friend", "style", {"casing"}),
        ("{two words}", PLACEHOLDER, set()),
    ],
)
def test_what_a_constraint_fixes_is_read_from_its_words(text: str, category: str, measures: set[str]) -> None:
    assert measures_of(constraint(text, category)) == measures
