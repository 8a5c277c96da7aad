"""The closed loop over a made country: what is written follows what is weak, and the test is read at the end alone."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq
import pytest
import torch

import flows.loop_rounds
from benchmarks.loop_world import World, write_project
from flows.kitchen import Kitchen, Outcome
from flows.loop import run_loop
from flows.loop_questions import Validated
from flows.loop_rounds import Stage, at_once
from flows.loop_section import Loop
from flows.replay import replay
from flows.run_bill import kitchen_for
from mashbill.errors import InputError, Interrupted, StoreError
from mashbill.progress import Silent
from mashbill.settings import Settings
from mashbill.weakness import Answered

T = TypeVar("T")
WORLD = World.made(1, scale=0.25)
TINY: dict[str, Any] = {
    "rounds": 2,
    "tokens": 400,
    "control": "",
    "probe": 0.0,
    "train": {"tokens": 512, "sequence_length": 32, "batch": 4, "learning_rate": 1.0e-2},
}

FULL: dict[str, Any] = {"probe": 0.5}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def made(folder: Path, **loop: Any) -> Path:
    return write_project(folder, WORLD, each=4, **{**TINY, **loop})


def run(bill: Path, stage: Stage = at_once, **changed: Any) -> Outcome:
    async def inside() -> Outcome:
        settings = Settings(root=bill.parent / "runs", tables={"hardware": {"device": "cpu"}}, **changed)
        async with kitchen_for(bill, settings, Silent()) as kitchen:
            return await run_loop(kitchen, stage)

    return asyncio.run(inside())


def report_of(outcome: Outcome) -> dict[str, Any]:
    assert outcome.report is not None
    return dict(json.loads((outcome.report / "loop.json").read_bytes()))


def released(root: Path, name: str) -> list[dict[str, Any]]:
    (folder,) = (root / "releases" / name).iterdir()
    return [row for file in sorted(folder.glob("data/*.parquet")) for row in pq.read_table(file).to_pylist()]


def kept_bytes(root: Path) -> dict[str, bytes]:
    """What a loop leaves that has no time in it."""
    places = ("loops", "releases", "reports", "take_rows", "tell_facts", "exact_dedup")
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for place in places
        for path in sorted((root / place).rglob("*"))
        if path.is_file()
    }


@dataclass(frozen=True)
class Whole:
    """A loop that nobody disturbed, and when its test was opened."""

    folder: Path
    outcome: Outcome
    stages: list[str]
    opened: list[tuple[str, bool]]
    """Each opening of a file of that name, and whether a choice was on disk."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    torch.set_num_threads(1)
    folder, stages = tmp_path_factory.mktemp("whole"), list[str]()
    opened, bill = list[tuple[str, bool]](), made(folder, **FULL)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if stages and event == "open" and str(args[0]).startswith(str(folder)) and str(args[0]).endswith("test.jsonl"):
            opened.append((str(args[0]), any(folder.glob("runs/loops/country/*/choice.json"))))

    async def noted(name: str, work: Callable[[], Awaitable[T]]) -> T:
        stages.append(name)  # the bill has been read by the first of them
        return await work()

    sys.addaudithook(hook)
    outcome = run(bill, noted)
    return Whole(folder, outcome, stages, list(opened))


def test_each_round_is_a_release_of_new_rows_within_its_budget(whole: Whole) -> None:
    root, found = whole.folder / "runs", report_of(whole.outcome)
    rounds = found["runs"]["country"]["rounds"]
    assert [one["round"] for one in rounds] == [0, 1, 2]
    texts = [released(root, f"country-round-{number}") for number in (1, 2)]
    for number, rows in enumerate(texts, start=1):
        said = rounds[number]
        assert len(rows) == said["new_rows"]
        assert 300 < said["new_tokens"] <= 400
        assert sum(sum(own.values()) for own in said["allocation"]["wanted"].values()) == 400
        assert {row["stream"] for row in rows} == {"notes", "gossip"}
        place = next(root.glob(f"loops/country/*/round-{number}/allocation.json"))
        assert json.loads(place.read_bytes()) == said["allocation"]
        (release,) = (root / "releases" / f"country-round-{number}").iterdir()
        assert f"round {number}: 400 tokens by weakness over 6 groups" in (release / "README.md").read_text()
    # No text of the second round is one of the first, though records were written from twice.
    assert not {row["text"] for row in texts[0]} & {row["text"] for row in texts[1]}


def test_a_round_is_given_by_what_was_measured_before_it_and_the_best_one_is_chosen(whole: Whole) -> None:
    found = report_of(whole.outcome)
    rounds = found["runs"]["country"]["rounds"]
    # Nothing is measured of a student from scratch, so round 1 gives all groups alike; round 2 looks at round 1.
    first, second = (one["allocation"] for one in rounds[1:])
    assert (first["overall"], first["gamma"]) == (None, 0)
    assert (second["overall"], second["gamma"]) == (rounds[1]["validation"]["accuracy"], 2)
    weights = {one["name"]: one["smoothed"] for one in second["groups"]}
    by_group = {name: sum(own.get(name, 0) for own in second["wanted"].values()) for name in weights}
    assert by_group[max(weights, key=lambda one: weights[one])] == min(by_group.values())
    # A recipe's gain is what a probe of its own rows did.
    assert {one["measured_gain"] for one in rounds[1]["worth"].values()} == {None}
    assert all(one["measured_gain"] is not None for one in rounds[2]["worth"].values())
    assert len(list(whole.folder.glob("runs/students/country-loop-round-2-probe-*"))) == 2
    best = max(rounds, key=lambda one: one["validation"]["right"])
    assert (found["runs"]["country"]["chosen"], found["test"]["country"]["round"]) == (best["round"], best["round"])
    assert whole.outcome.report is not None
    assert {path.name for path in whole.outcome.report.iterdir()} == {
        "curve.png", "groups.png", "loop.json", "recipes.png", "report.md",
    }  # fmt: skip


def test_a_control_has_the_same_budget_looks_at_nothing_and_is_compared_question_by_question(tmp_path: Path) -> None:
    outcome = run(made(tmp_path, control="uniform", rounds=1))
    runs = report_of(outcome)["runs"]
    main, control = (runs[name]["rounds"][1]["allocation"] for name in ("country", "country-uniform"))
    assert set(control["shares"].values()) == {0.5}
    assert (main["budget"], main["by"], control["by"]) == (control["budget"], "weakness", "uniform")
    assert outcome.report is not None
    assert "country less country-uniform:" in (outcome.report / "report.md").read_text()


def test_the_test_is_opened_once_after_the_choice(whole: Whole) -> None:
    assert [chosen for place, chosen in whole.opened if place == str(whole.folder / "test.jsonl")] == [True]
    assert all(chosen for _, chosen in whole.opened)


def test_a_test_is_given_out_once_to_a_choice_on_disk_and_only_as_it_was(tmp_path: Path) -> None:
    from flows.loop_questions import SealedTest
    from mashbill.disk import file_digest

    test, choice = tmp_path / "test.jsonl", tmp_path / "choice.json"
    test.write_text("{}\n")
    sealed = SealedTest(test, file_digest(test))
    with pytest.raises(StoreError, match="no round is chosen yet"):
        sealed.unseal(choice, tmp_path / "copy")
    choice.write_text("{}")
    assert sealed.unseal(choice, tmp_path / "copy").read_text() == "{}\n"
    with pytest.raises(StoreError, match="the test was read already"):
        sealed.unseal(choice, tmp_path / "copy")
    changed = SealedTest(test, file_digest(test))
    test.write_text("{} \n")
    with pytest.raises(InputError, match="changed since the loop began"):
        changed.unseal(choice, tmp_path / "copy")
    test.unlink()
    with pytest.raises(InputError, match="cannot be read any more"):
        SealedTest(test, "").unseal(choice, tmp_path / "copy")


def test_a_loop_stopped_at_any_stage_goes_on_to_the_same_bytes_and_pays_once(tmp_path: Path, whole: Whole) -> None:
    stopped = made(tmp_path, **FULL)
    for at in (0, 1, 4, len(whole.stages) - 1):
        left = [at]

        async def ends(name: str, work: Callable[[], Awaitable[T]], left: list[int] = left) -> T:
            if left[0] == 0:
                raise Interrupted("stopped on request")
            left[0] -= 1
            return await work()

        with pytest.raises(Interrupted):
            run(stopped, ends)
    run(stopped)
    assert kept_bytes(tmp_path / "runs") == kept_bytes(whole.folder / "runs")
    assert replies(tmp_path) == replies(whole.folder)


def replies(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "runs" / "ledger.sqlite")) as ledger:
        ((count,),) = ledger.execute("select count(*) from replies")
        return int(count)


@pytest.mark.slow
def test_a_loop_that_is_killed_and_then_stopped_under_prefect_goes_on_under_it_to_the_same_bytes(
    tmp_path: Path, whole: Whole
) -> None:
    pytest.importorskip("prefect")
    bill, err = made(tmp_path, **FULL), ""
    for number, how, options in ((1, signal.SIGKILL, ()), (2, signal.SIGINT, ("--prefect",))):
        with started(bill, *options) as process:
            until = time.monotonic() + 240
            while not list(tmp_path.glob(f"runs/loops/country/*/round-{number}/allocation.json")):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < until
                time.sleep(0.01)
            process.send_signal(how)
            _, err = process.communicate(timeout=240)
        assert process.returncode == (-9 if how is signal.SIGKILL else 130), err
    assert err == "stopped: to go on, run the same command again\n"
    # A task for each stage that was finished, and none for a record.
    first = whole.stages.index(next(name for name in whole.stages if "round 2" in name))
    seen = tasks(tmp_path / "runs")
    assert seen == whole.stages[: len(seen)]
    assert len(seen) >= first, (seen, whole.stages)
    with started(bill, "--prefect") as process:
        out, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[1:-1] == whole.outcome.summary.splitlines()[1:]
    assert set(tasks(tmp_path / "runs")) == set(whole.stages)
    assert kept_bytes(tmp_path / "runs") == kept_bytes(whole.folder / "runs")


def tasks(root: Path) -> list[str]:
    """The tasks that Prefect's server saw completed, in order."""
    with closing(sqlite3.connect(root / "prefect" / "prefect.db")) as database:
        found = database.execute("select name from task_run where state_type = 'COMPLETED' order by start_time")
        return [name for (name,) in found]


def test_a_loop_says_at_once_that_prefect_is_down_and_can_do_without(tmp_path: Path) -> None:
    pytest.importorskip("prefect")
    bill, nobody = made(tmp_path, rounds=1), "http://127.0.0.1:9/api"
    with started(bill, "--prefect", PREFECT_API_URL=nobody) as process:
        _, err = process.communicate(timeout=240)
    assert process.returncode == 2
    assert err.startswith(f"error: {nobody}: no Prefect server answers there (")
    assert not list(tmp_path.glob("runs/releases/*"))
    with started(bill, "--prefect", "--or-without", PREFECT_API_URL=nobody) as process:
        out, err = process.communicate(timeout=240)
    assert (process.returncode, err.splitlines()[-1]) == (0, "going on without Prefect")
    assert "report: " in out


def started(bill: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    import os

    here = str(Path(__file__).parents[2])
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MASHBILL", "PREFECT"))}
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "loop", str(bill), "--quiet", *options],
        cwd=bill.parent,
        env={**ours, "PYTHONPATH": here, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_recipe_that_gives_nothing_keeps_its_floor_and_is_dropped_and_said(tmp_path: Path) -> None:
    bill = made(tmp_path, rounds=3, recipes=["notes", "mute"], exploration=0.2, patience=0)
    rounds = report_of(run(bill))["runs"]["country"]["rounds"]
    assert [one["made"]["mute"]["rows"] for one in rounds[1:3]] == [0, 0]
    assert rounds[1]["made"]["mute"]["note"].startswith("made no row from ")
    assert rounds[1]["worth"]["mute"]["reward"] == 0
    assert 0.1 <= rounds[2]["allocation"]["shares"]["mute"] < 0.5
    assert "mute gave no row in 2 rounds in a row, and is given nothing more" in rounds[2]["notes"]
    assert list(rounds[3]["made"]) == ["notes"]
    assert rounds[3]["allocation"]["shares"] == {"notes": 1.0}


def test_it_stops_where_a_round_makes_nothing_new(tmp_path: Path) -> None:
    bill = made(tmp_path, recipes=["notes"], rounds=5, repeats=1, tokens=100_000, patience=0)
    outcome = run(bill)
    found = report_of(outcome)["runs"]["country"]
    assert [one["round"] for one in found["rounds"]] == [0, 1]
    assert found["ended"] == "round 2 made no row that is new: notes made no row from 0 records"
    assert "stopped after round 1: round 2 made no row that is new" in outcome.summary
    # What fell short of the budget is said in the round.
    assert any("of 100,000 tokens after" in note for note in found["rounds"][1]["notes"])


def with_answers(monkeypatch: pytest.MonkeyPatch, right: Callable[[int, int], bool]) -> None:
    """Students whose answers are decided here: by the round they are of, and the place of the question."""
    asked = [0]

    async def validated(kitchen: Kitchen, loop: Loop, model: Path) -> Validated:
        del kitchen, model
        number, asked[0] = asked[0], asked[0] + 1
        answers = [Answered(groups=one.groups, right=right(number, at)) for at, one in enumerate(loop.asked)]
        return Validated(tuple(answers), ("",) * len(answers), loop.asked)

    monkeypatch.setattr(flows.loop_rounds, "validated", validated)


def test_it_stops_where_nothing_is_weak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_answers(monkeypatch, lambda number, at: number > 0)
    found = report_of(run(made(tmp_path, rounds=5)))["runs"]["country"]
    assert len(found["rounds"]) == 2
    assert found["ended"] == "round 1 got every validation question of every group right: nothing is weak"


def test_it_stops_when_validation_gains_nothing_and_takes_the_best_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Round 0 gets 2 right, round 1 gets 9, and all after it get 9 or fewer.
    with_answers(monkeypatch, lambda number, at: at < (2, 9, 9, 8, 8)[number])
    bill = made(tmp_path, rounds=4, patience=2)
    outcome = run(bill)
    found = report_of(outcome)["runs"]["country"]
    assert (len(found["rounds"]), found["chosen"]) == (4, 1)
    assert found["ended"] == "2 rounds in a row gained nothing on the validation questions"
    # Without probes, a round's gain is each recipe's.
    assert {one["measured_gain"] for one in found["rounds"][2]["worth"].values()} == {0.0}
    assert found["rounds"][3]["worth"]["notes"]["measured_gain"] == pytest.approx(-1 / 24)


def test_a_student_may_go_on_from_its_last_self_with_a_share_of_earlier_rows(tmp_path: Path) -> None:
    bill = made(tmp_path, start="last", earlier=0.25)
    run(bill)
    plans = {
        path.parents[1].name: json.loads(path.read_bytes()) for path in tmp_path.glob("runs/plans/*/*/manifest.json")
    }
    first, second = (plans[f"country-loop-round-{number}"] for number in (1, 2))
    assert list(first["streams"]) == ["made"]
    shares = {name: one["share"] for name, one in second["streams"].items()}
    assert shares["earlier"] == pytest.approx(0.25, abs=0.1)
    runs = [
        json.loads(next(tmp_path.glob(f"runs/students/country-loop-round-{n}/*/job.json")).read_bytes()) for n in (1, 2)
    ]
    assert Path(runs[0]["student"]["path"]).parent == tmp_path / "runs" / "students" / "base"
    assert runs[1]["student"]["path"] == str(next(tmp_path.glob("runs/students/country-loop-round-1/*/model")))


def test_a_finished_loop_asks_nothing_and_its_students_are_trained_again_where_they_are_gone(
    tmp_path: Path, whole: Whole
) -> None:
    shutil.copytree(whole.folder, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "runs" / "students" / "country-loop-round-2")
    again = run(tmp_path / "country.yaml")
    assert again.summary == whole.outcome.summary.replace(str(whole.folder), str(tmp_path))
    assert kept_bytes(tmp_path / "runs") == kept_bytes(whole.folder / "runs")
    assert replies(tmp_path) == replies(whole.folder)


def test_a_round_is_no_replay_and_the_ledger_in_an_empty_root_makes_all_of_them_again(
    tmp_path: Path, whole: Whole
) -> None:
    bill, kept = whole.folder / "country.yaml", Settings(root=whole.folder / "runs")
    for date in ("", "country-round-1"):
        with pytest.raises(
            StoreError, match=r"country-round-1: is a round of a loop, and is not made again by a replay"
        ):
            replay(bill, kept, Silent(), date)
    again = made(tmp_path, **FULL)
    (tmp_path / "runs").mkdir()
    shutil.copy(kept.ledger, tmp_path / "runs")
    run(again)
    assert kept_bytes(tmp_path / "runs") == kept_bytes(whole.folder / "runs")
    assert replies(tmp_path) == replies(whole.folder)
    assert paid(tmp_path / "runs") == paid(whole.folder / "runs")


def paid(root: Path) -> list[tuple[str, int]]:
    """What was paid for, by account."""
    with closing(sqlite3.connect(root / "ledger.sqlite")) as ledger:
        return list(ledger.execute("select account, sum(asks) from spending group by account order by account"))
