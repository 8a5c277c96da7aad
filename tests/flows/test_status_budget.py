"""What a run under a budget tells whoever watches it: what is left, and once that it is spent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.run_bill import run_bill
from mashbill.limits import Limits
from mashbill.progress import Silent
from mashbill.settings import Settings
from tests.flows.fake_kitchen import project

SMALL: dict[str, Any] = {"student": None, "train": None, "evaluate": None}


def test_status_says_what_is_left_of_a_budget_and_the_log_that_it_is_spent(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    settings = Settings(root=run.root, budget=Limits.parse(["700tokens"]), records_in_flight=2)
    run_bill(run.bill, settings, Silent())
    said = CliRunner().invoke(app, ["status", "--root", str(run.root)]).output
    paid = len(run.paid())
    (line,) = [line for line in said.splitlines() if line.startswith("  budget")]
    assert f"left of 700 tokens: {700 - 14 * paid} tokens; account tiny: {paid} asks" in line
    (log,) = (run.root / "run-log").glob("*.jsonl")
    spent = [json.loads(one) for one in log.read_text().splitlines() if "the budget is spent" in one]
    assert [(one["level"], one["from"]) for one in spent] == [("warning", "engine")]


def test_a_run_without_a_budget_says_nothing_of_one(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    run_bill(run.bill, Settings(root=run.root), Silent())
    assert "  budget" not in CliRunner().invoke(app, ["status", "--root", str(run.root)]).output


def test_money_is_shown_in_the_steps_where_there_are_prices(tmp_path: Path) -> None:
    pytest.importorskip("prefect")
    from flows.artifacts import step_rows
    from mashbill.prices import PriceTable
    from mashbill.release_manifest import ReleaseManifest

    run = project(tmp_path, **SMALL)
    made = run_bill(run.bill, Settings(root=run.root), Silent())
    assert made.releases is not None
    prices = tmp_path / "prices.toml"
    prices.write_text('currency = "USD"\n["scripted/rule"]\ninput = 1000.0\noutput = 2000.0\n')
    rows = step_rows(ReleaseManifest.read(made.releases), PriceTable.read(prices))
    (tales,) = [row for row in rows if row["step"] == "tell_tales"]
    assert tales["cost USD"] == pytest.approx((9 * 1000 + 5 * 2000) * tales["asks"] / 1e6)
    assert all("cost USD" in row for row in rows)
