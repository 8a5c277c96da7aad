"""Rows by a list: what is taken, as often as it says, and what becomes of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from filters.take_rows import Taken, TakeRows
from mashbill.errors import InputError
from mashbill.execute import execute, plain_identity
from mashbill.fingerprint import content_id
from mashbill.ingest import ingest
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.sources.read_documents import ReadDocuments
from mashbill.store import Stored
from tests.filters.support import MemoryParts, doc

ONE, TWO, THREE = (doc(text) for text in ("one", "two", "three"))


def test_rows_are_taken_as_often_as_listed_and_repeats_are_rows_of_their_own(tmp_path: Path) -> None:
    Taken(take={TWO.id: (0, 2), THREE.id: (1,)}, reasons={ONE.id: "over_budget"}).write(tmp_path / "list.json")
    outputs = list(TakeRows(rows=str(tmp_path / "list.json")).run(MemoryParts.of([[ONE, TWO], [THREE]])))
    kept = [row for output in outputs for row in output.kept.to_pylist()]
    assert [row["text"] for row in kept] == ["two", "two", "three"]
    assert [row["id"] for row in kept] == [TWO.id, content_id(TWO.id, 2), content_id(THREE.id, 1)]
    assert [row["parents"] for row in kept] == [[], [TWO.id], [THREE.id]]
    assert [row["source_id"] for row in kept] == [TWO.source_id, TWO.source_id, THREE.source_id]
    rejects = [row for output in outputs for row in output.rejects.to_pylist()]
    assert [(row["id"], row["reason"]) for row in rejects] == [(ONE.id, "over_budget")]


async def test_the_list_is_identity_its_place_is_not_and_its_note_is_kept(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for name in ("a", "b"):
        (tmp_path / "texts" / f"{name}.txt").write_text(f"The text {name}.")
    runtime = Runtime(root=tmp_path / "runs")
    source = ingest(ReadDocuments(path="texts"), tmp_path / "texts", runtime)
    first, second = (row["id"] for row in source.table(0).to_pylist())

    async def taken(place: str, take: dict[str, tuple[int, ...]]) -> Stored:
        Taken(take=take, note={"why": place}).write(tmp_path / place / "list.json")
        step = TakeRows(rows=str(tmp_path / place / "list.json"))
        assert "rows" not in plain_identity(step)["fields"]
        return await execute(step, source, runtime, RejectPolicy(share=1.0))

    stored = await taken("x", {first: (0,)})
    assert (stored.manifest.notes["why"], stored.manifest.counts.rejected) == ("x", {"not_taken": 1})
    (tmp_path / "x").rename(tmp_path / "moved")
    step = TakeRows(rows=str(tmp_path / "moved" / "list.json"))
    assert (await execute(step, source, runtime, RejectPolicy(share=1.0))).path == stored.path
    assert (await taken("y", {second: (0,)})).path != stored.path


def test_a_list_that_is_none_or_names_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no list of rows to take .*wanted is"):
        TakeRows(rows=str(tmp_path / "absent.json"))
    (tmp_path / "list.json").write_text('{"rows": []}')
    with pytest.raises(InputError, match="is no list of rows to take"):
        TakeRows(rows=str(tmp_path / "list.json"))
    Taken(take={"none": (0,)}).write(tmp_path / "list.json")
    with pytest.raises(InputError, match="takes the row none, which is not among those given"):
        list(TakeRows(rows=str(tmp_path / "list.json")).run(MemoryParts.of([[ONE]])))
