"""Text from a graph without a model: true, grammatical, in lessons, with aliases and inverse edges."""

from __future__ import annotations

import itertools
import re
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.verbalise import Verbalise
from kg.verbalise_wording import Wording, article, filled, phrase_of
from mashbill.execute import execute
from mashbill.records import Document, Edge, Triple
from mashbill.runtime import Runtime
from tests.kg.path_helpers import umls
from tests.support.kernel import rows_of, store

SALT = [
    Triple.new(head="Ora Venn", relation="leads", tail="Salt Guild", domain="Veylund", license="CC0-1.0"),
    Triple.new(head="Salt Guild", relation="taxes", tail="salt"),
    Triple.new(head="Salt Guild", relation="taxes", tail="tar"),
    Triple.new(head="Salt Guild", relation="alias", tail="the Salters"),
]


async def told(root: FilePath, triples: list[Triple], part_rows: int = 1000, **fields: Any) -> list[Document]:
    stored = await execute(Verbalise(**fields), store(root, triples, part_rows=part_rows), Runtime(root=root))
    rows: list[Document] = rows_of(stored)
    return rows


EXPECTED = {
    "isa": "X is a kind of Y",
    "affects": "X affects Y",
    "process_of": "X is a process of Y",
    "issue_in": "X is an issue in Y",
    "evaluation_of": "X is an evaluation of Y",
    "associated_with": "X is associated with Y",
    "co-occurs_with": "X co-occurs with Y",
    "conceptually_related_to": "X is conceptually related to Y",
    "adjacent_to": "X is adjacent to Y",
    "assesses_effect_of": "X assesses the effect of Y",
    "consists_of": "X consists of Y",
    "carries_out": "X carries out Y",
    "north_of": "X is north of Y",
    "has_part": "X has Y as a part",
    "capital": "X has Y as its capital",
    "memberOf": "X is a member of Y",
    "educated at": "X is educated at Y",
    "http://schema.org/birthPlace": "X has Y as its birth place",
    "made_of": "X is made of Y",
    "is_heir_of": "X is heir of Y",
}


@pytest.mark.parametrize(("relation", "sentence"), list(EXPECTED.items()))
def test_a_label_is_put_into_words_by_its_form(relation: str, sentence: str) -> None:
    assert Wording().sentence("X", relation, "Y") == f"{sentence}."


def test_a_template_that_is_given_goes_before_the_label() -> None:
    wording = Wording(templates={"taxes": ("{tail} is taxed by {head}", "{head} levies a tax on {tail}")})
    assert [wording.sentence("the guild", "taxes", "salt", variant) for variant in range(3)] == [
        "Salt is taxed by the guild.",
        "The guild levies a tax on salt.",
        "Salt is taxed by the guild.",
    ]
    assert wording.predicate("taxes", "salt") == "levies a tax on salt"


@pytest.mark.parametrize("sentence", ["{head} is taxed", "taxed", "{head} {tial}"])
def test_a_template_without_both_ends_is_refused(sentence: str) -> None:
    with pytest.raises(ValueError, match="must have both"):
        Wording(templates={"taxes": (sentence,)})


def test_an_edge_walked_backwards_is_told_as_the_graph_states_it() -> None:
    back = Edge(head="salt", relation="inverse of taxes", tail="Salt Guild", inverse=True, stated="taxes")
    assert Wording().told(back) == "Salt Guild taxes salt."


def test_names_with_braces_are_no_templates() -> None:
    assert filled("{head} taxes {tail}", "{tail}", "{head}") == "{tail} taxes {head}"


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=30))
def test_any_label_gives_sentences_with_both_ends(label: str) -> None:
    for sentence in phrase_of(label).sentences:
        assert sentence.count("{head}") == sentence.count("{tail}") == 1


def test_articles() -> None:
    words = ["issue", "process", "evaluation", "unit", "European town", "hour", "unimportant thing", "uninvited guest"]
    assert [article(word) for word in words] == ["an", "a", "an", "a", "a", "an", "an", "an"]


async def test_the_three_lessons_of_a_small_graph(tmp_path: FilePath) -> None:
    rows = await told(tmp_path, SALT, conclusions=40, alias_relations=("alias",))
    by_lesson = {lesson: [row for row in rows if row.kind == f"lesson_{lesson}"] for lesson in (1, 2, 3)}
    assert len(by_lesson[1]) == 3  # the alias is no fact
    assert len(by_lesson[2]) == len(by_lesson[3]) == 40
    for two, three in zip(by_lesson[2], by_lesson[3], strict=True):
        conclusion = two.text.split(" So ")[1]
        assert conclusion[0].upper() + conclusion[1:] == three.text
        assert two.parents == three.parents
        assert len(two.parents) == 2
    texts = {re.sub("the Salters|The Salters|Salt Guild", "G", row.text) for row in by_lesson[3]}
    assert texts == {
        "Ora Venn leads something that taxes salt.",
        "Ora Venn leads something that taxes tar.",
        "G taxes salt and tar.",
        "G taxes tar and salt.",
    }


async def test_a_document_keeps_to_one_name_for_a_thing(tmp_path: FilePath) -> None:
    rows = await told(tmp_path, SALT, conclusions=60, lessons=(2,), alias_relations=("alias",))
    used = [{name for name in ("Salters", "Salt Guild") if name in row.text} for row in rows]
    assert all(len(one) == 1 for one in used)
    assert {name for one in used for name in one} == {"Salters", "Salt Guild"}


async def test_what_a_thing_was_called_before_resolution_is_an_alias(tmp_path: FilePath) -> None:
    triples = [
        Triple.new(head="Salt Guild", relation="taxes", tail=f"good {at}", head_surface="the old Salters")
        for at in range(20)
    ]
    texts = " ".join(row.text for row in await told(tmp_path, triples, lessons=(1,)))
    assert "old Salters" in texts
    assert "Salt Guild" in texts


async def test_variants_are_as_many_as_there_are(tmp_path: FilePath) -> None:
    rows = await told(tmp_path, SALT[:1], lessons=(1,), variants=9)
    assert len({row.text for row in rows}) == len(rows) == 3


async def test_a_text_goes_back_to_its_triples(tmp_path: FilePath) -> None:
    (row,) = await told(tmp_path, SALT[:1], lessons=(1,))
    assert (row.parents, row.source_id, row.domain, row.license) == ((SALT[0].id,), SALT[0].id, "Veylund", "CC0-1.0")
    assert row.subjects == ("Ora Venn", "Salt Guild")


async def test_a_graph_without_chains_lists_objects_alone(tmp_path: FilePath) -> None:
    rows = await told(tmp_path, SALT[1:3], lessons=(3,), conclusions=5)
    assert {row.text for row in rows} <= {"Salt Guild taxes salt and tar.", "Salt Guild taxes tar and salt."}


async def test_parts_of_any_size_give_the_same_texts(tmp_path: FilePath) -> None:
    one = await told(tmp_path / "a", SALT, conclusions=20)
    two = await told(tmp_path / "b", SALT, part_rows=2, conclusions=20)
    assert sorted(row.text for row in one) == sorted(row.text for row in two)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lessons": ()}, "name each of 1, 2 and 3 once"),
        ({"lessons": (1, 1)}, "name each of 1, 2 and 3 once"),
        ({"variants": 0}, "1 or more"),
        ({"most_objects": 1}, "2 or more"),
        ({"multi_hop": 1.5}, "from 0 to 1"),
    ],
)
def test_numbers_out_of_range_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Verbalise(**fields)


async def test_a_real_graph_is_told_in_sound_sentences_that_it_states(tmp_path: FilePath) -> None:
    triples = umls()
    rows = await told(tmp_path, triples, conclusions=300)
    assert len([row for row in rows if row.kind == "lesson_1"]) == len(triples)
    for row in rows:
        sentences = re.split(r"(?<=\.) ", row.text)
        for sentence in sentences:
            assert re.fullmatch(r"[A-Z][^_{}.]*[^ ]\.", sentence), row.text
            assert "  " not in sentence
            assert not re.search(r"\ba (?=[aeio])|\ban (?=[^aeiouh])", sentence), row.text
            assert len(re.findall(r"\b(?:is|are) (?:is|are)\b", sentence)) == 0, row.text


async def test_conclusions_of_a_real_graph_follow_from_their_parents(tmp_path: FilePath) -> None:
    triples = umls()
    by_id = {one.id: one for one in triples}
    for row in await told(tmp_path, triples, conclusions=200, lessons=(3,)):
        edges = [by_id[parent] for parent in row.parents]
        if len({edge.head for edge in edges}) == 1:
            assert len({edge.relation for edge in edges}) == 1  # several objects of one relation
            assert all(edge.tail.replace("_", " ") in row.text for edge in edges)
        else:
            assert all(one.tail == other.head for one, other in itertools.pairwise(edges))
            assert row.text.count("something that") == len(edges) - 1
