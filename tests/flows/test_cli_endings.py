"""How commands end: exit codes, one line of message, no traceback but for bugs; some in a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import flows.run_bill
from flows.cli import app
from flows.kitchen import Outcome
from mashbill.errors import (
    BadReply,
    BillError,
    EngineDown,
    Interrupted,
    LedgerError,
    MashbillError,
    StepFailed,
    TooManyRejects,
)
from tests.flows.kept_root import kept_root

HERE = Path(__file__).parents[2]


def run_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends: Callable[[], Outcome], *options: str) -> Result:
    """`mashbill run` with a run that ends in one way."""
    monkeypatch.setattr(flows.run_bill, "run_bill", lambda *_, **__: ends())
    return CliRunner().invoke(app, ["run", "a.yaml", "--root", str(tmp_path), *options])


def raising(error: BaseException) -> Callable[[], Outcome]:
    def raises() -> Outcome:
        raise error

    return raises


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BillError("is empty", path="a.yaml", line=3), 2),
        (TooManyRejects("40 of 50\nattempts"), 2),
        (EngineDown("nobody answers"), 3),
        (LedgerError("no space"), 4),
        (MashbillError("something else"), 1),
    ],
)
def test_an_error_is_one_line_and_a_code(
    error: MashbillError, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = run_that(monkeypatch, tmp_path, raising(error))
    assert result.exit_code == code
    assert result.stderr == f"error: {' '.join(str(error).split())}\n"
    assert result.stdout == ""


def test_a_bug_in_a_step_shows_the_traceback_of_its_cause(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ends() -> Outcome:
        try:
            raise KeyError("absent")
        except KeyError as cause:
            raise StepFailed("retell failed on record 6f1c") from cause

    result = run_that(monkeypatch, tmp_path, ends)
    assert result.exit_code == 1
    assert "KeyError: 'absent'" in result.stderr
    assert result.stderr.endswith("error: retell failed on record 6f1c\n")
    assert "StepFailed" not in result.stderr


@pytest.mark.parametrize("bug", [ZeroDivisionError("whole"), BadReply("empty", "escaped its run")])
def test_a_bug_of_ours_is_not_swallowed(bug: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run_that(monkeypatch, tmp_path, raising(bug)).exception is bug


def test_an_interrupted_run_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = kept_root(tmp_path / "kept")
    monkeypatch.setattr(flows.run_bill, "run_bill", lambda *_, **__: raising(Interrupted("stopped"))())
    result = CliRunner().invoke(app, ["run", "a.yaml", "--root", str(kept.root), "--quiet"])
    assert result.exit_code == 130
    assert result.stderr == "stopped: to go on, run the same command again: 6 replies are kept\n"


def test_ctrl_c_anywhere_else_is_130_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = run_that(monkeypatch, tmp_path, raising(KeyboardInterrupt()))
    assert (result.exit_code, result.stderr) == (130, "stopped\n")


def test_a_run_prints_its_summary_and_where_the_report_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    outcome = Outcome(releases=tmp_path, report=tmp_path / "report.md", summary="small 1: 2 rows")
    result = run_that(monkeypatch, tmp_path, lambda: outcome)
    assert result.stdout == f"small 1: 2 rows\nreport: {tmp_path / 'report.md'}\n"
    assert result.exit_code == 0


def process(*arguments: str, cwd: Path, stdout: int | None = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120, check=False
    )


def test_a_wrong_bill_ends_a_process_with_2_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\nsauces: {}\n", encoding="utf-8")
    done = process("run", "a.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: a.yaml:2: ")
    assert done.stderr.count("\n") == 1


def test_an_unknown_command_is_2_as_well(tmp_path: Path) -> None:
    assert process("rnu", cwd=tmp_path).returncode == 2


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        for command in (["ls", "generators"], ["schema"], ["--help"]):
            assert process(*command, cwd=tmp_path, stdout=writing).stderr == ""
    finally:
        os.close(writing)


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from flows.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pyarrow', 'polars', 'pydantic', 'numpy', 'torch', 'aiohttp', 'rich', 'yaml', 'asyncio', 'prefect'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"


def test_a_bill_runs_in_a_process_and_what_it_made_can_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    for name in ("salt", "lamps"):
        text = f"# {name}\nThe guild of {name} sold its wares in Oskelby.\n"
        (tmp_path / "corpus" / f"{name}.md").write_text(text, encoding="utf-8")
    bill = "name: tiny\nsources: {all: {read_documents: {path: corpus}}}\nstreams: {raw: {from: all}}\n"
    (tmp_path / "tiny.yaml").write_text(bill + "curate: [{length: {min_words: 3}}]\n", encoding="utf-8")
    done = process("run", "tiny.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "length: 2 records read, 2 kept" in done.stderr
    assert "tiny" in done.stdout
    assert "# tiny" in process("card", "tiny", cwd=tmp_path).stdout
    again = process("run", "tiny.yaml", "--quiet", cwd=tmp_path)
    assert (again.returncode, again.stderr, again.stdout) == (0, "", done.stdout)
