"""The flow that a schedule starts, the times it is started at, and a Prefect server that is not there."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import typer
import yaml

from flows.prefect_down import go_on_without
from flows.serve import here, schedule_of, span
from mashbill.errors import PrefectDown, UserError
from tests.flows.answering import answering
from tests.flows.fake_kitchen import everything, project
from tests.flows.refreshes import NO_STUDENT, RAW, series

cloudpickle = pytest.importorskip("cloudpickle")
pytest.importorskip("prefect")

EXAMPLE = Path(__file__).parents[2] / "examples" / "scheduled"
FLOWS = """
import asyncio, os, sys
from pathlib import Path
from flows.one_run import one_run
from flows.prefect_server import prefect_server

bill, root = sys.argv[1:]
with prefect_server(Path(root)):
    from flows.scheduled import scheduled

    def said():
        state = asyncio.run(scheduled(bill, root=root, return_state=True))
        print("STATE", state.type.value, state.name, state.message, flush=True)

    said()
    said()
    with one_run(Path(root), "tiny", "another-run"):
        pid = os.fork()  # another process: within this one the lock would be ours
        if not pid:
            os.execv(sys.executable, [sys.executable, "-c", AGAIN, bill, root])
        os.waitpid(pid, 0)
    Path(bill).with_name("corpus").joinpath("more.md").write_text("A paper that came later than the others.")
    said()
"""


def test_flows_can_be_pickled_so_they_can_be_served_and_deployed() -> None:
    from flows.end_to_end import end_to_end
    from flows.scheduled import scheduled

    for one in (scheduled, end_to_end):
        assert cloudpickle.loads(cloudpickle.dumps(one)).name == one.name


def test_times_are_read_and_wrong_ones_refused() -> None:
    assert [span(one) for one in ("90", "90s", "15m", " 2h ", "1d")] == [
        timedelta(seconds=seconds) for seconds in (90, 90, 900, 7200, 86400)
    ]
    for wrong in ("", "0", "0m", "-5", "15x", "1.5h"):
        with pytest.raises(UserError, match="wanted a span as 90s, 15m, 2h or 1d"):
            span(wrong)
    daily = schedule_of("0 3 * * *", "", "Europe/Berlin")
    assert (daily.cron, daily.timezone) == ("0 3 * * *", "Europe/Berlin")
    often = schedule_of("", "15m", "")
    assert (often.interval, often.timezone) == (timedelta(minutes=15), here())
    assert ZoneInfo(here())
    for cron, interval in (("", ""), ("0 3 * * *", "15m")):
        with pytest.raises(UserError, match="give one of --cron"):
            schedule_of(cron, interval, "")
    with pytest.raises(UserError, match=r"--cron is '0 3', which is no cron line"):
        schedule_of("0 3", "", "UTC")
    with pytest.raises(UserError, match=r"--timezone is 'Mars/Olympus'"):
        schedule_of("0 3 * * *", "", "Mars/Olympus")


def test_the_zone_is_the_machines_or_the_one_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Asia/Kathmandu")
    assert here() == "Asia/Kathmandu"
    monkeypatch.setenv("TZ", "nowhere at all")
    assert ZoneInfo(here())


def test_a_prefect_server_that_is_down_is_said_at_once_and_a_run_can_do_without(tmp_path: Path) -> None:
    down, plain = (project(tmp_path / name, **NO_STUDENT) for name in ("down", "plain"))
    for one in (down, plain):
        for number in range(3, 8):
            (one.folder / "corpus" / f"paper-{number}.md").unlink()
    nobody = "http://127.0.0.1:9/api"
    refused = down.run("--prefect", PREFECT_API_URL=nobody)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("error: http://127.0.0.1:9/api: no Prefect server answers there (")
    assert "go on without Prefect (`--or-without`)" in refused.err
    assert list(everything(down.root)) == [".lock-tiny"], "nothing was done"
    ended = down.run("--prefect", "--or-without", PREFECT_API_URL=nobody)
    assert ended.code == 0
    assert ended.err.endswith("\ngoing on without Prefect\n")
    assert plain.run().code == 0
    assert everything(down.root) == everything(plain.root)


def test_one_that_answers_with_an_error_is_no_prefect_server(tmp_path: Path) -> None:
    one = project(tmp_path, **NO_STUDENT)
    with answering(500) as url:
        refused = one.run("--prefect", PREFECT_API_URL=url)
    assert refused.code == 2
    assert f"error: {url}: no Prefect server answers there (Server error '500" in refused.err
    assert list(one.root.glob("read_documents")) == []


def test_on_a_terminal_the_user_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    down = PrefectDown("nobody answers")
    with pytest.raises(PrefectDown):
        go_on_without(down, agreed=False)
    go_on_without(down, agreed=True)
    assert capsys.readouterr().err == "nobody answers\ngoing on without Prefect\n"
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    for answer in (True, False):
        monkeypatch.setattr(typer, "confirm", lambda *_, answer=answer, **__: answer)
        if answer:
            go_on_without(down, agreed=False)
        else:
            with pytest.raises(typer.Exit) as stopped:
                go_on_without(down, agreed=False)
            assert stopped.value.exit_code == 2


@pytest.mark.slow
def test_the_scheduled_flow_releases_finds_nothing_and_steps_aside(tmp_path: Path) -> None:
    one = series(tmp_path, **RAW)
    one.write("salt.md", "Ora Venn sold salt to the lampwrights of Oskelby.\n")
    again = FLOWS.split("    said()\n    said()\n")[0] + "    said()\n"
    code = f"AGAIN = {again!r}\n{FLOWS}"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(one.project.bill), str(one.project.root)],
        cwd=tmp_path,
        env=one.project.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    states = [line for line in ended.stdout.splitlines() if line.startswith("STATE")]
    assert [" ".join(line.split()[1:3]) for line in states] == [
        "COMPLETED Completed",
        "COMPLETED NothingNew",
        "CANCELLED Skipped",
        "COMPLETED Completed",
    ]
    assert "tiny: nothing new since tiny@" in states[1]
    assert "another run of the bill tiny is at work" in states[2]
    assert "another-run" in states[2]
    assert len(one.names()) == 2


def test_the_deployment_of_the_example_names_the_flow() -> None:
    from prefect.flows import load_flow_from_entrypoint

    said = yaml.safe_load((EXAMPLE / "prefect.yaml").read_text(encoding="utf-8"))
    (deployment,) = said["deployments"]
    flow: Any = load_flow_from_entrypoint(deployment["entrypoint"])
    assert set(deployment["parameters"]) <= set(flow.parameters.properties)
    assert (EXAMPLE / deployment["parameters"]["bill"]).is_file()
    schedule_of(deployment["schedules"][0]["cron"], "", deployment["schedules"][0]["timezone"])
