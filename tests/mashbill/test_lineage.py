"""Every row can be followed to the asks that made it, its parents and its source document."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.disk import write_json
from mashbill.engine import ScriptedEngine
from mashbill.errors import StoreError
from mashbill.execute import execute
from mashbill.filter_stack import FilterStack
from mashbill.ledger import Ledger
from mashbill.lineage import Ancestry, ancestry, find_rows, rejects_of, stored_steps
from mashbill.records import Document, Triple
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Filter, Generator
from mashbill.store import Stored
from tests.support.kernel import NoDigit, Tales, document, documents, fickle, rejects_in, rows_of, store

ANYTHING = RejectPolicy(share=1.0)


@dataclass(frozen=True, kw_only=True)
class Joined(Generator[Document, Document]):
    """A row of its own record and of the row that its text names."""

    other: str = ""

    async def make(self, record: Document, ask: Ask) -> Iterable[Document]:
        answer = await ask(record.text, sampling=self.sampling)
        both = (record.id, self.other)
        return [record.child(Document, kind="joined", parents=both, text=answer.text, made=answer.made())]


@dataclass(frozen=True, kw_only=True)
class Nothing(Filter[Document]):
    """Rejects every row, and scores none."""

    def reasons(self) -> dict[str, pl.Expr]:
        return {"unwanted": pl.lit(True)}


@dataclass(frozen=True)
class Cooked:
    root: Path
    source: Stored
    tales: Stored
    kept: Stored
    ledger: Ledger


@pytest.fixture
def cooked(tmp_path: Path) -> Iterator[Cooked]:
    """Documents, tales made of them by two asks each, and the tales that a filter keeps."""
    root = tmp_path / "runs"
    source = store(root, documents(9))

    async def run() -> tuple[Stored, Stored]:
        ledger = Ledger(root / "ledger.sqlite")
        async with Asker(ScriptedEngine(fickle), ledger) as asker:
            runtime = Runtime(root=root, asker=asker)
            tales = await execute(Tales(), source, runtime, ANYTHING)
            stack = FilterStack(filters=(NoDigit(), NoDigit(digit="9")))
            kept = await execute(stack, tales, runtime, ANYTHING)
        await ledger.close()
        return tales, kept

    tales, kept = asyncio.run(run())
    ledger = Ledger(root / "ledger.sqlite")
    yield Cooked(root, source, tales, kept, ledger)
    asyncio.run(ledger.close())


def test_a_row_leads_to_its_asks_its_parents_and_its_source(cooked: Cooked) -> None:
    documents_by_id = {row.id: row for row in rows_of(cooked.source)}
    rows = rows_of(cooked.kept)
    assert rows
    for row in rows:
        found = ancestry(cooked.root, row.id, cooked.ledger)
        assert found.place.row["text"] == row.text
        assert found.place.folder == cooked.tales.path, "as it was made, before it was judged"
        assert [place.folder for place in found.also] == [cooked.kept.path]
        assert found.missing_asks == ()
        assert tuple(entry.key for entry in found.asks) == row.made.asks
        assert found.asks[-1].reply.text == row.text
        (parent,) = found.parents
        source = documents_by_id[parent.place.row["id"]]
        assert found.asks[0].request.messages[-1].content == source.text + "\n\nList the names."
        assert parent.place.row["source"] == row.source == source.source
        assert (parent.asks, parent.missing_asks, parent.parents) == ((), (), ())


def test_a_rejected_row_can_be_followed_too(cooked: Cooked) -> None:
    filtered = rejects_in(cooked.kept)
    assert filtered
    for row in filtered:
        found = ancestry(cooked.root, row.id, cooked.ledger)
        assert [place.rejected for place in (found.place, *found.also)] == [False, True], "kept once, rejected later"
        assert found.also[0].row["reason"] == row.reason
        assert found.also[0].file.startswith("rejects/part-")
        assert len(found.parents) == 1
    never_made = rejects_in(cooked.tales)
    assert never_made
    for row in never_made:
        found = ancestry(cooked.root, row.id[:12], cooked.ledger)
        assert found.place.rejected
        assert found.place.folder == cooked.tales.path
        assert found.parents[0].place.row["id"] == row.source_id


def test_a_parent_that_another_stream_rejected_is_shown_where_it_was_kept(cooked: Cooked) -> None:
    async def judge() -> Stored:
        strict = FilterStack(filters=(Nothing(),))
        # Its folder comes before the source's by name.
        return await execute(strict, cooked.source, Runtime(root=cooked.root / "a"), ANYTHING)

    judged = asyncio.run(judge())
    (cooked.root / "aaa").mkdir()
    judged.path.rename(cooked.root / "aaa" / judged.path.name)
    row = rows_of(cooked.kept)[0]
    (parent,) = ancestry(cooked.root, row.id, cooked.ledger).parents
    assert parent.place.folder == cooked.source.path
    assert not parent.place.rejected
    assert [place.rejected for place in parent.also] == [True]


def test_a_row_of_two_parents_has_both(cooked: Cooked) -> None:
    tale = rows_of(cooked.tales)[0]

    async def join() -> Stored:
        async with Asker(ScriptedEngine(lambda _: "Both."), cooked.ledger) as asker:
            runtime = Runtime(root=cooked.root, asker=asker)
            return await execute(Joined(other=tale.id), cooked.source, runtime, ANYTHING)

    joined = rows_of(asyncio.run(join()))
    first = next(row for row in joined if row.source_id == tale.source_id)
    found = ancestry(cooked.root, first.id, cooked.ledger)
    assert [parent.place.row["id"] for parent in found.parents] == [first.source_id, tale.id]
    assert [len(one.parents) for one in found.parents] == [0, 1]
    assert sources_of(found) == {first.source_id}
    other = next(row for row in joined if row.source_id != tale.source_id)
    assert sources_of(ancestry(cooked.root, other.id, cooked.ledger)) == {other.source_id, tale.source_id}


def sources_of(found: Ancestry) -> set[str]:
    return set().union(*map(sources_of, found.parents)) if found.parents else {found.place.row["id"]}


def test_asks_that_the_ledger_does_not_know_are_named(cooked: Cooked, tmp_path: Path) -> None:
    row = rows_of(cooked.kept)[0]
    empty = Ledger(tmp_path / "other.sqlite")
    for ledger in (None, empty):
        found = ancestry(cooked.root, row.id, ledger)
        assert (found.asks, found.missing_asks) == ((), row.made.asks)
        assert len(found.parents) == 1
    asyncio.run(empty.close())


def test_a_prefix_must_mean_one_row(tmp_path: Path) -> None:
    rows = [Triple(id=f"abcd{number:028x}", head="a", relation="r", tail=str(number)) for number in range(7)]
    store(tmp_path, rows, step="by_hand")
    with pytest.raises(StoreError, match="'abc' is too short for a row id; give at least 4 of its 32 characters"):
        find_rows(tmp_path, "abc")
    with pytest.raises(StoreError) as caught:
        find_rows(tmp_path, "abcd")
    assert "7 rows begin with 'abcd': abcd0000" in str(caught.value)
    assert str(caught.value).endswith("; give more of the id")
    with pytest.raises(StoreError, match="has an id that begins with 'ffff'; `mashbill show` prints ids"):
        find_rows(tmp_path, "ffff")
    with pytest.raises(StoreError, match="no row under"):
        find_rows(tmp_path / "nothing", "abcd")
    (place,) = find_rows(tmp_path, rows[3].id)
    assert (place.row["tail"], place.file, place.rejected) == ("3", "part-00000.parquet", False)


def test_what_is_no_step_is_passed_over(cooked: Cooked) -> None:
    for name in ("releases", "students", "plans", "reports", "evaluations"):
        write_json(cooked.root / name / "x" / "manifest.json", {"no": "step"})
    (cooked.root / "unfinished" / "x").mkdir(parents=True)
    steps = [stored.path for stored in stored_steps(cooked.root)]
    assert steps == sorted([cooked.source.path, cooked.tales.path, cooked.kept.path])


def test_a_part_that_is_gone_is_a_store_error_with_advice(cooked: Cooked) -> None:
    row = rows_of(cooked.kept)[0]
    cooked.kept.part_paths()[0].unlink()
    with pytest.raises(StoreError, match="the manifest names it but it cannot be read"):
        ancestry(cooked.root, row.id, cooked.ledger)


def test_rejects_are_read_whole_or_by_reason(cooked: Cooked) -> None:
    counts = cooked.kept.manifest.counts
    assert rejects_of(cooked.kept).num_rows == counts.rejects > 0
    assert {reason: rejects_of(cooked.kept, reason).num_rows for reason in counts.rejected} == counts.rejected
    assert rejects_of(cooked.kept, "unheard_of").num_rows == 0


def test_the_same_row_in_two_parts_is_one_row(tmp_path: Path) -> None:
    store(tmp_path, [document(1), document(2), document(1)], part_rows=2)
    found = ancestry(tmp_path, document(1).id, None)
    assert [place.file for place in (found.place, *found.also)] == ["part-00000.parquet", "part-00001.parquet"]
