"""Comparing extractions with labels: bounded, fair to order, and nothing for what the text does not hold."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.span_matching import (
    Agreement,
    Weights,
    compare_triples,
    least_similarity,
    text_similarity,
    triple_similarity,
)
from mashbill.records import Edge

WORDS = st.sampled_from(["salt", "guild", "of", "the", "ora", "venn", "lamp", "oil"])
NAMES = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)
EDGES = st.builds(lambda head, relation, tail: Edge(head=head, relation=relation, tail=tail), NAMES, NAMES, NAMES)
SOME = st.lists(EDGES, max_size=6)
TEXT = "salt guild of the ora venn lamp oil"


def edge(head: str, relation: str, tail: str) -> Edge:
    return Edge(head=head, relation=relation, tail=tail)


@given(NAMES, NAMES)
def test_a_similarity_lies_between_nothing_and_one_and_is_whole_for_the_same(one: str, other: str) -> None:
    assert 0.0 <= text_similarity(one, other) <= 1.0
    assert text_similarity(one, other) == text_similarity(other, one)
    assert text_similarity(one, one) == 1.0


@given(NAMES)
def test_what_the_text_does_not_hold_scores_nothing_even_where_the_label_says_it(name: str) -> None:
    assert text_similarity(f"{name} arthur", f"{name} arthur", TEXT) == 0.0


@pytest.mark.parametrize(
    ("predicted", "gold", "wanted"),
    [
        ("", "", 1.0),
        ("", "salt", 0.0),
        ("salt", "", 0.0),
        ("the Salt Guild", "salt guilds", 1.0),
        ("Ora", "Perrick", 0.0),
        ("rakers' club", "the old rakers' club", 2 * 2 / 6),
        ("of the", "of the", 1.0),
        ("club rakers", "rakers club", 0.5),
    ],
)
def test_words_in_common_and_in_order_count(predicted: str, gold: str, wanted: float) -> None:
    assert text_similarity(predicted, gold) == pytest.approx(wanted)


@given(SOME)
def test_a_perfect_prediction_is_perfect(gold: list[Edge]) -> None:
    found = compare_triples(gold, gold)
    assert (found.precision, found.recall, found.f1) == (1.0, 1.0, 1.0)
    assert found.similarity == pytest.approx(len(gold))


@given(SOME, SOME, st.randoms(use_true_random=False))
def test_the_order_of_either_list_makes_no_difference(
    predicted: list[Edge], gold: list[Edge], order: random.Random
) -> None:
    found = compare_triples(predicted, gold)
    shuffled = compare_triples(order.sample(predicted, len(predicted)), order.sample(gold, len(gold)))
    assert (shuffled.matched, shuffled.hallucinated) == (found.matched, found.hallucinated)
    assert shuffled.similarity == pytest.approx(found.similarity)


@given(SOME, SOME)
def test_all_measures_are_bounded(predicted: list[Edge], gold: list[Edge]) -> None:
    found = compare_triples(predicted, gold, TEXT)
    assert 0 <= found.matched <= min(len(predicted), len(gold))
    assert all(0.0 <= measure <= 1.0 for measure in (found.precision, found.recall, found.f1))
    assert 0.0 <= found.similarity <= min(len(predicted), len(gold)) + 1e-9


def test_a_gold_triple_is_matched_once_however_often_it_is_predicted() -> None:
    one = edge("Ora Venn", "founded", "Salt Guild")
    found = compare_triples([one, one, one], [one])
    assert (found.matched, found.recall) == (1, 1.0)
    assert found.precision == pytest.approx(1 / 3)


def test_the_pairing_is_the_best_for_all_and_not_for_the_first() -> None:
    gold = [edge("salt guild", "sold", "salt"), edge("salt guild hall", "sold", "salt")]
    # Greedy pairing gives the first prediction to the second label, and leaves nothing for the other.
    predicted = [edge("salt guild hall", "sold", "salt"), edge("salt guild old hall", "sold", "salt")]
    assert compare_triples(predicted, gold).matched == 2


def test_a_hallucinated_triple_is_counted_and_never_matches() -> None:
    gold = [edge("King Arthur", "founded", "Salt Guild")]
    found = compare_triples(gold, gold, "Ora Venn founded the Salt Guild.")
    assert (found.matched, found.hallucinated) == (0, 1)


def test_a_longer_label_asks_for_more() -> None:
    gold = edge("Ora Venn", "founded", "the first and oldest guild of all salt rakers")
    half = edge("Ora Venn", "founded", "guild of salt rakers")
    overall, parts = triple_similarity(half, gold)
    assert overall > 0.7
    assert parts[2] < least_similarity(gold.tail) == 0.7
    assert compare_triples([half], [gold]).matched == 0
    assert compare_triples([edge("Venn", "founded", "salt")], [edge("Ora Venn", "founded", "salt")]).matched == 1


def test_agreements_of_documents_add_up() -> None:
    whole = Agreement(matched=1, predicted=2, gold=4) + Agreement(matched=2, predicted=2, gold=2, hallucinated=1)
    assert whole == Agreement(matched=3, predicted=4, gold=6, hallucinated=1)
    assert (whole.precision, whole.recall, whole.f1) == (0.75, 0.5, 0.6)
    nothing = Agreement(matched=0, predicted=0, gold=0)
    assert (nothing.precision, nothing.recall, nothing.f1) == (1.0, 1.0, 1.0)


def test_weights_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="they must be 0 or more, and not all 0"):
        Weights(head=0.0, relation=0.0, tail=0.0)
    ends = Weights(head=1.0, relation=0.0, tail=1.0)
    assert triple_similarity(edge("a1", "x", "b1"), edge("a1", "y", "b1"), weights=ends)[0] == 1.0


def test_names_of_signs_are_alike_only_where_they_are_the_same() -> None:
    pairs = [("++", "--"), ("++", "++"), ("", " "), ("", "!")]
    assert [text_similarity(*pair) for pair in pairs] == [0.0, 1.0, 1.0, 0.0]
