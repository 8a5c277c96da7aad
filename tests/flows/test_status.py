"""`mashbill status`: what is at work, how the last runs ended, and what it says where there is nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.run_log import run_log
from flows.run_record import Run, StepNow
from flows.run_watch import recorded
from flows.status import lines_of, render_status
from mashbill.counts import Counts
from mashbill.errors import EngineDown
from mashbill.usage import Usage

ID = "20261201-04150{}-7f3a"


def run(number: int = 0, **fields: object) -> Run:
    whole = Run(
        id=ID.format(number),
        name="tolvarey",
        command="run",
        bill="/srv/bill.yaml",
        pid=4711,
        started=1000.0 + number,
        updated=1134.0,
        steps=3,
        asks=286,
        replayed=40,
        asks_per_second=9.1,
        prompt_tokens=41200,
        completion_tokens=12040,
        rejected={"refusal": 3},
    )
    return dataclasses.replace(whole, **fields)  # type: ignore[arg-type]


def write(root: Path, *runs: Run) -> None:
    (root / "run-log").mkdir(exist_ok=True, parents=True)
    for one in runs:
        (root / "run-log" / f"{one.id}.json").write_text(json.dumps(dataclasses.asdict(one)))


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["status", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_where_nothing_was_run_it_says_so(tmp_path: Path) -> None:
    expected = f"no run is recorded under {tmp_path}; begin one with `mashbill run BILL`, or name another place"
    assert said("--root", str(tmp_path)).startswith(expected)
    assert not list(tmp_path.iterdir())
    assert said("--root", str(tmp_path / "none"), "--json") == "[]\n"


def test_a_run_at_work(tmp_path: Path) -> None:
    step = StepNow(name="entigraph", total=12, done=8, before=2, kept=214, rejected={"truncated": 30, "refusal": 1})
    lines = list(lines_of(run(step=dataclasses.replace(step, began=1074.0)), tmp_path))
    assert lines == [
        "tolvarey  20261201-041500-7f3a  run, at work for 2:14 (pid 4711)",
        "  step      entigraph, 8 of 12, 214 rows kept, 40.0 s left",
        "  asks      286 (40 from the ledger), 9.1 a second; 41,200 tokens read, 12,040 written",
        "  rejected  truncated 30, refusal 4",
        f"  log       {tmp_path}/run-log/20261201-041500-7f3a.jsonl",
    ]


def test_how_runs_ended(tmp_path: Path) -> None:
    many = {reason: count for count, reason in enumerate(("a", "b", "c", "d", "e"), 1)}
    done = run(state="done", ended=1060.0, release="runs/releases/tolvarey/4a25", rejected=many, asks=0)
    assert list(lines_of(done, Path("runs")))[1:3] == [
        "  rejected  e 5, d 4, c 3, 2 more reasons",
        "  release   runs/releases/tolvarey/4a25",
    ]
    step = StepNow(name="entigraph", total=12, done=8)
    failed = run(state="failed", ended=1060.0, error="EngineDown: no answer", step=step)
    first, *rest = lines_of(failed, Path("runs"))
    assert "run, failed after 1:00, " in first
    assert rest[0] == "  step      entigraph, 8 of 12"
    assert "  error     EngineDown: no answer" in rest
    for state, words in {"killed": "was killed after", "stopped": "stopped on request after"}.items():
        first, *_ = lines_of(run(state=state, ended=1060.0), Path("runs"))
        assert words in first
        assert first.endswith("; the same command goes on")


def test_those_at_work_come_first_and_as_many_others_as_asked(tmp_path: Path) -> None:
    write(tmp_path, *(run(number, state="done", ended=1100.0) for number in range(1, 8)))
    with run_log(tmp_path, ID.format(0)) as file, recorded(tmp_path, run(), file):
        shown = [line.split()[1] for line in said("--root", str(tmp_path), "-n", "2").splitlines() if line[0] != " "]
        assert shown == [ID.format(0), ID.format(7), ID.format(6)]
        (first, *_) = json.loads(said("--root", str(tmp_path), "--json"))
        assert (first["id"], first["state"]) == (ID.format(0), "running")
        assert Path(first["log"]).is_file()


def test_it_follows_until_no_run_is_at_work_and_repeats_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1000.0]

    def goes_on() -> Iterator[None]:
        """A run, a bit further each time it is looked at."""
        with run_log(tmp_path, ID.format(0)) as file, recorded(tmp_path, run(asks=0), file) as record:
            record._clock = lambda: now[0]
            record.begin("entigraph", 12, 0)
            yield
            yield  # nothing new was written
            for done in (4, 9):
                now[0] += 5
                record.advance("entigraph", Counts(read=done, attempts=done, kept=done), Usage())
                yield

    run_ = goes_on()
    next(run_)
    render_status(tmp_path, follow=True, sleep=lambda seconds: next(run_, None))
    steps = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  step")]
    assert [line.split(", ")[1] for line in steps] == ["0 of 12", "4 of 12", "9 of 12"]


def test_a_failed_run_is_kept_with_its_error(tmp_path: Path) -> None:
    with (
        pytest.raises(EngineDown),
        run_log(tmp_path, ID.format(0)) as file,
        recorded(tmp_path, run(), file),
    ):
        raise EngineDown("no answer from 127.0.0.1:8000")
    assert "  error     EngineDown: no answer from 127.0.0.1:8000" in said("--root", str(tmp_path))
