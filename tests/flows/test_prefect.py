"""Prefect over the same stages: same bytes, one task a stored step or arm, no server started or left by hand."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest

from tests.flows.answering import answering
from tests.flows.fake_kitchen import Project, project, without_times

psutil = pytest.importorskip("psutil")
pytest.importorskip("prefect")


def processes_of(run: Project) -> list[str]:
    """Every process that has the Prefect home of a run in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PREFECT_HOME", "").startswith(str(run.folder)):
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def none_left(run: Project, within: float) -> bool:
    until = time.monotonic() + within
    while processes_of(run) and time.monotonic() < until:
        time.sleep(0.1)
    return not processes_of(run)


def tasks(run: Project) -> list[str]:
    """The tasks of the last run, from the database of its server, without those that stand for a nested flow."""
    with closing(sqlite3.connect(run.root / "prefect" / "prefect.db")) as database:
        (began,) = database.execute("select max(start_time) from flow_run where parent_task_run_id is null").fetchone()
        rows = database.execute(
            "select name from task_run where start_time >= ? and state_type = 'COMPLETED' and id not in "
            "(select parent_task_run_id from flow_run where parent_task_run_id is not null) order by start_time",
            (began,),
        )
        return [name for (name,) in rows]


def artifacts(run: Project) -> dict[str, Any]:
    """Key -> the artifact of that key, from the database of the server; but for progress there is one of each."""
    with closing(sqlite3.connect(run.root / "prefect" / "prefect.db")) as database:
        rows = database.execute("select key, data from artifact where key is not null order by created").fetchall()
    written = Counter(key for key, _ in rows if not key.endswith("progress"))
    assert set(written.values()) <= {1}, written
    # A number is stored as it is, a text as JSON, and a table as JSON in a text.
    read = {key: json.loads(data) if isinstance(data, str) else data for key, data in rows}
    return {key: json.loads(value) if key.endswith(("steps", "arms")) else value for key, value in read.items()}


@pytest.mark.slow
def test_under_prefect_a_killed_run_leaves_no_server_and_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    flows, plain = project(tmp_path / "flows"), project(tmp_path / "plain")
    with flows.start("--prefect", ends="SIGKILL tell_tales/ 3") as killed:
        seen = False
        while killed.poll() is None:
            seen = seen or any("flows.prefect_server" in one for one in processes_of(flows))
            time.sleep(0.2)
        killed.communicate(timeout=60)
    assert seen
    assert killed.returncode == -9
    assert none_left(flows, within=10), processes_of(flows)

    ended = flows.run("--prefect")
    assert (ended.code, ended.err) == (0, "")
    assert none_left(flows, within=1), processes_of(flows)
    undisturbed = plain.run()
    assert undisturbed.code == 0, undisturbed.err
    assert ended.out == undisturbed.out
    assert without_times(flows.root, skip=("prefect",)) == without_times(plain.root)
    assert len(flows.paid_twice()) <= 2 * 4

    shown = artifacts(flows)
    assert set(shown) == {"tiny-release", "tiny-steps", "tiny-report", "tiny-arms", "tiny-progress"}
    assert {row["stream"] for row in shown["tiny-steps"]} == {"raw", "tales"}
    (tales,) = [row for row in shown["tiny-steps"] if row["step"] == "tell_tales"]
    assert (tales["read"], tales["kept"] + tales["rejected"]) == (8, 32)
    assert tales["yield"] == round(tales["kept"] / 32, 4)
    assert tales["prompt tokens"] == 9 * tales["asks"] > 0
    assert {row["arm"]: row.get("tokens") for row in shown["tiny-arms"]} == {"raw": 3072, "tales": 3072}
    assert all(row["final_loss"] > 0 and 0 <= row["choice_accuracy"] <= 1 for row in shown["tiny-arms"])
    for key in ("tiny-release", "tiny-report"):
        (link,) = re.findall(r"\[(?:README|report)\.md\]\((.*?)\)", shown[key])
        assert Path(url2pathname(urlparse(link).path)).is_file()
    assert shown["tiny-progress"] == 100.0

    made = [name.rsplit("-", 1)[0] if "_" in name and ":" not in name else name for name in tasks(flows)]
    assert made == [
        "read almanac",
        "read general",
        "tales 0: tell_tales",
        "raw 0: exact_dedup",
        "tales 1: length",
        "tales 2: exact_dedup",
        "publish_release",
        "publish_release",  # the flow `train` can be run alone, so it asks for the release again
        "train raw",
        "train tales",
        "evaluate_students",
        "write_the_report",
    ]


@pytest.mark.slow
def test_ctrl_c_under_prefect_is_one_line_and_130(tmp_path: Path) -> None:
    stopped = project(tmp_path)
    ended = stopped.run("--prefect", ends="SIGINT paid 5", delay=0.05)
    assert ended.code == 130, ended.err
    kept = len(stopped.paid())
    assert ended.err == f"stopped: to go on, run the same command again: {kept} replies are kept\n"
    assert none_left(stopped, within=1), processes_of(stopped)


HOME = (
    "from pathlib import Path; from flows.prefect_server import prefect_server\n"
    "with prefect_server(Path('runs')):\n"
    "    from prefect.settings import get_current_settings\n"
    "    print(get_current_settings().api.url, get_current_settings().home)"
)


def told_home(folder: Path, **environment: str) -> list[str]:
    """Which server and which home a run takes."""
    ended = subprocess.run(
        [sys.executable, "-c", HOME],
        cwd=folder,
        env=project(folder).environment(**environment),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return ended.stdout.split()


def test_a_server_and_a_home_of_the_users_own_are_used(tmp_path: Path) -> None:
    with answering(200) as url:
        mine = str(tmp_path / "mine")
        assert told_home(tmp_path, PREFECT_API_URL=url, PREFECT_HOME=mine) == [url, mine]
    assert not (tmp_path / "runs").exists()


def test_the_users_profiles_are_kept(tmp_path: Path) -> None:
    home = tmp_path / "home" / ".prefect"
    home.mkdir(parents=True)
    with answering(200) as url:
        (home / "profiles.toml").write_text(
            f'active = "ours"\n\n[profiles.ours]\nPREFECT_API_URL = "{url}"\n', encoding="utf-8"
        )
        assert told_home(tmp_path, HOME=str(home.parent)) == [url, str(tmp_path / "runs" / "prefect")]
