from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from math import comb
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.engine import Reply, Request, Sampling, ScriptedEngine
from mashbill.records import Document
from synth.entities import Entity, EntityList
from synth.generators.entigraph import Entigraph
from tests.synth.generator_helpers import (
    BRACES,
    FILLER,
    GUILD,
    NAMES,
    PLAIN,
    ShuffledEngine,
    cut,
    digest_of,
    entities_in,
    forget,
    good_text,
    instead,
    question_of,
    rejects_of,
    rows_of,
    run,
    store,
    teacher,
)

STEP = Entigraph(max_triples=2)


async def test_every_pair_some_triples_and_the_summary(tmp_path: Path) -> None:
    engine = ScriptedEngine(teacher)
    made = await run(STEP, store(tmp_path, [GUILD]), engine)
    rows = rows_of(made)
    assert [row.kind for row in rows] == ["summary"] + ["relation"] * 8
    pairs = [set(row.subjects) for row in rows if len(row.subjects) == 2]
    names = {"Ora Venn", "the Salt Guild", "Marrow Bay", "lampwright"}
    assert set().union(*pairs) == names
    assert len(pairs) == comb(4, 2) == len({frozenset(pair) for pair in pairs})
    assert sum(len(row.subjects) == 3 for row in rows) == 2
    for row in rows:
        assert (row.title, row.author, row.year, row.domain) == (GUILD.title, GUILD.author, GUILD.year, GUILD.domain)
        assert (row.parents, row.source_id, row.made.step) == ((GUILD.id,), GUILD.id, "entigraph")
    assert len({row.id for row in rows}) == len(rows)


async def test_a_row_is_traced_to_the_extraction_and_its_own_reply(tmp_path: Path) -> None:
    made = await run(STEP, store(tmp_path, [GUILD]), ScriptedEngine(teacher))
    summary, *relations = rows_of(made)
    assert len(summary.made.asks) == 1
    for row in relations:
        assert row.made.asks[0] == summary.made.asks[0]
        assert len(row.made.asks) == 2
        assert row.made.step_fingerprint == made.manifest.fingerprint
        assert str(row.made.seed) in row.text


async def test_the_document_comes_first_and_is_shared(tmp_path: Path) -> None:
    engine = ScriptedEngine(teacher)
    await run(STEP, store(tmp_path, [GUILD]), engine)
    extraction, *relations = engine.seen
    assert len({request.messages[0] for request in relations}) == 1
    assert len({request.messages[1].parts[0] for request in engine.seen}) == 1
    assert extraction.messages[1].parts[0].startswith('"The Salt Guild", Emmer Toll, 502.\n\nOra Venn founded')
    assert all(GUILD.text not in question_of(request) for request in engine.seen)
    assert {request.sampling.temperature for request in engine.seen} == {1.0}


async def test_braces_quotes_and_backslashes_are_left_alone(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda request: _braced(request))
    made = await run(STEP, store(tmp_path, [BRACES]), engine)
    assert made.manifest.counts.rejected == {}
    for request in engine.seen:
        assert BRACES.text in request.messages[1].content
        assert f'"{BRACES.title}"' in question_of(request)


def _braced(request: Request) -> str:
    if request.schema:
        return json.dumps({"summary": "{x} %s", "entities": NAMES[BRACES.title]})
    return f"{BRACES.title} {' '.join(entities_in(request))} {FILLER} {FILLER}"


REPLIES: dict[str, str | Reply] = {
    "truncated": cut(f"The Salt Guild, Ora Venn and Marrow Bay {FILLER} {FILLER} and the"),
    "too_short": "The Salt Guild: Ora Venn lived in Marrow Bay.",
    "entity_missing": f"The Salt Guild and Ora Venn. {FILLER} {FILLER}",
    "title_missing": f"Ora Venn in Marrow Bay. {FILLER} {FILLER}",
    "copies_document": f"{GUILD.title}: {' '.join([GUILD.text] * 4)}",
    "refusal": f"I’m sorry, but The Salt Guild does not tell of Ora Venn and Marrow Bay. {FILLER} {FILLER}",
    "filtered": Reply(text="The Salt Guild", finish_reason="content_filter", prompt_tokens=1, completion_tokens=3),
    "empty": " ",
}


@pytest.mark.parametrize("reason", sorted(REPLIES))
async def test_a_bad_reply_is_a_reject_that_can_be_read(reason: str, tmp_path: Path) -> None:
    def write(request: Request) -> str | Reply | None:
        return REPLIES[reason] if entities_in(request) == ["Ora Venn", "Marrow Bay"] else None

    made = await run(STEP, store(tmp_path, [GUILD]), ScriptedEngine(instead(write)))
    assert made.manifest.counts.rejected == {reason: 1}
    (reject,) = rejects_of(made)
    reply = REPLIES[reason]
    assert reject.text.strip() == (reply if isinstance(reply, str) else reply.text).strip()
    assert reject.subjects == ("Ora Venn", "Marrow Bay")
    assert reject.made.asks
    assert reject.detail
    totals = made.manifest.notes["totals"]
    assert (totals["pairs_planned"], totals["pairs_kept"], totals["pair_coverage"]) == (6, 5, round(5 / 6, 4))
    assert totals["pairs_rejected"] == {reason: 1}


async def test_a_truncated_text_can_be_trimmed_to_its_last_sentence(tmp_path: Path) -> None:
    def write(request: Request) -> Reply:
        return cut(good_text(request) + " It is said (truly.) And then the")

    made = await run(replace(STEP, truncated="trim"), store(tmp_path, [GUILD]), ScriptedEngine(instead(write)))
    assert made.manifest.counts.rejected == {}
    relations = rows_of(made)[1:]
    assert all(row.text.endswith("The end. It is said (truly.)") for row in relations)
    assert {row.made.finish_reason for row in relations} == {"length"}


async def test_trimming_needs_a_sentence(tmp_path: Path) -> None:
    step = replace(STEP, truncated="trim")
    made = await run(step, store(tmp_path, [GUILD]), ScriptedEngine(instead(lambda _: cut("no end " * 200))))
    assert made.manifest.counts.rejected == {"truncated": 8}


async def test_checks_can_be_switched_off(tmp_path: Path) -> None:
    step = replace(STEP, needs_title=False, needs_entities=False, min_words=0)
    made = await run(step, store(tmp_path, [GUILD]), ScriptedEngine(instead(lambda request: f"Yes {request.seed}.")))
    assert made.manifest.counts.rejected == {}


@pytest.mark.parametrize(
    ("reply", "reason", "kept"),
    [
        ({"summary": "Short.", "entities": []}, "too_few_entities", 1),
        ({"summary": "Short.", "entities": ["Ora Venn", "Venn", "", "Atlantis", "x " * 40]}, "too_few_entities", 1),
        ({"summary": " ", "entities": NAMES[GUILD.title]}, "summary_empty", 8),
        ({"summary": "I cannot do that.", "entities": NAMES[GUILD.title]}, "refusal", 8),
        ({"summary": GUILD.text, "entities": NAMES[GUILD.title]}, "copies_document", 8),
        ("no json", "unparsable", 0),
    ],
)
async def test_a_poor_extraction(reply: object, reason: str, kept: int, tmp_path: Path) -> None:
    def script(request: Request) -> str:
        if not request.schema:
            return good_text(request)
        return f"{reply} {request.seed}" if isinstance(reply, str) else json.dumps(reply)

    engine = ScriptedEngine(script)
    made = await run(STEP, store(tmp_path, [GUILD]), engine)
    assert made.manifest.counts.rejected == {reason: 1}
    assert made.manifest.counts.kept == kept
    assert made.manifest.notes["totals"]["other_rejects"] == {reason: 1}
    if reason == "unparsable":
        assert len(engine.seen) == STEP.tries


async def test_an_empty_document_costs_nothing(tmp_path: Path) -> None:
    engine = ScriptedEngine(teacher)
    made = await run(STEP, store(tmp_path, [Document.new(title="Void", text=" \n")]), engine)
    assert made.manifest.counts.rejected == {"empty_document": 1}
    assert engine.seen == []
    assert made.manifest.notes["totals"]["pair_coverage"] is None


async def test_the_report_counts_by_document(tmp_path: Path) -> None:
    step = replace(STEP, max_pairs=4, max_triples=1)
    made = await run(step, store(tmp_path, [GUILD, PLAIN], parts=2), ScriptedEngine(teacher))
    notes = made.manifest.notes
    assert [one["title"] for one in notes["by_document"]] == [GUILD.title, PLAIN.title]
    guild, plain = notes["by_document"]
    assert guild["entities"] == 4
    assert (guild["names_merged"], guild["names_absent"]) == (1, 1)
    assert (guild["pairs_possible"], guild["pairs_planned"], guild["pairs_not_planned"]) == (6, 4, 2)
    assert guild["pair_coverage"] == round(4 / 6, 4)
    assert plain["pair_coverage"] == 1.0
    assert notes["documents_with_fewer_pairs_than_possible"] == 1
    assert notes["totals"]["pairs_kept"] == 7
    assert notes["totals"]["triples_kept"] == 2
    assert notes["totals"]["summaries"] == 2
    tokens = sum(row.made.completion_tokens for row in rows_of(made))
    assert notes["totals"]["completion_tokens"] == tokens > 0


async def test_a_long_report_lists_the_first_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.coverage.SHOWN", 1)
    made = await run(STEP, store(tmp_path, [GUILD, PLAIN]), ScriptedEngine(teacher))
    assert len(made.manifest.notes["by_document"]) == 1
    assert made.manifest.notes["by_document_left_off"] == 1
    assert made.manifest.notes["totals"]["pairs_kept"] == 9


async def test_running_again_asks_nothing_and_gives_the_same_bytes(tmp_path: Path) -> None:
    source, engine = store(tmp_path, [GUILD, PLAIN], parts=2), ScriptedEngine(teacher)
    made = await run(STEP, source, engine)
    before, paid = digest_of(made), len(engine.seen)
    await run(STEP, source, engine)
    forget(made)
    again = await run(STEP, source, engine)
    assert digest_of(again) == before
    assert len(engine.seen) == paid


async def test_a_larger_plan_pays_only_for_what_is_new(tmp_path: Path) -> None:
    source, engine = store(tmp_path, [GUILD]), ScriptedEngine(teacher)
    small = rows_of(await run(replace(STEP, max_pairs=3, max_triples=1), source, engine))
    paid = len(engine.seen)
    large = rows_of(await run(replace(STEP, max_triples=3), source, engine))
    assert {row.id for row in small} <= {row.id for row in large}
    assert len(engine.seen) == paid + len(large) - len(small)


async def test_order_and_batches_never_change_the_bytes(tmp_path: Path) -> None:
    def write(request: Request) -> str | None:
        return "Too short." if "Marrow Bay" in entities_in(request) else None

    digests = set()
    for batch, in_flight in ((1, 1), (7, 2), (64, 64)):
        root = tmp_path / str(batch)
        source = store(root, [GUILD, PLAIN], parts=2)
        engine = ShuffledEngine(instead(write), batch=batch, order=batch)
        digests.add(digest_of(await run(STEP, source, engine, in_flight=in_flight)))
        shutil.rmtree(root)
    assert len(digests) == 1


LISTING = EntityList(entities=tuple(Entity(f"e{at}") for at in range(6)))


def test_the_plan_depends_on_the_document_and_the_seed_alone() -> None:
    step = Entigraph(max_triples=5)
    assert step.plan(GUILD, LISTING) == step.plan(GUILD, LISTING)
    assert step.plan(GUILD, LISTING) != step.plan(PLAIN, LISTING)
    assert step.plan(GUILD, LISTING) != replace(step, seed=1).plan(GUILD, LISTING)


@settings(max_examples=50)
@given(st.integers(0, 40_000), st.integers(1, 2_000))
def test_the_token_budget_is_obeyed(budget: int, per_text: int) -> None:
    plan = Entigraph(token_budget=budget, tokens_per_text=per_text).plan(GUILD, LISTING)
    assert len(plan) == min(budget // per_text, comb(6, 2) + comb(6, 3))


def test_triples_have_a_limit_of_their_own() -> None:
    many = EntityList(entities=tuple(Entity(f"e{at}") for at in range(9)))
    assert len(Entigraph().plan(GUILD, many)) == comb(9, 2) + 40
    assert len(Entigraph(max_triples=3, token_budget=10**6).plan(GUILD, many)) == comb(9, 2) + 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"relate_prompt": "Write."}, "relate_prompt: the template lacks {entities}"),
        ({"extract_prompt": "List {names}."}, "extract_prompt: the template has no place {names}"),
        ({"max_entities": 1}, "max_entities is 1"),
        ({"max_pairs": -1}, "max_pairs is -1"),
        ({"max_triples": -1}, "max_triples is -1"),
        ({"tries": 0}, "tries is 0"),
        ({"min_words": -1}, "min_words is -1"),
        ({"max_copied": 1.5}, "max_copied is 1.5"),
        ({"refusals": ("(",)}, "'(' is not a regular expression"),
    ],
)
def test_fields_that_cannot_work_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Entigraph(**fields)  # type: ignore[arg-type]


async def test_without_a_title_none_is_asked_for(tmp_path: Path) -> None:
    untitled = Document.new(text=PLAIN.text)

    def script(request: Request) -> str:
        assert "the text above" in question_of(request)
        if request.schema:
            return json.dumps({"summary": "Lamps.", "entities": NAMES[PLAIN.title]})
        return f"{' '.join(entities_in(request))} {FILLER} {FILLER}"

    step = Entigraph(sampling=Sampling(max_tokens=900, temperature=0.7))
    engine = ScriptedEngine(script)
    made = await run(step, store(tmp_path, [untitled]), engine)
    assert made.manifest.counts.kept == 1 + 3 + 1
    assert engine.seen[0].messages[1].parts[0] == f"{PLAIN.text}\n\n"
    assert engine.seen[1].sampling.temperature == 0.7
