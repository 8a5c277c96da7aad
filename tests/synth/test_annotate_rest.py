from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mashbill.errors import BillError
from mashbill.records import QA
from mashbill.store import Stored
from synth.budget import Budget, BudgetSpec
from synth.generators.annotate_rest import AnnotateRest
from synth.generators.cell_budget import CellBudget
from tests.synth.boostqa_seeds import cell
from tests.synth.rationale_helpers import count_reasons, rejects_in, rows_of, run

TOPICS = {
    ("mathematics/algebra", "middle", 2): "Solve the equation for the unknown x plus {} equals seven",
    ("humanities/history", "high", 1): "In which century did the old kingdom of the river {} fall",
    ("physics/mechanics", "high", 4): "A block slides down the rough ramp with friction force {} newton",
}


def rows(each: int, *, labelled: int) -> list[QA]:
    """Questions on three subjects, of each the first so many labelled."""
    made = []
    for (discipline, grade, difficulty), words in TOPICS.items():
        for at in range(each):
            bare = QA.new(question=words.format(at), answer=str(at))
            known = dataclasses.replace(
                bare, discipline=discipline, grade=grade, difficulty=difficulty, is_stem=discipline[0] != "h"
            )
            made.append(known.identified() if at < labelled else bare)
    return made


async def rest(root: Path, some: list[QA], step: AnnotateRest = AnnotateRest()) -> Stored:  # noqa: B008
    return await run(root, step, some, {}, part_rows=7)


async def test_the_rest_is_labelled_as_the_annotator_would_have_and_agreement_is_reported(tmp_path: Path) -> None:
    some = rows(20, labelled=12)
    made = await rest(tmp_path, some)
    found = rows_of(made)
    assert [row.question for row in found] == [row.question for row in some], "the order stays"
    for row in found:
        discipline, grade, difficulty = next(key for key, words in TOPICS.items() if words[:12] in row.question)
        assert (row.discipline, row.grade, row.difficulty) == (discipline, grade, difficulty)
        assert row.is_stem == (discipline[0] != "h")
    guessed = [row for row in found if row.scores]
    assert len(guessed) == 24
    assert {score.name for score in guessed[0].scores} == {"discipline_sure", "difficulty_sure", "grade_sure"}
    assert guessed[0].parents == (next(one.id for one in some if one.question == guessed[0].question),)
    proxies = made.manifest.notes["proxies"]
    assert set(proxies) == {"discipline", "difficulty", "grade"}
    assert proxies["discipline"]["accuracy"] == 1.0
    assert proxies["discipline"]["held_out"] >= 5
    assert proxies["difficulty"]["weighted_kappa"] == 1.0


async def test_labels_of_an_annotator_stay_as_they_are(tmp_path: Path) -> None:
    some = rows(10, labelled=10)
    made = await rest(tmp_path, some)
    assert rows_of(made) == some
    assert made.manifest.notes == {"proxies": {}}


async def test_what_a_proxy_is_not_sure_of_can_be_rejected(tmp_path: Path) -> None:
    words = TOPICS["humanities/history", "high", 1]
    bare = [QA.new(question=words.format(at), answer="x") for at in range(40)]
    split = [
        dataclasses.replace(
            one, discipline=("law/crime", "arts/music")[at % 2], difficulty=2, grade="high"
        ).identified()
        for at, one in enumerate(bare[:30])
    ]
    made = await rest(tmp_path, [*split, *bare[30:]], AnnotateRest(least_sure=0.75))
    every = await rest(tmp_path / "b", [*split, *bare[30:]])
    sure = {row.question: row.scores[0].value for row in rows_of(every) if row.scores}
    assert len(sure) == 10
    assert any(value < 0.75 for value in sure.values()), "an annotator that says this or that cannot be learnt"
    gone = {one.record.split('"question":"')[1].split('"')[0] for one in rejects_in(made)}
    assert gone == {question for question, value in sure.items() if value < 0.75}
    assert set(count_reasons(made)) == {"unsure_label"}
    assert all(" is likeliest, with 0." in one.detail for one in rejects_in(made))


async def test_a_label_that_all_share_is_everybodys(tmp_path: Path) -> None:
    some = [one for one in rows(8, labelled=4) if "equation" in one.question]
    made = await rest(tmp_path, some)
    assert {row.discipline for row in rows_of(made)} == {"mathematics/algebra"}
    assert made.manifest.notes["proxies"]["grade"] == {"only": "middle"}


async def test_questions_that_nobody_labelled_cannot_be_learnt_from(tmp_path: Path) -> None:
    with pytest.raises(BillError, match=r"none of 9 questions has labels .* put `annotate` before"):
        await rest(tmp_path, rows(3, labelled=0))


def test_shares_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="least_sure is 1"):
        AnnotateRest(least_sure=1)
    with pytest.raises(ValueError, match="held_out 0"):
        AnnotateRest(held_out=0)


async def test_a_budget_is_stored_and_its_rows_pass_as_they_are(tmp_path: Path) -> None:
    some = cell("mathematics", 4, seeds=5, rates=[0.0, 0.5]) + cell("humanities", 1, seeds=5, rates=[1.0, 0.5])
    made = await run(tmp_path, CellBudget(budget=BudgetSpec(total=100, smoothing=0)), some, {}, part_rows=3)
    assert rows_of(made) == some
    budget = Budget.from_plain(made.manifest.notes["budget"])
    assert {(one.discipline, one.budget) for one in budget.cells} == {("mathematics", 75), ("humanities", 25)}


async def test_a_budget_that_cannot_be_made_stops_the_step(tmp_path: Path) -> None:
    with pytest.raises(BillError, match="non_stem promises 20 of 100"):
        await run(tmp_path, CellBudget(budget=BudgetSpec(total=100)), cell("physics", 1, seeds=2), {})
