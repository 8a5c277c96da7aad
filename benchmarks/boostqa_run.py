"""One arm of the BoostQA benchmark: a student is probed, questions are written for it, it learns and is asked again.

``("weakness", seed 0)`` -> a student that has read 0.4M tokens, right in 0.9 of easy mathematics and 0.1 of hard law ->
the step `boostqa` over 400 seeds with that pass rate by cell -> 1,000 questions -> 0.25M tokens of them and general
text at 35 % -> accuracy by cell before and after.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from benchmarks.benefit_run import stored_source
from benchmarks.boostqa_student import (
    ROWS,
    SEQUENCE,
    accuracies,
    general,
    held_out,
    plan,
    scratch,
    tokenizer_of,
    trained,
)
from benchmarks.boostqa_world import GRADES, Cell, Models, World, right_answers, seeds
from mashbill.asker import Asker
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import QA, from_table
from mashbill.runtime import RejectPolicy, Runtime
from synth.annotation import Annotator
from synth.budget import BudgetSpec
from synth.generators.boostqa import Boostqa
from train.plan import PlanSpec
from train.recipe import StudentSpec
from train.student import load_student

REPLAY = 0.35
"""Share of general text by tokens: between the 30 and 40 % that mid-training is reported to take."""
SEEDS, PROBES = 6, 12
"""Of each cell: to write from, and to try the student with."""
FULL = Boostqa(
    annotator=Annotator(engine="judge"),
    teachers=("solver",),
    grades=GRADES,
    grade_slack=0,
    same_language=False,
    leaks=False,
    repeats=20,
)
CHANGES: dict[str, dict[str, Any]] = {
    "seeds only": {},
    "uniform": {},
    "weakness": {},
    "no re-annotation": {"reannotate": False},
    "no refinement": {"refine": False},
    "no grades": {"grade_conditioning": False},
}
"""Arm -> what it switches off; all but two of the arms have the budget by weakness."""


class ArmResult(BaseModel):
    """What one arm measured."""

    arm: str
    seed: int
    rows: int
    tokens: int
    """Of the plan, general text included."""
    general: float
    """Share of general text among them, as planned."""
    before: dict[str, float]
    """Cell -> accuracy before."""
    after: dict[str, float]
    budget: dict[str, int]
    made: dict[str, int]
    """Cell of discipline and true difficulty -> rows."""
    easier: float
    """Share of the rows that are easier than the difficulty they carry."""
    wrong: float
    """Share of the rows whose answer is wrong."""
    changed: tuple[int, int]
    """Answers that the editor changed, and how many of them were seen."""
    degradation: tuple[float | None, float | None]
    """Seed difficulty less synthetic difficulty, of first drafts and of rows."""
    final_loss: float
    seconds: float

    @property
    def mean_before(self) -> float:
        """Over the cells, each weighing the same."""
        return sum(self.before.values()) / len(self.before)

    @property
    def mean_after(self) -> float:
        """Over the cells."""
        return sum(self.after.values()) / len(self.after)


@dataclass(frozen=True)
class Arm:
    """What to run."""

    name: str
    seed: int
    rows: int
    tokens: int
    base_tokens: int
    work: Path

    @property
    def key(self) -> str:
        """Its name among the results."""
        return f"{self.name} seed={self.seed} rows={self.rows} tokens={self.tokens} base={self.base_tokens}"

    @property
    def store(self) -> Path:
        """Where what all arms of a seed share lies."""
        return self.work / f"seed-{self.seed}-{self.base_tokens}"

    @property
    def step(self) -> Boostqa:
        """The step of the arm."""
        by = "uniform" if self.name == "uniform" else "weakness"
        budget = BudgetSpec(total=self.rows, by=by, gamma=2.0)  # type: ignore[arg-type]
        return dataclasses.replace(FULL, budget=budget, **CHANGES[self.name])


def run(arm: Arm) -> ArmResult:
    """Probe, write, train, ask."""
    torch.set_num_threads(1)
    world, started = World.made(arm.seed), time.perf_counter()
    tokenizer = tokenizer_of(world, arm.store / "tokenizer")
    base, text = _base(arm, world), general(world, arm.base_tokens // 75)
    probed = _pass_rates(base, world)
    source = seeds(world, SEEDS, pass_rates=probed, probes=PROBES)
    models = Models(world)
    rows, notes = ([], {}) if arm.name == "seeds only" else asyncio.run(_written(arm, source, models))
    learned = rows or [one for one in source if one.pass_rate is None]
    spec = PlanSpec(
        tokens=arm.tokens, sequence_length=SEQUENCE, batch=ROWS, seed=arm.seed, replay="general", replay_share=REPLAY
    )
    place = arm.store / "plans" / f"{arm.name}-{arm.rows}-{arm.tokens}".replace(" ", "-")
    reader = plan(place, {"boosted": learned, "general": text}, tokenizer, spec)
    student, loss = trained(base, reader, 2e-3)
    asked = held_out(world)
    return ArmResult(
        arm=arm.name,
        seed=arm.seed,
        rows=len(learned),
        tokens=reader.manifest.tokens,
        general=reader.manifest.streams["general"].share,
        before=_means(accuracies(load_student(base), world, asked)),
        after=_means(accuracies(student, world, asked)),
        final_loss=loss,
        seconds=time.perf_counter() - started,
        **_controllers(world, rows, notes, models),
    )


def _base(arm: Arm, world: World) -> StudentSpec:
    """The student that has read general text, made once for a seed."""
    place = arm.store / "base"
    if not (place / "done").is_file():
        tokenizer = tokenizer_of(world, arm.store / "tokenizer")
        spec = PlanSpec(tokens=arm.base_tokens, sequence_length=SEQUENCE, batch=ROWS, seed=arm.seed)
        reader = plan(arm.store / "plans" / "base", {"general": general(world, arm.base_tokens // 75)}, tokenizer, spec)
        trained(scratch(world, arm.store / "tokenizer"), reader, 3e-3, save=place)
        (place / "done").touch()
    return StudentSpec(path=place)


def _pass_rates(base: StudentSpec, world: World) -> dict[Cell, float]:
    """What the student gets right of questions that are neither seeds nor the ones it is asked at the end."""
    found = accuracies(load_student(base), world, held_out(world, PROBES, "probe"))
    return {cell: sum(right) / len(right) for cell, right in found.items()}


async def _written(arm: Arm, source: list[QA], models: Models) -> tuple[list[QA], dict[str, Any]]:
    root = arm.store / "runs" / f"{arm.name}-{arm.rows}".replace(" ", "-")
    ledger = Ledger(root / "ledger.sqlite")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ledger.close)
        askers = {
            role: await stack.enter_async_context(Asker(engine, ledger)) for role, engine in models.engines().items()
        }
        main = askers.pop("")
        runtime = Runtime(root=root, asker=main, askers=askers)
        stored = await execute(arm.step, stored_source(root, source, QA), runtime, RejectPolicy(share=1.0))
    return [row for table in stored for row in from_table(table, QA)], dict(stored.manifest.notes)


def _controllers(world: World, rows: list[QA], notes: dict[str, Any], models: Models) -> dict[str, Any]:
    """What went in against what came out."""
    items = [world.read(row.question) for row in rows]
    easier = sum(
        item is not None and item.difficulty < (row.difficulty or 0) for item, row in zip(items, rows, strict=True)
    )
    found = notes.get("refinement", {})
    gone = notes.get("difficulty_degradation", {})
    true = Counter(f"{item.field}/{item.difficulty}" for item in items if item is not None)
    cells = notes["budget"]["cells"] if notes else []
    return {
        "budget": {f"{one['discipline']}/{one['difficulty']}": one["budget"] for one in cells},
        "made": dict(sorted(true.items())),
        "easier": easier / len(rows) if rows else 0.0,
        "wrong": 1 - right_answers(world, rows) / len(rows) if rows else 0.0,
        "changed": (models.done["edits_wrong"], found.get("upheld", 0) + found.get("changed", 0)),
        "degradation": (gone.get("before"), gone.get("after")),
    }


def _means(found: dict[Cell, list[bool]]) -> dict[str, float]:
    return {f"{name}/{difficulty}": sum(right) / len(right) for (name, difficulty), right in found.items()}
