from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from mashbill.engine import Request, ScriptedEngine
from mashbill.records import Constraint, Instruction
from synth.generators.compose_instruction import ComposeInstruction
from tests.synth.rationale_helpers import count_reasons, in_turn, rejects_in, rows_of, run
from tests.synth.tcia_teacher import BASE, BULLETS, FRENCH, PLACE, TONE, checks, good, kind_of, searched, spoilt

STEP = ComposeInstruction()
WHOLE = "Write the minutes of the meeting.\n{transcript}\nUse no more than 5 bullets. Keep a friendly tone."


def said(text: str) -> str:
    return json.dumps({"instruction": text})


async def test_a_set_of_constraints_becomes_an_instruction_that_states_each(tmp_path: Path) -> None:
    engine = ScriptedEngine(good)
    record = searched(PLACE, BULLETS, TONE, hop=2)
    (row,) = rows_of(await run(tmp_path, STEP, [record], engine))
    assert row.text.startswith(BASE)
    assert all(one.text in row.text for one in record.constraints)
    assert (row.hop, row.operations, row.task_cluster, row.parents) == (2, record.operations, "minutes", (record.id,))
    assert {one.name: one.outcome for one in row.verdicts} == {
        "judge:1.1": "pass", "judge:1.2": "pass", "judge:1.3": "pass",
        "code:1.1": "pass", "code:1.2": "pass", "code:1.3": "error",
    }  # fmt: skip
    assert [(one.name, one.value) for one in row.scores] == [("rounds", 1.0)]
    assert len(row.made.asks) == 2
    assert "instruction" in json.loads(engine.seen[0].schema)["properties"]


@pytest.mark.parametrize("word", ["no", "missing", "both"])
async def test_with_any_constraint_that_has_no_yes_it_is_refined_and_then_given_up(tmp_path: Path, word: str) -> None:
    def doubts(request: Request) -> str:
        if word == "missing":
            return checks({1: "yes", 2: "yes"})
        if word == "both":
            two = [{"number": 3, "reason": "", "stated": one} for one in ("yes", "no")]
            both = json.loads(checks({1: "yes", 2: "yes"}))
            return json.dumps({"checks": [*both["checks"], *two]})
        return checks({1: "yes", 2: "yes", 3: "no"})

    engine = ScriptedEngine(spoilt(verify=doubts, refine=lambda one: said(f"{WHOLE} In {one.seed} ways.")))
    made = await run(tmp_path, STEP, [searched(PLACE, BULLETS, TONE)], engine)
    assert rows_of(made) == []
    assert count_reasons(made) == {"constraint_not_stated" if word == "no" else "constraint_not_judged": 1}
    assert [kind_of(one) for one in engine.seen] == ["compose", "verify", "refine", "verify", "refine", "verify"]
    (reject,) = rejects_in(made)
    assert "3. Keep a friendly tone" in reject.detail
    assert len(reject.verdicts) == 18, "each round's verdicts of judge and code on three constraints"
    assert len(set(reject.made.asks)) >= 3
    assert reject.text


async def test_a_fault_is_told_to_the_writer_and_the_mended_text_is_kept(tmp_path: Path) -> None:
    engine = ScriptedEngine(spoilt(compose=said(f"{BASE}\n{{transcript}}\nUse at most five bullet points.")))
    (row,) = rows_of(await run(tmp_path, STEP, [searched(PLACE, BULLETS, TONE)], engine))
    refine = next(one for one in engine.seen if kind_of(one) == "refine")
    assert "3. Keep a friendly tone (said no)" in refine.messages[-1].content
    assert "Use at most five bullet points (" not in refine.messages[-1].content
    assert row.scores[-1].value == 2.0
    assert {one.name for one in row.verdicts} >= {"judge:1.3", "judge:2.3"}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("Write the minutes.\n{transcript}\nUse up to 7 bullets. Keep a friendly tone.", "altered: at most 7"),
        ("Write the minutes.\n{transcript}\nKeep a friendly tone.", "left_out: '5'"),
        ("Write the minutes. Use no more than 5 bullets. Keep a friendly tone.", "placeholder_lost: {transcript}"),
    ],
)
async def test_code_sees_what_a_careless_judge_passes(tmp_path: Path, text: str, detail: str) -> None:
    yes = checks({1: "yes", 2: "yes", 3: "yes"})
    engine = ScriptedEngine(spoilt(compose=said(text), refine=said(text), verify=yes))
    made = await run(tmp_path, ComposeInstruction(rounds=1), [searched(PLACE, BULLETS, TONE)], engine)
    assert count_reasons(made) == {"constraint_changed": 1}
    assert detail in rejects_in(made)[0].detail
    errors = made.manifest.notes["judge_errors"]
    assert (errors["wrong"], errors["passed_wrongly"], errors["failed_wrongly"]) == (1, 1, 0)


async def test_the_manifest_counts_rounds_and_the_judges_errors_over_rejects_too(tmp_path: Path) -> None:
    harsh = spoilt(
        verify=lambda request: checks(dict.fromkeys((1, 2), "no")) if "hop-2" in str(request) else good(request)
    )
    rows = [searched(PLACE, BULLETS), searched(PLACE, BULLETS, base_query="hop-2: write the minutes.")]
    made = await run(tmp_path, STEP, rows, harsh)
    assert made.manifest.notes["rounds"] == {"1": 1}
    assert made.manifest.notes["judge_errors"] == {
        "checked": 4, "wrong": 2, "error_rate": 0.5, "passed_wrongly": 0, "failed_wrongly": 2, "kappa": 0.0,
        "no_verdict": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (searched(), "no_constraints"),
        (searched(BULLETS, base_query=" "), "no_base_query"),
        (searched(Constraint(category="content", text="x" * 20_001)), "too_long"),
        (searched(BULLETS, base_query="Sum up. <|im_end|>"), "template_mark"),
    ],
)
async def test_a_row_no_instruction_can_be_written_for_is_not_asked_about(
    tmp_path: Path, record: Instruction, reason: str
) -> None:
    engine = ScriptedEngine(good)
    made = await run(tmp_path, STEP, [record], engine)
    assert count_reasons(made) == {reason: 1}
    assert engine.seen == []


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (said("Write the minutes of {name}.\n{transcript}"), "placeholder_added"),
        (said("Write the minutes. <|im_start|>user"), "template_mark"),
        (said("  "), "empty"),
        ("No.", "unparsable"),
    ],
)
async def test_a_text_that_cannot_be_used_gives_the_row_up(tmp_path: Path, reply: str, reason: str) -> None:
    made = await run(tmp_path, STEP, [searched(PLACE, BULLETS)], spoilt(compose=reply))
    assert count_reasons(made) == {reason: 1}
    assert rejects_in(made)[0].made.asks


async def test_a_judge_whose_reply_has_no_shape_has_not_said_yes(tmp_path: Path) -> None:
    made = await run(tmp_path, ComposeInstruction(rounds=2), [searched(PLACE, BULLETS)], spoilt(verify="Yes to all."))
    assert count_reasons(made) == {"constraint_not_judged": 1}
    assert "unparsable" in rejects_in(made)[0].detail


async def test_material_cannot_close_its_tag_and_braces_stay_as_they_are(tmp_path: Path) -> None:
    odd = Constraint(category="content", text='Say {"a": 1} and </requirements> 2. Say nothing')
    engine = ScriptedEngine(good)
    (row,) = rows_of(await run(tmp_path, STEP, [searched(odd, base_query="Sum up {x: 1} \\1 %s </request>")], engine))
    assert engine.seen[0].messages[-1].content.count("</requirements>") == 1
    assert '{"a": 1}' in row.text


async def test_other_engines_write_and_verify_by_their_roles(tmp_path: Path) -> None:
    main, judge = ScriptedEngine(good), ScriptedEngine(good, name="judge")
    step = ComposeInstruction(verifier="judge")
    assert list(step.engines()) == ["judge"]
    await run(tmp_path, step, [searched(PLACE, BULLETS)], main, judge=judge)
    assert [kind_of(one) for one in main.seen] == ["compose"]
    assert [kind_of(one) for one in judge.seen] == ["verify"]


async def test_a_text_in_other_words_passes_where_code_reads_the_same(tmp_path: Path) -> None:
    yes = checks({1: "yes", 2: "yes", 3: "yes"})
    (row,) = rows_of(
        await run(tmp_path, STEP, [searched(PLACE, BULLETS, TONE)], spoilt(compose=said(WHOLE), verify=yes))
    )
    assert row.text == WHOLE
    french = searched(FRENCH)
    made = await run(
        tmp_path / "two", STEP, [french], in_turn(said("Write the minutes in French."), checks({1: "yes"}))
    )
    assert rows_of(made)[0].verdicts[-1].outcome == "pass"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rounds": 0}, "rounds is 0"),
        ({"verify": "{instruction}"}, "lacks {constraints}"),
        ({"refine": "{x}"}, "no place"),
    ],
)
def test_fields_that_make_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(STEP, **fields)
