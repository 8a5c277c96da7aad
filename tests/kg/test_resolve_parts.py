"""What resolution is made of: keys of names, nets for candidate pairs, and groups that do not chain."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.resolve_candidates import candidate_pairs, cosines, rounded
from kg.resolve_merge import Pair, group_names, pair_of
from kg.resolve_names import clearly_differ, contains_name, key_of, word_track
from mashbill.embedders.hashed_ngrams import HashedNgrams

SYLLABLES = [
    "ka",
    "to",
    "ren",
    "mi",
    "ves",
    "lo",
    "dra",
    "quen",
    "tal",
    "ber",
    "ost",
    "mar",
    "fel",
    "gru",
    "sha",
    "pel",
]


def made_names(count: int, seed: int = 0) -> tuple[list[str], list[tuple[str, str]]]:
    """Distinct made-up names, and pairs of one name and the same with a letter missing."""
    draw = random.Random(seed)
    vocabulary = ["".join(draw.choices(SYLLABLES, k=draw.choice([2, 3, 4]))) for _ in range(count // 3)]
    names: dict[str, None] = {}
    planted = []
    while len(names) < count:
        name = " ".join(draw.choices(vocabulary, k=draw.choice([1, 2, 2, 3])))
        names[name] = None
        at = draw.randrange(1, len(name) - 1)
        wrong = name[:at] + name[at + 1 :]
        if len(name) >= 12 and name[at] != " " and draw.random() < 0.2:
            names[wrong] = None
            planted.append((name, wrong))
    return sorted(names), planted


def caught(names: list[str], least: float) -> set[tuple[str, str]]:
    pairs = candidate_pairs(names, HashedNgrams().embed(names), least)
    return {(names[left], names[right]) for left, right in zip(pairs.left, pairs.right, strict=True)}


def test_planted_misspellings_are_caught_among_thousands_of_names() -> None:
    names, planted = made_names(3000)
    found = caught(names, 0.6)
    assert len(planted) > 200
    missed = [pair for pair in planted if pair not in found and pair[::-1] not in found]
    assert len(missed) <= 0.02 * len(planted)
    assert len(found) < 20 * len(names), "far fewer than all pairs"


def test_nearly_all_pairs_that_comparing_all_with_all_finds_are_caught() -> None:
    names, _ = made_names(1200, seed=5)
    vectors = rounded(HashedNgrams().embed(names))
    all_pairs = np.array(list(itertools.combinations(range(len(names)), 2)))
    likeness = cosines(vectors, all_pairs[:, 0], all_pairs[:, 1])
    wanted = {(names[left], names[right]) for left, right in all_pairs[likeness >= 0.7]}
    assert len(wanted) > 100
    assert len(wanted - caught(names, 0.7)) <= 0.02 * len(wanted)


def test_pairs_come_once_in_order_and_at_or_above_the_least_cosine() -> None:
    names, _ = made_names(400, seed=2)
    pairs = candidate_pairs(names, HashedNgrams().embed(names), 0.65)
    codes = list(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))
    assert codes == sorted(set(codes))
    assert all(left < right for left, right in codes)
    assert (pairs.cosine[~pairs.form] >= 0.65).all()


def test_vectors_far_from_names_are_netted_too() -> None:
    # Twins by meaning alone: names say nothing, so the trees must find them.
    random_state = np.random.default_rng(3)
    base = random_state.normal(size=(300, 32))
    rows = np.concatenate([base, base + 0.1 * random_state.normal(size=base.shape)]).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = ["".join(chr(97 + int(digit)) for digit in f"{at * 7919 % 1000:03}{at:03}") for at in range(600)]
    pairs = candidate_pairs(names, rows, 0.9)
    twins = {(at, at + 300) for at in range(300)}
    assert len(twins & set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))) >= 294


@given(st.permutations([*made_names(60, seed=9)[0][:60]]))
def test_products_are_exact_so_that_order_and_machine_make_no_difference(names: list[str]) -> None:
    vectors = rounded(HashedNgrams().embed(names))
    left, right = np.triu_indices(len(names), 1)
    whole = vectors.astype(np.int64)
    assert (cosines(vectors, left, right) == (whole @ whole.T)[left, right] / np.float32(2048 * 2048)).all()


@pytest.mark.parametrize("names", [[], ["salt"], ["salt", "lamp"]])
def test_few_names_are_no_trouble(names: list[str]) -> None:
    assert caught(names, 0.6) == set()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Salt Guild", "salt guilds"),
        ("Élodie's café", "elodie cafe"),
        ("Salt-Guild", "salt guild"),
        ("U.S.", "U S"),
    ],
)
def test_names_that_differ_in_dress_alone_have_one_key(one: str, other: str) -> None:
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C++", "C"),
        ("C#", "C++"),
        ("Na+", "Na"),
        ("gas", "ga"),
        ("Tesk", "Ammory Tesk"),
        ("census 1842", "census 1843"),
        ("The", "A"),
        ("!", "?"),
    ],
)
def test_names_of_different_things_have_different_keys(one: str, other: str) -> None:
    assert key_of(one) != key_of(other)


@given(st.text(max_size=30))
def test_a_key_is_its_own_key_and_no_name_is_without_one(name: str) -> None:
    if name.strip():
        assert key_of(name) != ""
    assert key_of(name.upper()) == key_of(name.upper().upper())


@given(st.lists(st.sampled_from(["type", "census", "1842", "2", "ii", "iv", "salt"]), min_size=1, max_size=4))
def test_nothing_differs_from_itself_for_certain(words: list[str]) -> None:
    key = " ".join(words)
    assert not clearly_differ(key, key)
    assert contains_name(word_track(f"so {key} it was"), key)


PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] != pair[1]), max_size=25)
WEIGHTS = [(1, at, str(at)) for at in range(10)]


def never(pair: Pair) -> bool:
    return False


@given(PAIRS, PAIRS, st.lists(st.sampled_from(["", "", "a", "b"]), min_size=10, max_size=10))
def test_no_group_holds_two_names_judged_different_or_of_two_kinds(
    yes: list[Pair], no: list[Pair], kinds: list[str]
) -> None:
    verdicts = {pair_of(*pair): True for pair in yes} | {pair_of(*pair): False for pair in no}
    same = [pair_of(*pair) for pair in yes if verdicts[pair_of(*pair)]]
    found = group_names(same, verdicts, WEIGHTS, kinds, never)
    for one, other in itertools.combinations(range(10), 2):
        if found.group[one] == found.group[other]:
            assert verdicts.get((one, other), True)
            assert len({kinds[one], kinds[other]} - {""}) <= 1
    assert all(found.group[home] == home for home in found.group)
    assert all(pair not in verdicts for pair in found.wanted), "what is known is not asked for again"


@given(PAIRS)
def test_every_pair_taken_for_the_same_is_joined_refused_or_waiting(yes: list[Pair]) -> None:
    verdicts = {pair_of(*pair): True for pair in yes}
    found = group_names(list(verdicts), verdicts, WEIGHTS, [""] * 10, never)
    for one, other in verdicts:
        apart = found.group[one] != found.group[other]
        ends = pair_of(found.group[one], found.group[other]) if apart else None
        assert not apart or (one, other) in found.refused or found.wanted or ends in verdicts


def test_where_every_pair_is_known_to_be_the_same_all_is_one_group() -> None:
    verdicts = {pair: True for pair in itertools.combinations(range(10), 2)}
    found = group_names(list(verdicts), verdicts, WEIGHTS, [""] * 10, never)
    assert set(found.group) == {9}
    assert (found.wanted, found.refused) == ((), ())
