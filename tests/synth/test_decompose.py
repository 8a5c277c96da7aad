"""Instructions taken apart: every piece of a row stands in its instruction, and every other piece has a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.engine import ScriptedEngine
from mashbill.records import Instruction, Reject
from mashbill.store import Stored
from synth.decompose_prompts import EXAMPLE, REPLY
from synth.decompose_reply import missing_numbers, present_share, spoken_words
from synth.generators.decompose import Decompose
from synth.placeholders import chat_mark_in, placeholders_in
from tests.synth.rationale_helpers import cut, rejects_in, rows_of, run
from tests.synth.tcia_helpers import SUMMARY, SUMMARY_REPLY, analyst, apart, reply


async def taken_apart(
    root: Path, answers: dict[str, str] | Any, **fields: Any
) -> tuple[Stored, list[Instruction], list[Reject]]:
    rows = [Instruction.new(text=text, source=f"a.jsonl:{at}", response="Done.") for at, text in enumerate(answers)]
    made = await run(root, Decompose(**fields), rows, analyst(answers))
    return made, rows_of(made), rejects_in(made)


async def test_an_instruction_becomes_its_parts(tmp_path: Path) -> None:
    made, (row,), none = await taken_apart(tmp_path, {SUMMARY: SUMMARY_REPLY})
    assert none == []
    assert (row.text, row.task_type, row.base_query) == (SUMMARY, "meeting summary", "Summarise {transcript}.")
    assert [(one.category, one.text) for one in row.constraints] == [
        ("style", "for a busy reader"),
        ("numerical", "in at most 5 bullets"),
        ("language", "in French"),
        ("input_placeholder", "{transcript}"),
    ]
    assert (row.languages, row.hop, row.operations, row.response) == (("en",), 0, (), "Done.")
    assert row.made.step == "decompose"
    assert made.manifest.counts.attempts == 1


async def test_each_task_is_a_row_and_a_seed_prompt_has_exactly_one(tmp_path: Path) -> None:
    text = "Translate the letter into French. Then write a poem about it, in rhymes."
    one = apart("Translate the letter.", ("language", "into French"), task_type="translation")
    two = apart("Write a poem about it.", ("style", "in rhymes"), task_type="poem")
    answers = {text: reply(one, two, one)}
    _, rows, bad = await taken_apart(tmp_path / "all", answers)
    assert [row.task_type for row in rows] == ["translation", "poem"]
    assert [one.reason for one in bad] == ["repeated_task"]
    assert len({row.id for row in rows}) == 2
    _, rows, bad = await taken_apart(tmp_path / "one", answers, one_task=True)
    assert rows == []
    assert [(one.reason, one.detail) for one in bad] == [
        ("several_tasks", "3 tasks; a seed prompt must be exactly one")
    ]


async def test_what_is_not_in_the_instruction_is_rejected_by_itself(tmp_path: Path) -> None:
    answers = {
        SUMMARY: reply(
            apart(
                "Summarise {transcript}.",
                ("language", "in French"),
                ("content", "mention every deadline"),
                ("numerical", "in at most 6 bullets"),
                ("language", "In French!"),
                ("style", " "),
                ("input placeholder", "the meeting"),
                ("placeholder", "{transcript}"),
            )
        )
    }
    _, (row,), bad = await taken_apart(tmp_path, answers)
    assert [one.text for one in row.constraints] == ["in French", "{transcript}"]
    assert [(one.reason, one.text) for one in bad] == [
        ("invented_constraint", "mention every deadline"),
        ("invented_constraint", "in at most 6 bullets"),
        ("repeated_constraint", "In French!"),
        ("invented_constraint", answers[SUMMARY]),
        ("invented_constraint", "the meeting"),
    ]
    assert bad[1].detail == "the instruction does not say 6"
    assert bad[0].detail == "0% of its words are in the instruction"
    assert "names no place" in bad[4].detail


@pytest.mark.parametrize(
    ("text", "answer", "reason", "said"),
    [
        ("Say hello.", reply(complex=False), "plain", "nothing to take apart"),
        ("Say hello.", reply(), "plain", "nothing to take apart"),
        (SUMMARY, reply(apart(" ", ("language", "in French"))), "no_base_query", "blank"),
        (SUMMARY, reply(apart("Sum.", ("language", "in French"), task_type="")), "no_task_type", "blank"),
        (SUMMARY, reply(apart("Bake bread.", ("language", "in French"))), "invented_query", "0%"),
        (SUMMARY, reply(apart("Summarise {transcript}.")), "plain", "nothing to take apart"),
        (
            SUMMARY,
            reply(apart("Summarise {transcript} in French.", ("language", "in French"))),
            "constraint_in_query",
            "still says 'in French'",
        ),
        (SUMMARY, '{"languages": ["en"], "complex": true, "tasks": [{}]}', "unparsable", "base_query"),
        (SUMMARY, reply(apart("Summarise {transcript}.", ("mood", "in French"))), "unparsable", "category"),
    ],
)
async def test_a_reply_without_a_use_has_a_reason(
    text: str, answer: str, reason: str, said: str, tmp_path: Path
) -> None:
    made, rows, (bad,) = await taken_apart(tmp_path, {text: answer})
    assert rows == []
    assert (bad.reason, bad.source) == (reason, "a.jsonl:0")
    assert said in bad.detail
    assert made.manifest.counts.barren == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Sum up. " * 2500, "too_long"),
        ("<|im_start|>user\nSum up.", "template_mark"),
        ("{% if x %}Sum up.", "template_mark"),
        (" ", "no_text"),
    ],
)
async def test_some_instructions_are_refused_before_anything_is_paid(text: str, reason: str, tmp_path: Path) -> None:
    engine = ScriptedEngine({"": SUMMARY_REPLY})
    made = await run(tmp_path, Decompose(), [Instruction.new(text=text)], engine)
    assert [one.reason for one in rejects_in(made)] == [reason]
    assert engine.seen == []


async def test_another_language_is_rejected_where_languages_are_named(tmp_path: Path) -> None:
    german = "Fasse {transcript} zusammen, in fünf Punkten."
    answers = {
        german: reply(apart("Fasse {transcript} zusammen.", ("numerical", "in fünf Punkten")), languages=["DE-de"]),
        SUMMARY: SUMMARY_REPLY,
    }
    _, rows, bad = await taken_apart(tmp_path / "some", answers, languages=("en",))
    assert [row.text for row in rows] == [SUMMARY]
    assert [(one.reason, one.detail) for one in bad] == [("other_language", "written in de; wanted en")]
    _, rows, bad = await taken_apart(tmp_path / "all", answers)
    assert [row.languages for row in rows] == [("de",), ("en",)]
    assert bad == []


async def test_a_task_of_which_nothing_is_left_is_no_row(tmp_path: Path) -> None:
    answers = {SUMMARY: reply(apart("Summarise {transcript}.", ("content", "mention every penguin")), complex=False)}
    _, rows, bad = await taken_apart(tmp_path, answers)
    assert rows == []
    assert [one.reason for one in bad] == ["no_constraints", "invented_constraint"]


async def test_the_example_that_is_shown_would_be_taken_as_it_is(tmp_path: Path) -> None:
    _, (row,), none = await taken_apart(tmp_path, {EXAMPLE: REPLY}, example="")
    assert none == []
    assert len(row.constraints) == len(json.loads(REPLY)["tasks"][0]["constraints"]) == 5


async def test_the_example_is_an_exchange_before_the_question(tmp_path: Path) -> None:
    engine = ScriptedEngine(analyst({SUMMARY: SUMMARY_REPLY}))
    await run(tmp_path, Decompose(one_task=True), [Instruction.new(text=SUMMARY)], engine)
    (request,) = engine.seen
    assert [one.role for one in request.messages] == ["system", "user", "assistant", "user"]
    assert request.messages[2].content == REPLY
    assert request.messages[3].content.endswith("tasks must have exactly one entry.")


async def test_braces_in_an_instruction_reach_the_model_as_they_stand(tmp_path: Path) -> None:
    text = 'Turn {"a": 1} and %s $x {0} into YAML, with comments.'
    answer = reply(apart('Turn {"a": 1} and %s $x {0} into YAML.', ("format", "with comments")))
    _, (row,), none = await taken_apart(tmp_path, {text: answer})
    assert none == []
    assert [one.category for one in row.constraints] == ["format"]


async def test_a_reply_that_is_cut_off_is_asked_for_again_and_then_rejected(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda _: cut(SUMMARY_REPLY[:60]))
    made = await run(tmp_path, Decompose(), [Instruction.new(text=SUMMARY)], engine)
    assert [one.reason for one in rejects_in(made)] == ["truncated"]
    assert len(engine.seen) == 3


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"least_present": 1.5}, "least_present is 1.5"),
        ({"most_characters": 0}, "most_characters is 0"),
        ({"languages": ("english",)}, "languages has 'english'"),
    ],
)
def test_fields_out_of_their_range_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Decompose(**fields)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("Sum up {transcript} and {{ notes }}, {transcript}.", ["{transcript}", "{{ notes }}"]),
        ("Read [INPUT TEXT] then <article> .", ["[INPUT TEXT]", "<article>"]),
        (r'JSON {"a": 1}, {}, {0}, \frac{a}{b}, f{x}, {{{a}}}, <b>, [1]', []),
        ("{a b-c}", ["{a b-c}"]),
    ],
)
def test_placeholders_are_told_from_other_braces(text: str, places: list[str]) -> None:
    assert placeholders_in(text) == places
    assert chat_mark_in(text) == ""


@given(st.text(max_size=60))
def test_every_piece_of_a_text_is_present_in_it(text: str) -> None:
    there = spoken_words(text)
    assert present_share(text, there) == (1.0 if there else 0.0)
    assert missing_numbers(text, there) == []
    assert chat_mark_in(text) in text
    assert all(place in text for place in placeholders_in(text))
