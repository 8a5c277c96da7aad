from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.words import copied_share, folded_track, grams, singular, words
from synth.entities import resolve_entities
from synth.subsets import plan_subsets, shuffled, subset_at

TEXT = (
    "Ora Venn of the Salt Guild met Ammory Tesk and Jorrane Tesk. Tesk's boats carried salt past Kessenbray Harbour to "
    "Kessenbray. Dr. Venn paid the guilds; the blue lamps burned. A party sat in 東京タワー."
)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (["Ora Venn", "ORA VENN.", "Ora Venn's", "“Ora Venn”"], ["Ora Venn"]),
        (["the Salt Guild", "Salt Guild", "a salt guilds"], ["the Salt Guild"]),
        (["Venn", "Ora Venn"], ["Ora Venn"]),
        (["Dr. Venn", "Ora Venn"], ["Ora Venn"]),
        (["Tesk", "Ammory Tesk", "Jorrane Tesk"], ["Tesk", "Ammory Tesk", "Jorrane Tesk"]),
        (["salt", "Salt Guild"], ["salt", "Salt Guild"]),
        (["Kessenbray", "Kessenbray Harbour"], ["Kessenbray", "Kessenbray Harbour"]),
        (["lamp", "blue lamps"], ["blue lamps"]),
        (["Salt Guild (a union)", "guild"], ["Salt Guild", "guild"]),
        (["art", "King Arthur", "Venn Tesk"], []),
        (["", "—", "...", "word " * 13], []),
        (["東京", "京都"], ["東京"]),
        (["boats", "boat", "Boats"], ["boats"]),
    ],
)
def test_names_become_entities(listed: list[str], expected: list[str]) -> None:
    assert [entity.name for entity in resolve_entities(listed, TEXT, 30).entities] == expected


def test_a_short_name_is_an_alias_and_counts_as_a_mention() -> None:
    (entity,) = resolve_entities(["Venn", "Ora Venn", "ora venn"], TEXT, 30).entities
    assert entity.name == "Ora Venn"
    assert entity.mentioned_in(folded_track("What Venn did"))
    assert not entity.mentioned_in(folded_track("What Venning did"))


def test_the_cap_keeps_what_was_listed_first() -> None:
    found = resolve_entities(["Venn", "salt", "Kessenbray", "Ora Venn"], TEXT, 2)
    assert [entity.name for entity in found.entities] == ["Ora Venn", "salt"]
    assert (found.listed, found.merged, found.capped) == (4, 1, 1)


NAMES = st.one_of(
    st.sampled_from(["Venn", "Ora Venn", "Tesk", "the salt", "Salt", "Salt Guild", "guild", "lamp", "Dr. Venn"]),
    st.text(max_size=30),
)


@given(st.lists(NAMES, max_size=20), st.integers(2, 6))
def test_every_listed_name_is_accounted_for(listed: list[str], most: int) -> None:
    found = resolve_entities(listed, TEXT, most)
    assert found.listed == len(listed)
    assert found.listed == len(found.entities) + found.merged + found.absent + found.unusable + found.capped
    assert len(found.entities) <= most
    folded = folded_track(TEXT)
    assert all(entity.mentioned_in(folded) for entity in found.entities)
    again = resolve_entities([entity.name for entity in found.entities], TEXT, most)
    assert [entity.name for entity in again.entities] == [entity.name for entity in found.entities]


@given(st.integers(0, 12), st.integers(0, 2**31), st.integers(0, 300))
def test_all_pairs_once_and_as_many_triples_as_asked(n: int, seed: int, max_triples: int) -> None:
    plan = plan_subsets(n, seed=seed, max_triples=max_triples)
    pairs = [subset for subset in plan if len(subset) == 2]
    assert sorted(pairs) == list(combinations(range(n), 2))
    assert plan[: len(pairs)] == pairs
    triples = plan[len(pairs) :]
    assert len(set(triples)) == len(triples) == min(max_triples, comb(n, 3))
    assert set(triples) <= set(combinations(range(n), 3))


@given(st.integers(2, 10), st.integers(0, 99), st.integers(0, 60), st.integers(0, 60), st.integers(0, 120))
def test_limits_are_obeyed_and_pairs_come_first(n: int, seed: int, pairs: int, triples: int, texts: int) -> None:
    plan = plan_subsets(n, seed=seed, max_pairs=pairs, max_triples=triples, texts=texts)
    planned = min(pairs, comb(n, 2), texts)
    assert sum(len(subset) == 2 for subset in plan) == planned
    assert len(plan) == planned + min(triples, comb(n, 3), texts - planned)
    larger = plan_subsets(n, seed=seed, max_pairs=pairs + 1, max_triples=triples + 1, texts=None)
    assert set(plan) <= set(larger)


@given(st.integers(0, 50), st.integers(0, 2**31))
def test_a_shuffle_is_a_permutation_and_its_beginning_does_not_depend_on_its_length(count: int, seed: int) -> None:
    whole = shuffled(count, count, seed)
    assert sorted(whole) == list(range(count))
    assert shuffled(count, count // 2, seed) == whole[: count // 2]


def test_ranks_give_every_subset_once() -> None:
    assert sorted(subset_at(rank, 3) for rank in range(comb(9, 3))) == list(combinations(range(9), 3))


def test_a_shuffle_is_spread_evenly() -> None:
    first = [shuffled(10, 1, seed)[0] for seed in range(5000)]
    assert all(400 < first.count(value) < 600 for value in range(10))


@pytest.mark.parametrize(
    ("plural", "folded"),
    [("cities", "city"), ("boxes", "box"), ("guilds", "guild"), ("glass", "glass"), ("bus", "bus"), ("ties", "tie")],
)
def test_common_plurals_are_folded(plural: str, folded: str) -> None:
    assert singular(plural) == folded


def test_copied_words_are_counted_once() -> None:
    source = words("one two three four five six seven eight nine ten")
    held = frozenset(grams(source, 8))
    assert copied_share(source, held, 8) == 1.0
    assert copied_share(["new", *source[:8], "new"], held, 8) == 0.8
    assert copied_share(source[:7], held, 8) == 0.0
    assert copied_share([], held, 8) == 0.0
