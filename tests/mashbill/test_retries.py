"""What a step asks otherwise is part of what it is, and stays with it whatever is retried before it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

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
from mashbill.join import join
from mashbill.ledger import Ledger
from mashbill.ledger_states import Retry
from mashbill.records import Document
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Generator
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

    async def run(self, *steps: Tell | FilterStack, source: Stored) -> list[Stored]:
        """Steps one after another."""
        made = list[Stored]()
        async with Asker(self.engine, self.ledger) as asker:
            for step in steps:
                made.append(await execute(step, made[-1] if made else source, self.runtime(asker), ALL))
        return made

    def retry(self, step: Tell, source: Stored, limit: int = 1) -> str:
        """Ask some of what was cut off with twice the words."""
        where = place_of(step, source, self.runtime(Asker(self.engine, self.ledger)))
        cut = [one for one in self.ledger.states(where.fingerprint) if one.state is AskState.TRUNCATED][:limit]
        assert len(cut) == limit
        changed = Retry(times=1, sampling=Sampling(max_tokens=6), state=AskState.TRUNCATED)
        self.ledger.retry({where.base: {one.first: changed for one in cut}})
        return where.base


FIRST, SECOND, SHORT = Tell(), Tell(way="badly"), FilterStack(filters=(Length(min_words=1),))


async def test_a_retry_moves_its_step_and_all_that_follows_and_pays_for_itself_alone(tmp_path: Path) -> None:
    world, source = World(tmp_path), store(tmp_path, documents(3))
    before = await world.run(FIRST, SHORT, SECOND, source=source)
    assert all(one.manifest.base == "" for one in before)
    assert all("retries" not in one.manifest.identity for one in before)
    base = world.retry(FIRST, source)
    assert base == before[0].manifest.fingerprint
    paid = len(world.engine.seen)
    after = await world.run(FIRST, SHORT, SECOND, source=source)
    assert all(old.path != new.path and old.path.is_dir() for old, new in zip(before, after, strict=True))
    assert [one.manifest.base for one in after] == [one.manifest.fingerprint for one in before]
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
    base = world.retry(SECOND, first, limit=3)
    await world.run(FIRST, SECOND, source=source)
    world.retry(FIRST, source)
    paid = len(world.engine.seen)
    [_, second] = await world.run(FIRST, SECOND, source=source)
    assert second.manifest.base == base
    finish = [row["made"]["finish_reason"] for row in second.table(0).to_pylist()]
    # Two rows are as they were, and so is what was retried of them; the third is another question by now.
    assert Counter(finish) == {"stop": 2, "length": 1}
    assert len(world.engine.seen) == paid + 2
    await world.ledger.close()


async def test_rows_of_several_inputs_carry_what_they_would_be_without_retries(tmp_path: Path) -> None:
    world, source = World(tmp_path), store(tmp_path, documents(2))
    [told] = await world.run(FIRST, source=source)
    plain = join([source, told], Runtime(root=tmp_path))
    world.retry(FIRST, source)
    [again] = await world.run(FIRST, source=source)
    joined = join([source, again], Runtime(root=tmp_path))
    assert plain.manifest.base == ""
    assert joined.manifest.base == plain.manifest.fingerprint != joined.manifest.fingerprint
    await world.ledger.close()


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
