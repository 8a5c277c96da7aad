"""Telling less with one answer: unique after each round, the answer the same, no clue that is untrue."""

from __future__ import annotations

from collections import Counter
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.facts import Facts
from kg.harden import Harden
from kg.harden_clues import Clues, Query
from kg.load_graph import graph_of
from kg.verbalise_wording import Wording
from mashbill.errors import BadReply
from mashbill.execute import execute
from mashbill.records import QA, Triple
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.store import Stored
from tests.kg.path_helpers import umls
from tests.support.kernel import rejects_in, rows_of, store


async def hardened(root: FilePath, triples: list[Triple], part_rows: int = 1000, **fields: Any) -> Stored:
    source = store(root, triples, part_rows=part_rows)
    return await execute(Harden(**fields), source, Runtime(root=root), RejectPolicy(share=1.0))


def clues_of(triples: list[Triple]) -> Clues:
    return Clues(Facts(graph_of(triples)), Wording())


SALT = [
    Triple.new(head="Ora Venn", relation="leads", tail="Salt Guild"),
    Triple.new(head="Salt Guild", relation="taxes", tail="salt", tail_type="good"),
    Triple.new(head="salt", relation="preserves", tail="herring", head_type="good"),
    Triple.new(head="smoke", relation="preserves", tail="herring"),
    Triple.new(head="Lamp Guild", relation="taxes", tail="oil", tail_type="good"),
    Triple.new(head="Lamp Guild", relation="taxes", tail="wick", tail_type="good"),
]


def test_solutions_are_the_nodes_that_all_clues_hold_of() -> None:
    clues = clues_of(SALT)
    salt = clues.facts.node("salt")
    taxed, preserves = sorted(clues.about(salt), key=lambda clue: clue.leads_out)
    assert clues.fits(taxed) == {salt}
    assert clues.fits(preserves) == {salt, clues.facts.node("smoke")}
    assert clues.solutions(Query(clues=(preserves,))) == {salt, clues.facts.node("smoke")}
    assert clues.solutions(Query(clues=(preserves,), kind="good")) == {salt}
    assert clues.text(Query(clues=(taxed, preserves), kind="good")) == (
        "Salt Guild taxes it. It preserves herring. Which good is meant?"
    )


async def test_the_most_salient_is_told_less_and_the_answer_stays(tmp_path: FilePath) -> None:
    rows: list[QA] = rows_of(await hardened(tmp_path, SALT))
    row = next(row for row in rows if row.answer == "salt")
    assert row.question == "It preserves herring. Which good is meant?"
    assert [(one.name, one.detail) for one in row.verdicts] == [
        ("unique:round_0", "2 clues"),
        ("unique:round_1", "left out: Salt Guild taxes it."),
        ("not_named", "Salt Guild"),
    ]
    assert all(one.passed for one in row.verdicts)
    scores = {score.name: score.value for score in row.scores}
    assert (scores["rounds"], scores["salience_before"], scores["salience_after"]) == (1.0, 1.0, 0.5)


def test_a_name_is_blurred_by_a_fact_about_it() -> None:
    triples = [
        Triple.new(head="guild a", relation="taxes", tail="salt"),
        Triple.new(head="guild a", relation="owns", tail="ship"),
        Triple.new(head="guild b", relation="owns", tail="ship"),
        Triple.new(head="guild b", relation="taxes", tail="tar"),
        Triple.new(head="salt", relation="is_near", tail="sea"),
        Triple.new(head="tar", relation="is_near", tail="wood"),
    ]
    clues = clues_of(triples)
    salt = clues.facts.node("salt")
    taxed = next(clue for clue in clues.about(salt) if not clue.leads_out)
    changes = list(clues.harder(Query(clues=(taxed,)), salt, 1))
    (blurred,) = [change.query.clues[0] for change in changes]
    assert clues.sentence(blurred) == "Something that owns ship taxes it."
    assert clues.fits(blurred) == {salt, clues.facts.node("tar")}


async def test_after_each_question_of_a_real_graph_one_node_fits(tmp_path: FilePath) -> None:
    triples = umls()
    stored = await hardened(tmp_path, triples, clues=5)
    rows: list[QA] = rows_of(stored)
    true = {(one.head, one.relation, one.tail) for one in triples}
    assert len(rows) > 20
    for row in rows:
        assert row.answer not in row.question
        told = row.question.split(". ")
        assert len(set(told)) == len(told)
        assert all(edge.triple in true for edge in row.path)
        assert len(row.parents) == len(set(row.path))
    assert sum(stored.manifest.notes["questions_by_rounds"].values()) == len(rows)
    reasons = Counter(one.reason for one in rejects_in(stored))
    assert set(reasons) <= {"not_unique", "not_hardened", "answer_told"}


async def test_parts_of_any_size_give_the_same_questions(tmp_path: FilePath) -> None:
    one: list[QA] = rows_of(await hardened(tmp_path / "a", SALT))
    two: list[QA] = rows_of(await hardened(tmp_path / "b", SALT, part_rows=2))
    assert {row.id for row in one} == {row.id for row in two}


async def test_more_rounds_tell_no_more(tmp_path: FilePath) -> None:
    few: list[QA] = rows_of(await hardened(tmp_path / "a", umls(), rounds=1, clues=5))
    many: list[QA] = rows_of(await hardened(tmp_path / "b", umls(), rounds=5, clues=5))
    by_answer = {row.answer: {score.name: score.value for score in row.scores} for row in few}
    assert {row.answer for row in many} == set(by_answer)  # the same answers, however often they are hardened
    for row in many:
        scores = {score.name: score.value for score in row.scores}
        assert scores["clues"] <= by_answer[row.answer]["clues"]
        assert scores["rounds"] >= by_answer[row.answer]["rounds"]


names = st.sampled_from(list("abcdefg"))
drawn = st.lists(st.tuples(names, st.sampled_from(["r", "s"]), names), min_size=1, max_size=30, unique=True)


@settings(max_examples=60, deadline=None)
@given(drawn, st.integers(1, 5))
def test_on_any_graph_each_round_leaves_one_solution(facts: list[tuple[str, str, str]], rounds: int) -> None:
    clues = clues_of([Triple.new(head=head, relation=relation, tail=tail) for head, relation, tail in facts])
    step = Harden(rounds=rounds)
    for node in range(clues.facts.graph.nodes):
        first = step._clues_of(clues, node)
        if not first:
            continue
        start = Query(clues=tuple(first))
        try:
            query, verdicts = step._hardened(clues, start, node)
        except BadReply:
            continue
        assert clues.solutions(query) == {node}
        assert sum(one.name.startswith("unique:") for one in verdicts) <= rounds + 1
        assert all(node in clues.fits(clue) for clue in query.clues)


@pytest.mark.parametrize("name", ["count", "clues", "rounds", "least_clues"])
def test_numbers_out_of_range_are_refused(name: str) -> None:
    numbers: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0; it must be 1 or more"):
        Harden(**numbers)


def test_a_node_for_which_the_reverse_is_stated_fits_a_clue_too() -> None:
    triples = [
        Triple.new(head="pan", relation="adjacent_to", tail="mill"),
        Triple.new(head="mill", relation="adjacent_to", tail="quay"),
    ]
    clues = clues_of(triples)
    pan = clues.facts.node("pan")
    (near,) = clues.about(pan)
    assert clues.text(Query(clues=(near,))) == "It is adjacent to mill. What is meant?"
    assert clues.solutions(Query(clues=(near,))) == {pan, clues.facts.node("quay")}
    with pytest.raises(BadReply, match="not_unique"):
        Harden()._hardened(clues, Query(clues=(near,)), pan)


async def test_a_question_does_not_name_its_answer_with_other_stops(tmp_path: FilePath) -> None:
    triples = [Triple.new(head="salt (white)", relation="made_of", tail="the salt, white-gold")]
    stored = await hardened(tmp_path, triples, least_rounds=0, part_rows=5)
    told = [row for row in rows_of(stored) if row.answer == "salt (white)"]
    assert not told
    assert "answer_told" in {one.reason for one in rejects_in(stored)}


async def test_a_hub_is_hardened_in_bounded_time(tmp_path: FilePath) -> None:
    triples = [Triple.new(head="hub", relation="has", tail=f"leaf {at}") for at in range(1500)]
    triples.append(Triple.new(head="pin", relation="holds", tail="hub"))
    clues = clues_of(triples)
    held = clues.about(clues.facts.node("pin"))[0]
    assert len(clues._blurs(held, clues.facts.node("pin"))) <= 200
    assert len(rows_of(await hardened(tmp_path, triples, least_rounds=0))) > 0
