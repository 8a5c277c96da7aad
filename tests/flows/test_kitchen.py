"""Stages of a run: what a bill may leave out, what stops it, and what stays when it stops."""

from __future__ import annotations

import asyncio
import errno
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import flows.one_run
from flows.estimate import estimate_bill
from flows.kitchen import synthesis_steps
from flows.one_run import one_run
from flows.run_bill import kitchen_for, run_bill
from flows.run_record import runs_under
from mashbill.errors import BillError, EngineRefused, Interrupted, StoreError, TooManyRejects, UserError
from mashbill.progress import Silent
from mashbill.read_bill import read_bill
from mashbill.release_manifest import ReleaseManifest
from mashbill.settings import Settings
from mashbill.store import Stored
from tests.flows.fake_kitchen import Project, everything, project

SMALL = {"student": None, "train": None, "evaluate": None}
"""No torch: these are about the stages before."""


def settings_of(run: Project) -> Settings:
    return Settings(root=run.root)


def steps_in(run: Project) -> set[str]:
    return {path.parts[-3] for path in run.root.glob("*/*/manifest.json")}


def test_a_bill_without_engine_and_training_runs(tmp_path: Path) -> None:
    streams = {"raw": {"from": "almanac"}}
    run = project(tmp_path, **SMALL, engine=None, steps=None, streams=streams, release=None)
    outcome = run_bill(run.bill, settings_of(run), Silent())
    assert outcome.report is None
    assert outcome.releases is not None
    assert ReleaseManifest.read(outcome.releases).rows == 8
    assert outcome.summary == f"tiny 1: 8 rows (train 8) in {outcome.releases}"
    assert "Not measured" in (outcome.releases / "README.md").read_text()
    assert run.paid() == []
    assert not (run.root / "reports").exists()


def test_by_default_what_a_model_made_is_released_whole(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL, release=None)
    outcome = run_bill(run.bill, settings_of(run), Silent())
    assert outcome.releases is not None
    manifest = ReleaseManifest.read(outcome.releases)
    assert list(manifest.streams) == ["tales"]
    assert manifest.streams["tales"].over_share == 0


@pytest.mark.parametrize("which", ["released", "generator's input"])
def test_a_stream_left_with_no_row_says_which_step_and_what_to_do(which: str, tmp_path: Path) -> None:
    hard = {"length": {"min_words": 1000}}
    if which == "released":
        run = project(tmp_path, **SMALL, curate=[hard])
    else:
        streams = {"tales": {"from": "almanac", "generate": [hard, "tell_tales"]}}
        run = project(tmp_path, **SMALL, streams=streams, release=None)
    with pytest.raises(StoreError, match=r"stream tales: length left no row \(length_too_few_words \d+\)") as caught:
        run_bill(run.bill, settings_of(run), Silent())
    assert f"loosen that step in {run.bill}" in str(caught.value)
    place = Path(str(caught.value).split("`mashbill rejects ")[1].split("`")[0])
    assert Stored.open(place).manifest.counts.kept == 0
    assert not (run.root / "releases").exists()


def test_too_many_rejects_stop_the_run_and_the_next_one_pays_nothing_twice(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL, rejects={"share": 0.05, "after": 8})
    with pytest.raises(TooManyRejects, match=r"tell_tales: .* top reasons: empty"):
        run_bill(run.bill, settings_of(run), Silent())
    assert "releases" not in steps_in(run)
    run.write(**SMALL, rejects={"share": 0.95})
    assert run_bill(run.bill, settings_of(run), Silent()).releases is not None
    assert run.paid_twice() == []


def test_an_engine_that_refuses_ends_the_process_with_3_and_what_was_done_stays(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL, engine={"scripted_teacher": {"refuses_after": 7}})
    ended = run.run()
    assert ended.code == 3
    assert ended.err == "error: the teacher answers 401: no such key; mend the key and run again\n"
    assert steps_in(run) == {"read_documents", "exact_dedup"}
    before = everything(run.root)
    run.write(**SMALL)
    assert run.run().code == 0
    assert run.paid_twice() == []
    assert before.items() <= everything(run.root).items()


def test_the_engine_is_started_only_when_something_is_asked(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    run_bill(run.bill, settings_of(run), Silent())
    first = run.paid()
    assert run.engine_starts() == 1
    # Another way to curate: what was made is not made again.
    run.write(**SMALL, curate=[{"length": {"min_words": 3}}])
    run_bill(run.bill, settings_of(run), Silent())
    assert run.paid() == first
    assert run.engine_starts() == 1


def test_a_step_that_was_lost_is_made_again_from_the_ledger(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    run_bill(run.bill, settings_of(run), Silent())
    before, paid = everything(run.root), run.paid()
    for path in sorted(run.root.glob("tell_tales/**/*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    run_bill(run.bill, settings_of(run), Silent())
    assert everything(run.root) == before
    assert run.paid() == paid


def test_a_wrong_last_section_costs_nothing(tmp_path: Path) -> None:
    run = project(tmp_path, student={"model": "gpt-9"})
    for prefect in (False, True):
        with pytest.raises(BillError, match="no embedded model"):
            run_bill(run.bill, settings_of(run), Silent(), prefect=prefect)
    assert not run.root.exists()


def test_no_bill_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        run_bill(tmp_path / "tiny", Settings(root=tmp_path / "runs"), Silent())


def test_where_synthesis_ends(tmp_path: Path) -> None:
    bill = read_bill(project(tmp_path, **SMALL).bill)
    assert {name: synthesis_steps(stream) for name, stream in bill.streams.items()} == {"raw": 0, "tales": 1}


async def test_a_kitchen_that_is_stopping_begins_nothing(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    async with kitchen_for(run.bill, settings_of(run), Silent()) as kitchen:
        raw = await kitchen.stream("raw")
        assert await kitchen.synthesized("raw") == await kitchen.source("almanac")
        kitchen.engines.stop()
        assert raw.manifest.counts.kept == 8
        with pytest.raises(Interrupted):
            await kitchen.stream("raw")
        with pytest.raises(Interrupted):
            await kitchen.release()
    assert run.paid() == []


async def test_two_that_want_one_step_at_once_share_it(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    async with kitchen_for(run.bill, settings_of(run), Silent()) as kitchen:
        first, second = await asyncio.gather(kitchen.stream("tales"), kitchen.stream("tales"))
    assert first == second
    assert run.paid_twice() == []


def test_two_runs_of_one_bill_do_not_work_at_once(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    other = project(tmp_path / "other", **SMALL, name="other")
    with run.start(delay=60) as first:
        until = time.monotonic() + 60
        while not run.engine_starts() and time.monotonic() < until:
            time.sleep(0.05)
        (begun,) = runs_under(run.root)
        said = f"another run of the bill tiny is at work in {{}} (run {begun.id}, pid {first.pid}); wait for it"
        second = run.run()
        assert (second.code, second.out) == (75, "")
        assert second.err.startswith(f"error: {said.format('runs')}")
        said = said.format(run.root)
        with pytest.raises(StoreError, match=re.escape(said)):
            estimate_bill(run.bill, settings_of(run), probe=0)
        with pytest.raises(StoreError, match=re.escape(said)):
            run_bill(run.bill, settings_of(run), Silent(), prefect=True)
        assert run_bill(other.bill, settings_of(run), Silent()).releases is not None, "another bill shares the root"
        assert first.poll() is None
        assert (run.engine_starts(), run.paid()) == (1, [])
        first.kill()
    assert run_bill(run.bill, settings_of(run), Silent()).releases is not None, "a lock dies with its process"
    assert (run.root / ".lock-tiny").read_bytes() == b""


@pytest.mark.parametrize("why", ["no fcntl", "no locks"])
def test_where_nothing_can_be_locked_a_run_goes_on(why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    if why == "no fcntl":
        monkeypatch.setattr(flows.one_run, "fcntl", None)
    else:
        monkeypatch.setattr("fcntl.flock", refuses)
    with one_run(tmp_path, "tiny"), one_run(tmp_path, "tiny"):
        pass


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StoreError, match=r"runs/\.lock-tiny: cannot be written"), one_run(tmp_path / "runs", "tiny"):
        pass


def test_a_second_ctrl_c_does_not_wait_for_the_engine(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    with run.start(delay=20) as process:
        until = time.monotonic() + 60
        while not run.engine_starts() and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None, "the first waits for what is in flight"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    assert "Traceback" not in err


def test_the_refusal_of_an_engine_is_not_turned_into_something_else(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL, engine={"scripted_teacher": {"refuses_after": 0}})
    with pytest.raises(EngineRefused, match="401"):
        run_bill(run.bill, settings_of(run), Silent())
