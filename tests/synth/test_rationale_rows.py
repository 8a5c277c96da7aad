"""Which draws become one row, what counts as a fault, how graders agree, and rationales that no teacher wrote."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.counts import Counts
from mashbill.engine import Request, ScriptedEngine
from mashbill.errors import TooManyRejects
from mashbill.execute import execute
from mashbill.exemplars import write_bank
from mashbill.filter_stack import FilterStack
from mashbill.ingest import ingest
from mashbill.records import QA, Rationale
from mashbill.registry import load
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.sources.read_qa import ReadQa
from mashbill.store import Stored
from synth.exemplars import FewShot
from synth.generators.gold_rationales import GoldRationales
from synth.generators.teacher_rationale import TeacherRationale
from synth.graders import Grading
from synth.rationale_bank import exemplars_of
from tests.support.kernel import bytes_of, hashed, store
from tests.synth.rationale_helpers import SALT, count_reasons, in_turn, rejects_in, rows_of, run

NOTE = QA.new(question="Salt is dear!", options=("praise", "blame", "none"), answer="blame")
LABELS = TeacherRationale(task="classification", answer_only=True, draws=8)


async def test_equal_labels_are_one_row_with_their_share(tmp_path: Path) -> None:
    teacher = in_turn("#### blame", "#### Blame", "#### praise", "#### blame", "blame", "#### blame", "blame", "blame")
    made = await run(tmp_path, LABELS, [NOTE], teacher)
    (row,) = rows_of(made)
    assert (row.answer, row.pass_rate, row.draws) == ("blame", 7 / 8, 8)
    assert count_reasons(made) == {"same_label": 6, "wrong_answer": 1}
    assert all(one.made.asks and row.id in one.detail for one in rejects_in(made) if one.reason == "same_label")


async def test_open_labels_that_the_matcher_holds_to_be_one_are_one_row(tmp_path: Path) -> None:
    step = TeacherRationale(task="extraction", answer_only=True, draws=3)
    teacher = in_turn(*(json.dumps({"answer": one}) for one in ("salt; rash", "rash; salt", "Rash;  salt")))
    made = await run(tmp_path, step, [QA.new(question="Which?", answer="")], teacher)
    assert [(row.answer, row.pass_rate) for row in rows_of(made)] == [("salt; rash", 1.0)]
    assert count_reasons(made) == {"same_label": 2}


async def test_a_teacher_that_always_says_the_same_is_not_stopped_for_it(tmp_path: Path) -> None:
    questions = [QA.new(question=f"{SALT.question} Day {day}.", answer="12") for day in range(10)]
    step = TeacherRationale(task="maths", draws=8)
    made = await run(tmp_path, step, questions, lambda _: "3 * 4 = 12\n#### 12")
    counts = made.manifest.counts
    assert (counts.kept, counts.rejected) == (10, {"repeats_a_draw": 70})
    assert not RejectPolicy().broken_by(counts)
    assert {row.pass_rate for row in rows_of(made)} == {1.0}


@given(faults=st.integers(0, 99), repeats=st.integers(0, 99), kept=st.integers(0, 99))
def test_only_faults_count_against_the_share_and_every_attempt_is_in_it(faults: int, repeats: int, kept: int) -> None:
    counts = Counts(attempts=faults + repeats + kept, kept=kept, rejected={"same_label": repeats, "truncated": faults})
    assert RejectPolicy(share=0.5, after=1).broken_by(counts) is (2 * faults > counts.attempts)


async def test_one_draw_without_gold_measures_nothing(tmp_path: Path) -> None:
    unknown = QA.new(question=SALT.question, answer=" ")
    (row,) = rows_of(await run(tmp_path, TeacherRationale(task="maths"), [unknown], lambda _: "3 * 4 = 12\n#### 12"))
    assert (row.pass_rate, row.gold, row.draws) == (None, None, 1)


async def test_an_answer_that_is_no_option_is_nobodys_vote(tmp_path: Path) -> None:
    question = QA.new(question="What did the guild sell?", options=("oak", "salt"), answer="")
    teacher = in_turn("Tar it was.\n#### tar", "It was salt.\n#### salt", "Tar!\n#### tar", "All say salt.\n#### salt")
    made = await run(tmp_path, TeacherRationale(draws=4, majority=0.5), [question], teacher)
    assert [(row.answer, row.pass_rate) for row in rows_of(made)] == [("salt", 0.5)] * 2
    assert count_reasons(made) == {"answer_not_allowed": 2}


async def test_examples_of_one_label_question_are_told_apart_by_their_text(tmp_path: Path) -> None:
    ask = "Is this note praise or blame?"
    notes = [QA.new(question=ask, context=f"The salt was {how}.", answer="x") for how in ("good", "dear", "late")]
    rows = [one.child(Rationale, question=ask, context=one.context, rationale="r", answer="x") for one in notes[:2]]
    write_bank(tmp_path / "b.parquet", exemplars_of(rows))
    few = FewShot(shots=2, people=0, bank=str(tmp_path / "b.parquet"))
    step = TeacherRationale(task="classification", few_shot=few)
    assert len(step.shown(notes[2]).ids) == 2
    assert len(step.shown(notes[0]).ids) == 1, "never its own"


VERDICTS = {
    "p": '{"reason": "It follows.", "verdict": "pass"}',
    "f": '{"reason": "A gap.", "verdict": "fail"}',
    "e": "?",
}


def judge(name: str, says: str) -> ScriptedEngine:
    def script(request: Request) -> str:
        # Asked again, its last message is about its reply.
        day = int(request.messages[1].content.split("Day ")[1].split(".")[0])
        return VERDICTS[says[day]]

    return ScriptedEngine(script, name=name)


async def test_how_often_two_graders_agree_stands_in_the_manifest(tmp_path: Path) -> None:
    questions = [QA.new(question=f"{SALT.question} Day {day}.", answer="12") for day in range(6)]
    step = TeacherRationale(task="maths", grading=Grading(graders=("one", "two")))
    teacher = ScriptedEngine(lambda _: "3 * 4 = 12\n#### 12")
    made = await run(tmp_path, step, questions, teacher, one=judge("a", "pppffe"), two=judge("b", "ppffpp"))
    assert made.manifest.notes["graders"]["one, two"] == {
        "items": 5,
        "agree": 0.6,
        "kappa": 0.1667,
        "no_verdict": 1,
        "both_pass": 2,
        "first_alone": 1,
        "second_alone": 1,
        "both_fail": 1,
    }
    failed = next(one for one in rejects_in(made) if one.reason == "grader_failed")
    assert {one.name for one in failed.verdicts} == {"answer", "arithmetic", "grader:one", "grader:two", "leaks"}
    alone = await run(tmp_path / "x", TeacherRationale(task="maths"), questions, lambda _: "3 * 4 = 12\n#### 12")
    assert alone.manifest.notes == {}


async def test_what_questions_came_with_becomes_rationales_without_a_model(tmp_path: Path) -> None:
    full = QA.new(question="a?", answer="12", rationale=" 3*4=<<3*4=12>>12 ", domain="Veylund", pass_rate=0.25)
    rows = [full, QA.new(question="b?", answer="7"), QA.new(question="c?", answer="", rationale="Nobody knows.")]
    made = await execute(GoldRationales(task="maths"), store(tmp_path, rows, 2), Runtime(root=tmp_path))
    (row,) = rows_of(made)
    assert (row.rationale, row.answer, row.gold, row.teacher) == ("3*4=<<3*4=12>>12", "12", "12", "gold")
    assert (row.task, row.skeleton, row.draws, row.pass_rate) == ("maths", "3*4=12", 0, 0.25)
    assert (row.parents, row.source_id, row.domain) == ((full.id,), full.source_id, "Veylund")
    assert count_reasons(made) == {"no_answer": 1, "no_rationale": 1}
    assert made.manifest.counts.read == made.manifest.counts.attempts == 3


async def test_gsm8ks_own_solutions_can_be_verified_and_chosen_among(tmp_path: Path) -> None:
    if not os.environ.get("MASHBILL_DATA"):
        pytest.skip("MASHBILL_DATA names no folder with gsm8k_train_500.jsonl")
    path = Path(os.environ["MASHBILL_DATA"]) / "gsm8k_train_500.jsonl"
    runtime = Runtime(root=tmp_path)
    stored = ingest(ReadQa(path=str(path), marker="####", readable_by="numeric"), path, runtime)
    made = await execute(GoldRationales(task="maths"), stored, runtime)
    assert (made.manifest.counts.kept, made.manifest.counts.rejected) == (500, {})
    assert sum(not row.skeleton for row in rows_of(made)) == 0
    checked = await execute(FilterStack(filters=(load("step", "trace_arithmetic")(),)), made, runtime)
    assert checked.manifest.counts.kept >= 480, checked.manifest.counts.rejected
    assert (await execute(load("step", "skeleton_dedup")(), checked, runtime)).manifest.counts.rejected == {}


async def test_a_stop_names_the_faults_and_not_the_repeats(tmp_path: Path) -> None:
    questions = [QA.new(question=f"{SALT.question} Day {day}.", answer="12") for day in range(10)]
    good, bad = "3 * 4 = 12\n#### 12", "3 + 4 = 7\n#### 7"
    step = TeacherRationale(task="maths", draws=8)
    made = await run(tmp_path, step, questions, in_turn(good, good, good, bad), share=0.25)
    assert made.manifest.counts.rejected == {"repeats_a_draw": 50, "wrong_answer": 20}
    with pytest.raises(TooManyRejects, match=r"20 of 80 attempts .* more than the 20%.*: wrong_answer 20\."):
        await run(tmp_path, step, questions, ScriptedEngine({}), share=0.2)


async def test_two_teachers_a_hint_and_a_restart_give_the_same_bytes_and_no_trace_of_the_hint(tmp_path: Path) -> None:
    def teacher(request: Request) -> str:
        told = "Only for you" in request.messages[-1].content
        if not told and hashed(request) % 4:
            return "3 + 4 = 7\n#### 7"
        return f"By way {hashed(request) % 3}, 3 * 4 = 12\n#### 12"

    questions = [QA.new(question=f"{SALT.question} Day {day}.", answer="12") for day in range(12)]
    step = TeacherRationale(task="maths", draws=1, teachers=("main", "big"), hint_draws=2)

    async def again(root: Path, **how: Any) -> Stored:
        big = ScriptedEngine(teacher, name="big", **how)
        return await run(root, step, questions, ScriptedEngine(teacher, **how), big=big)

    made, other = await again(tmp_path / "a"), await again(tmp_path / "b", batch=2, calls=1)
    before = bytes_of(made.path)
    assert before == bytes_of(other.path)
    rows = rows_of(made)
    assert {row.hinted for row in rows} == {True, False}
    assert all(row.pass_rate == 0 for row in rows if row.hinted)
    stored = json.dumps([made.table(at).to_pylist() + made.rejects(at).to_pylist() for at in range(len(made))])
    assert not any(told in stored for told in ("Only for you", "right answer is", "never say"))
    assert exemplars_of([row for row in rows if row.hinted]) == []
    shutil.rmtree(made.path)
    silent = ScriptedEngine({}), ScriptedEngine({}, name="big")
    assert bytes_of((await run(tmp_path / "a", step, questions, silent[0], big=silent[1])).path) == before
