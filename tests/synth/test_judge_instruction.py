from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mashbill.engine import Request, ScriptedEngine
from mashbill.records import Instruction
from synth.generators.judge_instruction import JudgeInstruction
from synth.generators.on_task import OnTask
from tests.synth.rationale_helpers import count_reasons, rejects_in, rows_of, run
from tests.synth.tcia_teacher import BASE, BULLETS, good, searched, spoilt


def written(number: int = 0, **fields: Any) -> Instruction:
    return searched(BULLETS, number=number, **{"text": f"{BASE} Use 5 bullets. {number}", **fields})


def mark(score: int) -> str:
    return json.dumps({"reason": f"It is a {score}.", "score": score})


async def test_both_marks_stand_on_the_row_whose_id_stays(tmp_path: Path) -> None:
    engine = ScriptedEngine(spoilt(consistency=mark(4)))
    (row,) = rows_of(await run(tmp_path, JudgeInstruction(), [written()], engine))
    assert row.id == written().id
    assert {one.name: one.value for one in row.scores} == {"validity": 5.0, "consistency": 4.0}
    assert [(one.name, one.outcome, one.detail) for one in row.verdicts] == [
        ("validity", "pass", "5: It holds."),
        ("consistency", "pass", "4: It is a 4."),
    ]
    assert len(engine.seen) == 2, "a prompt for each"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (spoilt(validity=mark(3)), "low_validity"),
        (spoilt(consistency=mark(3)), "low_consistency"),
        (spoilt(validity=mark(1), consistency=mark(1)), "low_validity"),
        (spoilt(validity="No."), "validity_not_judged"),
        (spoilt(consistency=json.dumps({"reason": "", "score": 0})), "consistency_not_judged"),
        (spoilt(validity="No.", consistency=mark(2)), "low_consistency"),
        (spoilt(validity=json.dumps({"reason": "good"})), "validity_not_judged"),
    ],
)
async def test_a_mark_below_the_threshold_or_missing_rejects_with_its_reason(
    tmp_path: Path, script: Any, reason: str
) -> None:
    made = await run(tmp_path, JudgeInstruction(), [written()], script)
    assert count_reasons(made) == {reason: 1}
    (reject,) = rejects_in(made)
    assert reject.text == written().text
    assert {one.name for one in reject.verdicts} == {"validity", "consistency"}


async def test_the_thresholds_are_the_bills_and_the_histogram_has_what_was_rejected(tmp_path: Path) -> None:
    def by_number(request: Request) -> str:
        return "No." if "bullets. 9" in str(request) else mark(int(str(request).split("bullets. ")[1][0]))

    rows = [written(number) for number in (1, 3, 3, 5, 9)]
    made = await run(tmp_path, JudgeInstruction(min_validity=3), rows, spoilt(validity=by_number))
    assert len(rows_of(made)) == 3
    assert made.manifest.notes["marks"] == {"validity": {"1": 1, "3": 2, "5": 1, "none": 1}, "consistency": {"5": 5}}


async def test_a_row_without_a_text_is_told_what_is_missing(tmp_path: Path) -> None:
    for step in (JudgeInstruction(), OnTask()):
        made = await run(tmp_path / step.name, step, [searched(BULLETS)], good)
        assert count_reasons(made) == {"no_text": 1}


async def test_on_task_rejects_nothing_and_counts_by_hop(tmp_path: Path) -> None:
    def judge(request: Request) -> str:
        return "Perhaps." if "bullets. 8" in str(request) else json.dumps({"reason": "Poems.", "verdict": "no"})

    step = OnTask(judge="judge")
    assert list(step.engines()) == ["judge"]
    rows = [written(7, hop=1), written(8, hop=1), written(9, hop=3)]
    other = ScriptedEngine(judge)
    made = await run(tmp_path, step, rows, good, judge=other)
    assert [row.verdicts[-1].outcome for row in rows_of(made)] == ["fail", "error", "fail"]
    assert made.manifest.notes["on_task"] == {
        "1": {"pass": 0, "fail": 1, "error": 1},
        "3": {"pass": 0, "fail": 1, "error": 0},
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"min_validity": 6}, "min_validity is 6"), ({"validity": "{x}"}, "no place"), ({"consistency": ""}, "lacks")],
)
def test_thresholds_and_prompts_that_judge_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JudgeInstruction(**fields)
