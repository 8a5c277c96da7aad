"""`accept`: exactly so many curated rows, from as little of the source as it takes, whatever interrupts the run."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flows.accepting
from flows.accepting import GROWTH, next_draw
from flows.estimate import estimate_bill
from flows.run_bill import kitchen_for, run_bill
from flows.run_record import runs_under
from mashbill.bill import Accept
from mashbill.errors import BillError, EngineRefused
from mashbill.limits import Limits
from mashbill.lineage import stored_steps
from mashbill.progress import Silent
from mashbill.read_bill import read_bill
from mashbill.release_manifest import ReleaseManifest
from mashbill.row_size import BYTES_A_TOKEN
from mashbill.settings import Settings
from mashbill.store import Stored
from tests.flows.fake_kitchen import Project, everything, project

SMALL: dict[str, Any] = {"student": None, "train": None, "evaluate": None}
RELEASE = {"splits": {"validation": 0.2}}


@pytest.fixture(autouse=True)
def _a_small_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.accepting, "PROBE", 1)


def accepting(folder: Path, accept: object, **sections: Any) -> Project:
    streams = {"tales": {"from": "almanac", "generate": ["tell_tales"], "accept": accept}}
    return project(folder, **{**SMALL, "streams": streams, "release": RELEASE, **sections})


def settings_of(run: Project) -> Settings:
    return Settings(root=run.root, records_in_flight=2)


def release_of(run: Project) -> ReleaseManifest:
    return ReleaseManifest.read(run.one("releases/tiny/*"))


def test_exactly_as_many_rows_stand_and_the_rest_of_the_source_is_not_asked_about(tmp_path: Path) -> None:
    run = accepting(tmp_path, 9)
    outcome = run_bill(run.bill, settings_of(run), Silent())
    release = release_of(run)
    assert release.rows == 9
    steps = {one.step: one.counts for one in release.streams["tales"].steps}
    first, *_, last = release.streams["tales"].steps[1:]
    assert (first.step, last.step) == ("take_first", "take_first")
    asked = first.counts.kept
    assert 1 < asked < 8
    assert steps["tell_tales"].read == asked
    assert first.counts.rejected == {"not_asked": 8 - asked}
    assert last.counts.kept == 9
    assert last.counts.rejected == {"over_accept": last.counts.read - 9}
    assert len(run.paid()) < 5 * 8
    assert run.paid_twice() == []
    assert "accept" not in outcome.summary
    card = (run.one("releases/tiny/*") / "README.md").read_text(encoding="utf-8")
    assert "9 rows were to be accepted, and 9 stand" in card
    assert f"{asked} of 8 records were asked about, as many as it took" in card


def test_a_step_that_a_run_comes_to_again_is_counted_once(tmp_path: Path) -> None:
    run = accepting(tmp_path, {"rows": 500})
    run_bill(run.bill, settings_of(run), Silent())
    (done,) = runs_under(run.root)
    stored = list(stored_steps(run.root))
    assert done.steps == len(stored) > 6
    assert done.rejected["empty"] == sum(one.manifest.counts.rejected.get("empty", 0) for one in stored)


def test_a_source_that_is_used_up_is_said_in_the_end_and_in_the_card(tmp_path: Path) -> None:
    run = accepting(tmp_path, {"rows": 500})
    outcome = run_bill(run.bill, settings_of(run), Silent())
    rows = release_of(run).rows
    assert 8 < rows < 32
    said = f"500 rows were to be accepted, and {rows} stand: the source gave no more"
    assert f"tales: {said}" in outcome.summary.splitlines()
    card = (run.one("releases/tiny/*") / "README.md").read_text(encoding="utf-8")
    assert f"500 rows were to be accepted, and {rows} stand: the source gave no more" in card


def test_a_budget_that_ends_it_is_what_is_said(tmp_path: Path) -> None:
    run = accepting(tmp_path, 20)
    some = run_bill(run.bill, replace(settings_of(run), budget=Limits.parse(["900 tokens"])), Silent())
    (end,) = [one for one in release_of(run).streams["tales"].steps if one.step == "take_first"]
    (said,) = end.said
    assert re.fullmatch(
        r"20 rows were to be accepted, and \d+ stand: not all of its records were asked to the end", said
    )
    assert f"tales: {said}" in some.summary
    assert "stopped by its budget" in some.summary
    assert "the source gave no more" not in some.summary


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    quiet, stopped = accepting(tmp_path / "quiet", 9), accepting(tmp_path / "stopped", 9)
    run_bill(quiet.bill, settings_of(quiet), Silent())
    streams = {"tales": {"from": "almanac", "generate": ["tell_tales"], "accept": 9}}
    for after in (3, 11, 14):
        stopped.write(**SMALL, streams=streams, release=RELEASE, engine={"scripted_teacher": {"refuses_after": after}})
        with pytest.raises(EngineRefused):
            run_bill(stopped.bill, settings_of(stopped), Silent())
    stopped.write(**SMALL, streams=streams, release=RELEASE)
    run_bill(stopped.bill, settings_of(stopped), Silent())
    assert stopped.paid_twice() == []
    assert sorted(one for _, one in stopped.paid()) == sorted(one for _, one in quiet.paid())
    assert everything(stopped.root) == everything(quiet.root)


def test_tokens_are_accepted_until_they_are_there(tmp_path: Path) -> None:
    run = accepting(tmp_path, {"tokens": 200})
    run_bill(run.bill, settings_of(run), Silent())
    last = release_of(run).streams["tales"].steps[-1]
    sizes = [-(-len(text.encode()) // BYTES_A_TOKEN) for text in texts_of(run)]
    assert sum(sizes) - max(sizes) < 200 <= sum(sizes)
    assert last.identity["steps"][0]["fields"]["measure"]["unit"] == "tokens"
    assert "200 tokens of four bytes were to be accepted" in last.said[0]


def test_with_a_student_its_tokenizer_counts(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    run = accepting(tmp_path, {"tokens": 200}, student={"scratch": {"layers": 1, "width": 16, "heads": 2}})
    run_bill(run.bill, settings_of(run), Silent())
    sizes = [len(text.encode()) for text in texts_of(run)]  # a student from scratch reads bytes
    assert sum(sizes) - max(sizes) < 200 <= sum(sizes)


def test_a_stream_above_gives_what_it_accepts_and_a_stream_without_a_generator_may_accept_too(tmp_path: Path) -> None:
    streams = {
        "raw": {"from": "almanac", "accept": 5},
        "tales": {"from": "raw", "generate": ["tell_tales"], "accept": {"rows": 4}},
    }
    run = accepting(tmp_path, 0, streams=streams)
    run_bill(run.bill, settings_of(run), Silent())
    steps = [one.step for one in release_of(run).streams["tales"].steps]
    assert steps.count("take_first") == 4
    assert release_of(run).rows == 4


def test_a_plan_asks_about_the_source_and_not_for_what_is_accepted(tmp_path: Path) -> None:
    run = accepting(tmp_path, 7)
    estimate = estimate_bill(run.bill, settings_of(run), probe=1)
    assert [(one.name, one.records, one.probed) for one in estimate.streams] == [("tales", 8, 1)]
    assert len(run.paid()) <= 7
    assert any("tales accepts 7 rows" in note for note in estimate.notes)


async def test_each_stage_alone_gives_what_the_whole_gives(tmp_path: Path) -> None:
    run = accepting(tmp_path, 7)
    async with kitchen_for(run.bill, settings_of(run), Silent()) as kitchen:
        made = await kitchen.synthesized("tales")
        stream, again = await asyncio.gather(kitchen.stream("tales"), kitchen.stream("tales"))
    assert stream == again
    assert made.manifest.counts.read < 8
    assert Stored.open(stream.path).manifest.counts.kept == 7


def texts_of(run: Project) -> list[str]:
    from mashbill.release_manifest import opened_shard

    folder = run.one("releases/tiny/*")
    found = []
    for split in release_of(run).splits.values():
        for shard in split.shards:
            with opened_shard(folder, shard) as file:
                found += file.read(columns=["text"]).column("text").to_pylist()
    return found


@given(asked=st.integers(1, 1000), have=st.integers(0, 999), wanted=st.integers(1, 10**6), total=st.integers(1, 10**6))
def test_a_draw_grows_and_never_wildly(asked: int, have: int, wanted: int, total: int) -> None:
    total = max(total, asked + 1)
    wanted = max(wanted, have + 1)
    drawn = next_draw(asked, have, wanted, total)
    assert asked < drawn <= min(total, asked * GROWTH)


@pytest.mark.parametrize(
    ("accept", "said"),
    [
        (0, "wants rows or tokens"),
        ({"rows": 3, "tokens": 4}, "wants rows or tokens"),
        ({"tokens": -1}, "wants rows or tokens"),
        ({"row": 3}, r"did you mean rows\?"),
        (True, "accept"),
        ("many", "accept"),
    ],
)
def test_what_cannot_be_accepted_is_named_with_its_line(tmp_path: Path, accept: object, said: str) -> None:
    run = accepting(tmp_path, accept)
    with pytest.raises(BillError, match=said) as caught:
        read_bill(run.bill)
    assert re.search(r"tiny\.yaml:\d+: streams\.tales\.accept", str(caught.value))


def test_the_amount() -> None:
    assert (Accept(rows=3).amount, Accept(tokens=4).amount) == (3, 4)
