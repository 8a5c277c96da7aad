"""A step that asks and sees all parts: its own parts, full accounting, and the same bytes after a crash."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.engine import Request, ScriptedEngine
from mashbill.errors import BadReply, EngineDown, StepFailed, TooManyRejects
from mashbill.execute import execute
from mashbill.generator_run import reject_of
from mashbill.ledger import Ledger
from mashbill.progress import Silent
from mashbill.records import Document, Reject, from_table, to_table
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import DatasetGenerator, PartOutput, Parts
from mashbill.store import Stored
from tests.support.kernel import bytes_of, documents, rejects_in, rows_of, store


@dataclass(frozen=True, kw_only=True)
class Pairs(DatasetGenerator[Document, Document]):
    """Asks about each two neighbours over the whole input, and writes a part for each `size` answers."""

    size: int = 2
    breaks: bool = False
    odd: bool = False
    """Rejects each second one."""

    async def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
        rows = [row for table in parts for row in from_table(table, Document)]
        pairs = list(itertools.pairwise(rows))
        for start in range(0, len(pairs), self.size):
            kept, rejects = [], []
            for number, (one, other) in enumerate(pairs[start : start + self.size]):
                answer = await ask.of(one.id)(f"What have these in common?\n{one.text}\n{other.text}")
                if self.odd and number % 2:
                    rejects.append(reject_of(BadReply("odd", "every second one"), one, self.name))
                else:
                    kept.append(one.child(Document, text=answer.text, made=answer.made()))
            if self.breaks:
                raise KeyError("a bug")
            counted = {"pairs_seen": len(kept) + len(rejects), f"parts_of_{len(kept)}": 1}
            yield PartOutput(to_table(kept, Document), to_table(rejects, Reject), counted)

    def report(self, source: Stored, stored: Stored) -> dict[str, int]:
        """What the parts counted."""
        del source
        return {"pairs": stored.manifest.counts.noted.get("pairs_seen", 0)}


def engine(fails_at: int = -1) -> ScriptedEngine:
    asked: list[Request] = []

    def answer(request: Request) -> str:
        asked.append(request)
        if len(asked) == fails_at:
            raise EngineDown("the plug was pulled")
        return f"Salt, and seed {request.seed}."

    return ScriptedEngine(answer)


async def run(root: Path, step: Pairs, scripted: ScriptedEngine, count: int = 6, **how: RejectPolicy) -> Stored:
    ledger = Ledger(root / "ledger.sqlite")
    async with Asker(scripted, ledger) as asker:
        try:
            runtime = Runtime(root=root, asker=asker)
            return await execute(step, store(root, documents(count), part_rows=4), runtime, **how)
        finally:
            await asker.close()
            await ledger.close()


def test_it_writes_as_many_parts_as_it_yields_and_accounts_for_them(tmp_path: Path) -> None:
    made = asyncio.run(run(tmp_path, Pairs(odd=True), engine()))
    assert len(made) == 3
    assert made.manifest.kind == "Document"
    counts = made.manifest.counts
    assert (counts.read, counts.attempts, counts.kept, counts.rejected) == (6, 5, 3, {"odd": 2})
    assert counts.asks == 5
    assert sum(part.counts.asks for part in made.manifest.parts) == 5
    assert counts.completion_tokens > 0
    assert [reject.reason for reject in rejects_in(made)] == ["odd", "odd"]
    assert len({row.made.seed for row in rows_of(made)}) == 3, "each record has seeds of its own"


def test_it_goes_on_after_a_dead_engine_with_the_same_bytes_and_pays_nothing_twice(tmp_path: Path) -> None:
    whole = asyncio.run(run(tmp_path / "whole", Pairs(), engine()))
    with pytest.raises(EngineDown):
        asyncio.run(run(tmp_path / "cut", Pairs(), engine(fails_at=4)))
    second = engine()
    resumed = asyncio.run(run(tmp_path / "cut", Pairs(), second))
    assert bytes_of(resumed.path) == bytes_of(whole.path)
    assert len(second.seen) == 2, "three of five replies were in the ledger"


def test_what_its_parts_counted_is_summed_and_given_to_its_report(tmp_path: Path) -> None:
    made = asyncio.run(run(tmp_path, Pairs(odd=True), engine()))
    assert made.manifest.counts.noted == {"pairs_seen": 5, "parts_of_1": 3}
    assert [part.counts.noted["pairs_seen"] for part in made.manifest.parts] == [2, 2, 1]
    assert made.manifest.notes == {"pairs": 5}


def test_a_finished_one_is_opened(tmp_path: Path) -> None:
    asyncio.run(run(tmp_path, Pairs(), engine()))
    again = engine()
    assert len(asyncio.run(run(tmp_path, Pairs(), again))) == 3
    assert not again.seen


def test_with_nothing_to_yield_it_still_counts_what_it_read(tmp_path: Path) -> None:
    made = asyncio.run(run(tmp_path, Pairs(), engine(), count=1))
    assert (len(made), made.manifest.counts.read, made.manifest.counts.kept) == (1, 1, 0)


def test_a_bug_names_the_step_and_rejects_can_stop_it(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="pairs failed on"):
        asyncio.run(run(tmp_path, Pairs(breaks=True), engine()))
    with pytest.raises(TooManyRejects, match="odd 1"):
        asyncio.run(run(tmp_path, Pairs(odd=True), engine(), policy=RejectPolicy(share=0.1, after=1)))


def test_it_wants_an_engine_and_a_make(tmp_path: Path) -> None:
    source = store(tmp_path, documents(2))
    with pytest.raises(StepFailed, match="pairs asks a model but the run has no engine"):
        asyncio.run(execute(Pairs(), source, Runtime(root=tmp_path)))

    @dataclass(frozen=True, kw_only=True)
    class Hollow(DatasetGenerator[Document, Document]):
        pass

    async def hollow() -> None:
        ledger = Ledger(tmp_path / "ledger.sqlite")
        try:
            await execute(Hollow(), source, Runtime(root=tmp_path, asker=Asker(engine(), ledger)))
        finally:
            await ledger.close()

    with pytest.raises(StepFailed, match="Hollow has no `make`"):
        asyncio.run(hollow())


def test_the_watcher_hears_while_one_long_part_is_made(tmp_path: Path) -> None:
    heard: list[int] = []

    class Watch(Silent):
        def advance(self, step: str, counts: object, usage: object) -> None:
            heard.append(usage.asks)  # type: ignore[attr-defined]

    told = asyncio.Event()

    async def slow() -> None:
        ledger = Ledger(tmp_path / "ledger.sqlite")

        @dataclass(frozen=True, kw_only=True)
        class Long(DatasetGenerator[Document, Document]):
            async def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
                await ask("first")
                while not heard:
                    await asyncio.sleep(0.01)
                told.set()
                yield PartOutput(to_table([], Document), to_table([], Reject))

        async with Asker(engine(), ledger) as asker:
            await execute(Long(), store(tmp_path, documents(1)), Runtime(root=tmp_path, asker=asker, progress=Watch()))
        await ledger.close()

    asyncio.run(asyncio.wait_for(slow(), 60))
    assert told.is_set()
    assert heard[0] == 1
