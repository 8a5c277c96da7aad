"""Partial steps: what was answered is stored and usable, and a later run makes the whole with the same bytes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mashbill import partial
from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.engine import Reply, Request
from mashbill.errors import BadReply, OverBudget, StepFailed, StoreError, TooManyRejects, Unanswered
from mashbill.execute import execute
from mashbill.partial import lacking_of
from mashbill.records import Document, Reject, from_table, to_table
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import DatasetGenerator, Generator, PartOutput, Parts, Step, settle
from mashbill.store import Stored
from tests.support.kernel import Echo, Shuffled, bytes_of, documents, ledger_at, rejects_in, reply, rows_of, store


class Purse(Asker):
    """Sends what `pays` says it may, and what the ledger has anyway."""

    pays: Callable[[Request], bool]

    async def reply(self, key: str, request: Request, draw: int, *args: Any) -> tuple[Reply, bool]:
        if self.ledger.get(key) is None and not self.pays(request):
            raise OverBudget("the budget was spent before it was asked")
        return await super().reply(key, request, draw, *args)


def said(request: Request) -> str:
    return "".join(message.content for message in request.messages)


def run(root: Path, step: Step, source: Stored, pays: Callable[[Request], bool], **more: Any) -> tuple[Stored, int]:
    """The stored step, and how many asks were paid for."""

    async def go() -> tuple[Stored, int]:
        engine, ledger = Shuffled(lambda request: reply(f"A tale of {said(request)[:40]}")), ledger_at(root)
        purse = Purse(engine, ledger)
        purse.pays = pays
        async with purse:
            runtime = Runtime(root=root, asker=purse, records_in_flight=3)
            try:
                stored = await execute(step, source, runtime, **more)
            finally:
                await ledger.close()
        return stored, engine.paid

    return asyncio.run(go())


def everything(_: Request) -> bool:
    return True


def but(*numbers: int) -> Callable[[Request], bool]:
    """All but the asks about these documents."""
    return lambda request: not any(f"Document {number} " in said(request) for number in numbers)


@dataclass(frozen=True, kw_only=True)
class Apart(Generator[Document, Document]):
    """Two texts of each document, each right without the other."""

    apart: bool = True

    async def make(self, record: Document, ask: Ask) -> Iterable[Document | BadReply]:
        async def one(number: int) -> Document:
            answer = await ask(f"{record.text} Tale {number}.")
            return record.child(Document, kind="tale", text=answer.text + str(number), made=answer.made())

        return await settle((one(number) for number in range(2)), apart=self.apart)


def test_what_was_answered_is_stored_and_the_whole_follows_with_the_bytes_of_one_run(tmp_path: Path) -> None:
    source = store(tmp_path / "a", documents(12))
    some, paid = run(tmp_path / "a", Echo(), source, but(5, 6))
    assert paid == 10
    assert Counter(one.reason for one in rejects_in(some)) == {"over_budget": 2}
    assert {row.source for row in rows_of(some)} == {f"{number:03d}.txt" for number in range(12)} - {
        "005.txt",
        "006.txt",
    }
    assert lacking_of(some.manifest.identity) == {"over_budget": 2}
    assert some.manifest.notes["card"] == ["stopped by its budget: 2 of 12 records not asked to the end"]
    whole, paid = run(tmp_path / "a", Echo(), source, everything)
    assert paid == 2
    assert whole.path != some.path
    assert not lacking_of(whole.manifest.identity)
    never, _ = run(tmp_path / "b", Echo(), store(tmp_path / "b", documents(12)), everything)
    assert bytes_of(whole.path) == bytes_of(never.path)
    assert rows_of(Stored.open(some.path)) == [row for row in rows_of(whole) if row.source[:3] not in ("005", "006")]


def test_the_same_replies_make_the_same_partial_step(tmp_path: Path) -> None:
    source = store(tmp_path, documents(12))
    first, _ = run(tmp_path, Echo(), source, but(5, 6))
    before = bytes_of(tmp_path / "echo")
    again, paid = run(tmp_path, Echo(), source, but(5, 6))
    assert (again.path, paid) == (first.path, 0)
    assert bytes_of(tmp_path / "echo") == before
    other, _ = run(tmp_path, Echo(), source, but(6))
    assert other.path != first.path


def test_a_part_that_lacked_once_is_not_taken_from_where_it_lay(tmp_path: Path) -> None:
    # Killed after the parts were written and before the manifest: what lies aside is of less money than now.
    source = store(tmp_path, documents(12))
    lacking, _ = run(tmp_path, Echo(), source, but(1, 6))
    (base,) = [one for one in (tmp_path / "echo").iterdir() if not (one / "manifest.json").is_file()]
    for folder in (".", "rejects"):
        (base / partial.ASIDE / folder).mkdir(parents=True, exist_ok=True)
        for name in ("part-00000.parquet", "part-00001.parquet"):
            (base / partial.ASIDE / folder / name).write_bytes((lacking.path / folder / name).read_bytes())
    richer, _ = run(tmp_path, Echo(), source, but(6))
    assert Counter(one.source for one in rejects_in(richer)) == {"006.txt": 1}
    assert len(rows_of(richer)) == 11


def test_where_the_file_system_has_no_links_the_whole_parts_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", none)
    source = store(tmp_path, documents(12))
    some, _ = run(tmp_path, Echo(), source, but(6))
    whole, paid = run(tmp_path, Echo(), source, everything)
    assert (len(rows_of(some)), len(rows_of(whole)), paid) == (11, 12, 1)
    assert not list(some.path.glob(".*"))


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", full)
    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StoreError, match="No space left on device; free some space"):
        run(tmp_path, Echo(), store(tmp_path, documents(12)), but(6))


def test_attempts_apart_keep_their_rows_and_draws_counted_together_wait(tmp_path: Path) -> None:
    source = store(tmp_path, documents(3))

    def first(request: Request) -> bool:
        return "Document 1" not in said(request) or "Tale 0" in said(request)

    some, _ = run(tmp_path, Apart(), source, first)
    assert (some.manifest.counts.kept, some.manifest.counts.rejected) == (5, {"over_budget": 1})
    none, _ = run(tmp_path, Apart(apart=False), source, first)
    assert (none.manifest.counts.kept, none.manifest.counts.rejected) == (4, {"over_budget": 1})
    assert lacking_of(some.manifest.identity) == lacking_of(none.manifest.identity) == {"over_budget": 1}


def test_a_step_that_swallows_what_was_left_is_partial_all_the_same(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Careless(Generator[Document, Document]):
        async def make(self, record: Document, ask: Ask) -> Iterable[Document]:
            try:
                text = (await ask(record.text)).text
            except Unanswered:
                text = "nobody said"
            return [record.child(Document, text=text)]

    some, _ = run(tmp_path, Careless(), store(tmp_path, documents(3)), but(1))
    assert lacking_of(some.manifest.identity) == {"over_budget": 1}


def test_a_bug_is_told_before_what_was_left(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Broken(Generator[Document, Document]):
        async def make(self, record: Document, ask: Ask) -> Iterable[Document | BadReply]:
            async def bug() -> Document:
                raise KeyError("a bug")

            async def left() -> Document:
                raise OverBudget("spent")

            return await settle([left(), bug()])

    with pytest.raises(StepFailed, match="a bug"):
        run(tmp_path, Broken(), store(tmp_path, documents(1)), everything)


def test_what_was_not_asked_is_no_fault_and_hides_none(tmp_path: Path) -> None:
    def none(_: Request) -> bool:
        return False

    policy = RejectPolicy(share=0.1, after=2)
    stored, _ = run(tmp_path / "a", Echo(), store(tmp_path / "a", documents(12)), none, policy=policy)
    assert stored.manifest.counts.rejected == {"over_budget": 12}

    @dataclass(frozen=True, kw_only=True)
    class Strict(Generator[Document, Document]):
        async def make(self, record: Document, ask: Ask) -> Iterable[Document]:
            await ask(record.text)
            if record.text[9] in "012":
                raise BadReply("too_short", "")
            return [record.child(Document, text="Fit.")]

    # Three faults of six that were asked about are half, however many were not asked.
    policy = RejectPolicy(share=0.4, after=5)
    with pytest.raises(TooManyRejects, match="too_short 3"):
        run(tmp_path / "b", Strict(), store(tmp_path / "b", documents(12), 12), but(*range(6, 12)), policy=policy)


@dataclass(frozen=True, kw_only=True)
class Neighbours(DatasetGenerator[Document, Document]):
    """A part for each part read: a text for each row, each of them needed, asked one after another."""

    together: bool = False

    async def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
        for table in parts:
            made = list[Document]()

            async def one(row: Document, made: list[Document] = made) -> None:
                answer = await ask.of(row.id)(row.text)
                made.append(row.child(Document, text=answer.text, made=answer.made()))

            if self.together:
                async with asyncio.TaskGroup() as group:
                    for row in from_table(table, Document):
                        group.create_task(one(row))
            else:
                for row in from_table(table, Document):
                    await one(row)
            yield PartOutput(to_table(sorted(made, key=lambda row: row.source), Document), to_table([], Reject))


@dataclass(frozen=True, kw_only=True)
class Judged(Neighbours):
    judges = True


@pytest.mark.parametrize("together", [False, True])
def test_a_dataset_generator_that_cannot_do_without_an_ask_ends_with_what_it_gave(
    tmp_path: Path, *, together: bool
) -> None:
    source = store(tmp_path / "a", documents(12))
    some, _ = run(tmp_path / "a", Neighbours(together=together), source, but(5))
    assert [row.source for row in rows_of(some)] == [f"{number:03d}.txt" for number in range(4)]
    (left,) = rejects_in(some)
    assert left.reason == "over_budget"
    assert "not yielded by then" in left.detail
    assert some.manifest.notes["card"] == ["stopped by its budget: 1 thing it set out to make not asked to the end"]
    whole, _ = run(tmp_path / "a", Neighbours(together=together), source, everything)
    never, _ = run(tmp_path / "b", Neighbours(together=together), store(tmp_path / "b", documents(12)), everything)
    assert bytes_of(whole.path) == bytes_of(never.path)


def test_rows_that_a_judge_did_not_come_to_are_rejects(tmp_path: Path) -> None:
    some, _ = run(tmp_path, Judged(), store(tmp_path, documents(12)), but(5))
    counts = some.manifest.counts
    assert (counts.read, counts.kept, counts.rejected) == (12, 4, {"over_budget": 8})
    assert {json.loads(one.record)["source"] for one in rejects_in(some)} == {f"{n:03d}.txt" for n in range(4, 12)}
