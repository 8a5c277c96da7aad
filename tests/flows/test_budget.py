"""A bill under a budget: a valid partial release, an account that is kept, and the whole when there is money again."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.budget import shown_account
from flows.cli import app
from flows.kitchen import Outcome
from flows.one_run import AccountInUse, payer
from flows.replay import replay
from flows.run_bill import run_bill
from mashbill.errors import BudgetError, LedgerError, NotKept, SettingsError
from mashbill.limits import Limits
from mashbill.partial import lacking_of
from mashbill.progress import Silent
from mashbill.read_bill import read_bill
from mashbill.release_manifest import ReleaseManifest
from mashbill.settings import Settings
from mashbill.spending import kept_account
from mashbill.store import Stored
from tests.flows.fake_kitchen import BILL, Project, everything, project

SMALL: dict[str, Any] = {"student": None, "train": None, "evaluate": None}
FEW = "700tokens"
"""Of the 14 tokens of each of some 50 asks: the last hundreds stay, as more is set aside for an ask than it takes."""


def cook(run: Project, *budget: str, account: str = "", prices: Path | None = None) -> Outcome:
    settings = Settings(root=run.root, budget=Limits.parse(budget), account=account, prices=prices, records_in_flight=2)
    return run_bill(run.bill, settings, Silent())


def released(outcome: Outcome) -> ReleaseManifest:
    assert outcome.releases is not None
    return ReleaseManifest.read(outcome.releases)


def without_runs(root: Path) -> dict[str, str]:
    return {
        name: digest for name, digest in everything(root).items() if not name.startswith(("runs/", ".lock", "run-"))
    }


def test_a_budget_stops_with_a_partial_release_that_the_card_names_and_the_whole_follows(tmp_path: Path) -> None:
    run = project(tmp_path / "a", **SMALL)
    some = cook(run, FEW)
    paid = len(run.paid())
    account = kept_account(run.root / "ledger.sqlite", "tiny")
    assert sum(one.asks for one in account.spent.values()) == paid
    assert sum(one.tokens for one in account.spent.values()) == 14 * paid <= 700
    partial = released(some)
    (step,) = [one for one in partial.streams["tales"].steps if one.step == "tell_tales"]
    lacks = lacking_of(step.identity)["over_budget"]
    assert 0 < lacks < 8
    assert step.counts.rejected["over_budget"] == lacks
    said = f"stopped by its budget: {lacks} of 8 records not asked to the end"
    assert said in some.summary
    assert "run the same command with a larger --budget" in some.summary
    assert some.releases is not None
    assert said in (some.releases / "README.md").read_text(encoding="utf-8")
    # The same command again: the same release, and nothing is paid.
    before = without_runs(run.root)
    assert cook(run, FEW).releases == some.releases
    assert without_runs(run.root) == before
    assert len(run.paid()) == paid
    assert "the same from the ledger alone" in replay(run.bill, Settings(root=run.root), Silent())
    # With more money the whole, of the bytes of a run that never had a budget.
    whole = cook(run, "1M tokens")
    never = project(tmp_path / "b", **SMALL)
    unhindered = cook(never)
    assert whole.releases is not None
    assert unhindered.releases is not None
    assert whole.releases.name == unhindered.releases.name != some.releases.name
    assert everything(whole.releases) == everything(unhindered.releases)
    assert "stopped by" not in whole.summary
    assert run.paid_twice() == []
    made = without_runs(run.root)
    assert without_runs(never.root).items() <= made.items()
    assert "the same from the ledger alone" in replay(run.bill, Settings(root=run.root), Silent())


def test_rows_of_the_partial_release_are_rows_of_the_whole(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL, release=None)
    some, whole = cook(run, FEW), cook(run)
    rows = []
    for outcome in (some, whole):
        (place,) = [step.fingerprint for step in released(outcome).streams["tales"].steps if step.step == "tell_tales"]
        stored = Stored.open(run.root / "tell_tales" / place)
        rows.append({row for table in stored for row in table.column("id").to_pylist()})
    assert rows[0] < rows[1]


def test_a_run_killed_under_a_budget_goes_on_with_what_is_left(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    ended = run.run("--budget", FEW, ends="SIGKILL paid 9")
    assert ended.killed
    kept = kept_account(run.root / "ledger.sqlite", "tiny")
    stored = sqlite3.connect(run.root / "ledger.sqlite").execute("SELECT count(*) FROM replies").fetchone()[0]
    assert sum(one.asks for one in kept.spent.values()) == stored > 0
    assert kept.seconds > 0
    again = run.run("--budget", FEW)
    assert again.code == 0, again.err
    assert "stopped by its budget" in again.out
    account = kept_account(run.root / "ledger.sqlite", "tiny")
    assert sum(one.tokens for one in account.spent.values()) <= 700
    assert account.seconds > kept.seconds


def test_a_new_account_begins_at_nothing(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    cook(run, FEW)
    paid = len(run.paid())
    cook(run, FEW, account="tiny second")
    more = len(run.paid()) - paid
    assert more > 0
    one, other = (kept_account(run.root / "ledger.sqlite", name) for name in ("tiny", "tiny second"))
    assert sum(spent.asks for spent in one.spent.values()) == paid
    assert sum(spent.asks for spent in other.spent.values()) == more


def prices_of(run: Project, text: str) -> Path:
    path = run.folder / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_money_is_reckoned_with_the_price_table_and_shown(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    table = prices_of(run, 'currency = "USD"\n["scripted/rule"]\ninput = 1000\noutput = 5000\n')
    some = cook(run, "1 USD", prices=table)
    paid, each = len(run.paid()), (9 * 1000 + 5 * 5000) / 1e6
    assert "stopped by its budget" in some.summary
    assert 0 < paid * each <= 1
    settings = Settings(root=run.root, budget=Limits.parse(["1 USD", "2000 tokens", "1h"]), prices=table)
    shown = shown_account(read_bill(run.bill), settings)
    assert shown.startswith(f"account tiny: {paid} asks, {9 * paid} + {5 * paid} tokens, {paid * each:,.2f} USD, 0.")
    assert f"left of 2,000 tokens, 1 USD, 60 min: {2000 - 14 * paid:,} tokens, {1 - paid * each:.2f} USD, " in shown
    assert f"scripted/rule  tell_tales  {paid:>4}" in " ".join(shown.split(" ")).replace("  ", "  ")
    free = shown_account(read_bill(run.bill), replace(settings, prices=None))
    assert "unknown without prices" in free
    other = prices_of(run, 'currency = "USD"\n["other"]\ninput = 1\noutput = 5\n')
    assert "unknown without prices" in shown_account(read_bill(run.bill), replace(settings, prices=other))
    assert shown_account(read_bill(run.bill), Settings(root=tmp_path / "none")) == (
        "account tiny: 0 asks, 0 + 0 tokens, 0.0 min"
    )


def test_a_budget_that_cannot_be_reckoned_is_refused_before_any_ask(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    with pytest.raises(BudgetError, match="cannot be reckoned without prices"):
        cook(run, "5USD")
    wrong = prices_of(run, 'currency = "USD"\n["scripted/rules"]\ninput = 1\noutput = 5\n')
    with pytest.raises(SettingsError, match=r"has no price for scripted/rule \(did you mean scripted/rules\?\)"):
        cook(run, "5USD", prices=wrong)
    for said, why in [("0tokens", "nothing can be asked for that"), ("5 pounds", "'pounds' is no unit")]:
        ended = run.run("--budget", said)
        assert (ended.code, ended.out) == (2, "")
        assert why in ended.err
    assert run.paid() == []
    assert run.engine_starts() == 0


def test_a_budget_too_small_for_one_row_says_so_and_what_was_paid_is_kept(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL, release={"streams": {"tales": 1}})
    ended = run.run("--budget", "20tokens")
    assert ended.code == 2
    assert "the budget left no row of tell_tales (8 records)" in ended.err
    assert "run it again with a larger --budget" in ended.err
    assert run.paid() == []
    assert not (run.root / "releases").exists()


def test_a_stream_that_the_budget_left_empty_is_named_and_the_others_are_released(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    some = cook(run, "20tokens")
    assert list(released(some).streams) == ["raw"]
    assert "Not in it: stream tales: the budget left no row of tell_tales" in some.summary
    assert some.releases is not None
    assert "Not in it: stream tales" in (some.releases / "README.md").read_text(encoding="utf-8")
    assert "the same from the ledger alone" in replay(run.bill, Settings(root=run.root), Silent())


def test_prices_may_stand_in_the_settings_file(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    prices_of(run, 'currency = "USD"\n["scripted/rule"]\ninput = 1000\noutput = 5000\n')
    (run.folder / "mashbill.toml").write_text('prices = "prices.toml"\n', encoding="utf-8")
    ended = run.run("--budget", "1 USD")
    assert ended.code == 0, ended.err
    assert "stopped by its budget" in ended.out


def test_a_replay_of_what_was_never_whole_nor_partial_says_what_lacks(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    some = cook(run, FEW)
    run.write(**SMALL, name="other")
    with pytest.raises(NotKept):
        replay(run.bill, Settings(root=run.root), Silent())
    assert some.releases is not None
    assert json.loads((some.releases / "manifest.json").read_text(encoding="utf-8"))["name"] == "tiny"


def said_by(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_what_was_spent_is_shown_by_commands(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    outcome = cook(run, FEW)
    paid = len(run.paid())
    table = prices_of(run, 'currency = "USD"\n["scripted/rule"]\ninput = 1000\noutput = 5000\n')
    options = ["--root", str(run.root), "--prices", str(table)]
    said = said_by("budget", str(run.bill), "--budget", "5 USD", *options)
    assert said.startswith(f"account tiny: {paid} asks")
    assert "left of 5 USD: " in said
    assert f"{paid} asks" not in said_by("budget", str(run.bill), "--account", "another", *options)
    assert outcome.releases is not None
    assert " USD" in said_by("costs", str(outcome.releases), *options)


def test_a_ledger_of_an_earlier_version_has_no_account_and_a_broken_one_is_named(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    with contextlib.closing(sqlite3.connect(ledger)) as one:
        one.execute("CREATE TABLE replies (key BLOB)")
        one.commit()
    assert kept_account(ledger, "tiny").spent == {}
    ledger.write_bytes(b"no database at all, but long enough to be taken for one" * 40)
    with pytest.raises(LedgerError, match="cannot read the ledger"):
        kept_account(ledger, "tiny")


def test_a_stop_by_time_alone_leaves_what_was_not_sent(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL, release=None)
    # A thousandth of a second is over before the first ask, and counted from the start of the run.
    with pytest.raises(BudgetError, match="the budget left no row of tell_tales"):
        cook(run, "0.001s")
    assert run.paid() == []
    assert cook(run, "1h").releases is not None
    shown = shown_account(read_bill(run.bill), Settings(root=run.root, budget=Limits.parse(["1h"])))
    assert "left of 60 min: 59." in shown or "left of 60 min: 60.0 min" in shown


def test_a_run_with_a_budget_has_its_account_for_itself(tmp_path: Path) -> None:
    first, second = project(tmp_path / "first", **SMALL), project(tmp_path / "second", **SMALL)
    kept = first.root / "ledger.sqlite"
    with payer(kept, "ours/both", "20261201-041500-7f3a", alone=True):
        for budget in ((), (FEW,)):
            with pytest.raises(
                AccountInUse, match=r"another run \(run 20261201-041500-7f3a, pid \d+\) spends from the"
            ):
                cook(first, *budget, account="ours/both")
        cook(first, account="others")
    with payer(kept, "ours/both", "", alone=False):
        with pytest.raises(AccountInUse, match=r"another run spends from the account ours/both"):
            cook(first, FEW, account="ours/both")
        assert cook(first, account="ours/both").releases
    assert cook(first, FEW, account="ours/both").releases
    assert cook(second, FEW, account="ours/both").releases  # another ledger


def test_by_its_name_a_step_is_found_though_a_budget_left_parts_of_it_beside(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    lacking = {}
    for budget in (FEW, "560tokens", "900tokens", "1M tokens"):
        (step,) = [one for one in released(cook(run, budget)).streams["tales"].steps if one.step == "tell_tales"]
        lacking[budget] = (step.fingerprint, lacking_of(step.identity).get("over_budget", 0))
        shown = CliRunner().invoke(app, ["rejects", "tell_tales", "--root", str(run.root)])
        assert shown.exit_code == 0, shown.output
        if budget == "560tokens":
            assert lacking[budget] == lacking[FEW], "what is spent already is no less"
        assert f"tell_tales/{step.fingerprint[:12]} rejected" in shown.output
        said = f"it was stopped by its budget: {lacking[budget][1]} of 8 records not asked to the end"
        assert (said in " ".join(shown.output.split())) == bool(lacking[budget][1])
    assert len({name for name, _ in lacking.values()}) == 3
    first = CliRunner().invoke(app, ["rejects", f"tell_tales/{lacking[FEW][0][:12]}", "--root", str(run.root)])
    assert f"tell_tales/{lacking[FEW][0][:12]} rejected" in first.output, "each is found by its fingerprint"
    # What was made of them are steps of their own, and so is the step with another field.
    several = CliRunner().invoke(app, ["rejects", "exact_dedup", "--root", str(run.root)])
    assert several.exit_code == 2
    assert "things, the last one written last: exact_dedup/" in several.output
    run.write(
        **SMALL, streams={**BILL["streams"], "tales": {"from": "almanac", "generate": [{"tell_tales": {"tales": 2}}]}}
    )
    other = cook(run, "1M tokens", account="other")
    (step,) = [one for one in released(other).streams["tales"].steps if one.step == "tell_tales"]
    both = CliRunner().invoke(app, ["rejects", "tell_tales", "--root", str(run.root)])
    assert both.exit_code == 2
    told = f"tell_tales/{lacking['1M tokens'][0][:12]}, tell_tales/{step.fingerprint[:12]}; give name/fingerprint"
    assert told in both.output
