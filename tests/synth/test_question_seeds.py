from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.exact_dedup import ExactDedup
from mashbill.errors import BadReply
from mashbill.execute import execute
from mashbill.records import QA, Instruction, Record
from mashbill.runtime import Runtime
from mashbill.store import Stored
from synth.generators.instruction_questions import InstructionQuestions
from synth.generators.question_seeds import QuestionSeeds
from synth.seed_text import seed_of_question
from tests.synth.rationale_helpers import count_reasons, rejects_in, rows_of, run

PLAIN = QuestionSeeds()


def qa(question: str, answer: str = "oil", options: tuple[str, ...] = (), **more: str) -> QA:
    return QA.new(question=question, answer=answer, options=options, **more)


async def seeds(root: Path, *rows: Record, step: QuestionSeeds = PLAIN, part_rows: int = 4) -> Stored:
    return await run(root, step, rows, {}, part_rows=part_rows)


@pytest.mark.parametrize(
    ("found", "question", "options", "answer"),
    [
        (qa("12. Which burns?\nA) salt\nB) oil", "B"), "Which burns?", ("salt", "oil"), "oil"),
        (qa("Q: Which burns?\n\n(a) salt\n(b) oil", "b) oil"), "Which burns?", ("salt", "oil"), "oil"),
        (
            qa("Question 3) Which burns?", "The answer is: B", ("A. salt", "B. oil")),
            "Which burns?",
            ("salt", "oil"),
            "oil",
        ),
        (qa("  Which \t burns? \r\n", " Oil ", ("salt", "oil")), "Which burns?", ("salt", "oil"), "oil"),
        (qa("3 bags cost 4 marks each. How many?", "12"), "3 bags cost 4 marks each. How many?", (), "12"),
        (qa("Sort:\nB) oil\nC) salt", "C, B"), "Sort:\nB) oil\nC) salt", (), "C, B"),
        (qa("1. Q: Who burns?", "Answer: the answer is oil"), "Who burns?", (), "oil"),
        (qa("What is f(2)?\ndef f(x):\n    return  x", "2"), "What is f(2)?\ndef f(x):\n    return  x", (), "2"),
        (qa("Cafe\u0301 or tea?", "answer: tea"), "Café or tea?", (), "tea"),
    ],
)
def test_a_question_is_written_as_all_seeds_are(
    found: QA, question: str, options: tuple[str, ...], answer: str
) -> None:
    made = seed_of_question(found)
    assert (made.question, made.options, made.answer) == (question, options, answer)
    assert made.id == found.id or made.parents == (found.id,)
    assert made.source_id == found.source_id


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=20), st.lists(st.text(min_size=1, max_size=8), max_size=4))
def test_a_seed_made_again_is_itself(question: str, answer: str, options: list[str]) -> None:
    try:
        once = seed_of_question(qa(question, answer, tuple(options)))
    except BadReply:
        return
    try:
        twice = seed_of_question(once)
    except BadReply as bad:
        raise AssertionError(f"a seed is no seed: {bad}") from bad
    assert (twice.question, twice.options, twice.answer) == (once.question, once.options, once.answer)


async def test_what_cannot_be_a_seed_is_rejected_with_its_reason(tmp_path: Path) -> None:
    made = await seeds(
        tmp_path,
        qa("Which burns?"),
        qa("  ??  "),
        qa("Which shines?", " "),
        qa("Which is wet?", "sea", ("the sea", "sea", "oil")),
        qa("Which is dry?", "sand", ("sea", "oil")),
    )
    assert count_reasons(made) == {"empty_question": 1, "no_answer": 1, "repeated_option": 1, "answer_no_option": 1}
    assert [one.question for one in rows_of(made)] == ["Which burns?"]
    details = {one.reason: one.detail for one in rejects_in(made)}
    assert details["repeated_option"] == "the options 'the sea' and 'sea' say the same"
    assert details["answer_no_option"] == "the answer 'sand' names 0 of the 2 options, 1 wanted"
    assert all(one.record for one in rejects_in(made))


async def test_made_alike_questions_from_two_files_are_seen_to_repeat_and_to_contradict(tmp_path: Path) -> None:
    rows = [
        qa("Who pays?", "Ora", source="a"),
        qa("1. Who pays?", "the guild", source="b"),
        qa("Q: Which burns?\nA) salt\nB) oil", "B"),
        qa("Which burns?", "oil", ("salt", "oil")),
        qa("Who sings?", "Perrick"),
    ]
    alike = await seeds(tmp_path, *rows, part_rows=2)
    made = await execute(ExactDedup(), alike, Runtime(root=tmp_path))
    assert count_reasons(made) == {"conflicting_answers": 2, "exact_duplicate": 1}
    assert sorted(one.question for one in rows_of(made)) == ["Which burns?", "Who sings?"]


async def test_questions_without_an_answer_can_be_let_through(tmp_path: Path) -> None:
    step = QuestionSeeds(need_answer=False)
    assert [row.answer for row in rows_of(await seeds(tmp_path, qa("Who pays?", ""), step=step))] == [""]


async def test_instructions_with_short_responses_are_questions(tmp_path: Path) -> None:
    rows = [
        Instruction.new(text="Name the capital.", context="Of Norway.", response="Oslo"),
        Instruction.new(text="Tell a tale.", response="Once " * 40),
        Instruction.new(text="Sing.", response=" "),
        Instruction.new(text=" ", response="x"),
    ]
    made = await run(tmp_path, InstructionQuestions(), rows, {})
    (row,) = rows_of(made)
    assert (row.question, row.context, row.answer, row.kind) == ("Name the capital.", "Of Norway.", "Oslo", "open")
    assert (row.parents, row.source_id) == ((rows[0].id,), rows[0].source_id)
    assert count_reasons(made) == {"answer_too_long": 1, "no_answer": 1, "empty_question": 1}
    assert len(rows_of(await run(tmp_path / "b", InstructionQuestions(most_words=0), rows, {}))) == 2
    with pytest.raises(ValueError, match="most_words is -1"):
        InstructionQuestions(most_words=-1)
