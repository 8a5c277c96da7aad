from __future__ import annotations

import json
from pathlib import Path

import pytest

from mashbill.engine import Request, ScriptedEngine
from mashbill.store import Stored
from synth.generators.teacher_rationale import TeacherRationale
from synth.graders import FAITHFUL, Grading
from synth.rationale_hint import hint_leak
from synth.rationale_prompts import HINT
from tests.synth.rationale_helpers import SALT, asked, count_reasons, rejects_in, rows_of, run

STEP = TeacherRationale(task="maths", draws=2, hint_draws=2, round=3)
MARK = "Only for you"


def weak(told: str) -> ScriptedEngine:
    """A teacher that is wrong until it is told the answer."""
    return ScriptedEngine(lambda request: told if MARK in asked(request) else "3 + 4 = 7\n#### 7")


def everything(made: Stored) -> str:
    """All that is stored of a step but the ledger: rows, rejects and the records in them."""
    tables = [made.table(at) for at in range(len(made))] + [made.rejects(at) for at in range(len(made))]
    return json.dumps([table.to_pylist() for table in tables])


async def test_a_question_nobody_solved_is_drawn_again_with_the_answer_and_the_hint_is_stored_nowhere(
    tmp_path: Path,
) -> None:
    engine = weak("Each bag costs 4 marks, so 3 * 4 = 12\n#### 12")
    made = await run(tmp_path, STEP, [SALT], engine)
    (row,) = rows_of(made)
    assert (row.hinted, row.answer, row.round, row.pass_rate, row.distinct) == (True, "12", 3, 0.0, 1)
    assert row.question == SALT.question
    assert "hint_hidden" in {verdict.name for verdict in row.verdicts}
    assert count_reasons(made) == {"repeats_a_draw": 1, "wrong_answer": 2}
    assert MARK not in everything(made)
    assert "right answer is" not in everything(made)
    assert sum(MARK in asked(request) for request in engine.seen) == 2


async def test_a_question_that_was_solved_needs_no_hint(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda request: f"Way {request.seed}: 3 * 4 = 12\n#### 12")
    made = await run(tmp_path, STEP, [SALT], engine)
    assert [row.hinted for row in rows_of(made)] == [False, False]
    assert not any(MARK in asked(request) for request in engine.seen)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("As I was told, it is a dozen: 3 * 4 = 12\n#### 12", "hinted_hint_leaked"),
        ("Show the way there as one who finds it now. 3 * 4 = 12\n#### 12", "hinted_hint_leaked"),
        ("The answer is known to be a dozen: 3 * 4 = 12\n#### 12", "hinted_mentions_given_answer"),
        ("3 + 4 = 7\n#### 7", "hinted_wrong_answer"),
        ("3 * 5 = 12\n#### 12", "hinted_wrong_arithmetic"),
    ],
)
async def test_a_hinted_rationale_must_reach_the_answer_and_not_speak_of_it(
    tmp_path: Path, told: str, reason: str
) -> None:
    made = await run(tmp_path, STEP, [SALT], weak(told))
    assert rows_of(made) == []
    assert count_reasons(made) == {"wrong_answer": 2, reason: 2}
    assert {reject.text for reject in rejects_in(made)} == {told, "3 + 4 = 7\n#### 7"}


@pytest.mark.parametrize("faithful", [True, False])
async def test_a_grader_of_faithfulness_judges_hinted_rationales_alone(tmp_path: Path, faithful: bool) -> None:
    step = TeacherRationale(task="maths", hint_draws=1, faithfulness=Grading(graders=("judge",), criteria=FAITHFUL))
    said = json.dumps({"reason": "r", "verdict": "pass" if faithful else "fail"})
    judge = ScriptedEngine(lambda _: said, name="judge")
    made = await run(tmp_path, step, [SALT], weak("So 3 * 4 = 12\n#### 12"), judge=judge)
    assert [row.hinted for row in rows_of(made)] == [True] * faithful
    assert len(judge.seen) == 1
    assert "leads to the answer" in judge.seen[0].messages[0].content
    assert MARK not in asked(judge.seen[0])
    assert count_reasons(made) == {"wrong_answer": 1} | ({} if faithful else {"hinted_grader_failed": 1})


def test_an_honest_rationale_may_say_what_the_answer_is() -> None:
    for honest in ("So the right answer is 12.", "Now show that 3 * 4 = 12.", "Given 3 bags, the answer is 12."):
        assert hint_leak(honest, HINT) == ""
    for told in ("The hint says so.", "They marked it (CORRECT).", "You the right answer is 12", "the provided answer"):
        assert hint_leak(told, HINT)


async def test_questions_without_a_gold_answer_get_no_hint(tmp_path: Path) -> None:
    def alone(request: Request) -> str:
        return f"Number {request.seed}.\n#### {request.seed}"

    unknown = SALT.child(type(SALT), question=SALT.question, answer="")
    engine = ScriptedEngine(alone)
    await run(tmp_path, STEP, [unknown], engine)
    assert len(engine.seen) == 2
