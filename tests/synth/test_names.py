"""Names found by their capitals, for teachers too small to list them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from synth.entities import resolve_entities
from synth.extraction import extraction_shape
from synth.names import names_in


def test_names_come_by_frequency_then_by_place() -> None:
    text = "The guild met in Oskelby. Few liked Corra Imlay there, but Oskelby paid her."
    assert names_in(text) == ["Oskelby", "Corra Imlay"]


def test_a_word_that_only_opens_sentences_is_no_name() -> None:
    assert names_in("Salt is white. Salt is dear.\nLamps burn it.") == []


def test_a_name_that_opens_a_sentence_loses_the_word_that_may_be_a_capital_only() -> None:
    assert names_in("In Oskelby it snows.") == ["Oskelby"]


@given(st.text(max_size=300))
def test_every_name_stands_in_the_text(text: str) -> None:
    assert all(name in text for name in names_in(text))


def test_function_words_are_no_entities() -> None:
    listing = resolve_entities(["The", "of the", "Oskelby"], "The town of Oskelby is of the north.", 8)
    assert [entity.name for entity in listing.entities] == ["Oskelby"]
    assert listing.unusable == 2


def test_the_bounds_of_an_extraction_are_hints_that_refuse_nothing() -> None:
    shape = extraction_shape(5, 200)
    properties = shape.model_json_schema()["properties"]
    assert properties["summary"]["maxLength"] == 200
    assert (properties["entities"]["minItems"], properties["entities"]["maxItems"]) == (4, 7)
    assert shape(summary="s" * 300, entities=[]).entities == []
