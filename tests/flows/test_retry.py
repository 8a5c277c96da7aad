"""Asking again what did not end well: changed, once, kept by every run that follows, and survived when killed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.retry_change import Change, state_named
from mashbill.ask_state import AskState
from mashbill.engine import Sampling
from mashbill.errors import UserError
from mashbill.ledger import Ledger
from tests.flows.fake_kitchen import Project, everything
from tests.flows.retry_project import retry_project


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("MASHBILL_ROOT", raising=False)
    monkeypatch.setenv("MASHBILL_RECORDS_IN_FLIGHT", "2")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("mashbill_steps_")]:
        del sys.modules[name]


def said(run: Project, command: str, *options: str, code: int = 0, bill: bool = True) -> str:
    words = [command, *([str(run.bill)] if bill else []), *options, "--root", str(run.root)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    return result.output


def ran(run: Project, code: int = 0) -> str:
    return said(run, "run", "--quiet", code=code)


def retried(run: Project, *options: str, code: int = 0) -> str:
    return said(run, "retry", "--quiet", *options, code=code)


def states(run: Project, *options: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in said(run, "asks", "--json", *options).splitlines()]


def releases(run: Project) -> set[str]:
    return {place.name for place in (run.root / "releases/tiny").iterdir()}


def test_what_was_cut_off_is_asked_with_more_tokens_until_nothing_is(tmp_path: Path) -> None:
    run = retry_project(tmp_path)
    ran(run)
    first, paid = releases(run), len(run.paid())
    cut = states(run, "--state", "truncated")
    assert cut
    assert {one["finish_reason"] for one in cut} == {"length"}
    assert all(len(str(one["text"]).split()) == 12 for one in cut)

    out = retried(run, "--state", "truncated", "--max-tokens", "2x")
    still = states_now(run)
    assert f"tell_tales: {len(cut)} asks asked again: {len(cut) - len(still)} ok, {len(still)} truncated" in out
    assert 0 < len(still) < len(cut)
    assert len(run.paid()) == paid + len(cut)
    assert len(releases(run)) == 2
    assert first < releases(run)
    assert "the same from the ledger alone" in said(run, "replay")
    [new] = releases(run) - first
    card = (run.root / "releases/tiny" / new / "README.md").read_text()
    assert f"did not end ok: truncated {len(still)}" in card
    assert f"asked otherwise after they had not ended well: {len(cut)} asks" in card
    [step] = {str(one["step_fingerprint"]) for one in still}
    assert f"; truncated {len(still)}" in said(run, "show", step, "-n", "0", bill=False)

    # Whoever runs the bill from now on has what was retried, and pays nothing.
    before, paid = everything(run.root / "releases"), len(run.paid())
    ran(run)
    assert (everything(run.root / "releases"), len(run.paid())) == (before, paid)

    # A second one takes what is still cut off alone, from the length it has by now.
    out = retried(run, "--state", "truncated", "--max-tokens", "4x")
    assert f"tell_tales: {len(still)} asks asked again: {len(still)} ok" in out
    assert len(run.paid()) == paid + len(still)
    lengths = {row["completion_tokens"] for row in made_by(run) if row["finish_reason"] == "stop"}
    assert max(lengths) > 24
    out = retried(run, "--state", "truncated", "--max-tokens", "2x")
    assert "no ask of tiny ended as truncated; there are: none that did not end ok" in out
    assert len(run.paid()) == paid + len(still)
    assert not run.paid_twice()


def states_now(run: Project) -> list[dict[str, object]]:
    """What the latest release's steps have that is truncated."""
    return states(run, "--state", "truncated")


def made_by(run: Project) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    newest = max((run.root / "tell_tales").iterdir(), key=lambda place: place.stat().st_mtime)
    return [row["made"] for part in newest.glob("part-*.parquet") for row in pq.read_table(part).to_pylist()]


def test_a_retry_that_was_killed_is_ended_by_the_same_command_and_pays_nothing_twice(tmp_path: Path) -> None:
    whole, killed = retry_project(tmp_path / "whole"), retry_project(tmp_path / "killed")
    for one in (whole, killed):
        ran(one)
    more = ("--state", "truncated", "--max-tokens", "2x")
    retried(whole, *more)
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", "retry", str(killed.bill), "--quiet", *more],
        cwd=killed.folder, env=killed.environment(TEACHER_ENDS="SIGKILL paid 5"), capture_output=True, timeout=200,
    )  # fmt: skip
    assert ended.returncode == -9, ended.stderr
    out = retried(killed, *more)
    assert "an earlier retry had not come to its end and was gone on with" in out
    assert len(killed.paid_twice()) <= 2  # in flight when it was killed: the teacher takes two calls at once
    assert everything(killed.root / "releases") == everything(whole.root / "releases")
    # It asked for no more than the undisturbed one: what is still cut off was not doubled a second time.
    assert {request for _, request in killed.paid()} == {request for _, request in whole.paid()}


def test_a_run_ends_a_retry_that_was_killed_before_it_asked(tmp_path: Path) -> None:
    run = retry_project(tmp_path)
    ran(run)
    first = releases(run)
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", "retry", str(run.bill), "-q", "--state", "truncated", "--max-tokens", "2x"],
        cwd=run.folder, env=run.environment(TEACHER_ENDS="SIGKILL paid 1"), capture_output=True, timeout=200,
    )  # fmt: skip
    assert ended.returncode == -9, ended.stderr
    assert releases(run) == first
    ran(run)
    assert len(releases(run)) == 2


def test_no_more_than_the_limit_and_only_of_the_step_are_asked_again(tmp_path: Path) -> None:
    run = retry_project(tmp_path)
    ran(run)
    paid = len(run.paid())
    more = ("--state", "truncated", "--max-tokens", "100")
    assert "tell_tales: 3 asks asked again: 3 ok" in retried(run, *more, "--limit", "3", "--step", "tell_tales")
    assert len(run.paid()) == paid + 3
    out = retried(run, *more, "--step", "tell_tale", code=2)
    assert "is called 'tell_tale' (did you mean tell_tales?)" in " ".join(out.split())


def test_where_all_was_cut_off_and_no_release_could_be_made_a_retry_makes_it(tmp_path: Path) -> None:
    run = retry_project(tmp_path, max_tokens=3)  # names take four tokens: cut off on each of three tries
    assert "left no row (truncated 8)" in ran(run, code=2)
    assert {one["state"] for one in states(run)} == {"truncated"}
    assert sum(one["last"] is True for one in states(run)) == 8
    out = " ".join(retried(run, "--state", "truncated", "--max-tokens", "3", "--limit", "4", code=2).split())
    assert "had 3 tokens and would now have 3; wanted more" in out
    out = " ".join(retried(run, "--state", "truncated", "--max-tokens", "2x", code=2).split())
    # Tales were asked for the first time by then, with the three tokens of the bill, and all were too short.
    assert "tell_tales: 8 asks asked again: 8 ok" in out
    assert "length left no row" in out
    out = retried(run, "--state", "truncated", "--max-tokens", "20x")
    assert len(releases(run)) == 1
    assert "tiny 1: " in out


def test_a_retry_that_leaves_no_row_either_says_what_came_of_it(tmp_path: Path) -> None:
    run = retry_project(tmp_path, max_tokens=1)
    ran(run, code=2)
    out = " ".join(retried(run, "--state", "truncated", "--max-tokens", "2", code=2).split())
    assert "tell_tales: 8 asks asked again: 8 truncated" in out
    assert "left no row (truncated 8)" in out


def test_a_retry_that_a_budget_stopped_is_ended_by_the_same_command_without_it(tmp_path: Path) -> None:
    run = retry_project(tmp_path)
    ran(run)
    cut, paid = len(states(run)), len(run.paid())
    more = ("--state", "truncated", "--max-tokens", "2x")
    # All that was spent is on the bill's account, so nothing is left of a budget of as much.
    out = retried(run, *more, "--budget", "100 tokens")
    assert f"tell_tales: {cut} asks asked again: {cut} over_budget" in out
    assert len(run.paid()) == paid
    assert {one["state"] for one in states(run)} == {"over_budget"}
    out = retried(run, *more)
    assert "an earlier retry had not come to its end and was gone on with" in out
    assert len(run.paid()) == paid + cut
    assert "over_budget" not in out


def test_what_got_its_shape_at_a_later_try_is_not_asked_again(tmp_path: Path) -> None:
    run = retry_project(tmp_path, max_tokens=60)
    ran(run)
    wrong = [one for one in states(run) if one["state"] == "unparsable"]
    assert wrong
    assert {one["last"] for one in wrong} == {False}
    paid = len(run.paid())
    assert "no ask of tiny ended as unparsable" in retried(run, "--state", "unparsable")
    assert len(run.paid()) == paid


def test_what_the_endpoint_failed_is_left_for_the_next_run_and_asked_again_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, run = retry_project(tmp_path / "whole"), retry_project(tmp_path / "failed")
    ran(whole)
    monkeypatch.setenv("TEACHER_FAILS", "house 3")
    ran(run)
    partial = releases(run)
    [failed] = [one for one in states(run) if one["state"] == "provider_error"]
    assert (failed["text"], failed["detail"]) == (None, "500 on each of 8 tries")
    assert "house 3" in json.dumps(failed["request"])
    assert len(states(run)) == len(
        of_step := [json.loads(one) for one in said(run, "asks", "tell_tales", "--json", bill=False).splitlines()]
    )
    assert {one["state"] for one in of_step} == {one["state"] for one in states(run)}
    out = retried(run, "--state", "provider_error")
    assert "tell_tales: 1 ask asked again: 1 provider_error" in out
    assert releases(run) == partial
    monkeypatch.delenv("TEACHER_FAILS")
    out = retried(run, "--state", "provider_error")
    assert "tell_tales: 1 ask asked again: 1 ok" in out
    assert not run.paid_twice()
    assert everything(run.one(f"releases/tiny/{(releases(run) - partial).pop()}")) == everything(
        whole.one("releases/tiny/*")
    )
    assert "no ask of tiny ended as provider_error" in retried(run, "--state", "provider_error")


def test_a_bill_that_was_not_run_has_nothing_to_ask_again(tmp_path: Path) -> None:
    run = retry_project(tmp_path)
    more = ("--state", "truncated", "--max-tokens", "2x")
    assert "has no ledger, so nothing was asked yet" in retried(run, *more, code=2)
    ran(run)
    paid = run.paid()
    tales = {"tales": {"from": "almanac", "generate": [{"tell_tales": {"tales": 2}}]}}
    run.write(streams=tales, release=None, train=None, evaluate=None, student=None)
    assert "has not been run as the bill is now; run it first" in " ".join(retried(run, *more, code=2).split())
    assert run.paid() == paid


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--state", "truncatd"], "no state is called 'truncatd' (did you mean truncated?)"),
        (["--state", "ok"], "what ended ok needs no retry"),
        (["--state", "truncated", "--max-tokens", "0x"], "no reply has 0x tokens"),
        (["--state", "truncated", "--max-tokens", "0"], "no reply has 0 tokens"),
        (["--state", "truncated", "--max-tokens", "twice"], "wanted how often as many as before, as 2x"),
        (["--state", "truncated", "--max-tokens", "-2x"], "wanted how often as many as before, as 2x"),
        (["--state", "truncated", "--max-tokens", "2.5"], "wanted a whole number of tokens, or 1.5x"),
        (["--state", "unparsable", "--temperature", "-1"], "wanted 0 (greedy) or a number above it"),
        (["--state", "provider_error", "--max-tokens", "2x"], "are asked again as they were"),
    ],
)
def test_what_means_nothing_is_refused_before_any_work(tmp_path: Path, options: list[str], told: str) -> None:
    result = CliRunner().invoke(app, ["retry", "no-such.yaml", *options, "--root", str(tmp_path)])
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())


def test_a_change_that_changes_nothing_is_refused() -> None:
    greedy = Sampling(max_tokens=8, temperature=0)
    with pytest.raises(UserError, match=r"was greedy .* and would get the same reply again"):
        Change(state=AskState.UNPARSABLE).of(greedy)
    assert Change(state=AskState.UNPARSABLE, temperature=0.7).of(greedy).temperature == 0.7
    assert Change(state=AskState.UNPARSABLE).of(Sampling()) == Sampling()
    for tokens in ("1x", "0.5x", "8"):
        with pytest.raises(UserError, match="had 8 tokens and would now have"):
            Change(state=AskState.TRUNCATED, max_tokens=tokens).of(greedy)
    assert Change(state=AskState.TRUNCATED, max_tokens="1.5x").of(greedy).max_tokens == 12
    assert Change(state=AskState.REFUSED, max_tokens="0.01x").of(greedy).max_tokens == 1
    assert state_named("filtered") is AskState.FILTERED


def test_the_asks_of_each_step_are_counted_by_state_and_shown_with_their_text(tmp_path: Path) -> None:
    run = retry_project(tmp_path)
    ran(run)
    ledger = Ledger(run.root / "ledger.sqlite")
    replies = ledger.count()
    asyncio.run(ledger.close())
    shown = said(run, "asks", "-n", "1", bill=False)
    cut = len(states(run))
    assert f"{replies - cut} " in shown
    assert "it was cut off after 12 tokens" in shown
    assert f"{cut - 1} more: `mashbill asks -n {cut}`" in shown
    assert said(run, "asks", "tell_tales", "-n", "1", bill=False).startswith("STEP")
    only = said(run, "asks", "tell_tales", "--state", "filtered", bill=False)
    assert "filtered" in only
    assert "truncated" not in only
    assert "no state is called 'cut'" in said(run, "asks", "--state", "cut", bill=False, code=2)
    assert "none of its 1 step asked a model" in said(run, "asks", "read_documents", bill=False, code=2)
    assert "is called 'tell_tail'" in said(run, "asks", "tell_tail", bill=False, code=2)
    for file in run.root.glob("ledger.sqlite*"):
        file.unlink()
    assert "has no ledger, so nothing was asked" in said(run, "asks", bill=False, code=2)
    assert not list(run.root.glob("ledger.sqlite*"))


def test_looking_makes_no_ledger(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["asks", "--root", str(tmp_path)])
    assert result.exit_code == 2
    assert "nothing is stored under" in result.output
    assert not list(tmp_path.iterdir())
