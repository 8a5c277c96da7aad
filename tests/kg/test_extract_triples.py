"""Extraction: every triple quotes its document, and what does not is a reject that can be read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kg.extract_schema import Relation, relation_name
from kg.extract_triples import ExtractTriples
from kg.span_matching import Agreement, compare_triples
from mashbill.engine import Request, ScriptedEngine
from mashbill.records import Document
from tests.kg.extract_support import (
    Labelled,
    edges,
    kinds_in,
    labelled,
    question_in,
    reasons_of,
    rejects_of,
    run,
    stated,
    triples_of,
)
from tests.support.kernel import bytes_of, reply, store

GUILD = Document.new(
    title="The Salt Guild",
    text="Ora Venn founded the “Salt\nGuild” in Marrow Bay. She sold salt to the *lampwrights*, and the guild grew.",
    source="guild.md",
)
FOUNDED = ("Ora Venn", "founded", "Salt Guild", 'Ora Venn founded the "Salt Guild" in Marrow Bay.')


async def outcome(tmp_path: Path, answer: str, **fields: Any) -> tuple[list[Any], list[Any]]:
    stored = await run(ExtractTriples(**fields), store(tmp_path, [GUILD]), ScriptedEngine(lambda _: answer))
    return triples_of(stored), rejects_of(stored)


async def test_a_triple_carries_the_words_that_state_it_and_where_they_stand(tmp_path: Path) -> None:
    (triple,), rejects = await outcome(tmp_path, stated(FOUNDED))
    assert edges([triple]) == [("Ora Venn", "founded", "Salt Guild")]
    assert triple.evidence == GUILD.text[triple.evidence_start : triple.evidence_end]
    assert triple.evidence == "Ora Venn founded the “Salt\nGuild” in Marrow Bay."
    assert (triple.source_id, triple.parents) == (GUILD.id, (GUILD.id,))
    assert triple.made.step == "extract_triples"
    assert len(triple.made.asks) == 1
    assert {score.name: score.value for score in triple.scores} == {"ends_in_evidence": 2.0}
    assert rejects == []


REJECTED: dict[str, tuple[tuple[str, str, str, str], dict[str, Any]]] = {
    "evidence_not_found": (("Ora Venn", "left", "Marrow Bay", "Ora Venn left Marrow Bay."), {}),
    "entity_not_in_text": (("King Arthur", "founded", "Salt Guild", FOUNDED[3]), {}),
    "self_loop": (("the Salt Guild", "is", "salt guilds", FOUNDED[3]), {}),
    "blank_field": (("Ora Venn", " ", "Salt Guild", FOUNDED[3]), {}),
    "name_too_long": (("Ora Venn " * 20, "founded", "Salt Guild", FOUNDED[3]), {}),
    "relation_not_in_schema": (FOUNDED, {"relations": ("sold_to",)}),
    "type_not_in_schema": (FOUNDED, {"entity_types": ("person",)}),
}


@pytest.mark.parametrize("reason", REJECTED)
async def test_what_the_document_or_the_schema_does_not_allow_is_a_reject(tmp_path: Path, reason: str) -> None:
    triple, fields = REJECTED[reason]
    kept, (reject,) = await outcome(tmp_path, stated(triple), **fields)
    assert kept == []
    assert reject.reason == reason
    assert json.loads(reject.text)["head"] == triple[0]
    assert len(reject.made.asks) == 1


async def test_one_bad_triple_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    wrong = ("Ora Venn", "founded", "Rome", "Ora Venn founded Rome.")
    kept, rejects = await outcome(tmp_path, stated(wrong, FOUNDED, wrong))
    assert edges(kept) == [FOUNDED[:3]]
    assert [reject.reason for reject in rejects] == ["evidence_not_found"] * 2


async def test_a_pronoun_in_the_evidence_is_let_pass_unless_evidence_alone_counts(tmp_path: Path) -> None:
    sold = ("Ora Venn", "sold", "salt", "She sold salt to the lampwrights")
    (kept,), _ = await outcome(tmp_path, stated(sold))
    assert [score.value for score in kept.scores] == [1.0]
    _, (reject,) = await outcome(tmp_path, stated(sold), entities_in="evidence")
    assert reject.reason == "entity_not_in_text"


async def test_names_in_scripts_without_spaces_and_names_of_signs_are_found(tmp_path: Path) -> None:
    text = "小野妹子は隋に渡った。 The language C++ came from C."
    rows = stated(("小野妹子", "渡った", "隋", "小野妹子は隋に渡った"), ("C++", "came from", "C", "C++ came from C"))
    source = store(tmp_path, [Document.new(text=text)])
    stored = await run(ExtractTriples(), source, ScriptedEngine(lambda _: rows))
    assert edges(triples_of(stored)) == [("小野妹子", "渡った", "隋"), ("C++", "came_from", "C")]


async def test_a_relation_joins_the_kinds_that_the_schema_says(tmp_path: Path) -> None:
    schema: dict[str, Any] = {
        "relations": (Relation(name="founded", head=("person",), tail=("group",)), "sold"),
        "entity_types": ("person", "group", "thing"),
    }
    row = dict(zip(("head", "relation", "tail", "evidence"), FOUNDED, strict=True))
    good = json.dumps({"triples": [{**row, "head_type": "Person", "tail_type": "group"}]})
    bad = json.dumps({"triples": [{**row, "head_type": "person", "tail_type": "thing"}]})
    (kept,), _ = await outcome(tmp_path, good, **schema)
    assert (kept.head_type, kept.tail_type) == ("person", "group")
    _, (reject,) = await outcome(tmp_path, bad, **schema, max_triples=39)
    assert (reject.reason, reject.detail) == ("type_not_allowed", "the tail of founded is a thing, not group")


async def test_the_schema_is_in_the_request_and_the_document_before_the_question(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda _: stated(FOUNDED))
    step = ExtractTriples(
        relations=("founded", Relation(name="sold", meaning="gave for coin")), entity_types=("person",)
    )
    await run(step, store(tmp_path, [GUILD]), engine)
    (request,) = engine.seen
    assert request.messages[-1].parts[0].startswith("The Salt Guild\n\nOra Venn founded")
    assert "- founded\n- sold: gave for coin" in question_in(request)
    one = json.loads(request.schema)["$defs"]["Stated"]
    assert one["properties"]["relation"]["enum"] == ["founded", "sold"]
    assert one["properties"]["head_type"]["enum"] == ["person"]
    assert next(iter(one["properties"])) == "evidence"
    assert set(one["required"]) == set(one["properties"])


async def test_a_small_teacher_can_be_left_nothing_but_the_words_of_the_text(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda _: stated(FOUNDED))
    step = ExtractTriples(evidence="sentence", names="text", relations=("founded",))
    (kept,) = triples_of(await run(step, store(tmp_path, [GUILD]), engine))
    assert kept.head == "Ora Venn"
    one = json.loads(engine.seen[0].schema)["$defs"]["Stated"]["properties"]
    assert one["evidence"]["enum"] == [
        "Ora Venn founded the “Salt Guild” in Marrow Bay.",
        "She sold salt to the *lampwrights*, and the guild grew.",
    ]
    listed = [
        "Ora Venn",
        "founded",
        "Salt Guild",
        "Marrow Bay",
        "sold salt",
        "salt",
        "lampwrights",
        "guild grew",
        "grew",
    ]
    assert one["head"]["enum"] == one["tail"]["enum"] == listed


async def test_later_rounds_show_what_was_found_and_end_when_nothing_is_new(tmp_path: Path) -> None:
    sold = ("Ora Venn", "sold", "salt", "She sold salt to the lampwrights")

    def teacher(request: Request) -> str:
        asked = question_in(request)
        if "- Ora Venn | sold | salt" in asked:
            return stated(sold)
        return stated(FOUNDED, sold) if "- Ora Venn | founded | Salt Guild" in asked else stated(FOUNDED)

    engine = ScriptedEngine(teacher)
    stored = await run(ExtractTriples(rounds=5), store(tmp_path, [GUILD]), engine)
    assert edges(triples_of(stored)) == [FOUNDED[:3], sold[:3]]
    assert len(engine.seen) == 3
    assert len({request.messages[-1].parts[0] for request in engine.seen}) == 1
    assert reasons_of(stored) == {"duplicate": 2}
    assert [len(one.made.asks) for one in triples_of(stored)] == [1, 2]


async def test_a_long_document_is_read_in_windows_and_a_fact_in_two_of_them_is_kept_once(tmp_path: Path) -> None:
    sentences = [f"Keeper {at} lit the lamp number {at} in the year {at}." for at in range(60)]
    long = Document.new(title="Keepers", text=" ".join(sentences))

    def teacher(request: Request) -> str:
        shown = [at for at in range(60) if sentences[at] in request.messages[-1].parts[0]]
        return stated(*((f"Keeper {at}", "lit", f"lamp number {at}", sentences[at]) for at in shown))

    engine = ScriptedEngine(teacher)
    step = ExtractTriples(window_chars=500, overlap_chars=120, max_triples=60)
    stored = await run(step, store(tmp_path, [long]), engine)
    assert len(engine.seen) > 5
    assert sorted(one.head for one in triples_of(stored)) == sorted(f"Keeper {at}" for at in range(60))
    assert set(reasons_of(stored)) == {"duplicate"}
    assert all(long.text[one.evidence_start : one.evidence_end] == one.evidence for one in triples_of(stored))


async def test_windows_beyond_the_bound_are_a_reject_and_not_asked_about(tmp_path: Path) -> None:
    long = Document.new(text=" ".join(f"The guild sold salt {at} times." for at in range(100)))
    engine = ScriptedEngine(lambda _: stated(("guild", "sold", "salt", "The guild sold salt")))
    stored = await run(
        ExtractTriples(window_chars=400, overlap_chars=0, max_windows=2), store(tmp_path, [long]), engine
    )
    assert len(engine.seen) == 2
    (left,) = [one for one in rejects_of(stored) if one.reason == "windows_left"]
    assert "windows, from character" in left.detail


async def test_a_reply_of_no_shape_leaves_the_other_windows_alone(tmp_path: Path) -> None:
    long = Document.new(text="The guild sold salt. " * 12 + "Ora went home. " * 12)

    def teacher(request: Request) -> Any:
        if "Ora" in request.messages[1].parts[0]:
            return reply('{"triples": [', "length")
        return stated(("guild", "sold", "salt", "The guild sold salt."))

    step = ExtractTriples(window_chars=260, overlap_chars=0, tries=1)
    stored = await run(step, store(tmp_path, [long]), ScriptedEngine(teacher))
    assert edges(triples_of(stored)) == [("guild", "sold", "salt")]
    assert reasons_of(stored) == {"truncated": 1}


async def test_a_document_that_states_nothing_is_accounted_for(tmp_path: Path) -> None:
    kept, (reject,) = await outcome(tmp_path, '{"triples": []}')
    assert kept == []
    assert reject.reason == "nothing_stated"


async def test_replies_are_paid_for_once_and_give_the_same_bytes(tmp_path: Path) -> None:
    first, again = ScriptedEngine(lambda _: stated(FOUNDED)), ScriptedEngine({})
    source = store(tmp_path / "a", [GUILD])
    one = await run(ExtractTriples(rounds=2), source, first, tmp_path / "ledger.sqlite")
    two = await run(ExtractTriples(rounds=2), store(tmp_path / "b", [GUILD]), again, tmp_path / "ledger.sqlite")
    assert again.seen == []
    assert bytes_of(one.path) == bytes_of(two.path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rounds": 0}, "rounds is 0; it must be 1 or more"),
        ({"overlap_chars": 5000}, "overlap_chars is 5000; it must be from 0 to half of window_chars"),
        ({"relations": ("Is A",)}, "the relation 'Is A' must be in snake_case"),
        ({"relations": ("is_a", "is_a")}, "the relation 'is_a' stands twice"),
        ({"relations": (Relation(name="is_a", head=("x",)),)}, "the relation is_a wants the kind 'x'"),
        ({"names": "all"}, "names is 'all'; it must be free or text"),
        ({"entities_in": "title"}, "entities_in is 'title'; it must be evidence or document"),
        ({"min_triples": 50}, "min_triples is 50, more than the 40 of max_triples"),
        ({"max_windows": 0}, "max_windows is 0; it must be 1 or more, or null"),
    ],
)
def test_fields_that_could_never_work_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ExtractTriples(**fields)


def test_relation_names_are_written_as_graphs_write_them() -> None:
    assert [relation_name(text) for text in ("Was founded by", "isA", "père de", "—")] == [
        "was_founded_by",
        "is_a",
        "pere_de",
        "",
    ]


def knows(documents: list[Labelled]) -> ScriptedEngine:
    """A teacher that states exactly what is labelled."""

    def teacher(request: Request) -> str:
        (one,) = [one for one in documents if one.document.text[:40] in request.messages[-1].parts[0]]
        return json.dumps({"triples": [{name: line[name] for name in line if name != "document"} for line in one.gold]})

    return ScriptedEngine(teacher)


async def test_a_perfect_teacher_gives_f1_of_one(tmp_path: Path) -> None:
    documents = labelled()
    lines = [line for one in documents for line in one.gold]
    step = ExtractTriples(relations=tuple(sorted({line["relation"] for line in lines})), entity_types=kinds_in(lines))
    stored = await run(step, store(tmp_path, [one.document for one in documents]), knows(documents))
    assert reasons_of(stored) == {}
    found = triples_of(stored)
    total = Agreement(matched=0, predicted=0, gold=0)
    for one in documents:
        own = [triple for triple in found if triple.source_id == one.document.id]
        total += compare_triples(own, one.triples(), one.document.text)
    assert (total.f1, total.hallucinated, total.gold) == (1.0, 0, len(lines))
