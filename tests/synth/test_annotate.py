from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mashbill.engine import Request, ScriptedEngine
from mashbill.records import QA
from synth.budget import BudgetSpec, budget_of, columns_of
from synth.generators.annotate import Annotate
from synth.generators.probe import Probe
from tests.synth.boostqa_seeds import SUB, cell
from tests.synth.rationale_helpers import asked, count_reasons, rows_of, run

SKILL = {("mathematics", 1): 1.0, ("mathematics", 4): 0.1, ("humanities", 2): 0.6}
"""How often the scripted student is right, cell by cell."""
CELL = re.compile(r"Question (\d+) of (\w+) at level (\d)")


def seeds(each: int) -> list[QA]:
    bare = [one for field, level in SKILL for one in cell(field, level, seeds=each)]
    return [QA.new(question=one.question, answer=one.answer) for one in bare]


def read(text: str) -> tuple[int, str, int]:
    found = CELL.search(text)
    assert found is not None
    return int(found[1]), found[2], int(found[3])


def labels(request: Request) -> str:
    """An annotator that reads the labels off the question."""
    _, field, level = read(asked(request))
    return json.dumps(
        {
            "knowledge_points": ["reading"],
            "discipline": f"{field}/{SUB[field]}",
            "question_type": "calculation",
            "grade": "middle",
            "takes": "To read.",
            "difficulty": level,
        }
    )


def student(request: Request) -> str:
    """A student whose chance of being right is its skill in the question's cell."""
    number, field, level = read(asked(request))
    right = request.seed % 1000 < SKILL[field, level] * 1000
    return f"It stands there.\n#### {number if right else number + 1}"


async def test_a_budget_follows_what_the_student_gets_wrong(tmp_path: Path) -> None:
    made = await run(tmp_path / "a", Annotate(), seeds(40), labels)
    probe = Probe(task="maths", held_out=0.5, draws=8)
    tried = await run(tmp_path / "b", probe, rows_of(made), {}, student=ScriptedEngine(student))
    budget = budget_of(columns_of(tried), BudgetSpec(total=1000, smoothing=0))
    found = {(one.discipline, one.difficulty): one for one in budget.cells}
    for name, skill in SKILL.items():
        one = found[name]
        assert one.low is not None
        assert one.high is not None
        assert one.low <= skill <= one.high
        assert one.seeds + one.probed == 40
        assert one.probed > 5
    assert found["mathematics", 4].budget > found["humanities", 2].budget > found["mathematics", 1].budget
    weak = sum(1 - one.accuracy for one in budget.cells if one.accuracy is not None)
    for one in budget.cells:
        assert one.accuracy is not None
        assert one.budget == pytest.approx(1000 * (1 - one.accuracy) / weak, abs=1.01)


async def test_a_share_is_labelled_and_the_rest_passes_as_it_is(tmp_path: Path) -> None:
    some = seeds(30)
    engine = ScriptedEngine(labels)
    rows = rows_of(await run(tmp_path, Annotate(share=0.2), some, engine))
    labelled = [row for row in rows if row.discipline]
    assert len(rows) == len(some)
    assert 5 < len(labelled) < 40
    assert len(engine.seen) == len(labelled)
    assert {row.id for row in rows if not row.discipline} < {one.id for one in some}
    more = rows_of(await run(tmp_path / "more", Annotate(share=0.5), some, labels))
    assert {row.source_id for row in labelled} < {row.source_id for row in more if row.discipline}


async def test_a_question_that_cannot_be_labelled_is_a_reject_with_its_reason(tmp_path: Path) -> None:
    made = await run(tmp_path, Annotate(), [*seeds(1), QA.new(question=" ", answer="x")], labels)
    assert count_reasons(made) == {"empty_question": 1}
    bad = await run(tmp_path / "bad", Annotate(), seeds(1), lambda _: "A hard one.")
    assert count_reasons(bad) == {"unparsable": 3}


async def test_a_probe_tries_the_held_out_alone_and_leaves_the_annotated_difficulty(tmp_path: Path) -> None:
    rows = cell("mathematics", 4, seeds=40)
    engine = ScriptedEngine(student)
    made = rows_of(await run(tmp_path, Probe(task="maths", held_out=0.25, draws=2), rows, {}, student=engine))
    tried = [row for row in made if row.pass_rate is not None]
    assert 0 < len(tried) < 20
    assert len(engine.seen) == 2 * len(tried)
    assert {row.difficulty for row in made} == {4}
    assert {row.discipline for row in made} == {"mathematics/algebra"}
    assert {row.id for row in made if row.pass_rate is None} < {one.id for one in rows}


async def test_a_held_out_seed_without_an_answer_cannot_be_tried(tmp_path: Path) -> None:
    bare = [QA.new(question=f"Question {at} of law at level 1?", answer="") for at in range(20)]
    made = await run(tmp_path, Probe(task="maths", held_out=0.5, draws=2), bare, {}, student=ScriptedEngine(student))
    assert set(count_reasons(made)) == {"no_gold"}
    assert 0 < count_reasons(made)["no_gold"] < 20


async def test_numbers_are_compared_as_numbers_and_words_as_words(tmp_path: Path) -> None:
    rows = [
        QA.new(question="How many marks?", answer="1,200"),
        QA.new(question="Who pays?", answer="The Salt Guild"),
        QA.new(question="Which burns?", answer="oil", options=("salt", "oil")),
    ]
    replies = {"marks": "It is\n#### 1200.0 marks", "pays": "Hm.\n#### salt guild", "burns": "Hm.\n#### B"}
    student = ScriptedEngine(lambda request: next(said for word, said in replies.items() if word in asked(request)))
    made = rows_of(await run(tmp_path, Probe(held_out=0.999, draws=1), rows, {}, student=student))
    assert [row.pass_rate for row in made] == [1.0, 1.0, 1.0]


def test_shares_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="share is 0"):
        Annotate(share=0)
    with pytest.raises(ValueError, match="held_out is 1"):
        Probe(held_out=1)
    assert Annotate().engines() == ()
    assert Probe().engines() == ("student",)
