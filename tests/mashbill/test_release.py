"""A release: nothing lost or doubled, no source in two splits, and open to every reader of Parquet."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import mashbill.release
from mashbill.counts import Counts
from mashbill.disk import file_digest
from mashbill.errors import SettingsError, StoreError
from mashbill.execute import execute
from mashbill.filter_stack import FilterStack
from mashbill.hf_disk import export_to_disk
from mashbill.records import RECORD_TYPES, Document, schema_of
from mashbill.release import publish, released_schema, split_of_sources, way_of
from mashbill.release_manifest import ReleaseManifest, opened_shard
from mashbill.runtime import Runtime
from mashbill.store import Stored
from tests.mashbill.release_rows import BYTES, plan_of, released, rows_of_kind, texts
from tests.support.kernel import NoDigit, bytes_of, documents, store

SHARES = st.floats(0.05, 20, allow_nan=False)


@pytest.fixture
def few_rows_a_shard(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(mashbill.release, "SHARD_ROWS", 7)
    return 7


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The library, offline, with its caches in the test's folder and without its bars."""
    found = pytest.importorskip("datasets")
    monkeypatch.setattr(found.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(found.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    found.disable_progress_bars()
    yield found
    found.enable_progress_bars()


# Splits --------------------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(
    sources=st.lists(st.text(max_size=4), max_size=60),
    splits=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats(0.01, 0.33), max_size=3),
    seed=st.integers(0, 10**6),
)
@example(sources=list("abcde"), splits={"a": 0.3125, "b": 0.3125, "c": 0.25}, seed=0)
@example(sources=["a", "b"], splits={"a": 0.3, "b": 0.3}, seed=0)
def test_every_source_has_one_split_and_train_has_one(sources: list[str], splits: dict[str, float], seed: int) -> None:
    assigned = split_of_sources(sources, splits, seed)
    assert assigned.keys() == set(sources)
    assert assigned == split_of_sources(sources[::-1], dict(reversed(splits.items())), seed), "order is no input"
    counts = Counter(assigned.values())
    total = len(set(sources))
    if total:
        assert counts["train"] >= 1
    for name, share in splits.items():
        if total > len(splits) / 0.01:
            assert abs(counts[name] - share * total) <= 1
        assert counts[name] >= 1 or total <= len(splits)


@settings(max_examples=15)
@given(
    sizes=st.lists(st.integers(0, 50), min_size=1, max_size=40),
    sources=st.integers(1, 12),
    splits=st.dictionaries(st.sampled_from(["test", "validation"]), st.floats(0.05, 0.4), max_size=2),
    seed=st.integers(0, 99),
    part_rows=st.integers(1, 9),
)
def test_splits_share_no_source_and_hold_every_row(
    sizes: list[int], sources: int, splits: dict[str, float], seed: int, part_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as place:
        rows = texts(sizes, sources)
        stored = store(Path(place), rows, part_rows)
        made = released(Path(place), {"t": stored}, plan_of(splits=splits, seed=seed))
        seen = {name: {row["source_id"] for row in made.rows(name)} for name in made.manifest.splits}
        assert sum(len(one) for one in seen.values()) == len(set().union(*seen.values()))
        assert seen["train"]
        assert all(seen[name] for name in splits) or min(sources, len(sizes)) <= len(splits)
        assert Counter(row["id"] for row in made.all_rows) == Counter(row.id for row in rows)
        for name, split in made.manifest.splits.items():
            assert (split.rows, split.sources) == (len(made.rows(name)), len(seen[name]))
            assert split.text_bytes == sum(len(row["text"]) for row in made.rows(name))


# Shares --------------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    sizes=st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=30), min_size=2, max_size=3),
    shares=st.lists(SHARES, min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
def test_shares_are_met_within_a_row_and_what_is_over_is_counted(
    sizes: list[list[int]], shares: list[float], seed: int
) -> None:
    with tempfile.TemporaryDirectory() as place:
        names = ["a", "b", "c"][: len(sizes)]
        asked = dict(zip(names, shares, strict=False))
        streams = {
            name: store(Path(place), texts(one, name=name), step=name) for name, one in zip(names, sizes, strict=True)
        }
        made = released(Path(place), streams, plan_of(asked, {}, seed=seed))
        manifest = made.manifest
        unit = min(sum(one) / asked[name] for name, one in zip(names, sizes, strict=True))
        for name, one in zip(names, sizes, strict=True):
            counts = manifest.streams[name]
            got = [len(row["text"]) for row in made.all_rows if row["stream"] == name]
            assert (counts.released, counts.text_bytes) == (len(got), sum(got))
            assert counts.released + counts.over_share == len(one) == counts.steps[-1].counts.kept
            assert unit * asked[name] - max(one) <= sum(got) <= unit * asked[name] + 1
        assert any(manifest.streams[name].over_share == 0 for name in names), "the scarcest is taken whole"
        assert manifest.rows == sum(one.released for one in manifest.streams.values())


def test_without_shares_and_with_one_stream_everything_is_taken(tmp_path: Path) -> None:
    streams = {"a": store(tmp_path, texts([9, 9, 9]), step="a"), "b": store(tmp_path, texts([1], name="b"), step="b")}
    assert [released(tmp_path, streams, plan_of(shares)).manifest.rows for shares in ({}, {"a": 0.0, "b": 0.0})] == [
        4,
        4,
    ]
    alone = released(tmp_path, {"a": streams["a"]}, plan_of({"a": 3.0})).manifest
    assert (alone.rows, alone.streams["a"].share_asked, alone.streams["a"].over_share) == (3, 3.0, 0)


def test_a_split_is_not_emptied_by_the_shares(tmp_path: Path) -> None:
    streams = {
        "many": store(tmp_path, texts([10] * 40, sources=40, name="m"), step="many"),
        "few": store(tmp_path, [Document.new(text="y" * 20, source="f", source_id="f")], step="few"),
    }
    for seed in range(10):
        made = released(tmp_path, streams, plan_of({"many": 1, "few": 1}, {"test": 0.1}, seed=seed)).manifest
        assert made.rows == 3
        assert made.splits["test"].rows == 1


def test_the_same_row_in_two_parts_is_chosen_the_same_way_each_time(tmp_path: Path) -> None:
    rows = [document for document in documents(60) for _ in range(2)]
    made = []
    for place in (tmp_path / "one", tmp_path / "two"):
        streams = {"a": store(place, rows, 7, "a"), "b": store(place, texts([1000]), step="b")}
        made.append(released(place, streams, plan_of({"a": 1, "b": 1})))
    assert bytes_of(made[0].folder) == bytes_of(made[1].folder)
    assert made[0].manifest.streams["a"].over_share > 0


@pytest.mark.parametrize("kind", sorted(RECORD_TYPES))
def test_bytes_of_text_are_those_of_all_texts_a_record_has(tmp_path: Path, kind: str) -> None:
    made = released(tmp_path, {"one": store(tmp_path, rows_of_kind(kind, 1))}).manifest
    assert made.streams["one"].text_bytes == BYTES[kind] == made.splits["train"].text_bytes


# Shards and bytes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "part_rows"), [(7, 7), (8, 3), (31, 4), (30, 30), (1, 1)])
def test_rows_are_spread_over_shards_none_lost_or_doubled(
    tmp_path: Path, few_rows_a_shard: int, count: int, part_rows: int
) -> None:
    rows = documents(count)
    streams = {"a": store(tmp_path, rows, part_rows, "a"), "b": store(tmp_path, rows[: count // 2 + 1], 2, "b")}
    made = released(tmp_path, streams, plan_of(splits={"test": 0.3}))
    for name, split in made.manifest.splits.items():
        total = -(-split.rows // few_rows_a_shard)
        assert [one.file for one in split.shards] == [
            f"data/{name}-{number:05d}-of-{total:05d}.parquet" for number in range(total)
        ]
        assert [one.rows for one in split.shards[:-1]] == [few_rows_a_shard] * (total - 1)
        assert sum(one.rows for one in split.shards) == split.rows == len(made.rows(name))
        assert [file_digest(made.folder / one.file) for one in split.shards] == [one.sha256 for one in split.shards]
    expected = [("a", row.id) for row in rows] + [("b", row.id) for row in rows[: count // 2 + 1]]
    assert Counter((row["stream"], row["id"]) for row in made.all_rows) == Counter(expected)
    order = {pair: number for number, pair in enumerate(expected)}
    for name in made.manifest.splits:
        places = [order[row["stream"], row["id"]] for row in made.rows(name)]
        assert places == sorted(places), "rows stay in the order of their streams and parts"


def test_memory_does_not_grow_with_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mashbill.release, "SHARD_ROWS", 150)
    read = Stored.table
    most = [0]

    def watched(self: Stored, index: int, columns: Any = None) -> pa.Table:
        table = read(self, index, columns)
        most[0] = max(most[0], pa.total_allocated_bytes())
        return table

    def most_at_once(parts: int) -> int:
        rows = [Document.new(text=f"{number} " * 500, source=f"{number}") for number in range(parts * 50)]
        stored = store(tmp_path / str(parts), rows, 50)
        # What other tests left would be freed in the middle and counted as ours, with a minus.
        gc.collect()
        before: int = pa.total_allocated_bytes()
        most[0] = before
        with monkeypatch.context() as patch:
            patch.setattr(Stored, "table", watched)
            publish(plan_of(), {"a": stored}, tmp_path / str(parts))
        return most[0] - before

    few, many = most_at_once(4), most_at_once(40)
    assert 0 < many < 5 * few, "ten times the parts, not ten times the memory"


def test_the_same_release_has_the_same_bytes_whatever_order_the_streams_are_named_in(tmp_path: Path) -> None:
    made = []
    for place, names in (("one", "ab"), ("two", "ba")):
        root = tmp_path / place
        streams = {name: store(root, texts([5, 6, 7] * 4, name=name), step=name) for name in names}
        folder = publish(plan_of({name: 1.0 for name in names}), streams, root)
        made.append((folder.relative_to(root), bytes_of(folder)))
    assert made[0] == made[1]


def test_a_finished_release_is_returned_as_it_is_and_another_plan_is_another(tmp_path: Path) -> None:
    streams = {"a": store(tmp_path, documents(9))}
    first = publish(plan_of(), streams, tmp_path)
    (first / "README.md").write_text("a card", encoding="utf-8")
    assert publish(plan_of(), streams, tmp_path) == first
    assert (first / "README.md").read_text(encoding="utf-8") == "a card"
    others = [plan_of(seed=1), plan_of(splits={}), plan_of(version="2"), plan_of({"a": 1.0})]
    assert len({first, *(publish(plan, streams, tmp_path) for plan in others)}) == 5


def gone(shard: Path) -> None:
    shard.unlink()


def shortened(shard: Path) -> None:
    pq.write_table(pq.read_table(shard, partitioning=None).slice(1), shard)


def garbled(shard: Path) -> None:
    shard.write_bytes(b"x")


@pytest.mark.parametrize("damage", [gone, shortened, garbled])
def test_a_finished_release_that_lost_rows_is_written_again_to_the_same_bytes(
    tmp_path: Path, few_rows_a_shard: int, damage: Callable[[Path], None]
) -> None:
    del few_rows_a_shard
    streams = {"a": store(tmp_path, documents(20))}
    folder = publish(plan_of(), streams, tmp_path)
    whole = bytes_of(folder)
    for name in ("train-00001-of-00003", "validation-00000-of-00001"):
        damage(folder / "data" / f"{name}.parquet")
        assert bytes_of(folder) != whole
        assert publish(plan_of(), streams, tmp_path) == folder
        assert bytes_of(folder) == whole


def test_a_lost_shard_and_a_lost_stream_leave_the_release_unfinished_or_as_it_was(tmp_path: Path) -> None:
    stored = store(tmp_path, documents(9))
    folder = publish(plan_of(), {"a": stored}, tmp_path)
    (shard,) = ReleaseManifest.read(folder).splits["validation"].shards
    with opened_shard(folder, shard) as file:
        assert file.read().num_rows == shard.rows
    (folder / shard.file).unlink()
    stored.part_paths()[0].unlink()
    with pytest.raises(StoreError, match="the manifest names it but it cannot be read"):
        publish(plan_of(), {"a": stored}, tmp_path)
    assert (folder / "manifest.json").is_file(), "what can no more be written again is not taken away"
    with (
        pytest.raises(StoreError, match=f"the release's manifest names it but it cannot be read .*remove {folder} and"),
        opened_shard(folder, shard),
    ):
        pass


KILLED = """
import os, sys
from pathlib import Path
import mashbill.release, mashbill.store
from mashbill.store import Stored
from tests.mashbill.release_rows import plan_of
mashbill.release.SHARD_ROWS = 3
left = int(sys.argv[2])
digest = mashbill.release.file_digest
def dying(path):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    return digest(path)
mashbill.release.file_digest = dying
mashbill.release.publish(plan_of(), {"a": Stored.open(Path(sys.argv[1]))}, Path(sys.argv[1]).parents[1])
"""


@pytest.mark.parametrize("shards", [0, 2, 5])
def test_killed_between_shards_it_has_no_manifest_and_the_next_run_completes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    stored = store(tmp_path / "one", documents(30))
    command = [sys.executable, "-c", KILLED, str(stored.path), str(shards)]
    assert subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode == -9
    (folder,) = (tmp_path / "one" / "releases" / "tolvarey").iterdir()
    assert len(list((folder / "data").glob("*.parquet"))) == shards + 1
    with pytest.raises(StoreError, match=r"has no manifest\.json: the release did not finish; run the bill again"):
        ReleaseManifest.read(folder)
    # The shards may be of another size now: those that were written then must not be read as rows again.
    monkeypatch.setattr(mashbill.release, "SHARD_ROWS", 7)
    assert publish(plan_of(), {"a": stored}, tmp_path / "one") == folder
    undisturbed = publish(plan_of(), {"a": store(tmp_path / "two", documents(30))}, tmp_path / "two")
    assert bytes_of(folder) == bytes_of(undisturbed)


KILLED_IN_A_SHARD = KILLED.replace(
    "mashbill.release.file_digest = dying", "mashbill.release.pq.ParquetWriter.write_table = lambda *_: dying('')"
)


def test_killed_in_the_middle_of_a_shard_nothing_of_it_stays_in_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store(tmp_path, documents(30))
    command = [sys.executable, "-c", KILLED_IN_A_SHARD, str(stored.path), "0"]
    assert subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode == -9
    (folder,) = (tmp_path / "releases" / "tolvarey").iterdir()
    (left,) = (folder / "data").iterdir()
    assert left.suffix == ".tmp"
    # Of another size now, so no shard has the name of the one that was being written.
    monkeypatch.setattr(mashbill.release, "SHARD_ROWS", 7)
    publish(plan_of(), {"a": stored}, tmp_path)
    assert {path.suffix for path in (folder / "data").iterdir()} == {".parquet"}


def test_the_way_of_a_stream_begins_at_its_source(tmp_path: Path) -> None:
    source = store(tmp_path, documents(9))
    stack = FilterStack(filters=(NoDigit(),))
    kept = asyncio.run(execute(stack, source, Runtime(root=tmp_path)))
    assert way_of(kept, tmp_path) == [source, kept]
    steps = released(tmp_path, {"a": kept}).manifest.streams["a"].steps
    assert [(one.step, one.counts.read, one.counts.kept) for one in steps] == [
        ("made_by_hand", 9, 9),
        ("no_digit", 9, 8),
    ]
    assert [one.fingerprint for one in steps] == [source.manifest.fingerprint, kept.manifest.fingerprint]


# Refusals ------------------------------------------------------------------------------------------------------------


def test_streams_of_two_types_are_refused(tmp_path: Path) -> None:
    streams = {
        "a": store(tmp_path, documents(2), step="a"),
        "b": store(tmp_path, rows_of_kind("Triple", 2), step="b"),
    }
    with pytest.raises(StoreError, match=r"its streams hold \['Document', 'Triple'\]; release one type of record"):
        publish(plan_of(), streams, tmp_path)


def emptied(stored: Stored) -> Stored:
    parts = []
    for part, path in zip(stored.manifest.parts, stored.part_paths(), strict=True):
        pq.write_table(pq.read_table(path).slice(0, 0), path)
        parts.append(part.model_copy(update={"sha256": file_digest(path), "counts": Counts()}))
    return Stored(stored.path, stored.manifest.model_copy(update={"parts": tuple(parts)}))


def test_a_stream_whose_bytes_changed_is_not_published(tmp_path: Path) -> None:
    stored = store(tmp_path, documents(6))
    last = stored.part_paths()[-1]
    pq.write_table(pq.read_table(last), last, compression="none")
    with pytest.raises(StoreError, match=r"part-00001\.parquet: its bytes are not the ones that were written"):
        publish(plan_of(), {"a": stored}, tmp_path)
    assert not (tmp_path / "releases").exists()


def test_a_release_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no row is left to publish; see where they went with `mashbill ls`"):
        publish(plan_of(), {"a": emptied(store(tmp_path, documents(2)))}, tmp_path)
    with pytest.raises(StoreError, match="release tolvarey"):
        publish(plan_of(), {}, tmp_path)
    assert not (tmp_path / "releases").exists()


def test_a_share_of_a_stream_without_text_is_refused(tmp_path: Path) -> None:
    streams = {
        "a": store(tmp_path, documents(2), step="a"),
        "b": store(tmp_path, texts([0, 0]), step="b"),
    }
    with pytest.raises(StoreError, match="the stream b has no text, so no share of it can be taken"):
        publish(plan_of({"a": 1, "b": 1}), streams, tmp_path)


def test_a_manifest_of_another_kind_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StoreError, match="is not a release's manifest this version can read"):
        ReleaseManifest.read(tmp_path)


# Readers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(RECORD_TYPES))
def test_a_release_of_any_record_opens_with_datasets_pandas_and_polars(
    tmp_path: Path, few_rows_a_shard: int, datasets: Any, kind: str
) -> None:
    del few_rows_a_shard
    stored = store(tmp_path, rows_of_kind(kind, 25))
    made = released(tmp_path, {"made": stored})
    opened = datasets.load_dataset(str(made.folder))
    features = datasets.Features.from_arrow_schema(released_schema(stored))
    plain = datasets.Features.from_arrow_schema(schema_of(RECORD_TYPES[kind]))
    assert dict(opened["train"].features) == {**plain, "stream": datasets.Value("string")} == dict(features)
    for name in ("train", "validation"):
        rows = made.rows(name)
        assert opened[name].to_list() == rows
        files = str(made.folder / "data" / f"{name}-*.parquet")
        assert pl.read_parquet(files).to_dicts() == rows
        shards = [pd.read_parquet(made.folder / one.file) for one in made.manifest.splits[name].shards]
        assert pd.concat(shards)["id"].tolist() == [row["id"] for row in rows]


def test_a_split_without_a_row_is_no_file_and_is_counted(tmp_path: Path, datasets: Any) -> None:
    made = released(tmp_path, {"a": store(tmp_path, texts([3, 4], sources=1))}, plan_of(splits={"validation": 0.5}))
    assert (made.manifest.splits["validation"].rows, made.manifest.splits["validation"].shards) == (0, ())
    opened = datasets.load_dataset(str(made.folder))
    assert {name: split.num_rows for name, split in opened.items()} == {"train": 2}
    export_to_disk(made.folder, tmp_path / "disk")
    kept = datasets.load_from_disk(str(tmp_path / "disk"))
    assert {name: split.num_rows for name, split in kept.items()} == {"train": 2}


# On disk for load_from_disk ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Document", "QA"])
def test_an_export_opens_with_load_from_disk_and_has_the_same_bytes_twice(
    tmp_path: Path, few_rows_a_shard: int, datasets: Any, kind: str
) -> None:
    del few_rows_a_shard
    made = [released(tmp_path / n, {"a": store(tmp_path / n, rows_of_kind(kind, 25))}) for n in ("one", "two")]
    for number, one in enumerate(made):
        export_to_disk(one.folder, tmp_path / "out" / str(number))
    opened = datasets.load_from_disk(str(tmp_path / "out" / "0"))
    for name in ("train", "validation"):
        assert opened[name].to_list() == made[0].rows(name)
        assert opened[name].features == datasets.load_dataset(str(made[0].folder))[name].features
    assert bytes_of(tmp_path / "out" / "0") == bytes_of(tmp_path / "out" / "1")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0", "1"], "nothing is left aside"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "0").rglob("*")}
    export_to_disk(made[0].folder, tmp_path / "out" / "0")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "0").rglob("*")}


def test_an_export_never_takes_the_place_of_something_else(tmp_path: Path, datasets: Any) -> None:
    del datasets
    streams = {"a": store(tmp_path, documents(6))}
    first, second = released(tmp_path, streams), released(tmp_path, streams, plan_of(seed=1))
    export_to_disk(first.folder, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    for target in (tmp_path / "out", tmp_path / "mine"):
        with pytest.raises(StoreError, match="is there and is not this release; remove it or give the name of a new"):
            export_to_disk(second.folder, target)
    with pytest.raises(StoreError, match="did not finish"):
        export_to_disk(tmp_path, tmp_path / "none")


def test_an_export_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, datasets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = released(tmp_path, {"a": store(tmp_path, documents(6))})

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(datasets.DatasetDict, "save_to_disk", full)
        with pytest.raises(StoreError, match="out: cannot write: No space left on device; nothing is left of it"):
            export_to_disk(made.folder, tmp_path / "deep" / "out")
    assert list((tmp_path / "deep").iterdir()) == []
    datasets.enable_progress_bars()
    export_to_disk(made.folder, tmp_path / "deep" / "out")
    assert not datasets.are_progress_bars_disabled(), "the user's own choice is put back"


def test_without_the_library_an_export_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = released(tmp_path, {"a": store(tmp_path, documents(6))})
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SettingsError, match=r"not installed: `pip install 'mashbill\[datasets\]'`"):
        export_to_disk(made.folder, tmp_path / "out")
