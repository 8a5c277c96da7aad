"""What a release took, as it is shown: at the end of a run, by a command, and beside a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.costs import cost_json, cost_lines, render_costs, shown, write_costs
from flows.run_bill import run_bill
from mashbill.prices import Price, PriceTable
from mashbill.progress import Silent
from mashbill.release_manifest import ReleaseManifest
from mashbill.settings import Settings
from tests.flows.fake_kitchen import Project, project

SMALL: dict[str, Any] = {"student": None, "train": None, "evaluate": None}


def prices_of(run: Project) -> Path:
    path = run.folder / "prices.toml"
    path.write_text('currency = "USD"\n["scripted/rule"]\ninput = 1000\noutput = 5000\n', encoding="utf-8")
    return path


def test_a_run_ends_with_what_each_step_took_and_prices_change_no_byte(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    plain = run_bill(run.bill, Settings(root=run.root), Silent())
    asks = len(run.paid())
    first, said = plain.summary.splitlines()
    assert first.startswith("tiny 1: ")
    assert said.startswith("tales, tell_tales: ")
    assert said.endswith(f"{asks:,} asks, {9 * asks} + {5 * asks} tokens")
    assert plain.releases is not None
    card = (plain.releases / "README.md").read_bytes()
    priced = run_bill(run.bill, Settings(root=run.root, prices=prices_of(run)), Silent())
    assert priced.summary == f"{plain.summary}, {shown(asks * 0.034, 'USD')}"
    assert (plain.releases / "README.md").read_bytes() == card
    release = ReleaseManifest.read(plain.releases)
    shown_text = render_costs(
        release, PriceTable.read(prices_of(run)), {release.streams["raw"].steps[0].fingerprint: "almanac"}
    )
    heads, row, _, more, source = shown_text.splitlines()
    assert heads.split("  ")[0] == "STREAM"
    assert row.split()[:3] == ["tales", "tell_tales", "almanac"]
    assert row.endswith(f"{shown(asks * 0.034, 'USD')}")
    assert more.startswith("SOURCE")
    assert source.split()[:3] == ["almanac", "8", f"{release.rows}"]


def test_costs_lie_beside_a_report_and_are_written_anew(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    folder = run_bill(run.bill, Settings(root=run.root), Silent()).releases
    assert folder is not None
    release = ReleaseManifest.read(folder)
    write_costs(tmp_path, release, None, {})
    assert "cost" not in (tmp_path / "costs.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "costs.json").read_text(encoding="utf-8"))["steps"][0]["cost"] is None
    write_costs(tmp_path, release, PriceTable.read(prices_of(run)), {})
    (step,) = json.loads((tmp_path / "costs.json").read_text(encoding="utf-8"))["steps"]
    assert step["cost"] == pytest.approx(len(run.paid()) * 0.034)
    assert (step["asks"], step["stream"]) == (len(run.paid()), "tales")
    assert "USD" in (tmp_path / "costs.md").read_text(encoding="utf-8")


def test_an_engine_without_a_price_costs_an_unknown_sum(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    folder = run_bill(run.bill, Settings(root=run.root), Silent()).releases
    assert folder is not None
    release, other = ReleaseManifest.read(folder), PriceTable(Path("p"), "USD", {"other": Price(1, 1)})
    assert cost_lines(release, other)[0].endswith("cost unknown")
    assert "–" in render_costs(release, other)
    assert cost_json(release, other)["sources"][0]["cost"] is None


def test_a_release_that_no_model_was_asked_for(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL, engine=None, steps=None, streams={"raw": {"from": "almanac"}}, release=None)
    folder = run_bill(run.bill, Settings(root=run.root), Silent()).releases
    assert folder is not None
    assert render_costs(ReleaseManifest.read(folder)) == "tiny 1: no step asked a model, so it took no tokens"
