"""Arms and their report: what decides them, what never enters them, what a bill may leave out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from flows.arms import arm_streams, held_out_sources, plan_arm, report_identity
from flows.kitchen import Kitchen
from flows.run_bill import kitchen_for, run_bill
from flows.training_section import read_evaluation, read_training
from mashbill.errors import BillError, StoreError, UserError
from mashbill.progress import Silent
from mashbill.release_manifest import ReleaseManifest
from mashbill.settings import Settings
from tests.flows.fake_kitchen import BILL, Project, everything, project
from tests.mashbill.release_rows import released
from tests.support.kernel import documents, store
from train.plan_manifest import PlanManifest

FAST = {**BILL["train"], "tokens": 512}
PLAIN: dict[str, Any] = {
    "engine": None,
    "steps": None,
    "streams": {"raw": {"from": "almanac"}, "long": {"from": "almanac", "curate": [{"length": {"min_words": 15}}]}},
    "curate": None,
    "release": {"streams": {"raw": 1}, "splits": {"validation": 0.25}},
    "train": {**FAST, "arms": {"raw": {"raw": 1}, "both": {"raw": 3, "long": 1}}},
    "evaluate": None,
}
"""No teacher: these are about what comes after."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


class Watched(Silent):
    """Progress that counts optimiser steps."""

    def __init__(self) -> None:
        self.steps = 0

    def training(self, event: Any) -> None:
        assert str(event["name"]).startswith("train ")
        self.steps += 1


def settings_of(run: Project) -> Settings:
    return Settings(root=run.root, tables={"hardware": {"device": "cpu"}})


def with_kitchen(run: Project, use: Callable[[Kitchen], Any], settings: Settings | None = None) -> Any:
    async def inside() -> Any:
        async with kitchen_for(run.bill, settings or settings_of(run), Silent()) as kitchen:
            return await use(kitchen)

    return asyncio.run(inside())


def test_plans_of_all_arms_have_the_same_tokens_and_their_own_mix(tmp_path: Path) -> None:
    async def plans(kitchen: Kitchen) -> list[PlanManifest]:
        release, training = await kitchen.release(), read_training(kitchen.bill)
        assert training is not None
        return [PlanManifest.read(await plan_arm(kitchen, release, training, name)) for name in training.plans]

    raw, both = with_kitchen(project(tmp_path, **PLAIN), plans)
    assert raw.tokens == both.tokens == 512
    assert set(raw.streams) == {"raw", "general"}
    assert set(both.streams) == {"raw", "long", "general"}
    assert raw.streams["general"].planned_tokens == both.streams["general"].planned_tokens


def test_no_plan_is_made_of_a_part_whose_bytes_changed(tmp_path: Path) -> None:
    async def refused(kitchen: Kitchen) -> None:
        release, training = await kitchen.release(), read_training(kitchen.bill)
        assert training is not None
        part = (await kitchen.source("general")).part_paths()[0]
        pq.write_table(pq.read_table(part, partitioning=None), part, compression="none")
        with pytest.raises(StoreError, match=r"part-00000\.parquet: its bytes are not the ones that were written"):
            await plan_arm(kitchen, release, training, "raw")

    run = project(tmp_path, **PLAIN)
    with_kitchen(run, refused)
    assert not list(run.root.glob("plans/*/*/manifest.json"))


def test_held_out_documents_of_a_release_whose_rows_are_gone_are_not_guessed(tmp_path: Path) -> None:
    made = released(tmp_path, {"a": store(tmp_path, documents(9))})
    held_out = {row["source_id"] for row in made.rows("validation")}
    assert held_out_sources(made.folder) == held_out
    (shard,) = (made.folder / "data").glob("validation-*")
    rows = pq.read_table(shard, partitioning=None)
    pq.write_table(rows.set_column(rows.schema.get_field_index("source_id"), "source_id", rows.column("id")), shard)
    with pytest.raises(StoreError, match=r"validation-.*its bytes are not the ones that were released; remove"):
        held_out_sources(made.folder)
    shard.unlink()
    with pytest.raises(StoreError, match=r"validation-.*names it but it cannot be read .* and run the bill again"):
        held_out_sources(made.folder)


async def identity(kitchen: Kitchen) -> dict[str, object]:
    release = await kitchen.release()
    training, evaluation = read_training(kitchen.bill), read_evaluation(kitchen.bill)
    return report_identity(kitchen, release, training, evaluation, await arm_streams(kitchen, training))


def test_what_decides_the_numbers_is_in_the_identity_and_how_it_runs_is_not(tmp_path: Path) -> None:
    asked = {**PLAIN, "evaluate": {"questions": "questions.jsonl"}}
    run = project(tmp_path / "a", **asked)
    first = with_kitchen(run, identity)
    slow = replace(settings_of(run), tables={"hardware": {"device": "cpu", "micro_batch": 1}}, records_in_flight=1)
    assert with_kitchen(run, identity, slow) == first
    assert with_kitchen(project(tmp_path / "b", **asked), identity) == first, "where it lies is no identity"
    changes: dict[str, dict[str, Any]] = {
        "recipe": {"train": {**PLAIN["train"], "learning_rate": 0.5}},
        "plans": {"train": {**PLAIN["train"], "tokens": 1024}},
        "student": {"student": {"scratch": {"layers": 2, "width": 16, "heads": 2}}},
        "evaluation": {"evaluate": {"questions": "questions.jsonl", "most_tokens": 3}},
        "release": {"version": "2"},
    }
    for changed, sections in changes.items():
        other = with_kitchen(run.write(**{**asked, **sections}), identity)
        assert {name for name in first if other[name] != first[name]} == {changed}
    with (run.folder / "questions.jsonl").open("a", encoding="utf-8") as questions:
        questions.write('{"id": "q4", "kind": "short", "question": "What flows?", "answer": "the river"}\n')
    other = with_kitchen(run.write(**asked), identity)
    assert {name for name in first if other[name] != first[name]} == {"questions"}


def test_the_order_of_the_arms_is_identity_since_neighbours_are_compared(tmp_path: Path) -> None:
    run = project(tmp_path, **PLAIN)
    first = with_kitchen(run, identity)
    turned = dict(reversed(PLAIN["train"]["arms"].items()))
    other = with_kitchen(run.write(**{**PLAIN, "train": {**PLAIN["train"], "arms": turned}}), identity)
    assert {name for name in first if other[name] != first[name]} == {"arms"}
    assert other["arms"] == ["both", "raw"]


def test_a_stream_of_nothing_but_held_out_documents_is_refused(tmp_path: Path) -> None:
    async def refused(kitchen: Kitchen) -> None:
        release, training = await kitchen.release(), read_training(kitchen.bill)
        held_out = held_out_sources(release)
        assert 0 < len(held_out) < 8
        # The documents that are held out, and a stream with only those.
        names = sorted(
            row["source"] for row in (await kitchen.source("almanac")).table(0).to_pylist() if row["id"] in held_out
        )
        run.write(**only_held_out(names))
        assert training is not None

    run = project(
        tmp_path, **{**PLAIN, "sources": {**BILL["sources"], "almanac": {"read_documents": {"path": "corpus"}}}}
    )
    with_kitchen(run, refused)
    with pytest.raises(BillError, match="stream few: every row comes from a held-out source document"):
        run_bill(run.bill, settings_of(run), Silent())


def only_held_out(names: list[str]) -> dict[str, Any]:
    return {
        **PLAIN,
        "sources": {
            "almanac": {"read_documents": {"path": "corpus"}},
            "few": {"read_documents": {"path": "corpus", "glob": names[0]}},
            "general": BILL["sources"]["general"],
        },
        "streams": {**PLAIN["streams"], "few": {"from": "few"}},
        "train": {**PLAIN["train"], "arms": {"few": {"few": 1}}},
    }


def test_training_alone_reports_losses_and_a_measured_release_gets_its_card_back(tmp_path: Path) -> None:
    run, watch = project(tmp_path, **PLAIN), Watched()
    outcome = run_bill(run.bill, settings_of(run), watch)
    assert outcome.report is not None
    assert outcome.releases is not None
    assert watch.steps == 2 * 2
    _, raw, both = outcome.summary.splitlines()
    assert raw.startswith("raw          loss ")
    assert both.endswith("after 512 tokens")
    report = json.loads((outcome.report / "report.json").read_bytes())
    assert report["evaluations"] == {}
    assert not (outcome.report / "benefit.png").exists()
    card = (outcome.releases / "README.md").read_text()
    assert "trained on its own mix" in card
    assert "questions" not in card
    raw, both = (run.one(f"students/tiny-{arm}/*/model/README.md").read_text() for arm in ("raw", "both"))
    at = {place: run.one(f"{place}/*/manifest.json").parent.name for place in ("length", "releases/tiny")}
    release = ReleaseManifest.read(outcome.releases)
    (source,) = release.streams["raw"].steps
    assert f"| trained on raw | `{source.fingerprint}`, released in dataset `{at['releases/tiny']}` |" in raw
    assert "trained on long" not in raw
    assert f"| trained on long | `{at['length']}`, not released |" in both
    assert both.count(", not released |") == 2, "nor is the replay"
    assert f"| measured beside | `{release.fingerprint}`, the dataset the same bill released; its held-out" in both
    before = everything(run.root)
    for path in sorted(outcome.releases.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    again = run_bill(run.bill, settings_of(run), watch)
    assert again == outcome
    assert everything(run.root) == before
    assert watch.steps == 2 * 2


def test_a_student_by_path_is_the_base_and_may_be_evaluated_without_training(tmp_path: Path) -> None:
    first = project(tmp_path / "first", **PLAIN)
    run_bill(first.bill, settings_of(first), Silent())
    model = first.one("students/tiny-raw/*/model")
    asked = {**PLAIN, "student": {"path": str(model)}, "evaluate": {"questions": "questions.jsonl", "most_tokens": 3}}
    run = project(tmp_path / "second", **{**asked, "train": None})
    outcome = run_bill(run.bill, settings_of(run), Silent())
    assert outcome.report is not None
    report = json.loads((outcome.report / "report.json").read_bytes())
    assert (list(report["evaluations"]), report["arms"]) == (["base"], {})
    evaluated = everything(run.root / "evaluations")
    assert evaluated

    run.write(**asked)
    outcome = run_bill(run.bill, settings_of(run), Silent())
    assert outcome.report is not None
    report = json.loads((outcome.report / "report.json").read_bytes())
    assert set(report["evaluations"]) == {"base", "raw", "both"}
    readable = (outcome.report / "report.md").read_text()
    assert "base → raw" in readable
    assert "raw → both" in readable
    assert everything(run.root / "evaluations") == evaluated, "the base is asked once"
    assert [line.split()[0] for line in outcome.summary.splitlines()[1:]] == ["base", "raw", "both"]


def test_an_untrained_student_from_scratch_is_not_evaluated(tmp_path: Path) -> None:
    run = project(tmp_path, **{**PLAIN, "train": None, "evaluate": {"questions": "questions.jsonl"}})
    with pytest.raises(BillError, match="from scratch knows nothing before it is trained"):
        run_bill(run.bill, settings_of(run), Silent())
    assert not run.root.exists()


def test_wrong_hardware_settings_are_found_before_any_work(tmp_path: Path) -> None:
    run = project(tmp_path, **PLAIN)
    with pytest.raises(UserError, match="did you mean micro_batch"):
        run_bill(run.bill, replace(settings_of(run), tables={"hardware": {"micro_bach": 2}}), Silent())
    assert not run.root.exists()


@pytest.mark.slow
def test_an_arm_is_trained_in_as_many_processes_as_the_settings_say(tmp_path: Path) -> None:
    losses = []
    for processes in (1, 2):
        run = project(tmp_path / str(processes), **{**PLAIN, "train": {**FAST, "arms": {"raw": {"raw": 1}}}})
        with (run.folder / "mashbill.toml").open("a", encoding="utf-8") as settings:
            settings.write(f"processes = {processes}\n")
        ended = run.run()
        assert ended.code == 0, ended.err
        losses.append(json.loads(run.one("students/*/*/result.json").read_bytes())["final_loss"])
        assert len(list(run.root.glob("students/*/*/checkpoints/*/*.distcp"))) == (0 if processes == 1 else 2)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
