from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from mashbill.errors import BillError
from mashbill.records import QA, to_table
from synth.budget import Budget, BudgetSpec, budget_of
from tests.synth.boostqa_seeds import cell, seed

WEAK = cell("mathematics", 4, seeds=5, rates=[0.0, 0.25, 0.25, 0.5])
STRONG = cell("mathematics", 1, seeds=5, rates=[1.0, 1.0, 0.5, 0.5])
OTHER = cell("humanities", 2, seeds=5, rates=[0.5, 0.5])
PLAIN = BudgetSpec(total=200, smoothing=0)


def made(spec: BudgetSpec, *cells: list[QA]) -> Budget:
    return budget_of(to_table([one for rows in cells for one in rows], QA), spec)


def shares(budget: Budget) -> dict[tuple[str, int], int]:
    return {(one.discipline, one.difficulty): one.budget for one in budget.cells}


def test_the_budget_is_in_proportion_to_what_the_student_gets_wrong() -> None:
    budget = made(PLAIN, WEAK, STRONG, OTHER)
    # 0.75, 0.25 and 0.5 of the attempts were wrong.
    assert shares(budget) == {("humanities", 2): 67, ("mathematics", 1): 33, ("mathematics", 4): 100}
    assert budget.notes == ()


def test_a_cell_says_what_it_was_made_from() -> None:
    (weak,) = (one for one in made(PLAIN, WEAK, STRONG, OTHER).cells if one.difficulty == 4)
    assert (weak.seeds, weak.probed, weak.accuracy, weak.is_stem) == (5, 4, 0.25, True)
    # Wilson's interval of one right of four questions, not of four right of sixteen tries.
    assert weak.low == pytest.approx(0.0456, abs=1e-4)
    assert weak.high == pytest.approx(0.6994, abs=1e-4)


def test_uniform_gives_every_cell_its_share_whatever_the_student_can() -> None:
    budget = made(dataclasses.replace(PLAIN, by="uniform", total=300), WEAK, STRONG, OTHER)
    assert set(shares(budget).values()) == {100}


def test_a_prior_weighs_a_discipline() -> None:
    spec = dataclasses.replace(PLAIN, by="uniform", prior={"mathematics": 2.0})
    assert shares(made(spec, WEAK, STRONG, OTHER)) == {
        ("humanities", 2): 40,
        ("mathematics", 1): 80,
        ("mathematics", 4): 80,
    }


def test_what_is_not_stem_gets_its_share_together() -> None:
    known = cell("humanities", 1, seeds=2, rates=[1.0, 1.0])
    law = cell("law", 1, seeds=2, rates=[1.0, 0.8])
    budget = made(dataclasses.replace(PLAIN, non_stem=0.3), WEAK, STRONG, known, law)
    found = shares(budget)
    assert found["humanities", 1] + found["law", 1] == 60
    assert found["law", 1] == 60, "within the promise weakness counts too"


def test_the_promise_to_a_few_cells_goes_before_the_cap_of_each() -> None:
    stem = [cell("mathematics", level, seeds=1, rates=[0.0]) for level in range(1, 6)]
    stem += [cell("physics", level, seeds=1, rates=[0.0]) for level in range(1, 6)]
    budget = made(dataclasses.replace(PLAIN, non_stem=0.5, most=1.0), *stem, OTHER)
    assert shares(budget)["humanities", 2] == 100


def test_no_cell_gets_more_than_its_cap_nor_less_than_the_least() -> None:
    spec = dataclasses.replace(PLAIN, total=300, most=1.2, least=90)
    assert shares(made(spec, WEAK, STRONG, OTHER)) == {
        ("humanities", 2): 90,
        ("mathematics", 1): 90,
        ("mathematics", 4): 120,
    }


def test_a_cell_of_one_question_proves_little() -> None:
    lone = cell("physics", 5, seeds=3, rates=[0.0])
    raw, smooth = made(PLAIN, STRONG, OTHER, lone), made(dataclasses.replace(PLAIN, smoothing=2.0), STRONG, OTHER, lone)
    assert shares(raw)["physics", 5] > shares(smooth)["physics", 5] > shares(smooth)["mathematics", 1]


def test_a_cell_that_nobody_tried_counts_as_of_overall_accuracy_and_is_named() -> None:
    budget = made(PLAIN, WEAK, STRONG, OTHER, cell("law", 3, seeds=4))
    (law,) = (one for one in budget.cells if one.discipline == "law")
    assert law.accuracy is None
    # Overall 5 of 10 were right, so it counts as humanities does.
    assert abs(law.budget - shares(budget)["humanities", 2]) <= 1
    assert budget.notes == ("not tried, and taken to be of overall accuracy: law 3",)


def test_a_cell_without_a_seed_gets_nothing_and_is_named() -> None:
    budget = made(PLAIN, WEAK, STRONG, OTHER, cell("law", 3, seeds=0, rates=[0.0]))
    assert shares(budget)["law", 3] == 0
    assert sum(shares(budget).values()) == 200
    assert budget.notes == ("no seed to write from, so nothing is written: law 3",)


def test_where_every_row_was_tried_every_row_is_a_seed_and_the_budget_says_so() -> None:
    tried = [one for one in WEAK + STRONG + OTHER if one.pass_rate is not None]
    budget = made(PLAIN, tried)
    assert [one.seeds for one in budget.cells] == [2, 4, 4]
    assert "none is held out" in budget.notes[0]


@pytest.mark.parametrize(("rate", "said"), [(1.0, "everything right"), (0.0, "nothing right")])
def test_a_student_that_is_all_right_or_all_wrong_leaves_the_priors_and_a_note(rate: float, said: str) -> None:
    cells = [cell("mathematics", level, seeds=2, rates=[rate]) for level in (1, 2)]
    budget = made(PLAIN, *cells, cell("law", 1, seeds=2, rates=[rate]), cell("law", 2, seeds=2, rates=[rate]))
    assert set(shares(budget).values()) == {50}
    assert said in budget.notes[0]


def test_seeds_that_nobody_tried_give_a_budget_by_the_priors_and_a_note() -> None:
    budget = made(PLAIN, cell("mathematics", 1, seeds=2), cell("law", 1, seeds=2))
    assert shares(budget) == {("law", 1): 100, ("mathematics", 1): 100}
    assert budget.notes == ("no row was tried by a student, so the budget follows the priors alone",)


def test_cells_can_be_sub_fields() -> None:
    spec = dataclasses.replace(PLAIN, level="sub_field", prior={"mathematics/algebra": 3.0, "humanities": 1.0})
    budget = made(spec, WEAK, OTHER)
    assert {one.discipline for one in budget.cells} == {"mathematics/algebra", "humanities/history"}
    assert budget.cell_of("mathematics/algebra", 4) in budget.wanted()


def test_rows_without_labels_are_counted() -> None:
    bare = QA.new(question="What?", answer="That.")
    budget = made(PLAIN, WEAK, STRONG, OTHER, [bare, dataclasses.replace(seed("law", 1, 1), difficulty=None)])
    assert budget.notes == ("rows without discipline or difficulty, which count in no cell: 2",)
    assert budget.cell_of("mathematics/algebra", 4) == ("mathematics", 4)
    assert budget.cell_of("law", None) == ("law", 0)


def test_a_budget_comes_back_from_a_manifest_as_it_was() -> None:
    budget = made(PLAIN, WEAK, STRONG, OTHER, cell("law", 3, seeds=4))
    assert Budget.from_plain(json.loads(json.dumps(budget.plain()))) == budget


@pytest.mark.parametrize(
    ("spec", "rows", "message"),
    [
        (
            PLAIN,
            [QA.new(question="What?", answer="That.")],
            r"none of 1 rows has a discipline .* put `annotate` before",
        ),
        (PLAIN, WEAK, r"non_stem promises 40 of 200 .* no seed is of one; .* set non_stem: 0"),
        (
            dataclasses.replace(PLAIN, least=90),
            WEAK + STRONG + OTHER,
            r"floors of 3 cells ask for 270 .* budget is 200",
        ),
        (dataclasses.replace(PLAIN, prior={"humanity": 2.0}), WEAK + OTHER, r"prior names 'humanity'.*humanities"),
        (
            dataclasses.replace(PLAIN, prior={"mathematics/algebra": 2.0}),
            WEAK + OTHER,
            r"no discipline of a cell; with level: field",
        ),
    ],
)
def test_a_budget_that_cannot_be_made_says_why(spec: BudgetSpec, rows: list[QA], message: str) -> None:
    with pytest.raises(BillError, match=message):
        made(spec, rows)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"total": 0}, "total is 0"),
        ({"gamma": -1.0}, "gamma is -1"),
        ({"non_stem": 1.5}, r"non_stem is a share .* found 1\.5"),
        ({"most": 0.5}, r"most 0\.5, 1 \(an equal share\)"),
        ({"prior": {"law": 0.0}}, "prior must be above 0"),
    ],
)
def test_fields_that_share_out_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BudgetSpec(**fields)
