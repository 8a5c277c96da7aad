from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.engine import Reply, Request, Sampling, ScriptedEngine
from mashbill.records import QA
from synth.exemplars import FewShot, Written
from synth.generators.teacher_rationale import TeacherRationale
from synth.graders import Grading
from synth.rationale_draws import GOLD
from synth.rationale_prompts import TASKS
from tests.support.kernel import bytes_of, hashed
from tests.synth.rationale_helpers import SALT, asked, count_reasons, cut, in_turn, rejects_in, rows_of, run

MATHS = TeacherRationale(task="maths", draws=4)
GOOD = "Each bag costs 4 marks. 3 * 4 = 12\n#### 12"
ADDED = "4 + 4 = 8 marks for two bags, and 8 + 4 = 12 for three.\n#### 12"


def with_answer(answer: str, **fields: Any) -> QA:
    return QA.new(question=SALT.question, answer=answer, **fields)


async def test_every_draw_is_a_row_or_a_reject_with_its_reason_and_its_text(tmp_path: Path) -> None:
    teacher = in_turn(GOOD, "3 * 4 = 11\n#### 11", "3 * 4 = 13, so 12.\n#### 12", cut("3 * 4 = 12 and 3 * 4"))
    made = await run(tmp_path, MATHS, [SALT], teacher)
    (row,) = rows_of(made)
    assert (row.rationale, row.answer, row.gold) == ("Each bag costs 4 marks. 3 * 4 = 12", "12", "12")
    assert (row.task, row.question, row.teacher, row.draw, row.draws) == ("maths", SALT.question, "main", 0, 4)
    assert (row.pass_rate, row.distinct, row.skeleton, row.hinted) == (0.5, 1, "3*4=12", False)
    assert (row.source_id, row.parents, row.domain) == (SALT.source_id, (SALT.id,), "Veylund")
    assert row.made.finish_reason == "stop"
    assert row.made.seed
    assert row.verified
    assert {"answer", "arithmetic"} <= {verdict.name for verdict in row.verdicts}
    assert count_reasons(made) == {"truncated": 1, "wrong_answer": 1, "wrong_arithmetic": 1}
    wrong = {reject.reason: reject for reject in rejects_in(made)}
    assert wrong["wrong_answer"].text == "3 * 4 = 11\n#### 11"
    assert wrong["wrong_answer"].subjects == ("teacher:main", "draw:1")
    assert wrong["wrong_answer"].made.asks
    assert "13" in wrong["wrong_arithmetic"].detail


BAD: list[tuple[str | Reply, str]] = [
    ("Each bag costs 4 marks and there are 3.", "no_final_answer"),
    ("3 * 4 = 12\n#### 12\nNo, 3 + 4 = 7\n#### 7", "two_final_answers"),
    ("3 * 4 = 12 of course.\n#### twelve hundred", "wrong_answer"),
    ("3 * 4 = 12 of course.\n#### 12 hours", "unit_mismatch"),
    ("#### 12", "no_rationale"),
    (cut("3 * 4 = 12. " * 500), "truncated"),
    ("It goes on. " * 150 + "\n#### 12", "too_long"),
    (
        "Jede Tüte kostet vier Mark, und die Händlerin verkauft davon drei Stück, also bekommt sie zusammen zwölf Mark "
        "für das Salz.\n#### 12",
        "other_language",
    ),
    ("2 ** 3 ** 99 ** 99 = 7 and so 3 * 4 = 13.\n#### 12", "wrong_arithmetic"),
    ("Reply: __import__('os').system('touch owned') = 12", "no_final_answer"),
    (Reply(text="#### 1", finish_reason="content_filter", prompt_tokens=1, completion_tokens=1), "filtered"),
    ("   ", "empty"),
]


@pytest.mark.parametrize(("reply", "reason"), BAD, ids=[reason for _, reason in BAD])
async def test_a_reply_that_does_not_hold_is_a_reject(tmp_path: Path, reply: str | Reply, reason: str) -> None:
    gold = with_answer("12 marks" if reason != "unit_mismatch" else "12 minutes")
    made = await run(tmp_path, TeacherRationale(task="maths"), [gold], lambda _: reply)
    assert rows_of(made) == []
    assert count_reasons(made) == {reason: 1}


async def test_an_answer_in_words_is_the_number_it_names(tmp_path: Path) -> None:
    made = await run(tmp_path, TeacherRationale(task="maths"), [SALT], lambda _: "3 * 4 = 12\n#### twelve")
    assert [row.answer for row in rows_of(made)] == ["twelve"]


@pytest.mark.parametrize("answer", ["about a dozen or so", "12 or 13", "(("])
async def test_a_gold_answer_that_cannot_be_read_is_found_before_anything_is_paid(tmp_path: Path, answer: str) -> None:
    engine = ScriptedEngine(lambda _: GOOD)
    made = await run(tmp_path, MATHS, [with_answer(answer)], engine)
    assert count_reasons(made) == {"gold_unreadable": 1}
    assert engine.seen == []


@given(text=st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_reply_at_all_is_a_row_or_a_reject(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("any")
    made = asyncio.run(run(root, TeacherRationale(task="maths"), [SALT], lambda _: text))
    counts = made.manifest.counts
    assert counts.attempts == 1 == counts.kept + counts.rejects


async def test_the_rationale_that_came_with_a_question_is_kept_first_and_never_replaced(tmp_path: Path) -> None:
    question = with_answer("12", rationale="She gets 3*4=<<3*4=12>>12 marks.")
    made = await run(tmp_path, MATHS, [question], in_turn(GOOD, ADDED))
    rows = rows_of(made)
    assert [row.teacher for row in rows] == [GOLD, "main", "main"]
    assert rows[0].rationale == question.rationale
    assert rows[0].distinct == rows[1].distinct == 2
    assert rows[0].made.step_fingerprint == made.manifest.fingerprint
    assert count_reasons(made) == {"repeats_a_draw": 2}
    without = await run(
        tmp_path / "without", TeacherRationale(task="maths", keep_gold=False), [question], in_turn(GOOD)
    )
    assert [row.teacher for row in rows_of(without)] == ["main"]


async def test_draws_of_several_teachers_are_pooled(tmp_path: Path) -> None:
    step = TeacherRationale(task="maths", teachers=("main", "big"), draws=2)
    big = ScriptedEngine(in_turn(ADDED, "No."), name="big")
    made = await run(tmp_path, step, [SALT], in_turn(GOOD, "#### 3"), big=big)
    rows = rows_of(made)
    assert [(row.teacher, row.draw, row.draws, row.pass_rate) for row in rows] == [
        ("main", 0, 4, 0.5),
        ("big", 0, 4, 0.5),
    ]
    assert rows[0].distinct == 2
    assert rows[1].made.engine == "scripted/big"


async def test_without_a_gold_answer_the_draws_decide(tmp_path: Path) -> None:
    unknown = with_answer("")
    most = in_turn(GOOD, "3 + 4 = 7\n#### 7", ADDED, "Bags and marks: 3 * 4 = 12.\n#### 12", "I do not know.")
    step = TeacherRationale(task="maths", draws=5)
    rows = rows_of(made := await run(tmp_path, step, [unknown], most))
    assert [(row.answer, row.gold, row.pass_rate) for row in rows] == [("12", None, 0.6)] * 3
    assert {verdict.name for verdict in rows[0].verdicts} >= {"self_consistency"}
    assert count_reasons(made) == {"minority_answer": 1, "no_final_answer": 1}


@pytest.mark.parametrize(
    ("replies", "share"),
    [(("1", "2", "3", "4"), "none"), (("1", "1", "2", "2"), "none"), (("1", "1", "2", "3"), "50%")],
)
async def test_draws_that_do_not_agree_enough_are_all_out(tmp_path: Path, replies: tuple[str, ...], share: str) -> None:
    teacher = in_turn(*(f"I think of bags.\n#### {one}" for one in replies))
    made = await run(tmp_path, MATHS, [with_answer("")], teacher)
    assert count_reasons(made) == {"no_majority": 4}
    assert rejects_in(made)[0].detail.startswith(f"{share} of 4 draws agree")


async def test_an_answer_that_is_no_option_is_out_and_a_letter_stands_for_its_text(tmp_path: Path) -> None:
    question = QA.new(question="What did the guild sell?", options=("oak", "salt"), answer="salt")
    teacher = in_turn("It sold salt.\n#### B", "It sold tar.\n#### tar", "Salt.\n#### salt", "Both are sold.\n#### A")
    made = await run(tmp_path, TeacherRationale(draws=4), [question], teacher)
    assert [row.answer for row in rows_of(made)] == ["salt", "salt"]
    assert count_reasons(made) == {"answer_not_allowed": 1, "wrong_answer": 1}


async def test_labels_are_offered_by_name_and_json_replies_are_held_to_them(tmp_path: Path) -> None:
    question = QA.new(question="Salt is dear this year!", options=("praise", "blame"), answer="blame")
    engine = ScriptedEngine(lambda _: json.dumps({"reason": "Dear is a complaint.", "answer": "blame"}))
    step = TeacherRationale(task="classification", form="json")
    (row,) = rows_of(await run(tmp_path, step, [question], engine))
    assert (row.rationale, row.answer, row.options) == ("Dear is a complaint.", "blame", ("praise", "blame"))
    assert "Labels: praise, blame" in asked(engine.seen[0])
    assert json.loads(engine.seen[0].schema)["properties"]["answer"]["enum"] == ["praise", "blame"]


async def test_malformed_json_is_one_failed_draw_and_not_asked_again(tmp_path: Path) -> None:
    question = QA.new(question="Salt is dear!", options=("praise", "blame"), answer="blame")
    engine = ScriptedEngine(in_turn('{"reason": "x", "answer": "neither"}', "{", cut('{"reason": "x'), "[]"))
    made = await run(tmp_path, TeacherRationale(task="classification", form="json", draws=4), [question], engine)
    assert count_reasons(made) == {"truncated": 1, "unparsable": 3}
    assert len(engine.seen) == 4


async def test_a_conversation_keeps_its_turns_and_is_not_compared(tmp_path: Path) -> None:
    talk = QA.new(
        context="User: Hello!\nAssistant: Good day.", question="User: Where is salt sold?", answer="In the bay"
    )
    teacher = ScriptedEngine(lambda _: json.dumps({"reason": "A place is wanted.", "answer": "At the quay.\nEarly."}))
    (row,) = rows_of(await run(tmp_path, TeacherRationale(task="conversation"), [talk], teacher))
    assert (row.answer, row.context, row.pass_rate) == ("At the quay.\nEarly.", talk.context, None)
    assert asked(teacher.seen[0]).startswith("User: Hello!")


async def test_labels_alone_can_be_distilled_without_gold(tmp_path: Path) -> None:
    note = QA.new(context="Fen took willow bark and got a rash.", question="Which drugs and harms?", answer="")
    step = TeacherRationale(task="extraction", answer_only=True)
    engine = ScriptedEngine(lambda _: json.dumps({"answer": "willow bark; rash"}))
    (row,) = rows_of(await run(tmp_path, step, [note], engine))
    assert (row.rationale, row.answer, row.gold, row.skeleton) == ("", "willow bark; rash", None, "")
    assert "reason" not in json.loads(engine.seen[0].schema)["properties"]


async def test_one_of_several_right_answers_is_enough(tmp_path: Path) -> None:
    question = QA.new(question="Who led the guild?", answer="Ora Venn", accepted=("Ora Venn", "the Founder"))
    made = await run(tmp_path, TeacherRationale(), [question], lambda _: "She founded it.\n#### The founder")
    assert len(rows_of(made)) == 1


VERDICT = {True: '{"reason": "It follows.", "verdict": "pass"}', False: '{"reason": "A gap.", "verdict": "fail"}'}


@pytest.mark.parametrize(("one", "two"), [(True, True), (True, False), (False, True), (False, False)])
async def test_graders_are_asked_last_and_must_all_agree(tmp_path: Path, one: bool, two: bool) -> None:
    step = TeacherRationale(task="maths", draws=2, grading=Grading(graders=("first", "second")))
    first, second = ScriptedEngine(lambda _: VERDICT[one], name="a"), ScriptedEngine(lambda _: VERDICT[two], name="b")
    teacher = in_turn(GOOD, "3 * 4 = 11\n#### 11")
    made = await run(tmp_path, step, [SALT], teacher, first=first, second=second)
    assert len(first.seen) == len(second.seen) == 1, "a wrong answer is not graded"
    if one and two:
        (row,) = rows_of(made)
        assert [verdict.name for verdict in row.verdicts][-2:] == ["grader:first", "grader:second"]
    else:
        assert count_reasons(made) == {"grader_failed": 1, "wrong_answer": 1}
    assert made.manifest.identity["engines"] == {"first": "scripted/a", "second": "scripted/b"}


async def test_a_grader_that_does_not_answer_is_no_yes(tmp_path: Path) -> None:
    step = TeacherRationale(task="maths", grading=Grading(graders=("first",)))
    made = await run(tmp_path, step, [SALT], lambda _: GOOD, first=ScriptedEngine(lambda _: "Yes", name="a"))
    assert count_reasons(made) == {"grader_error": 1}


async def test_examples_are_shown_and_named_on_rows_and_rejects(tmp_path: Path) -> None:
    example = Written(question="Two pans give 5 weights each. How many?", worked="2 * 5 = 10\n#### 10")
    step = TeacherRationale(task="maths", draws=2, few_shot=FewShot(shots=1, written=(example,)))
    engine = ScriptedEngine(in_turn(GOOD, "#### 1"))
    made = await run(tmp_path, step, [SALT], engine)
    (row,), (reject,) = rows_of(made), rejects_in(made)
    assert "Two pans" in asked(engine.seen[0])
    assert asked(engine.seen[0]).endswith(SALT.question)
    assert row.exemplars == (example.exemplar().id,)
    assert f"exemplar:{example.exemplar().id}" in reject.subjects
    assert "Two pans" not in row.question + row.context + row.rationale


async def test_more_draws_keep_the_first_ones(tmp_path: Path) -> None:
    def teacher(request: Request) -> str:
        return f"Number {request.seed} of bags: 3 * 4 = 12\n#### 12"

    few = rows_of(await run(tmp_path / "a", TeacherRationale(task="maths", draws=2), [SALT], teacher))
    more = rows_of(await run(tmp_path / "b", TeacherRationale(task="maths", draws=4), [SALT], teacher))
    assert [row.rationale for row in few] == [row.rationale for row in more][:2]


def noisy(request: Request) -> str | Reply:
    """A teacher with a known error rate: right three times of five, else one of four faults."""
    number = hashed(request) % 10
    faults: dict[int, str | Reply] = {0: "3 * 4 = 13\n#### 12", 1: "No idea.", 2: "3 + 4 = 7\n#### 7", 3: cut("3 * 4")}
    return faults.get(number, f"By way {number}: 3 * 4 = 12\n#### 12")


async def test_bytes_do_not_depend_on_how_it_is_run_nor_on_a_restart(tmp_path: Path) -> None:
    questions = [with_answer("12", context=f"Day {day}.") for day in range(12)]
    first = await run(tmp_path / "a", MATHS, questions, noisy)
    counts = first.manifest.counts
    assert counts.attempts == 48 == counts.kept + counts.rejects
    again = await run(tmp_path / "b", MATHS, questions, ScriptedEngine(noisy, batch=3, calls=1))
    assert bytes_of(first.path) == bytes_of(again.path)
    before = bytes_of(first.path)
    shutil.rmtree(first.path)
    silent = ScriptedEngine({})
    assert bytes_of((await run(tmp_path / "a", MATHS, questions, silent)).path) == before
    assert silent.seen == []


def test_fields_that_make_nothing_are_refused() -> None:
    for wrong, message in (
        ({"draws": 0}, "draws is 0"),
        ({"draws": 2, "sampling": Sampling(temperature=0)}, "temperature 0"),
        ({"teachers": ()}, "teachers is"),
        ({"teachers": ("main", "main")}, "teachers is"),
        ({"teachers": ("gold",)}, "a teacher is called gold"),
        ({"majority": 0.0}, "majority is 0.0"),
        ({"max_words": 0}, "max_words is 0"),
        ({"hint_draws": -1}, "hint_draws is -1"),
        ({"hint": "no place"}, "lacks {answer}"),
        ({"task": "conversation", "hint_draws": 1}, "not compared"),
        ({"hint_draws": 2, "sampling": Sampling(temperature=0)}, "hint_draws is 2 at temperature 0"),
    ):
        with pytest.raises(ValueError, match=message):
            TeacherRationale(**wrong)


def test_the_task_decides_what_is_not_given_and_that_is_identity() -> None:
    assert TeacherRationale(task="maths").instruction == TASKS["maths"].reasoned
    assert TeacherRationale(task="maths", answer_only=True).instruction == TASKS["maths"].direct
    assert TeacherRationale(task="maths", instruction="Solve.").instruction == "Solve."
    assert TeacherRationale(matcher="numeric") == TeacherRationale(matcher={"numeric": {"tolerance": 1e-3}})
    assert TeacherRationale(
        teachers=("main", "b"), grading=Grading(graders=("c",)), faithfulness=Grading(graders=("d",))
    ).engines() == ("b", "c")
