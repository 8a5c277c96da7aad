"""Targets in their order, and cells that end with exactly what was wanted or say why not."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.records import QA
from synth.boostqa_cells import CellRun, yield_of
from synth.boostqa_target import Target, in_discipline, seeds_of, targets

CELL = ("mathematics", 4)


def seed(number: int, difficulty: int | None = 4, discipline: str = "mathematics/algebra") -> QA:
    return QA.new(question=f"What of {number}?", answer="1", discipline=discipline, difficulty=difficulty)


def run(wanted: int, *, count: int = 10_000, tokens: bool = False, give_up: int = 10**6) -> CellRun:
    only = seed(1)
    left = (
        Target(discipline="mathematics", difficulty=4, grade="", style="", seeds=(only,), draw=at)
        for at in range(count)
    )
    return CellRun(cell=CELL, wanted=wanted, tokens=tokens, left=left, give_up=give_up)


def drive(cell: CellRun, share: float, *, chance: random.Random, wave: int = 32, size: int = 1) -> list[int]:
    """Waves until the cell ends, each attempt good with a chance; how many each wave asked for."""
    asked = []
    while drawn := cell.draw(wave, yield_of([cell])):
        asked.append(len(drawn))
        for _ in drawn:
            if chance.random() >= share:
                cell.miss()
            elif cell.full:
                cell.pass_over()
            else:
                cell.keep(size)
    return asked


@given(st.integers(1, 200), st.floats(0.2, 1), st.integers(0, 10**6))
def test_a_cell_ends_with_exactly_the_rows_wanted(wanted: int, share: float, chance: int) -> None:
    cell = run(wanted)
    drive(cell, share, chance=random.Random(chance))
    assert cell.ended == "filled"
    assert (cell.accepted, cell.have) == (wanted, wanted)
    assert cell.tried == cell.good + (cell.tried - cell.good)


@given(st.integers(100, 20_000), st.integers(20, 300), st.integers(0, 10**6))
def test_a_cell_of_tokens_ends_with_the_row_that_fills_it(wanted: int, size: int, chance: int) -> None:
    cell = run(wanted, tokens=True)
    drive(cell, 0.7, chance=random.Random(chance), size=size)
    assert cell.ended == "filled"
    assert wanted <= cell.have < wanted + size
    assert cell.accepted == math.ceil(wanted / size)


def test_nothing_is_asked_beyond_what_is_wanted_before_there_is_a_yield() -> None:
    assert len(run(12).draw(64)) == 12


def test_it_asks_for_more_by_the_yield_it_has_seen() -> None:
    cell = run(100)
    for at in range(40):
        cell.keep(1) if at % 4 == 0 else cell.miss()
    assert cell.due(everywhere=0.25) == math.ceil(90 / 0.25)
    assert cell.due(everywhere=1.0) == math.ceil(90 / ((10 + 2) / 42))


def test_most_of_what_is_paid_for_is_kept() -> None:
    cells = [run(50) for _ in range(40)]
    for at, cell in enumerate(cells):
        drive(cell, 0.5, chance=random.Random(at))
    assert sum(one.spare for one in cells) < 0.1 * sum(one.accepted for one in cells)


def test_a_cell_without_luck_is_given_up_where_it_was_said() -> None:
    cell = run(50, give_up=20)
    drive(cell, 0.0, chance=random.Random(0), wave=64)
    assert (cell.ended, cell.tried) == ("gave_up", 20)


def test_a_cell_whose_targets_are_all_tried_says_so() -> None:
    cell = run(50, count=30)
    drive(cell, 0.5, chance=random.Random(0))
    assert (cell.ended, cell.tried) == ("used_up", 30)


def test_a_cell_without_a_seed_says_so() -> None:
    cell = run(5, count=0)
    assert cell.draw(8) == []
    assert cell.ended == "no_seed"


def test_a_wave_that_is_full_does_not_end_a_cell() -> None:
    cell = run(5)
    assert cell.draw(0) == []
    assert cell.ended == ""


def test_every_seed_is_asked_about_once_before_any_is_again_and_meets_every_grade() -> None:
    seeds = [seed(at) for at in range(5)]
    grades = ("primary", "high", "graduate")
    made = list(targets(CELL, seeds, grades=grades, styles=("combine", "proof"), group=1, draws=2, seed=0))
    assert len(made) == len({one.id for one in made}) == 5 * 3 * 2
    for at in range(0, 30, 5):
        assert {one.seeds[0].id for one in made[at : at + 5]} == {one.id for one in seeds}
    pairs = Counter((one.seeds[0].id, one.grade) for one in made)
    assert set(pairs.values()) == {2}
    assert {one.draw for one in made[:15]} == {0}
    assert {one.style for one in made} == {"combine", "proof"}


def test_a_hard_cell_is_written_from_easier_seeds_too_the_hardest_first() -> None:
    seeds = [seed(at, difficulty) for at, difficulty in enumerate((5, 4, 3, 1, None, 4))]
    seeds.append(seed(9, 4, "law/public law"))
    hard = seeds_of(seeds, CELL, hard=True, seed=0)
    assert [one.difficulty for one in hard] == [4, 4, 3, 1]
    assert [one.difficulty for one in seeds_of(seeds, CELL, hard=False, seed=0)] == [4, 4]
    assert all(one.discipline == "mathematics/algebra" for one in hard)


def test_seeds_beside_one_are_of_its_own_discipline_as_far_as_there_are() -> None:
    seeds = [seed(1), seed(2), seed(3, discipline="mathematics/geometry"), seed(4, discipline="mathematics/geometry")]
    made = list(targets(CELL, seeds, grades=("high",), styles=(), group=2, draws=1, seed=0))
    for one in made:
        first, second = one.seeds
        assert first.id != second.id
        assert first.discipline == second.discipline
    assert made[0].seed_difficulty == 4.0


def test_the_order_is_that_of_the_seed_and_not_of_the_rows() -> None:
    seeds = [seed(at) for at in range(8)]

    def order(rows: list[QA], number: int) -> list[str]:
        return [one.id for one in seeds_of(rows, CELL, hard=False, seed=number)]

    assert order(seeds, 0) == order(seeds[::-1], 0)
    assert order(seeds, 0) != order(seeds, 1)


@pytest.mark.parametrize(
    ("label", "cell", "inside"),
    [("law/public law", "law", True), ("law", "law", True), ("lawn/grass", "law", False), ("law/a", "law/b", False)],
)
def test_a_discipline_lies_in_its_field(label: str, cell: str, inside: bool) -> None:
    assert in_discipline(label, cell) == inside
