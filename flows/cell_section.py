"""Accuracy by discipline and difficulty in a run's report: a table, and heat maps side by side.

Questions of a cell say so, in the file of questions or as rows of a stream that was annotated::

    {"id": "q1", "question": "What is 3 times 20?", "answer": "60", "discipline": "arithmetic", "difficulty": 2}

    CELL          questions  base                  boosted
    arithmetic 2         40  0.450 [0.307, 0.602]  0.675 [0.520, 0.799]

Where students write their answers, what was written counts; otherwise what they found likeliest.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.heat_map import Panel, draw_heat_maps
from mashbill.card import table
from mashbill.intervals import Interval, wilson

CELLS = "cells.png"
DRAWN = 4
"""Students in one picture, the base among them: more are too small to read; the table has all."""
Cell = tuple[str, int]


@dataclass(frozen=True)
class CellScores:
    """How many questions each cell has, and what each student got right of them."""

    questions: Mapping[Cell, int]
    right: Mapping[str, Mapping[Cell, Interval]]
    """Student -> cell -> share, with Wilson's 95 % interval."""

    def as_json(self) -> dict[str, Any]:
        """As `report.json` has it."""
        cells = [
            {
                "discipline": discipline,
                "difficulty": difficulty,
                "questions": count,
                "accuracy": {
                    name: {"value": own.value, "low": own.low, "high": own.high}
                    for name, cells in self.right.items()
                    if (own := cells.get((discipline, difficulty))) is not None
                },
            }
            for (discipline, difficulty), count in sorted(self.questions.items())
        ]
        return {"cells": cells}


def cell_scores(questions: Path, answered: Mapping[str, Mapping[str, bool]]) -> CellScores | None:
    """The scores by cell of students whose right answers are known by question; None where no question has a cell."""
    cells = dict(_cells_in(questions))
    if not cells:
        return None
    members: dict[Cell, list[str]] = defaultdict(list)
    for question, cell in cells.items():
        members[cell].append(question)
    right = {
        name: {cell: wilson(sum(known[one] for one in ids), len(ids)) for cell, ids in members.items()}
        for name, known in answered.items()
    }
    return CellScores({cell: len(ids) for cell, ids in members.items()}, right)


def _cells_in(questions: Path) -> Mapping[str, Cell]:
    found: dict[str, Cell] = {}
    for line in questions.read_text(encoding="utf-8").split("\n"):
        row = json.loads(line) if line.strip() else {}
        difficulty = row.get("difficulty")
        if row.get("discipline") and isinstance(difficulty, int) and not isinstance(difficulty, bool):
            found[row["id"]] = (str(row["discipline"]), difficulty)
    return found


def cell_table(scores: CellScores) -> str:
    """The table as Markdown."""
    names = list(scores.right)
    rows = [
        [f"{cell[0]} {cell[1]}", count, *(str(scores.right[name][cell]) for name in names)]
        for cell, count in sorted(scores.questions.items())
    ]
    intro = "Accuracy by discipline and difficulty, with 95 % intervals; a cell of few questions proves little."
    return f"{intro}\n\n{table(['cell', 'questions', *names], rows)}"


def draw_cells(scores: CellScores, path: Path) -> None:
    """Every student's accuracy, then what each student after the first gained on it."""
    first, *others = list(scores.right)[:DRAWN]
    panels = [_accuracy(name, scores.right[name]) for name in (first, *others)]
    panels += [_gain(f"{name} − {first}", scores.right[first], scores.right[name]) for name in others]
    total = sum(scores.questions.values())
    draw_heat_maps(
        panels,
        path,
        title="Right answers by discipline and difficulty",
        note=f"{total:,} held-out questions; 95 % intervals; white: no question",
    )


def _accuracy(title: str, cells: Mapping[Cell, Interval]) -> Panel:
    under = {cell: f"{one.low:.2f}–{one.high:.2f}" for cell, one in cells.items()}
    return Panel(title=title, cells={cell: one.value for cell, one in cells.items()}, scale="share", under=under)


def _gain(title: str, before: Mapping[Cell, Interval], after: Mapping[Cell, Interval]) -> Panel:
    return Panel(title=title, cells={cell: after[cell].value - before[cell].value for cell in after}, scale="change")
