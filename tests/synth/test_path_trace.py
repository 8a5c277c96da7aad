"""Thinking for a drafted item: its own words, the path's names, the right answer, or a reason why not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path as FilePath
from typing import Any

import pytest

from mashbill.engine import ScriptedEngine
from mashbill.exemplars import MARK, counted
from mashbill.records import QA, Verdict
from synth.exemplars import FewShot, Written
from synth.generators.kg_path import KgPath
from synth.generators.path_trace import PathTrace
from synth.graders import Grading
from tests.support.kernel import rejects_in, rows_of
from tests.synth.kg_path_run import engines, made, run_step
from tests.synth.kg_path_teacher import GUILD, Teacher

ITEM = QA.new(
    kind="chain",
    question="Marrow Bay is a seat of thing 1. Thing 1 is founded by thing 2. Which of these is thing 2?",
    options=("Emmer Toll", "Ora Venn", "Venn", "oak"),
    answer="Ora Venn",
    path=GUILD.edges,
    negatives="type",
)
GOOD = "Marrow Bay is the seat of the Salt Guild, and the one who founded that was Ora Venn."


def says(text: str) -> dict[str, ScriptedEngine]:
    return {"": ScriptedEngine(lambda request: text, name="main")}


async def test_an_item_gets_its_thinking_and_keeps_the_rest(tmp_path: FilePath) -> None:
    (row,), rejects = await made(tmp_path, PathTrace(settles="name"), [ITEM], says(GOOD))
    assert not rejects
    assert (row.question, row.options, row.answer, row.path) == (ITEM.question, ITEM.options, ITEM.answer, ITEM.path)
    assert (row.rationale, row.parents, row.negatives) == (GOOD, (ITEM.id,), "type")
    assert {score.name: score.value for score in row.scores}["path_coverage"] == 1.0


async def test_a_teacher_of_letters_is_held_to_its_letter(tmp_path: FilePath) -> None:
    rows, _ = await made(tmp_path / "a", PathTrace(), [ITEM], engines())
    assert "Final Answer" not in rows[0].rationale
    _, rejects = await made(tmp_path / "b", PathTrace(), [ITEM], says(GOOD))
    assert rejects == Counter({"trace_without_answer": 1})


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Marrow Bay, the Salt Guild and Ora Venn; no, Emmer Toll.", "trace_other_answer"),
        ("Marrow Bay is the seat of a guild.", "trace_without_answer"),
        ("It was founded by Ora Venn.", "path_not_covered"),
        ("Explain in two or three sentences how Marrow Bay, the Salt Guild and Ora Venn.", "trace_echoes_prompt"),
        ("As the path says, Marrow Bay has the Salt Guild of the given facts, Ora Venn.", "trace_mentions_path"),
    ],
)
async def test_thinking_that_is_none_is_refused_by_its_reason(reply: str, reason: str, tmp_path: FilePath) -> None:
    rows, rejects = await made(tmp_path, PathTrace(settles="name"), [ITEM], says(reply))
    assert (rows, rejects) == ([], Counter({reason: 1}))


async def test_an_item_without_path_or_answer_is_not_paid_for(tmp_path: FilePath) -> None:
    silent = says(GOOD)
    bare = QA.new(question="Who?", options=("a", "b"), answer="a")
    wrong = QA.new(question="Who?", options=("a", "b"), answer="c", path=GUILD.edges)
    rows, rejects = await made(tmp_path, PathTrace(), [bare, wrong], silent)
    assert (rows, rejects) == ([], Counter({"no_path": 1, "answer_not_option": 1}))
    assert silent[""].seen == []


@pytest.mark.parametrize("kind", ["trace", "path"])
async def test_the_examples_shown_are_on_the_row_and_among_a_rejects_subjects(kind: str, tmp_path: FilePath) -> None:
    shots = FewShot(shots=1, written=(Written(question="tar | kept in | barrels", worked="Barrels hold it."),))
    (shown,) = (one.exemplar() for one in shots.written)
    step: Any = PathTrace(few_shot=shots) if kind == "trace" else KgPath(few_shot=shots)
    source: list[Any] = [ITEM if kind == "trace" else GUILD]
    good = await run_step(tmp_path / "a", step, source, engines())
    bad = await run_step(tmp_path / "b", step, source, engines(Teacher({"think:vague": 1.0})))
    assert rows_of(good)[0].exemplars == (shown.id,)
    assert rejects_in(bad)[0].subjects == (f"{MARK}{shown.id}",)
    (once,) = counted([shown], good)
    (twice,) = counted([once], bad)
    assert (twice.n_retrieved, twice.n_success) == (2, 1)


async def test_a_refused_item_keeps_what_both_graders_said(tmp_path: FilePath) -> None:
    def says_no(word: str) -> Teacher:
        return Teacher(verdict=lambda who, request: word)

    step = PathTrace(grading=Grading(graders=("first", "second")))
    by_role = engines(Teacher(), first=says_no("pass"), second=says_no("fail"))
    stored = await run_step(tmp_path, step, [ITEM], by_role)
    (reject,) = rejects_in(stored)
    assert reject.verdicts == (
        Verdict(name="grader:first", outcome="pass", detail="Because."),
        Verdict(name="grader:second", outcome="fail", detail="Because."),
    )
    assert stored.manifest.notes["grader_agreement"]["first, second"]["items"] == 1


def test_a_prompt_without_the_path_is_refused() -> None:
    with pytest.raises(ValueError, match="facts"):
        PathTrace(trace_prompt="Explain {target}.")
