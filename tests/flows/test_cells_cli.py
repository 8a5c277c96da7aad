"""``mashbill cells``: the stored budget of a step as a table and as heat maps."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.heat_map import Panel, draw_heat_maps
from mashbill.records import QA
from mashbill.store import Stored
from synth.budget import BudgetSpec
from synth.generators.cell_budget import CellBudget
from tests.support.kernel import store
from tests.synth.boostqa_seeds import cell
from tests.synth.rationale_helpers import run

BEFORE = cell("mathematics", 4, seeds=5, rates=[0.0, 0.5]) + cell("humanities", 1, seeds=5, rates=[1.0, 0.5])
AFTER = cell("mathematics", 4, seeds=5, rates=[0.75, 0.75]) + cell("humanities", 1, seeds=5, rates=[1.0, 0.25])


def said(*arguments: str, code: int = 0) -> Result:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["cells", *arguments])
    assert result.exit_code == code, result.output
    return result


def budgeted(root: Path, rows: list[QA]) -> Stored:
    step = CellBudget(budget=BudgetSpec(total=100, smoothing=0, non_stem=0.1))
    return asyncio.run(run(root, step, rows, {}))


def texts(path: Path) -> list[str]:
    return ["".join(one.itertext()) for one in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_a_budget_is_shown_cell_by_cell(tmp_path: Path) -> None:
    made = budgeted(tmp_path / "runs", [*BEFORE, QA.new(question="What?", answer="That.")])
    shown = said(str(made.path)).output
    (row,) = (line for line in shown.splitlines() if line.startswith("mathematics"))
    assert row.split() == ["mathematics", "4", "5", "2", "0.25", "[0.03,", "0.80]", "75"]
    assert "100 rows by weakness over 2 cells" in shown
    assert "note: rows without discipline or difficulty, which count in no cell: 1" in shown
    assert said("cell_budget", "--root", str(tmp_path / "runs")).output == shown


def test_a_later_budget_is_shown_beside_it(tmp_path: Path) -> None:
    first, second = budgeted(tmp_path / "a", BEFORE), budgeted(tmp_path / "b", AFTER)
    shown = said(str(first.path), "--against", str(second.path)).output
    (row,) = (line for line in shown.splitlines() if line.startswith("mathematics"))
    assert row.split()[4:] == ["0.25", "[0.03,", "0.80]", "0.75", "[0.20,", "0.97]", "75"]


def test_a_step_without_a_budget_is_said_to_have_none(tmp_path: Path) -> None:
    made = store(tmp_path / "runs", BEFORE)
    assert "made_by_hand stored no budget; `cell_budget` and" in said(str(made.path), code=2).output


def test_the_heat_maps_say_every_number_that_the_table_says(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    first, second = budgeted(tmp_path / "a", BEFORE), budgeted(tmp_path / "b", AFTER)
    said(str(first.path), "--draw", str(tmp_path / "one.svg"))
    shown = texts(tmp_path / "one.svg")
    for text in ("mathematics", "humanities", "0.25", "0.75", "0.03–0.80", "75", "25", "right", "budget, rows"):
        assert text in shown
    said(str(first.path), "--against", str(second.path), "--draw", str(tmp_path / "two.svg"))
    shown = texts(tmp_path / "two.svg")
    for text in ("right, before", "right, after", "change", "+0.50", "-0.12"):
        assert text in shown
    again = tmp_path / "again.svg"
    said(str(first.path), "--draw", str(again))
    assert again.read_bytes() == (tmp_path / "one.svg").read_bytes()


def test_a_cell_without_a_value_is_white_and_says_nothing(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    one = Panel(title="one", cells={("law", 1): 0.5, ("law", 2): None}, scale="share")
    other = Panel(title="other", cells={("art", 3): 0.0}, scale="change")
    shown = texts(draw_heat_maps([one, other], tmp_path / "g.svg", title="t"))
    assert [text for text in shown if "." in text] == ["0.50", "+0.00"]
    assert [text for text in shown if text in "123"] == ["1", "2", "3"] * 2, "the same columns in both"
    with pytest.raises(ValueError, match="no cell to draw"):
        draw_heat_maps([], tmp_path / "g.svg", title="t")


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    made = budgeted(tmp_path / "runs", BEFORE)
    assert "no kind of picture" in said(str(made.path), "--draw", str(tmp_path / "g.txt"), code=2).output
