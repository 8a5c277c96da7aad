"""Confident errors become new questions; what repeats one, or cannot be answered, does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mashbill.records import QA, Verdict
from synth.generators.hard_negatives import HardNegatives
from tests.synth.rationale_helpers import count_reasons, rejects_in, rows_of, run

ERROR = QA.new(
    question="Who led the Salt Guild?",
    options=("Ora Venn", "Pell"),
    answer="Ora Venn",
    discipline="history/guilds",
    context="Two guilds met.",
    verdicts=(Verdict(name="student", outcome="fail", detail="Pell"),),
)


def reply(*questions: tuple[str, list[str], str]) -> str:
    names = ("question", "options", "answer")
    return json.dumps({"questions": [dict(zip(names, one, strict=True)) for one in questions]})


async def test_the_writer_is_shown_the_error_and_its_questions_are_kept(tmp_path: Path) -> None:
    seen = list[str]()

    def write(request: object) -> str:
        seen.append(request.messages[-1].content)  # type: ignore[attr-defined]
        return reply(
            ("What did Pell lead?", ["Lamp Guild", "Salt Guild"], "Lamp Guild"),
            ("Whom did Ora Venn lead?", [], "guild"),
        )

    rows = rows_of(await run(tmp_path, HardNegatives(each=2), [ERROR], write))
    assert [(row.question, row.options, row.answer) for row in rows] == [
        ("What did Pell lead?", ("Lamp Guild", "Salt Guild"), "Lamp Guild"),
        ("Whom did Ora Venn lead?", (), "guild"),
    ]
    assert {(row.kind, row.discipline, row.parents) for row in rows} == {
        ("hard_negative", "history/guilds", (ERROR.id,))
    }
    (told,) = seen
    assert "Two guilds met.\n\nWho led the Salt Guild? (Ora Venn, Pell)" in told
    assert "sure of a wrong one: Pell" in told
    assert "Write 2 new questions" in told


async def test_what_repeats_the_error_or_cannot_be_answered_is_rejected(tmp_path: Path) -> None:
    said = reply(
        ("who led the SALT guild", ["Pell", "Ora Venn"], "Ora Venn"),
        ("What is salt?", ["white", "White"], "white"),
        ("What is a lamp?", ["a light", "a boat"], "a house"),
        ("?", [], "x"),
        ("Who lit the lamps?", [], "Pell"),
        ("Who lit the lamps", [], "Ora"),
    )
    stored = await run(tmp_path, HardNegatives(), [ERROR], lambda _: said)
    assert [row.question for row in rows_of(stored)] == ["Who lit the lamps?"]
    assert count_reasons(stored) == {
        "answer_not_option": 1, "empty_question": 1, "options_repeat": 1, "repeated_question": 2,
    }  # fmt: skip
    assert all(one.made.asks for one in rejects_in(stored))


async def test_a_question_that_nobody_got_wrong_is_no_error(tmp_path: Path) -> None:
    right = QA.new(question="Who?", answer="Ora", verdicts=(Verdict(name="student", outcome="pass", detail="Ora"),))
    stored = await run(tmp_path, HardNegatives(), [right], lambda _: reply(("Who?", [], "Ora")))
    assert (rows_of(stored), count_reasons(stored)) == ([], {"no_error": 1})


def test_fields_that_ask_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="each is 0; from 1 to 20 are wanted"):
        HardNegatives(each=0)
    with pytest.raises(ValueError, match=r"ask_for: the template lacks \{given\}"):
        HardNegatives(ask_for="{question}")
