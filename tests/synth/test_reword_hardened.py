"""A hardened question in other words: nothing restored, nothing lost, nothing added, the answer the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path as FilePath
from typing import Any

import pytest

from kg.harden import Harden
from mashbill.engine import Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.records import QA, Edge, Triple, Verdict
from mashbill.runtime import RejectPolicy, Runtime
from synth.generators.reword_hardened import RewordHardened
from synth.graders import Grading
from synth.reword_checks import hidden_names
from tests.support.kernel import rows_of, store
from tests.synth.kg_path_run import engines, made
from tests.synth.kg_path_teacher import Teacher

ROW = QA.new(
    kind="hardened",
    question="Something that Ora Venn leads taxes it. It preserves herring. Which good is meant?",
    answer="salt",
    category="good",
    path=(
        Edge(head="Salt Guild", relation="taxes", tail="salt"),
        Edge(head="Ora Venn", relation="leads", tail="Salt Guild"),
        Edge(head="salt", relation="preserves", tail="herring"),
    ),
    verdicts=(
        Verdict(name="unique:round_0", outcome="pass", detail="3 clues"),
        Verdict(name="unique:round_1", outcome="pass", detail="blurred: Salt Guild taxes it."),
        Verdict(name="not_named", outcome="pass", detail="Salt Guild"),
        Verdict(name="not_named", outcome="pass", detail="Marrow Bay"),
    ),
)
GOOD = "Which good preserves herring and is taxed by something that Ora Venn leads?"


def says(text: str) -> dict[str, ScriptedEngine]:
    return {"": ScriptedEngine(lambda request: text, name="main")}


async def test_a_question_is_reworded_and_its_answer_stays(tmp_path: FilePath) -> None:
    (row,), rejects = await made(tmp_path, RewordHardened(), [ROW], says(f'"{GOOD}"'))
    assert not rejects
    assert (row.kind, row.question, row.answer, row.parents) == ("reworded", GOOD, "salt", (ROW.id,))
    assert (row.path, row.verdicts) == (ROW.path, ROW.verdicts)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("It preserves herring, and something led by Ora Venn taxes this good.", "asks_nothing"),
        (f"{GOOD} Do you know?", "several_questions"),
        (ROW.question, "unchanged"),
        ("Which good preserves herring, salt, taxed by something Ora Venn leads?", "answer_told"),
        ("Which good preserves herring and is taxed by Ora Venn's Salt Guild?", "removed_name_restored"),
        ("Which good of Marrow Bay preserves herring, taxed by what Ora Venn leads?", "removed_name_restored"),
        ("Which good is taxed by something that Ora Venn leads?", "clue_lost"),
        ("Which good preserves herring?", "clue_lost"),
        ("Which good do herring and Ora Venn like?", "clue_lost"),
        ("What preserves herring and is taxed by something that Ora Venn leads?", "kind_lost"),
        ("Which good from Vintrack preserves herring, taxed by what Ora Venn leads?", "name_added"),
        ("Which good preserves herring since 1502, taxed by what Ora Venn leads?", "name_added"),
        ("<b>Which good</b> preserves herring, taxed by what Ora Venn leads? ```x```", "artefact"),
    ],
)
async def test_each_fault_of_a_writer_has_its_reason(reply: str, reason: str, tmp_path: FilePath) -> None:
    rows, rejects = await made(tmp_path, RewordHardened(), [ROW], says(reply))
    assert (rows, rejects) == ([], Counter({reason: 1}))


async def test_a_paraphrase_of_a_relation_is_left_to_graders_where_one_says_so(tmp_path: FilePath) -> None:
    free = "Which good keeps herring from rotting, and pays duty to something that Ora Venn leads?"
    _, rejects = await made(tmp_path / "a", RewordHardened(), [ROW], says(free))
    assert rejects == Counter({"clue_lost": 1})
    for word, kept in (("pass", 1), ("fail", 0)):
        step = RewordHardened(keep_words=False, grading=Grading(graders=("first",)))
        judge = Teacher(verdict=lambda who, request, word=word: word)  # type: ignore[misc]
        rows, _ = await made(tmp_path / word, step, [ROW], says(free) | {"first": engines(judge)[""]})
        assert len(rows) == kept
    with pytest.raises(ValueError, match="nobody grades"):
        RewordHardened(keep_words=False)


async def test_other_questions_are_not_paid_for(tmp_path: FilePath) -> None:
    by_role = says(GOOD)
    rows, rejects = await made(tmp_path, RewordHardened(), [QA.new(kind="open", question="?", answer="x")], by_role)
    assert (rows, rejects, by_role[""].seen) == ([], Counter({"not_hardened": 1}), [])


async def test_what_harden_makes_can_be_reworded_and_hides_what_it_took_out(tmp_path: FilePath) -> None:
    triples = [
        Triple.new(head="Ora Venn", relation="leads", tail="Salt Guild"),
        Triple.new(head="Salt Guild", relation="taxes", tail="salt", tail_type="good"),
        Triple.new(head="salt", relation="preserves", tail="herring", head_type="good"),
        Triple.new(head="smoke", relation="preserves", tail="herring"),
    ]
    stored = await execute(Harden(), store(tmp_path, triples), Runtime(root=tmp_path), RejectPolicy(share=1.0))
    row: Any = next(row for row in rows_of(stored) if row.answer == "salt")
    assert hidden_names(row) == ["Salt Guild"]

    def writer(request: Request) -> str:
        return "Which good is it that preserves herring?"

    rows, _ = await made(tmp_path / "b", RewordHardened(), [row], {"": ScriptedEngine(writer, name="main")})
    assert [one.question for one in rows] == ["Which good is it that preserves herring?"]
