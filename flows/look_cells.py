"""Budgets that steps stored, as tables and as heat maps.

DISCIPLINE   LEVEL  SEEDS  TRIED  RIGHT              BUDGET
mathematics      4    120     40  0.21 [0.11, 0.36]     310
"""

from __future__ import annotations

from pathlib import Path

from flows.heat_map import Panel, draw_heat_maps
from flows.stored import the_thing
from flows.terminal import console, grid, number, some
from mashbill.errors import UserError
from mashbill.store import Stored
from synth.budget import Budget, Cell


def show_cells(step: str, against: str | None, draw: Path | None, root: Path) -> None:
    """Print a step's budget, beside a later one's if there is one, and draw both.

    Raises:
        UserError: for a step that stored no budget.
    """
    budget = budget_in(the_thing(step, root, ["step"]).path)
    later = None if against is None else budget_in(the_thing(against, root, ["step"]).path)
    print_budget(budget, later)
    if draw is not None:
        console().print(draw_budget(budget, draw, later=later))


def budget_in(folder: Path) -> Budget:
    """The budget in a finished step's manifest.

    Raises:
        UserError: when it has none.
    """
    stored = Stored.open(folder)
    found = stored.manifest.notes.get("budget")
    if not isinstance(found, dict) or "cells" not in found:
        raise UserError(
            f"{folder}: {stored.manifest.step} stored no budget; `cell_budget` and the steps that spend one do"
        )
    return Budget.from_plain(found)


def print_budget(budget: Budget, later: Budget | None = None) -> None:
    """One row for each cell, the notes below."""
    heads = ["DISCIPLINE", "LEVEL", "SEEDS", "TRIED", "RIGHT", *(["LATER"] if later else []), "BUDGET"]
    after = {} if later is None else {(one.discipline, one.difficulty): one for one in later.cells}
    rows = []
    for one in budget.cells:
        told = [one.discipline, str(one.difficulty), number(one.seeds), number(one.probed), right_of(one)]
        if later is not None:
            told.append(right_of(after.get((one.discipline, one.difficulty))))
        rows.append([*told, number(one.budget)])
    out = console()
    out.print(grid(heads, rows, right=("LEVEL", "SEEDS", "TRIED", "BUDGET")))
    out.print(f"{number(budget.total)} {budget.unit} by {budget.by} over {some(len(budget.wanted()), 'cell')}")
    for note in budget.notes:
        out.print(f"note: {note}")


def right_of(cell: Cell | None) -> str:
    """The accuracy of a cell with its interval."""
    if cell is None or cell.accuracy is None:
        return "–"
    return f"{cell.accuracy:.2f} [{cell.low:.2f}, {cell.high:.2f}]"


def draw_budget(budget: Budget, path: Path, *, later: Budget | None = None, title: str = "") -> Path:
    """Heat maps side by side: accuracy and budget; with a later one accuracy before, after, and the change.

    Raises:
        SettingsError: when matplotlib is not installed, or the file's suffix is unknown.
        StoreError: when the file cannot be written.
    """
    panels = [accuracy_panel(budget, "right, before" if later else "right")]
    if later is None:
        amounts = {(one.discipline, one.difficulty): float(one.budget) for one in budget.cells if one.seeds}
        panels.append(Panel(title=f"budget, {budget.unit}", cells=amounts, scale="amount"))
    else:
        panels += [accuracy_panel(later, "right, after"), _change(budget, later)]
    note = f"{budget.total:,} {budget.unit} by {budget.by}; 95 % intervals over the questions tried; white: none"
    return draw_heat_maps(panels, path, title=title or "What the student can, by discipline and difficulty", note=note)


def accuracy_panel(budget: Budget, title: str) -> Panel:
    """A student's accuracy in each cell."""
    cells = {(one.discipline, one.difficulty): one.accuracy for one in budget.cells}
    under = {
        (one.discipline, one.difficulty): f"{one.low:.2f}–{one.high:.2f}" for one in budget.cells if one.low is not None
    }
    return Panel(title=title, cells=cells, scale="share", under=under)


def _change(before: Budget, after: Budget) -> Panel:
    first = {(one.discipline, one.difficulty): one.accuracy for one in before.cells}
    changes = {
        (one.discipline, one.difficulty): one.accuracy - earlier
        for one in after.cells
        if one.accuracy is not None and (earlier := first.get((one.discipline, one.difficulty))) is not None
    }
    return Panel(title="change", cells=changes, scale="change")
