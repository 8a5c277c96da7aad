"""What a step asks otherwise is part of what it is, and stays with it whatever is retried before it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from filters.length import Length
from mashbill.ask import Ask
from mashbill.ask_state import WITHOUT_REPLY, AskState
from mashbill.asker import Asker
from mashbill.engine import Sampling, ScriptedEngine
from mashbill.errors import BadReply
from mashbill.execute import execute, place_of
from mashbill.filter_stack import FilterStack
from mashbill.ledger import Ledger
from mashbill.ledger_states import Retry
from mashbill.records import Document, Reject, to_table
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import DatasetGenerator, Generator, PartOutput, Parts, Step
from mashbill.store import Stored
from tests.mashbill.test_ask_state import Number, Single, expected
from tests.support.kernel import documents, store

ALL = RejectPolicy(share=1.0)


@dataclass(frozen=True, kw_only=True)
class Tell(Generator[Document, Document]):
    """Tells a document again, cut off after some words."""

    sampling: Sampling = Sampling(max_tokens=3)
    way: str = "plainly"

    async def make(self, record: Document, ask: Ask) -> Iterable[Document]:
        answer = await ask(f"Tell {self.way}: {record.text}", sampling=self.sampling)
        return [record.child(Document, kind="told", text=answer.text, made=answer.made())]


class World:
    """A root with a teacher of five words and what is asked of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ledger = Ledger(root / "ledger.sqlite")
        self.engine = ScriptedEngine(lambda request: f"told {request.seed} of the salt")

    def runtime(self, asker: Asker) -> Runtime:
        return Runtime(root=self.root, asker=asker)

    async def run(self, *steps: Step, source: Stored) -> list[Stored]:
        """Steps one after another."""
        made = list[Stored]()
        async with Asker(self.engine, self.ledger) as asker:
            for step in steps:
                made.append(await execute(step, made[-1] if made else source, self.runtime(asker), ALL))
        return made

    def retry(self, step: Step, source: Stored, limit: int = 1) -> None:
        """Ask some of what was cut off with twice the words."""
        where = place_of(step, source, self.runtime(Asker(self.engine, self.ledger)))
        cut = [one for one in self.ledger.states(where.fingerprint) if one.state is AskState.TRUNCATED][:limit]
        assert len(cut) == limit
        changed = Retry(times=1, sampling=Sampling(max_tokens=6), state=AskState.TRUNCATED)
        self.ledger.retry({where.asks: {one.first: replace(changed, record=one.record) for one in cut}})


FIRST, SECOND, SHORT = Tell(), Tell(way="badly"), FilterStack(filters=(Length(min_words=1),))


async def test_a_retry_moves_its_step_and_all_that_follows_and_pays_for_itself_alone(tmp_path: Path) -> None:
    world, source = World(tmp_path), store(tmp_path, documents(3))
    before = await world.run(FIRST, SHORT, SECOND, source=source)
    assert all("retries" not in one.manifest.identity for one in before)
    world.retry(FIRST, source)
    paid = len(world.engine.seen)
    after = await world.run(FIRST, SHORT, SECOND, source=source)
    assert all(old.path != new.path and old.path.is_dir() for old, new in zip(before, after, strict=True))
    assert after[0].manifest.identity["retries"]["asks"] == 1
    # One reply for the retry, and one for the row that it changed.
    assert len(world.engine.seen) == paid + 2
    finish = Counter(row["made"]["finish_reason"] for row in after[0].table(0).to_pylist())
    assert finish == {"stop": 1, "length": 2}
    again = await world.run(FIRST, SHORT, SECOND, source=source)
    assert [one.path for one in again] == [one.path for one in after]
    await world.ledger.close()


async def test_a_retry_further_up_leaves_those_further_down_standing(tmp_path: Path) -> None:
    world, source = World(tmp_path), store(tmp_path, documents(3))
    [first, _] = await world.run(FIRST, SECOND, source=source)
    world.retry(SECOND, first, limit=3)
    await world.run(FIRST, SECOND, source=source)
    world.retry(FIRST, source)
    paid = len(world.engine.seen)
    [_, second] = await world.run(FIRST, SECOND, source=source)
    assert second.manifest.identity["retries"]["asks"] == 2
    finish = [row["made"]["finish_reason"] for row in second.table(0).to_pylist()]
    # Two rows are as they were, and so is what was retried of them; the third is another question by now.
    assert Counter(finish) == {"stop": 2, "length": 1}
    assert len(world.engine.seen) == paid + 2
    await world.ledger.close()


async def test_a_retry_stays_when_documents_are_added_and_moves_nothing_that_reads_others(tmp_path: Path) -> None:
    world, source = World(tmp_path), store(tmp_path, documents(3))
    more, others = store(tmp_path, documents(5)), store(tmp_path, documents(7)[3:])
    await world.run(FIRST, source=source)
    [elsewhere] = await world.run(FIRST, source=others)
    world.retry(FIRST, source, limit=3)
    [made] = await world.run(FIRST, source=more)
    finish = [row["made"]["finish_reason"] for row in rows_in(made)]
    assert finish == ["stop"] * 3 + ["length"] * 2
    assert [one.path for one in await world.run(FIRST, source=others)] == [elsewhere.path]
    await world.ledger.close()


@dataclass(frozen=True, kw_only=True)
class Sum(DatasetGenerator[Document, Document]):
    """Asks of all documents at once, on behalf of none."""

    sampling: Sampling = Sampling(max_tokens=3)

    async def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
        answers = [await ask(f"Sum up {way}.", sampling=self.sampling) for way in ("well", "badly")]
        rows = [Document.new(text=one.text, made=one.made()) for one in answers]
        yield PartOutput(kept=to_table(rows, Document), rejects=to_table([], Reject))


async def test_a_retry_of_a_step_over_all_records_leaves_its_other_asks_as_they_were(tmp_path: Path) -> None:
    world, source = World(tmp_path), store(tmp_path, documents(2))
    [before] = await world.run(Sum(), source=source)
    world.retry(Sum(), source)
    paid = len(world.engine.seen)
    [after] = await world.run(Sum(), source=source)
    assert len(world.engine.seen) == paid + 1
    assert after.path != before.path
    assert sorted(row["made"]["finish_reason"] for row in rows_in(after)) == ["length", "stop"]
    await world.ledger.close()


def rows_in(stored: Stored) -> list[dict[str, Any]]:
    return [row for table in stored for row in table.to_pylist()]


@dataclass(frozen=True, kw_only=True)
class Count(Generator[Document, Document]):
    """Asks for a number."""

    async def make(self, record: Document, ask: Ask) -> Iterable[Document | BadReply]:
        answer = await ask(record.text, returns=Number)
        return [record.child(Document, kind="said", text=str(answer.value.n), made=answer.made())]


FAULTS = st.lists(
    st.lists(st.sampled_from([one.value for one in AskState]), min_size=1, max_size=4), min_size=1, max_size=9
)


@settings(max_examples=25, deadline=None)
@given(FAULTS)
def test_the_counts_of_a_step_have_every_ask_in_one_state_and_no_row_of_one_that_was_not_ok(
    scripts: list[list[str]],
) -> None:
    async def run(root: Path) -> None:
        source = store(root, [Document.new(text=f"r{number}") for number in range(len(scripts))])
        ledger = Ledger(root / "ledger.sqlite")
        engine = Single({f"r{number}": list(script) for number, script in enumerate(scripts)})
        async with Asker(engine, ledger) as asker:
            made = await execute(Count(), source, Runtime(root=root, asker=asker), ALL)
        wanted = [expected(script) for script in scripts]
        states = Counter(state for one in wanted for state in one)
        counts = made.manifest.counts
        assert counts.states == {state: count for state, count in sorted(states.items()) if state != "ok"}
        assert counts.asks + sum(states[one.value] for one in WITHOUT_REPLY) == states.total()
        assert (counts.attempts, counts.kept) == (len(scripts), sum(one[-1] == "ok" for one in wanted))
        unanswered = any(one[-1] in ("provider_error", "over_budget") for one in wanted)
        assert ("partial" in made.manifest.identity) is unanswered
        await ledger.close()

    with TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
