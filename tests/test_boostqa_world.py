"""The made domain of the BoostQA benchmark says what it is, and its report what was measured."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.boostqa import controllers, heat_maps, table, verdict
from benchmarks.boostqa_run import CHANGES, ArmResult
from benchmarks.boostqa_student import general
from benchmarks.boostqa_world import DIFFICULTIES, FIELDS, GRADES, World, right_answers, seeds
from mashbill.records import QA

WORLD = World.made(3)


def test_every_question_is_read_back_as_it_was_made() -> None:
    rng = random.Random(0)
    for name in FIELDS:
        for level in DIFFICULTIES:
            for grade in GRADES:
                item = WORLD.item(rng, name, level, grade)
                assert WORLD.read(f"Now then: {item.text}") == item
    assert WORLD.read("what kind of thing is salt ?") is None
    assert WORLD.read("Why?") is None


def test_two_seeds_are_two_worlds_and_one_seed_is_one() -> None:
    assert World.made(3).kinds == WORLD.kinds
    assert World.made(4).kinds != WORLD.kinds


def test_seeds_are_what_was_asked_for_and_held_out_ones_have_the_pass_rate() -> None:
    rates = {(name, level): level / 10 for name in FIELDS for level in DIFFICULTIES}
    rows = seeds(WORLD, 3, pass_rates=rates, probes=10)
    assert len({row.id for row in rows}) == len(rows) == 15 * 13
    assert right_answers(WORLD, rows) == len(rows)
    of_cell = [
        row.pass_rate for row in rows if row.domain == "law" and row.difficulty == 4 and row.pass_rate is not None
    ]
    assert sum(of_cell) / len(of_cell) == 0.4
    wrong = QA.new(question=rows[0].question, answer="none of these")
    assert right_answers(WORLD, [wrong]) == 0


def test_general_text_is_in_the_words_of_the_world() -> None:
    known = set(WORLD.words())
    texts = general(WORLD, 40)
    assert len({one.text for one in texts}) == 40
    assert {word for one in texts for word in one.text.split()} <= known


def result(arm: str, seed: int, after: float) -> ArmResult:
    cells = {f"{name}/{level}": 0.2 for name in FIELDS for level in DIFFICULTIES}
    given: dict[str, Any] = {
        "arm": arm,
        "seed": seed,
        "rows": 600,
        "tokens": 80_000,
        "general": 0.35,
        "before": cells,
        "after": dict.fromkeys(cells, after),
        "budget": dict.fromkeys(cells, 40),
        "made": dict.fromkeys(cells, 40),
        "easier": 0.1,
        "wrong": 0.0,
        "changed": (12, 12),
        "degradation": (0.5, -0.1),
        "final_loss": 1.0,
        "seconds": 9.0,
    }
    return ArmResult(**given)


def results(gap: float, seeds: int = 3) -> list[ArmResult]:
    return [result(arm, at, 0.6 + 0.01 * at - gap * (arm != "weakness")) for at in range(seeds) for arm in CHANGES]


def test_a_verdict_is_of_seeds_in_pairs_and_one_seed_gives_none() -> None:
    assert verdict(results(0.05))[0]
    assert not verdict(results(0.0))[0]
    assert "(not clear)" in verdict(results(0.0))[1]
    holds, said = verdict(results(0.05, seeds=1))
    assert not holds
    assert "One seed" in said


def test_the_tables_have_every_arm() -> None:
    shown = table(results(0.05))
    assert all(f"| {arm} |" in shown for arm in CHANGES)
    assert "0.050 ± 0.000" in shown
    assert "36, 36" in controllers(results(0.05))


def test_the_heat_maps_are_drawn_side_by_side(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="heat maps are drawn by matplotlib")
    path = heat_maps(results(0.05), tmp_path / "cells.svg")
    text = path.read_text(encoding="utf-8")
    assert all(title in text for title in ("right before", "right after: uniform", "right after: by weakness"))
