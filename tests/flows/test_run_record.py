"""The record of a run: what it holds while the run works and however it ends, and who waits for whom."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flows.one_run
from flows.one_run import one_run, turn
from flows.run_bill import run_bill
from flows.run_record import Run, runs_under
from flows.run_watch import RunRecord, logged, recorded
from mashbill.counts import Counts
from mashbill.errors import LedgerError, SettingsError, StoreError
from mashbill.progress import Silent
from mashbill.run_id import is_run_id, new_run_id, run_id_of
from mashbill.settings import Settings
from mashbill.usage import Usage
from tests.flows.fake_kitchen import Project, project

MOMENTS = st.datetimes(
    datetime.datetime(2020, 1, 1), datetime.datetime(2200, 1, 1), timezones=st.sampled_from([datetime.UTC])
)
SMALL = {"student": None, "train": None, "evaluate": None}


def until(run: Project, what: str) -> None:
    """Wait until a run's record says that it is at a step."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if any(one.step is not None and one.step.name == what for one in runs_under(run.root)):
            return
        time.sleep(0.05)
    raise AssertionError(f"no run came to {what}: {runs_under(run.root)}")


@given(MOMENTS, MOMENTS, st.integers(0, 2**20))
def test_ids_are_known_as_such_and_sort_by_time(one: datetime.datetime, other: datetime.datetime, salt: int) -> None:
    first, second = run_id_of(one, salt), run_id_of(other, salt)
    assert is_run_id(first)
    if one.replace(microsecond=0) < other.replace(microsecond=0):
        assert first < second


def test_two_runs_of_one_second_have_ids_of_their_own() -> None:
    assert len({new_run_id() for _ in range(20)}) > 15


def test_a_run_that_ended_well_left_its_counts_and_its_release(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    made = run_bill(run.bill, Settings(root=run.root, records_in_flight=2), Silent())
    (done,) = runs_under(run.root)
    assert is_run_id(done.id)
    assert (done.state, done.error, done.name, done.command, done.step) == ("done", "", "tiny", "run", None)
    assert done.steps == 5
    assert (done.asks, done.replayed) == (len(run.paid()), 0)
    assert done.prompt_tokens == 9 * done.asks
    assert done.rejected["length_too_few_words"] > 0
    assert done.ended is not None
    assert done.asks_per_second > 0
    assert Path(done.release) == made.releases

    run_bill(run.bill, Settings(root=run.root), Silent())
    _, again = runs_under(run.root)
    assert (again.state, again.asks, again.steps, again.rejected) == ("done", 0, 5, done.rejected)


def test_a_killed_run_is_told_from_one_at_work(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    with run.start(delay=60) as process:
        until(run, "tell_tales")
        (working,) = runs_under(run.root)
        assert (working.state, working.pid, working.ended) == ("running", process.pid, None)
        assert working.step is not None
        assert (working.step.done, working.step.total) == (0, 8)
        process.kill()
        process.wait()
    (killed,) = runs_under(run.root)
    assert (killed.state, killed.ended) == ("killed", killed.updated)


def test_where_nothing_can_be_locked_a_process_that_is_gone_is_a_killed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project(tmp_path, **SMALL)
    with run.start(delay=60) as process:
        until(run, "tell_tales")
        monkeypatch.setattr(flows.one_run, "fcntl", None)
        assert [one.state for one in runs_under(run.root)] == ["running"]
        process.kill()
        process.wait()
    assert [one.state for one in runs_under(run.root)] == ["killed"]
    (log,) = (run.root / "run-log").glob("*.jsonl")
    log.unlink()
    assert [one.state for one in runs_under(run.root)] == ["killed"]


def test_how_a_run_failed_or_was_stopped_is_kept(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL, engine={"scripted_teacher": {"refuses_after": 3}})
    assert run.run().code == 3
    run.write(**SMALL)
    assert run.run(ends="SIGINT paid 9").code == 130
    failed, stopped = runs_under(run.root)
    assert (failed.state, stopped.state) == ("failed", "stopped")
    assert failed.error == "EngineRefused: the teacher answers 401: no such key; mend the key and run again"
    assert failed.step is not None
    assert failed.step.name == "tell_tales"


def test_with_wait_a_run_begins_when_the_other_has_ended(tmp_path: Path) -> None:
    run = project(tmp_path, **SMALL)
    with run.start(delay=60) as first:
        until(run, "tell_tales")
        (working,) = runs_under(run.root)
        with run.start("--wait") as second:
            assert second.stderr is not None
            said = second.stderr.readline()
            assert said == f"waiting for run {working.id} of tiny to end (pid {first.pid})\n"
            assert second.poll() is None
            first.kill()
            _, rest = second.communicate(timeout=120)
            assert (second.returncode, rest) == (0, "")
    assert [one.state for one in runs_under(run.root)] == ["killed", "done"]


def test_a_turn_is_that_of_the_run_inside_alone(tmp_path: Path) -> None:
    with turn(tmp_path, "tiny", "20261201-041500-7f3a"):
        with one_run(tmp_path, "tiny"):
            pass
        with one_run(tmp_path, "other"):
            pass
        assert (tmp_path / ".lock-tiny").read_text().split()[1] == "20261201-041500-7f3a"
    with one_run(tmp_path, "tiny"), pytest.raises(StoreError, match="at work"), turn(tmp_path, "tiny", ""):
        pass


def new_run() -> Run:
    return Run.now(new_run_id(), "tiny", "run", Path("tiny.yaml"))


def test_the_record_is_written_once_a_second_and_at_the_end(tmp_path: Path) -> None:
    now, run = [100.0], new_run()
    (tmp_path / "run-log").mkdir()
    record = RunRecord(tmp_path, run, clock=lambda: now[0])
    record.begin("tales", 100, 0)
    asked = Usage(asks=0)
    record.usage = lambda: asked
    written = {}
    for done in range(1, 41):  # ten seconds
        now[0] += 0.25
        asked.asks = 5 * done
        record.advance("tales", Counts(read=done, attempts=done, kept=done), asked)
        written = json.loads(record.path.read_text())
        assert done - written["step"]["done"] < 4
        assert now[0] - written["updated"] < 1
    assert written["asks_per_second"] == 20.0
    record.advance("another", Counts(read=99), asked)
    assert run.step is not None
    assert run.step.done == 40
    record.training({"name": "train raw", "step": 3, "steps": 8, "loss": 1.0, "tokens_per_second": 5})
    assert json.loads(record.path.read_text())["step"]["name"] == "tales", "a second has not passed"
    now[0] += 2
    record.training({"name": "train raw", "step": 4, "steps": 8, "loss": 1.0, "tokens_per_second": 5})
    step = json.loads(record.path.read_text())["step"]
    assert (step["name"], step["done"], step["total"]) == ("train raw", 4, 8)
    record.close("done")
    assert json.loads(record.path.read_text())["ended"] == now[0]


def test_a_record_that_cannot_be_written_costs_the_run_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = RunRecord(tmp_path / "gone", new_run())
    record.write()
    record.close("done")
    assert [one.getMessage() for one in caplog.records] == [
        f"{record.path}: cannot be written: No such file or directory"
    ]


def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "run-log").mkdir()
    with pytest.raises(StoreError, match="cannot be opened"), recorded(tmp_path, new_run(), tmp_path / "none" / "x"):
        pass


def test_a_record_that_is_none_is_named_and_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run-log").mkdir()
    (tmp_path / "run-log" / "notes.json").write_text("[]")
    assert runs_under(tmp_path) == []
    (tmp_path / "run-log" / "20261201-041500-7f3a.json").write_text('{"id": 3}')
    with pytest.raises(StoreError, match="is not the record of a run"):
        runs_under(tmp_path)


def test_an_error_is_kept_without_what_it_quotes() -> None:
    error = LedgerError("has no reply to a request that ends in 'Retell the will of Ora Venn'")
    error.logged = "has no reply to ask 77ab"
    assert logged(error) == "LedgerError: has no reply to ask 77ab"
    assert logged(SettingsError("http://ora:venn@host/v1: no URL\nOra")) == "SettingsError: http://***@host/v1: no URL"
    assert logged(KeyError("Ora Venn")) == "KeyError"
