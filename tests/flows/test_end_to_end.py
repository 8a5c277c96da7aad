"""A whole run of a tiny bill: documents to a measured student, everything accounted for, nothing done twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.dataset_section import HEAD
from mashbill.disk import file_digest
from mashbill.release_manifest import ReleaseManifest, StreamCounts
from mashbill.store import Stored
from tests.flows.fake_kitchen import Project, everything, project, without_times


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose bill was run once, undisturbed."""
    whole = project(tmp_path_factory.mktemp("done"))
    ended = whole.run()
    assert ended.code == 0, ended.err
    assert "rows (train" in ended.out
    return whole


@pytest.fixture(scope="module")
def release(done: Project) -> Path:
    return done.one("releases/tiny/*")


@pytest.fixture(scope="module")
def report(done: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.one("reports/tiny/*/report.json").read_bytes())
    return found


def rows_of(release: Path, split: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(sorted((release / "data").glob(f"{split}-*.parquet"))).to_pylist()
    return rows


def test_the_release_opens_with_the_datasets_library(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    opened = datasets.load_dataset(str(release), cache_dir=str(tmp_path))
    manifest = ReleaseManifest.read(release)
    assert {name: len(split) for name, split in opened.items()} == {
        name: split.rows for name, split in manifest.splits.items()
    }
    features = opened["train"].features
    assert features["text"].dtype == "string"
    assert features["made"]["asks"] == datasets.List(datasets.Value("string"))
    assert features["stream"].dtype == "string"
    assert opened["train"].features == opened["validation"].features
    # Explicit: what the library reads is what we wrote into the file, not what it made of the columns.
    written = json.loads(pq.read_schema(release / "data/train-00000-of-00001.parquet").metadata[b"huggingface"])
    assert datasets.Features.from_dict(written["info"]["features"]) == features


def test_the_header_of_the_card_is_what_the_hub_takes(release: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.DatasetCard.load(release / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.language == ["en"]
    assert card.data.size_categories == ["n<1K"]
    (config,) = card.data.configs
    files = {one["split"]: one["path"] for one in config["data_files"]}
    assert {split: len(list(release.glob(path))) for split, path in files.items()} == {"train": 1, "validation": 1}


def test_splits_share_no_source(release: Path) -> None:
    train, held_out = ({row["source_id"] for row in rows_of(release, split)} for split in ("train", "validation"))
    assert train
    assert held_out
    assert not train & held_out


def check_stream(stream: StreamCounts, step_at: dict[str, Stored]) -> None:
    kept = None
    for step in stream.steps:
        counts = step.counts
        assert counts.attempts == counts.kept + counts.rejects
        if step.step != "tell_tales":
            assert counts.read == counts.kept + counts.rejects
        assert kept is None or counts.read == kept
        stored = step_at[step.fingerprint]
        assert stored.manifest.counts == counts == sum((part.counts for part in stored.manifest.parts), type(counts)())
        reasons: Counter[str] = Counter()
        for index, part in enumerate(stored.manifest.parts):
            assert stored.table(index).num_rows == part.counts.kept
            reasons.update(stored.rejects(index).column("reason").to_pylist())
            assert file_digest(stored.path / part.name) == part.sha256
            assert file_digest(stored.path / "rejects" / part.name) == part.rejects_sha256
        assert dict(sorted(reasons.items())) == counts.rejected
        kept = counts.kept
    assert kept == stream.released + stream.over_share


def test_counts_add_up_from_source_to_shard(done: Project, release: Path) -> None:
    manifest = ReleaseManifest.read(release)
    steps = [Stored.open(path.parent) for path in done.root.glob("*/*/manifest.json") if path.parts[-4] == "runs"]
    step_at = {one.manifest.fingerprint: one for one in steps if "plans" not in one.path.parts}
    for stream in manifest.streams.values():
        check_stream(stream, step_at)
    tales = manifest.streams["tales"]
    assert [step.step for step in tales.steps] == ["read_documents", "tell_tales", "length", "exact_dedup"]
    assert all(step.counts.rejects for step in tales.steps[1:]), "each of these steps is meant to reject something"
    assert sum(stream.over_share for stream in manifest.streams.values()) > 0
    assert manifest.rows == sum(stream.released for stream in manifest.streams.values())
    for name, split in manifest.splits.items():
        assert split.rows == sum(shard.rows for shard in split.shards)
        for shard in split.shards:
            assert pq.read_metadata(release / shard.file).num_rows == shard.rows
            assert file_digest(release / shard.file) == shard.sha256
        assert split.sources == len({row["source_id"] for row in rows_of(release, name)})


def test_every_released_row_says_where_it_comes_from(done: Project, release: Path) -> None:
    paid = len({request for _, request in done.paid()})
    sources = {f"paper-{number}.md" for number in range(8)}
    asks = set()
    for row in rows_of(release, "train") + rows_of(release, "validation"):
        assert row["source"] in sources
        assert bool(row["made"]["asks"]) == (row["stream"] == "tales")
        asks.update(row["made"]["asks"])
    assert 0 < len(asks) <= paid


def test_arms_are_trained_at_equal_tokens_and_learn(done: Project, report: dict[str, Any]) -> None:
    arms = report["arms"]
    assert list(arms) == ["raw", "tales"]
    assert {arm["plan"]["tokens"] for arm in arms.values()} == {arm["result"]["tokens"] for arm in arms.values()}
    for name, arm in arms.items():
        assert set(arm["plan"]["streams"]) == {name, "general"}
        assert arm["plan"]["streams"]["general"]["share"] == pytest.approx(0.25, abs=0.03)
        assert arm["result"]["final_loss"] < arm["result"]["first_loss"]
        metrics = done.one(f"students/tiny-{name}/*/metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in metrics] == list(range(1, arm["result"]["steps"] + 1))


def test_no_row_of_a_held_out_source_is_trained_on(done: Project, release: Path) -> None:
    held_out = {row["source_id"] for row in rows_of(release, "validation")}
    for arm in ("raw", "tales"):
        plan = pq.read_table(done.one(f"plans/tiny-{arm}/*/plan.parquet")).to_pylist()
        seen = {piece["record_id"] for row in plan for piece in row["segments"]}
        rows = [row for path in done.root.glob("*/*/part-*.parquet") for row in pq.read_table(path).to_pylist()]
        assert seen <= {row["id"] for row in rows}
        assert not {row["source_id"] for row in rows if row["id"] in seen} & held_out


def test_report_and_card_say_the_same(done: Project, release: Path, report: dict[str, Any]) -> None:
    folder = done.one("reports/tiny/*")
    assert (folder / "benefit.png").read_bytes().startswith(b"\x89PNG")
    readable, card = (folder / "report.md").read_text(), (release / "README.md").read_text()
    benefit, dataset = readable.split("\n\n", 1)[1].split(f"\n\n{HEAD}")
    assert "closed book" in benefit
    assert "| tales |" in dataset
    assert benefit in card
    for name, arm in report["arms"].items():
        assert f"{arm['result']['final_loss']:.3f}" in benefit
        accuracy = report["evaluations"][name]["overall"]["choice_accuracy"]
        assert f"{accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]" in benefit
        assert f"{arm['plan']['tokens']:,}" in benefit
    manifest = ReleaseManifest.read(release)
    for stream in manifest.streams.values():
        assert f"| {stream.released:,} |" in card


def test_a_students_card_names_the_rows_it_was_trained_on(done: Project, release: Path) -> None:
    manifest = ReleaseManifest.read(release)
    general = {path.parent.parent.name for path in done.root.glob("read_documents/*/rejects/part-00000.parquet")}
    for arm in ("raw", "tales"):
        card = done.one(f"students/tiny-{arm}/*/model/README.md").read_text()
        stream = manifest.streams[arm]
        how = "released in part" if stream.over_share else "released"
        trained = [line for line in card.splitlines() if line.startswith("| trained on ")]
        assert f"| trained on {arm} | `{stream.steps[-1].fingerprint}`, {how} in" in card
        assert len(trained) == 2
        assert any(f"| trained on general | `{one}`, not released |" in trained for one in general)
        assert f"| measured beside | `{manifest.fingerprint}`" in card
    assert any(stream.over_share for stream in manifest.streams.values())


def test_again_asks_nothing_changes_nothing_and_needs_no_torch(done: Project) -> None:
    before, paid, starts = everything(done.root), done.paid(), done.engine_starts()
    code = (
        "import sys; from pathlib import Path; from flows.run_bill import run_bill\n"
        "from mashbill.progress import Silent; from mashbill.settings import Settings\n"
        "outcome = run_bill(Path('tiny.yaml'), Settings.load(), Silent())\n"
        "assert outcome.report is not None and 'tales' in outcome.summary\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'matplotlib', 'prefect'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(
        command, cwd=done.folder, env=done.environment(), capture_output=True, text=True, check=True, timeout=120
    )
    assert ended.stdout.strip() == "[]"
    assert everything(done.root) == before
    assert done.paid() == paid
    assert done.engine_starts() == starts == 1


MOMENTS = ["SIGKILL paid {}", "SIGKILL tell_tales/ {}", "SIGKILL exact_dedup/ {}", "SIGKILL releases/ {}"]
LATER = ["SIGKILL plans/ {}", "SIGKILL students/tiny-raw {}", "SIGKILL students/tiny-tales {}"]


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(done: Project, tmp_path: Path) -> None:
    broken, dice, in_flight = project(tmp_path), random.Random(11), 2 * 4
    moments = [moment.format(dice.randint(2, 9)) for moment in MOMENTS for _ in range(2)]
    moments += [moment.format(dice.randint(2, 12)) for moment in LATER]
    for moment in moments:
        before = len(broken.paid_twice())
        assert broken.run(ends=moment).killed, moment
        assert len(broken.paid_twice()) - before <= in_flight
    ended = broken.run()
    assert ended.code == 0, ended.err
    kills_that_may_lose_replies = sum("paid" in moment or "tell_tales" in moment for moment in moments)
    assert len(broken.paid_twice()) <= in_flight * kills_that_may_lose_replies
    assert {request for _, request in broken.paid()} == {request for _, request in done.paid()}
    for process in {process for process, _ in broken.paid()}:
        own = [request for payer, request in broken.paid() if payer == process]
        assert len(own) == len(set(own))
    assert without_times(broken.root) == without_times(done.root)
    assert broken.run().code == 0


@pytest.mark.slow
def test_ctrl_c_during_synthesis_and_then_during_training_keeps_every_reply_that_was_paid_for(
    done: Project, tmp_path: Path
) -> None:
    stopped = project(tmp_path)
    with stopped.start(delay=0.05) as process:
        while len(stopped.paid()) < 6:
            assert process.poll() is None, "it ended before it could be stopped"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    paid = len(stopped.paid())
    assert process.returncode == 130
    assert err == f"stopped: to go on, run the same command again: {paid:,} replies are kept\n"
    assert paid < len(done.paid())
    ended = stopped.run(ends="SIGINT students/tiny-raw 4")
    assert ended.code == 130, ended.err
    assert "to go on, run the same command again" in ended.err
    assert list(stopped.root.glob("students/tiny-raw/*/metrics.jsonl"))
    assert not list(stopped.root.glob("students/*/*/result.json"))
    ended = stopped.run()
    assert ended.code == 0, ended.err
    assert stopped.paid_twice() == []
    assert without_times(stopped.root) == without_times(done.root)
