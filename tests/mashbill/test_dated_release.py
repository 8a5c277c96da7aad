"""What decides a dated release: which records are new, which split a document falls into, what a series is."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mashbill.dated_release import DatedPlan, publish_dated, split_by_hash
from mashbill.errors import StoreError
from mashbill.execute import execute
from mashbill.ingest import ingest
from mashbill.records import QA, Document, Record, from_table
from mashbill.refreshed import SourceNews
from mashbill.release import ReleasePlan
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.seen import Seen, SeenSource, record_rows
from mashbill.series import dated_folders, differences, last_of, series_of
from mashbill.sources.read_documents import ReadDocuments
from mashbill.sources.read_qa import ReadQa
from mashbill.step import Source
from mashbill.store import Stored
from mashbill.unseen import Unseen

PLAN = ReleasePlan(
    name="tiny", version="1", description="", license="", language="en", seed=3, shares={}, splits={"validation": 0.2}
)


def plan_of(stored: Stored, kind: type[Record] = Document) -> DatedPlan:
    return DatedPlan(
        release=PLAN,
        kind=kind,
        date="2026-12-01",
        number=1,
        series=[],
        sources={"almanac": SourceNews(new=1, taken=1)},
        sections={},
        files=[{"source": "almanac", "reader": "r", "file": "a.md", "sha256": "0" * 64, "state": "new"}],
        records=[row for table in stored for row in record_rows("almanac", table, stored.kind)],
        splits={},
    )


def documents(folder: Path) -> Stored:
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    (folder / "corpus" / "a.md").write_text("Salt was sold by the bag.\n", encoding="utf-8")
    return ingest(ReadDocuments(path="corpus"), folder / "corpus", Runtime(root=folder / "runs"))


def test_a_split_takes_its_share_and_stays_when_others_are_added() -> None:
    names = [f"document-{number}" for number in range(4000)]
    before = {name: split_by_hash(name, {"test": 0.1}, 5) for name in names}
    counts = Counter(before.values())
    assert set(counts) == {"train", "test"}
    assert 320 < counts["test"] < 480  # 4 standard deviations of a binomial around 400
    after = {name: split_by_hash(name, {"test": 0.1, "validation": 0.2}, 5) for name in names}
    assert {name for name in names if after[name] == "test"} == {name for name in names if before[name] == "test"}
    assert {split_by_hash(name, {}, 5) for name in names} == {"train"}


def test_what_cannot_be_published_leaves_nothing(tmp_path: Path) -> None:
    stored = documents(tmp_path)
    with pytest.raises(StoreError, match=r"its streams hold \['Document', 'QA'\]; release one type of record"):
        publish_dated(plan_of(stored, QA), {"raw": stored}, tmp_path / "runs")
    assert not (tmp_path / "runs" / "releases").exists()
    folder = publish_dated(plan_of(stored), {"raw": stored}, tmp_path / "runs")
    assert list(differences(folder)) == []
    with pytest.raises(StoreError, match="tiny@2026-12-01: is there already"):
        publish_dated(plan_of(stored), {"raw": stored}, tmp_path / "runs")


def test_a_folder_that_is_no_release_of_the_series_is_named(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    assert (series_of(root, "tiny"), last_of(root, "tiny")) == ([], None)
    stored = documents(tmp_path)
    folder = publish_dated(plan_of(stored), {"raw": stored}, root)
    for other in ("tiny@soon", "tiny@2026-12-01.0", "tiny-er@2026-12-02"):
        (root / "releases" / other).mkdir()
    (root / "releases" / "tiny@2026-12-09").write_text("a file")
    assert dated_folders(root, "tiny") == [(("2026-12-01", 1), folder)]
    empty = root / "releases" / "tiny@2026-12-02"
    empty.mkdir()
    assert [one.folder for one in [last_of(root, "tiny")] if one] == [folder]
    with pytest.raises(StoreError, match=r"tiny@2026-12-02: is not as it was published: its manifest\.json cannot be"):
        series_of(root, "tiny")
    undated = json.loads((folder / "manifest.json").read_bytes())
    undated.pop("refreshed")
    (empty / "manifest.json").write_text(json.dumps(undated))
    with pytest.raises(StoreError, match="is no dated release"):
        series_of(root, "tiny")


def test_one_that_was_put_between_two_is_none_of_the_series(tmp_path: Path) -> None:
    root, stored = tmp_path / "runs", documents(tmp_path)
    publish_dated(plan_of(stored), {"raw": stored}, root)
    second = dataclasses.replace(plan_of(stored), date="2026-12-03", series=series_of(root, "tiny"))
    publish_dated(second, {"raw": stored}, root)
    assert [one.name for one in series_of(root, "tiny")] == ["tiny@2026-12-01", "tiny@2026-12-03"]
    shutil.copytree(root / "releases" / "tiny@2026-12-01", root / "releases" / "tiny@2026-12-02")
    with pytest.raises(
        StoreError, match=r"tiny@2026-12-02: is none of the series: tiny@2026-12-03 was made after tiny"
    ):
        series_of(root, "tiny")


async def kept(source: Source[Any], folder: Path, seen: SeenSource, before: str) -> list[Record]:
    """What of a source's folder is new."""
    runtime = Runtime(root=folder / "runs")
    stored = ingest(source, folder / "corpus", runtime)
    step = Unseen(source="almanac", before=before, kind=source.writes, seen=seen)
    done = await execute(step, stored, runtime, RejectPolicy(share=1.0))
    assert sum(done.manifest.counts.rejected.values()) == done.manifest.counts.rejected.get("seen_before", 0)
    return [record for table in done for record in from_table(table, done.kind)]


@pytest.mark.parametrize(
    "source", [ReadQa(path="corpus", repeats="keep"), ReadDocuments(path="corpus", text_field="question")]
)
async def test_lines_put_into_a_file_are_new_and_repeats_of_seen_ones_are_not(
    source: Source[Any], tmp_path: Path
) -> None:
    (tmp_path / "corpus").mkdir()
    lines = [{"question": f"How many bags in {number}?", "answer": str(number), "title": "t"} for number in range(3)]
    file = tmp_path / "corpus" / "a.jsonl"

    def write(*rows: dict[str, str]) -> None:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    seen = SeenSource()
    write(lines[0], lines[1], lines[1])
    runtime = Runtime(root=tmp_path / "runs")
    first = ingest(source, tmp_path / "corpus", runtime)
    seen.add_records([row for table in first for row in record_rows("almanac", table, first.kind)])
    write(lines[2], lines[1], lines[0], lines[1], lines[1], lines[1])
    (new,) = await kept(source, tmp_path, seen, "one")
    assert lines[2]["question"] in (getattr(new, "question", ""), getattr(new, "text", ""))
    assert new.source_id == new.id


async def test_a_text_seen_under_another_title_and_a_changed_file_are_of_the_same_document(tmp_path: Path) -> None:
    first = documents(tmp_path)
    (old,) = (record for table in first for record in from_table(table, Document))
    seen = SeenSource(files={"a.md": "x", "old.md": "y"})
    seen.add_records([row for table in first for row in record_rows("almanac", table, Document)])
    (tmp_path / "corpus" / "b.md").write_text("# Another title\nSalt was sold by the bag.\n", encoding="utf-8")
    (tmp_path / "corpus" / "a.md").write_text("Salt was sold by the barrel.\n", encoding="utf-8")
    (tmp_path / "corpus" / "c.md").write_text("Lamps were sold by the dozen.\n", encoding="utf-8")
    new = {record.source: record for record in await kept(ReadDocuments(path="corpus"), tmp_path, seen, "one")}
    assert {name: record.source_id == old.id for name, record in new.items()} == {
        "a.md": True,
        "b.md": True,
        "c.md": False,
    }
    assert len({record.id for record in new.values()} | {old.id}) == 4


def test_a_file_that_is_gone_may_come_back_and_another_reader_reads_all_anew(tmp_path: Path) -> None:
    seen = Seen().of("almanac")
    row = {"source": "almanac", "reader": "one", "file": "a.md", "sha256": "11", "state": "new"}
    seen.add_file(row)
    assert (seen.files, seen.read) == ({"a.md": "11"}, {"11"})
    seen.add_file({**row, "sha256": "", "state": "gone"})
    assert (seen.files, seen.read) == ({}, {"11"})
    seen.add_file({**row, "reader": "two", "sha256": "22", "state": "again"})
    assert (seen.files, seen.read) == ({"a.md": "22"}, {"22"})
