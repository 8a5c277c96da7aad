"""Questions from a graph: no wrong answer that is true, one way to mend a chain, scores that mean what they say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.facts import Facts
from kg.held_out import HeldOut
from kg.load_graph import graph_of
from kg.quiz import Quiz
from kg.quiz_formats import FORMATS, Format, Maker
from kg.quiz_negatives import Negatives, Way
from kg.quiz_score import PrecisionRecall, is_right, score_open
from kg.verbalise_wording import Wording
from mashbill.errors import BadReply
from mashbill.execute import execute
from mashbill.qa_text import spoken
from mashbill.records import QA, Triple
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.store import Stored
from tests.kg.path_helpers import grid, umls
from tests.support.kernel import rejects_in, rows_of, store

ANY = RejectPolicy(share=1.0)


async def asked(root: FilePath, triples: list[Triple], part_rows: int = 1000, **fields: Any) -> Stored:
    return await execute(Quiz(**fields), store(root, triples, part_rows=part_rows), Runtime(root=root), ANY)


def town() -> list[Triple]:
    """Guilds that tax goods, each two of six, and masters who lead them."""
    goods = ["salt", "tar", "oak", "wool", "amber", "herring"]
    triples = []
    for at in range(6):
        guild = f"Guild {at}"
        triples.append(Triple.new(head=f"Master {at}", relation="leads", tail=guild, tail_type="guild", domain="trade"))
        for good in (goods[at], goods[(at + 1) % 6]):
            triples.append(Triple.new(head=guild, relation="taxes", tail=good, head_type="guild", tail_type="good"))
    return triples


def maker(triples: list[Triple], way: Way = "type", **fields: Any) -> Maker:
    facts = Facts(graph_of(triples))
    return Maker(facts=facts, negatives=Negatives(facts, way, "hashed_ngrams", 1), wording=Wording(), seed=1, **fields)


@pytest.mark.parametrize("way", ["type", "similar", "random"])
async def test_all_formats_of_a_real_graph_have_no_wrong_answer_that_is_true(way: Way, tmp_path: FilePath) -> None:
    triples = umls()
    true = {(one.head, one.relation, one.tail) for one in triples}
    named = {spoken(name): name for one in triples for name in (one.head, one.tail)}
    stored = await asked(tmp_path, triples, per_format=60, negatives=way)
    rows: list[QA] = rows_of(stored)
    counts = Counter(row.kind for row in rows)
    assert counts["true_false"] == counts["choice"] == 60
    for row in rows:
        edge = row.path[0]
        if row.kind == "choice":
            assert len(set(row.options)) == 4
            wrong = [named[option] for option in row.options if option != row.answer]
            assert not any((edge.head, edge.relation, one) in true for one in wrong)
        if row.kind in ("choice", "edit"):
            assert row.negatives == way
        if row.kind in ("blank", "open"):
            assert row.negatives == ""


async def test_a_false_statement_is_not_in_the_graph_and_a_true_one_is(tmp_path: FilePath) -> None:
    triples = umls()
    sentences = {Wording().sentence(spoken(one.head), one.relation, spoken(one.tail)) for one in triples}
    rows: list[QA] = rows_of(await asked(tmp_path, triples, per_format=200, formats=("true_false",)))
    answers = Counter(row.answer for row in rows)
    assert 80 < answers["True"] < 120  # within 3 standard deviations, though many facts have no wrong answer
    for row in rows:
        assert (row.question.removeprefix("Is this true? ") in sentences) == (row.answer == "True")


async def test_letters_of_choices_are_balanced(tmp_path: FilePath) -> None:
    rows: list[QA] = rows_of(await asked(tmp_path, umls(), per_format=400, formats=("choice",)))
    counts = Counter(row.options.index(row.answer) for row in rows)
    assert sum((counts[at] - 100) ** 2 / 100 for at in range(4)) < 16.27


async def test_every_right_answer_of_a_blank_is_accepted(tmp_path: FilePath) -> None:
    rows: list[QA] = rows_of(await asked(tmp_path, town(), formats=("blank",)))
    row = next(row for row in rows if row.question == "Fill in the blank: Guild 0 taxes ____.")
    assert set(row.accepted) == {"salt", "tar"}
    assert all(is_right(answer, row) for answer in ("Salt", "Final Answer: the tar", "tar."))
    assert not is_right("oak", row)


async def test_a_chain_is_mended_by_the_accepted_sentences_alone(tmp_path: FilePath) -> None:
    triples = town()
    true = {Wording().sentence(one.head, one.relation, one.tail) for one in triples}
    rows: list[QA] = rows_of(await asked(tmp_path, triples, formats=("edit",)))
    assert rows
    for row in rows:
        broken = row.context.replace(". ", ".\n").splitlines()
        assert len(broken) == 2
        assert not set(broken) <= true
        for accepted in row.accepted:
            assert set(accepted.replace(". ", ".\n").splitlines()) <= true
        assert row.answer in row.accepted
        assert is_right(row.answer, row)
        assert not is_right(row.context, row)


def test_a_mend_that_has_another_is_refused() -> None:
    # The wrong good may be put right, or the guild changed to the one that does tax it: two mends.
    triples = [
        Triple.new(head="Ora", relation="leads", tail="Guild A"),
        Triple.new(head="Ora", relation="leads", tail="Guild B"),
        Triple.new(head="Guild A", relation="taxes", tail="salt"),
        Triple.new(head="Guild B", relation="taxes", tail="tar"),
    ]
    reasons = Counter[str]()
    for seed in range(40):
        facts = Facts(graph_of(triples))
        one = Maker(
            facts=facts, negatives=Negatives(facts, "type", "hashed_ngrams", seed), wording=Wording(), seed=seed
        )
        for edge in range(facts.graph.edges):
            try:
                question = one.make("edit", edge)
            except BadReply as bad:
                reasons[bad.reason] += 1
            else:
                assert "Guild A taxes tar" not in question.context
                assert "Guild B taxes salt" not in question.context
    assert reasons["ambiguous_edit"] > 0


async def test_open_questions_are_asked_once_about_each_thing(tmp_path: FilePath) -> None:
    rows: list[QA] = rows_of(await asked(tmp_path, town(), formats=("open",)))
    assert len(rows) == 12
    row = next(row for row in rows if row.question.startswith("What is known of Guild 0?"))
    assert set(row.accepted) == {"Guild 0 taxes salt.", "Guild 0 taxes tar."}
    assert len(row.parents) == 2
    assert score_open(row.answer, row.accepted) == PrecisionRecall(1.0, 1.0, 1.0)


def test_precision_and_recall_of_an_open_answer() -> None:
    facts = ["Guild 0 taxes salt.", "Guild 0 taxes tar.", "Guild 0 owns a ship.", "Guild 0 lies in Veylund."]
    one = score_open("- The Guild 0 taxes salt\n- Guild 0 taxes oak\n- Guild 0 taxes salt.", facts)
    assert (one.precision, one.recall) == (1 / 3, 1 / 4)  # one fact, said twice, counts once
    assert score_open("", facts) == PrecisionRecall(0.0, 0.0, 0.0)
    assert score_open("Guild 0 taxes tar. Guild 0 owns a ship.", facts).precision == 1.0


def test_likeness_by_embedding_is_more_lenient() -> None:
    from kg.quiz_score import embedded_likeness

    said = "The guild number 0 taxes the salt."
    assert score_open(said, ["Guild 0 taxes salt."]).recall == 0.0
    assert score_open(said, ["Guild 0 taxes salt."], embedded_likeness(), same=0.6).recall == 1.0


def test_an_open_question_is_not_right_or_wrong() -> None:
    with pytest.raises(ValueError, match="score_open"):
        is_right("x", QA.new(kind="open", question="?", answer="x"))


def test_a_choice_is_right_by_letter_or_text() -> None:
    row = QA.new(question="?", options=("tar", "salt", "oak", "wool"), answer="salt")
    assert all(is_right(reply, row) for reply in ("B", "b) salt", "salt", "Final Answer: B", "Final Answer: Salt."))
    assert not any(is_right(reply, row) for reply in ("A", "tar", "", "Final Answer: tar"))


def test_wrong_answers_of_a_kind_are_of_that_kind() -> None:
    one = maker(town())
    facts = one.facts
    for edge in range(facts.graph.edges):
        if facts.relation_name(int(facts.graph.relation[edge])) == "taxes":
            question = one.make("choice", edge)
            assert {facts.graph.tag(facts.node(option)) for option in question.options} == {"good"}


def test_similar_wrong_answers_are_nearer_than_random_ones() -> None:
    triples = [Triple.new(head=f"h{at}", relation="is_near", tail=name) for at, name in enumerate(
        ["salt works", "salt guild", "salt road", "salt pan", "amber coast", "old mill", "tar pit", "quiet harbour"]
    )]  # fmt: skip
    edge = 0
    names = set(maker(triples, "similar").make("choice", edge).options)
    assert names == {"salt works", "salt guild", "salt road", "salt pan"}


def test_too_few_wrong_answers_are_said_and_not_made_up() -> None:
    with pytest.raises(BadReply) as caught:
        maker([Triple.new(head="a", relation="r", tail="b")]).make("choice", 0)
    assert caught.value.reason == "too_few_negatives"


async def test_what_cannot_be_asked_is_rejected_by_its_format(tmp_path: FilePath) -> None:
    stored = await asked(tmp_path, grid(2, 2), formats=("choice", "edit"))
    reasons = Counter(one.reason for one in rejects_in(stored))
    assert set(reasons) <= {
        "choice_too_few_negatives",
        "edit_no_chain",
        "edit_ambiguous_edit",
        "edit_too_few_negatives",
    }
    assert stored.manifest.notes["short_of_what_was_wanted"]["choice"] > 0


async def test_the_two_sides_share_no_fact(tmp_path: FilePath) -> None:
    held = HeldOut(edges=0.3, seed=2)
    sides = {}
    for side in ("train", "probe"):
        rows: list[QA] = rows_of(await asked(tmp_path / side, umls(), per_format=80, held_out=held, side=side))
        sides[side] = {edge.triple for row in rows for edge in row.path}
        assert len(rows) > 200
    assert not sides["train"] & sides["probe"]
    assert all(held.holds_edge(head, tail) for head, _, tail in sides["probe"])


async def test_a_question_lies_in_the_part_of_its_triple_and_is_its_child(tmp_path: FilePath) -> None:
    triples = town()
    stored = await asked(tmp_path, triples, part_rows=7, formats=("choice", "blank"))
    for index in range(len(stored)):
        ids = {one.id for one in triples[index * 7 : index * 7 + 7]}
        for row in stored.table(index).to_pylist():
            assert set(row["parents"]) <= ids
            assert row["source_id"] in ids


async def test_parts_of_any_size_give_the_same_questions(tmp_path: FilePath) -> None:
    one: list[QA] = rows_of(await asked(tmp_path / "a", town()))
    two: list[QA] = rows_of(await asked(tmp_path / "b", town(), part_rows=5))
    assert {row.id for row in one} == {row.id for row in two}
    assert {row.kind for row in one} == set(FORMATS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"per_format": 0}, "1 or more"),
        ({"options": 1}, "2 or more"),
        ({"formats": ()}, "each once"),
        ({"side": "probe"}, "held_out keeps no edges back"),
    ],
)
def test_fields_that_mean_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Quiz(**fields)


names = st.sampled_from(list("abcdefgh"))
facts_drawn = st.lists(st.tuples(names, st.sampled_from(["r", "s"]), names), min_size=1, max_size=40, unique=True)


@settings(max_examples=60, deadline=None)
@given(facts_drawn, st.sampled_from(["type", "random"]))
def test_on_any_graph_no_wrong_option_is_true(drawn: list[tuple[str, str, str]], way: Way) -> None:
    triples = [Triple.new(head=head, relation=relation, tail=tail) for head, relation, tail in drawn]
    one = maker(triples, way)
    for edge in range(one.facts.graph.edges):
        try:
            question = one.make("choice", edge)
        except BadReply:
            continue
        fact = question.edges[0]
        true = {tail for head, relation, tail in drawn if (head, relation) == (fact.head, fact.relation)}
        assert set(question.options) & true == {question.answer}


@pytest.mark.parametrize("way", ["type", "similar", "random"])
@pytest.mark.parametrize(
    ("stated", "asked", "true"),
    [
        (("wharf", "adjacent_to", "pan"), ("pan", "adjacent_to"), "wharf"),  # the other way
        (("pan", "partOf", "wharf"), ("pan", "part_of"), "wharf"),  # the same in another spelling
        (("wharf", "has_part", "pan"), ("pan", "part_of"), "wharf"),  # by its inverse
        (("wharf", "feeds", "pan"), ("pan", "feeds"), "wharf"),  # nobody said that it does not run both ways
    ],
)
def test_no_wrong_option_is_true_through_another_edge(
    way: Way, stated: tuple[str, str, str], asked: tuple[str, str], true: str
) -> None:
    head, relation = asked
    facts = [
        (head, relation, "mill"),
        stated,
        ("x1", relation, "quay"),
        ("x2", relation, "dune"),
        ("x3", relation, true),
    ]
    triples = [Triple.new(head=one, relation=label, tail=other) for one, label, other in facts]
    given = {"part_of": "has_part"} if any(label == "part_of" for _, label, _ in facts) else {}
    for seed in range(12):
        of = Facts(graph_of(triples, given))
        made = Maker(
            facts=of, negatives=Negatives(of, way, "hashed_ngrams", seed), wording=Wording(), seed=seed, options=3
        )
        edge = next(at for at in range(of.graph.edges) if of.graph.edge(at).triple == (head, relation, "mill"))
        assert true not in made.make("choice", edge).options


def test_a_name_in_other_words_is_no_wrong_option() -> None:
    names = ["Salt Guild", "salt_guild", "the salt guilds", "Lamp Guild"]
    triples = [Triple.new(head=f"h{at}", relation="pays", tail=name) for at, name in enumerate(names)]
    question = maker(triples, options=2).make("choice", 0)
    assert set(question.options) == {"Salt Guild", "Lamp Guild"}


def test_a_blank_accepts_what_is_true_the_other_way() -> None:
    triples = [
        Triple.new(head="pan", relation="adjacent_to", tail="mill"),
        Triple.new(head="wharf", relation="adjacent_to", tail="pan"),
    ]
    assert set(maker(triples).make("blank", 0).accepted) == {"mill", "wharf"}


async def test_a_hub_that_leads_to_all_is_given_up_quickly(tmp_path: FilePath) -> None:
    triples = [Triple.new(head="hub", relation="has", tail=f"leaf {at:05d}") for at in range(2000)]
    stored = await asked(tmp_path, triples, formats=("true_false", "choice", "blank", "open"))
    reasons = Counter(one.reason for one in rejects_in(stored))
    assert reasons["choice_too_few_negatives"] == reasons["blank_too_many_answers"] == 2000
    assert reasons["open_too_many_answers"] == 1


def test_labels_with_places_and_markup_stand_as_they_are() -> None:
    triples = [Triple.new(head='{tail} "x"', relation="r {head} {0}", tail=f"<b>{{head}} {at}</b>") for at in range(4)]
    triples += [
        Triple.new(head=f"o{at}", relation="r {head} {0}", tail=f"{{other}} {at} \U0001f600") for at in range(4)
    ]
    one = maker(triples)
    for kind in FORMATS:
        try:
            question = one.make(kind, one.facts.graph.edges - 1)
        except BadReply:
            continue
        assert question.text.count('{tail} "x"') == 1


@pytest.mark.parametrize("kind", ["choice", "blank"])
def test_a_loop_is_not_asked_with_its_answer_in_the_question(kind: Format) -> None:
    triples = [Triple.new(head=name, relation="feeds", tail=name) for name in ("a", "b", "c", "d", "e")]
    with pytest.raises(BadReply, match="answer_in_question"):
        maker(triples).make(kind, 0)
