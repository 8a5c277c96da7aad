"""What a loop asked, and what that gained: by round and recipe, in tokens and money; and what a budget leaves of it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from flows.kitchen import Outcome
from flows.loop_costs import Spent, costs_section, spent_line
from flows.loop_rounds import Rounds
from mashbill.costs import Tokens
from mashbill.limits import Limits
from mashbill.prices import Price, PriceTable
from mashbill.release_manifest import ReleaseManifest
from tests.flows.test_loop import FULL, kept_bytes, made, report_of, run

TEACHER = "scripted/loop-teacher-0.6-0.1"
USD = PriceTable(Path("prices.toml"), "USD", {TEACHER: Price(1_000, 4_000)})


@dataclass(frozen=True)
class Whole:
    """A loop of two rounds without budget or prices."""

    folder: Path
    outcome: Outcome


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    return Whole(folder, run(made(folder, **FULL)))


def paid(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Account -> asks, prompt tokens and new tokens, by the ledger."""
    with closing(sqlite3.connect(folder / "runs" / "ledger.sqlite")) as ledger:
        found = ledger.execute(
            "select account, sum(asks), sum(prompt_tokens), sum(completion_tokens) from spending group by account"
        )
        return {account: (asks, prompt, new) for account, asks, prompt, new in found}


def costs(outcome: Outcome) -> list[dict[str, Any]]:
    return list(report_of(outcome)["runs"]["country"]["costs"])


def of_round(lines: list[dict[str, Any]], number: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A round's recipes, then the round."""
    *recipes, all_ = [one for one in lines if one["rounds"] == str(number)]
    return recipes, all_


def test_each_round_is_on_an_account_of_its_own_and_the_report_says_what_was_paid_for_it(whole: Whole) -> None:
    accounts, lines = paid(whole.folder), costs(whole.outcome)
    assert set(accounts) == {"country#round-1", "country#round-2"}
    rounds = report_of(whole.outcome)["runs"]["country"]["rounds"]
    for number in (1, 2):
        recipes, all_ = of_round(lines, number)
        assert [one["recipe"] for one in recipes] == ["notes", "gossip"]
        assert (all_["asks"], all_["prompt"], all_["completion"]) == accounts[f"country#round-{number}"]
        assert all_["asks"] == sum(one["asks"] for one in recipes) > 0
        gained = rounds[number]["validation"]["accuracy"] - rounds[number - 1]["validation"]["accuracy"]
        assert all_["gain"] == pytest.approx(gained)
        tokens = all_["prompt"] + all_["completion"]
        assert all_["points_a_million_tokens"] == pytest.approx(100 * gained * 1e6 / tokens)
    # A recipe's gain is its probe's; a student from scratch has none in round 1.
    assert [one["gain"] for one in of_round(lines, 1)[0]] == [None, None]
    probed = {name: one["measured_gain"] for name, one in rounds[2]["worth"].items()}
    assert {one["recipe"]: one["gain"] for one in of_round(lines, 2)[0]} == probed


def test_prices_add_money_to_the_report_and_change_nothing_else(tmp_path: Path, whole: Whole) -> None:
    assert all(one["cost"] is None and one["points_a_unit_of_money"] is None for one in costs(whole.outcome))
    page = report_page(whole.outcome)
    assert "| points a million tokens |" in page
    assert "cost |" not in page
    shutil.copytree(whole.folder, tmp_path, dirs_exist_ok=True)
    table = tmp_path / "prices.toml"
    table.write_text(f'currency = "USD"\n["{TEACHER}"]\ninput = 1000\noutput = 4000\n', encoding="utf-8")
    priced = run(tmp_path / "country.yaml", prices=table)
    assert paid(tmp_path) == paid(whole.folder)
    for one in costs(priced):
        cost = one["prompt"] * 1e-3 + one["completion"] * 4e-3
        assert one["cost"] == pytest.approx(cost)
        gained = one["gain"] if one["gain"] is None else pytest.approx(100 * one["gain"] / cost)
        assert one["points_a_unit_of_money"] == gained
    assert report_of(priced)["currency"] == "USD"
    assert "| cost | gain | points a million tokens | points a USD |" in report_page(priced)
    (said,) = [line for line in priced.summary.splitlines() if line.startswith("country: ") and "asks" in line]
    assert said.endswith(" USD in 2 rounds")
    before, after = (
        {name: kept for name, kept in kept_bytes(folder / "runs").items() if not name.startswith("reports/")}
        for folder in (whole.folder, tmp_path)
    )
    assert before == after


def report_page(outcome: Outcome) -> str:
    assert outcome.report is not None
    return (outcome.report / "report.md").read_text(encoding="utf-8")


def test_the_page_shows_its_pictures(whole: Whole) -> None:
    assert whole.outcome.report is not None
    pictures = [path.name for path in whole.outcome.report.glob("*.png")]
    assert sorted(pictures) == ["curve.png", "groups.png", "recipes.png"]
    assert all(f"]({name})" in report_page(whole.outcome) for name in pictures)


def test_a_budget_that_is_spent_leaves_a_loop_that_ends_and_that_more_makes_whole(tmp_path: Path, whole: Whole) -> None:
    bill = made(tmp_path, **FULL)
    # Enough for the first round and some of the second.
    first = sum(paid(whole.folder)["country#round-1"][1:])
    stopped = run(bill, budget=Limits.parse([f"{first + 250} tokens"]))
    accounts = paid(tmp_path)
    assert set(accounts) == {"country"}
    assert first < sum(accounts["country"][1:]) <= first + 250
    assert "to go on, run the same command with a larger --budget" in stopped.summary
    last = report_of(stopped)["runs"]["country"]["rounds"][-1]
    release = ReleaseManifest.read(tmp_path / "runs" / last["release"])
    assert release.rows == last["new_rows"] > 0
    assert any("stopped by its budget" in note for note in last["notes"])
    # The same again asks nothing and says the same.
    assert run(bill, budget=Limits.parse([f"{first + 250} tokens"])).summary == stopped.summary
    assert paid(tmp_path) == accounts
    run(bill)
    assert sum(one[0] for one in paid(tmp_path).values()) == sum(one[0] for one in paid(whole.folder).values())
    wanted = kept_bytes(whole.folder / "runs")
    assert {name: kept for name, kept in kept_bytes(tmp_path / "runs").items() if name in wanted} == wanted


def test_a_budget_that_lets_nothing_be_asked_ends_with_the_student_before_and_says_why(tmp_path: Path) -> None:
    ended = run(made(tmp_path), budget=Limits.parse(["10 tokens"]))
    found = report_of(ended)["runs"]["country"]
    assert ([one["round"] for one in found["rounds"]], found["chosen"], found["costs"]) == ([0], 0, [])
    assert "a budget that is spent" in found["ended"]
    assert paid(tmp_path) == {}
    assert "## What it took" not in report_page(ended)


def spent(asked: dict[str, Tokens], gain: float | None) -> Spent:
    return Spent(rounds="1", recipe="notes", asked=asked, gain=gain)


def test_a_point_is_a_hundredth_and_what_cost_nothing_or_has_no_price_has_no_rate() -> None:
    one = spent({TEACHER: Tokens(2, 1_000, 500), "other/1": Tokens(1, 300, 200)}, 0.04)
    assert one.tokens == Tokens(3, 1_300, 700)
    assert one.for_tokens == pytest.approx(4 / 0.002)
    assert one.for_money(USD) is None
    assert one.for_money(None) is None
    assert spent({TEACHER: Tokens(2, 1_000, 500)}, 0.04).for_money(USD) == pytest.approx(4 / 3)
    assert spent({TEACHER: Tokens(2, 1_000, 500)}, None).for_money(USD) is None
    free = PriceTable(Path("p"), "USD", {TEACHER: Price(0, 0)})
    assert spent({TEACHER: Tokens(2, 1_000, 500)}, 0.04).for_money(free) is None
    assert spent({}, 0.04).tokens == Tokens(0, 0, 0)
    assert spent({}, 0.04).for_tokens is None


def test_an_engine_without_a_price_has_an_unknown_cost(whole: Whole) -> None:
    line = costs(whole.outcome)[0]
    asked = {TEACHER: Tokens(line["asks"], line["prompt"], line["completion"])}
    one = SimpleNamespace(number=1, made={"notes": SimpleNamespace(asked=asked)}, accuracy=SimpleNamespace(value=0.5))
    before = SimpleNamespace(number=0, made={}, accuracy=SimpleNamespace(value=0.4))
    loop = cast(Rounds, SimpleNamespace(name="country", done=[before, one], best=before, probes=lambda made: False))
    bare = PriceTable(Path("p"))
    assert spent_line(loop, bare) == (
        f"country: {line['asks']} asks, {line['prompt']} + {line['completion']} tokens, cost unknown in 1 round"
    )
    *_, page = costs_section([loop], bare)
    assert "points a unit of money" in page
    assert "| – | not measured | – | – |" in page
