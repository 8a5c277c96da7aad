"""The one loop that writes data: everything accounted for, the same bytes however it runs, and loud when wrong."""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.counts import Counts
from mashbill.engine import Reply, Request, ScriptedEngine
from mashbill.errors import BadReply, EngineDown, Interrupted, LedgerError, StepFailed, StoreError, TooManyRejects
from mashbill.execute import execute, place_of
from mashbill.filter_stack import FilterStack
from mashbill.fingerprint import seed_of
from mashbill.ingest import ingest
from mashbill.ledger import Ledger
from mashbill.progress import Silent
from mashbill.records import Document, Record, Reject, Triple, from_rows, to_table
from mashbill.registry import load
from mashbill.runtime import FILTER_POLICY, RejectPolicy, Runtime
from mashbill.step import DatasetStep, Filter, Generator, PartOutput, Parts
from mashbill.store import Stored
from mashbill.usage import Usage
from tests.support.kernel import (
    Echo,
    Gate,
    NoDigit,
    Shuffled,
    Tales,
    bytes_of,
    document,
    documents,
    fickle,
    rejects_in,
    reply,
    rows_of,
    store,
)

ANYTHING = RejectPolicy(share=1.0)


def runtime_of(root: Path, engine: Any, ledger: Ledger, **how: Any) -> Runtime:
    return Runtime(root=root, asker=Asker(engine, ledger), **how)


async def run(
    root: Path, step: Any, source: Stored, engine: Any, policy: RejectPolicy | None = ANYTHING, **how: Any
) -> Stored:
    """One whole run of one step, with a ledger of its own at `root`."""
    ledger = Ledger(root / "ledger.sqlite")
    runtime = runtime_of(root / "steps", engine, ledger, **how)
    assert runtime.asker is not None
    try:
        async with runtime.asker:
            return await execute(step, source, runtime, policy)
    finally:
        await ledger.close()


def refuse(_: Request) -> Exception:
    return EngineDown("must not be asked")


@dataclass(frozen=True, kw_only=True)
class Lottery(Generator[Document, Document]):
    """Makes, fails and barely makes rows by the record's id alone."""

    most: int = 4
    seed: int = 0

    async def make(self, record: Document, ask: Ask) -> Iterable[Document | BadReply]:
        draw = random.Random(seed_of(record.id, self.seed))
        if draw.random() < 0.2:
            raise BadReply(draw.choice(["empty", "refused"]), text="whole record")
        outcomes: list[Document | BadReply] = []
        for number in range(draw.randrange(self.most)):
            await asyncio.sleep(0)
            row = record.child(Document, text=f"{number} of {record.text}")
            outcomes.append(BadReply(draw.choice(["empty", "too_long"])) if draw.random() < 0.4 else row)
        return outcomes


@settings(max_examples=25)
@given(count=st.integers(1, 30), part_rows=st.integers(1, 8), seed=st.integers(0, 10**6), in_flight=st.integers(1, 9))
def test_the_accounts_add_up_whatever_happens(count: int, part_rows: int, seed: int, in_flight: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        source = store(root / "steps", documents(count), part_rows)
        made = asyncio.run(run(root, Lottery(seed=seed), source, ScriptedEngine(refuse), records_in_flight=in_flight))
        assert [part.name for part in made.manifest.parts] == [part.name for part in source.manifest.parts]
        for index, part in enumerate(made.manifest.parts):
            counts = part.counts
            assert counts.read == source.manifest.parts[index].counts.kept
            assert counts.attempts == counts.kept + counts.rejects
            assert made.table(index).num_rows == counts.kept
            rejected = made.rejects(index).column("reason").to_pylist()
            assert counts.rejected == dict(sorted(Counter(rejected).items()))
            parents = [parents[0] for parents in made.table(index).column("parents").to_pylist()]
            order = source.table(index).column("id").to_pylist()
            assert parents == sorted(parents, key=order.index)
            assert counts.barren == counts.read - len(set(parents))
        whole = made.manifest.counts
        assert whole == sum((part.counts for part in made.manifest.parts), Counts())
        assert whole.read == count
        with_something = {row.parents[0] for row in [*rows_of(made), *rejects_in(made)]}
        assert with_something == {row.id for row in rows_of(source)}, "every record made a row or a reject"


@settings(max_examples=8)
@given(batch=st.integers(1, 8), calls=st.integers(1, 4), in_flight=st.integers(1, 16), order=st.integers(0, 10**6))
def test_the_bytes_do_not_depend_on_how_it_runs(batch: int, calls: int, in_flight: int, order: int) -> None:
    async def made(root: Path, engine: Shuffled, in_flight: int) -> dict[str, bytes]:
        source = store(root / "steps", documents(12), part_rows=5)
        tales = await run(root, Tales(), source, engine, records_in_flight=in_flight)
        await execute(FilterStack(filters=(NoDigit(),)), tales, Runtime(root=root / "steps"))
        return bytes_of(root / "steps")

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        plain = asyncio.run(made(Path(one), Shuffled(fickle, batch=64, calls=1), 64))
        other = asyncio.run(made(Path(two), Shuffled(fickle, random.Random(order), batch, calls), in_flight))
    assert other == plain
    assert len(plain) == 3 * (3 * 2 + 1)


async def test_a_finished_step_is_opened_without_a_call_or_a_write(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(9))
    first = await run(tmp_path, Tales(), source, Shuffled(fickle))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "steps").rglob("*")}
    engine = Shuffled(fickle)
    watcher = Watcher()
    again = await run(tmp_path, Tales(), source, engine, progress=watcher)
    assert again.path == first.path
    assert engine.paid == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "steps").rglob("*")} == before
    assert watcher.ended == [("tales", True)]


async def test_a_run_goes_on_after_the_parts_that_are_finished(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(12))
    whole = await run(tmp_path, Echo(), source, ScriptedEngine(lambda request: request.messages[0].content))
    expected = bytes_of(whole.path)
    (whole.path / "manifest.json").unlink()
    (whole.path / "part-00001.parquet").unlink()
    (tmp_path / "ledger.sqlite").unlink()
    engine, watcher = ScriptedEngine(lambda request: request.messages[0].content), Watcher()
    again = await run(tmp_path, Echo(), source, engine, progress=watcher)
    assert len(engine.seen) == 4
    assert bytes_of(again.path) == expected
    assert watcher.began == [("echo", 12, 8)]
    assert watcher.counted[-1].read == 12


async def test_an_unfinished_step_is_refused_by_whoever_reads_it(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(4))
    (source.path / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"has no manifest\.json: the step that writes it did not finish"):
        Stored.open(source.path)


async def test_a_part_that_was_shortened_before_the_step_was_finished_is_not_taken_over(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(4))
    done = await run(tmp_path, Echo(), source, ScriptedEngine(lambda _: "yes"))
    (done.path / "manifest.json").unlink()
    part = done.path / "part-00000.parquet"
    whole = pq.ParquetFile(part).read()
    pq.write_table(whole.slice(0, 1), part)  # the footer still says how many rows there were
    with pytest.raises(StoreError, match=r"1 rows and 0 rejects of 4 and 0"):
        await run(tmp_path, Echo(), source, ScriptedEngine(lambda _: "yes"))


async def test_a_part_that_cannot_be_read_again_is_named(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(4))
    done = await run(tmp_path, Echo(), source, ScriptedEngine(lambda _: "yes"))
    (done.path / "manifest.json").unlink()
    (done.path / "part-00000.parquet").write_bytes(b"half")
    with pytest.raises(StoreError, match=r"part-00000\.parquet: an earlier run wrote it but it cannot be read"):
        await run(tmp_path, Echo(), source, ScriptedEngine(lambda _: "yes"))
    pq.write_table(to_table([], Document), done.path / "part-00000.parquet")
    with pytest.raises(StoreError, match="cannot be read"):
        await run(tmp_path, Echo(), source, ScriptedEngine(lambda _: "yes"))


@dataclass(frozen=True, kw_only=True)
class Told(Generator[Document, Document]):
    """Does what the test says; the word is not identity-bearing code, only its name."""

    word: str

    async def make(self, record: Document, ask: Ask) -> Any:
        return WORDS[self.word](record)


def raising(error: BaseException) -> Callable[[Document], Any]:
    def act(record: Document) -> Any:
        if record.text == document(2).text:
            raise error
        return [record.child(Document, text="good")]

    return act


WORDS: dict[str, Callable[[Document], Any]] = {
    "nothing": lambda record: [],
    "raised": raising(BadReply("refused", "would not", text="No.", asks=("k1",), subjects=("salt",))),
    "returned": lambda record: [record.child(Document, text="good"), BadReply("too_short"), BadReply("too_short")],
    "bug": raising(ZeroDivisionError("division by zero")),
    "none": lambda record: None,
    "wrong type": lambda record: [record.child(Triple, head="a", relation="b", tail="c")],
    "text": lambda record: ["only text"],
    "surrogate": lambda record: [
        record.child(Document, text="good"),
        Document(id="x", parents=(record.id,), text="\ud800"),
    ],
    "number": lambda record: [Document(id="x", parents=(record.id,), text=5)],  # type: ignore[arg-type]
    "null": lambda record: [Document(id="x", parents=(record.id,), text=None)],  # type: ignore[arg-type]
    "interrupted": raising(Interrupted("stopped")),
    "ledger": raising(LedgerError("full")),
    "nested": raising(ExceptionGroup("several", [BadReply("one")])),
}


async def test_a_bad_reply_raised_rejects_the_record_and_returned_one_attempt(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(4))
    raised = await run(tmp_path, Told(word="raised"), source, ScriptedEngine(refuse))
    (reject,) = rejects_in(raised)
    assert raised.manifest.counts == Counts(read=4, attempts=4, kept=3, rejected={"refused": 1}, barren=1)
    assert (reject.reason, reject.detail, reject.text, reject.kind, reject.step) == (
        "refused", "would not", "No.", "Document", "told",
    )  # fmt: skip
    assert (reject.made.asks, reject.subjects) == (("k1",), ("salt",))
    assert from_rows([orjson.loads(reject.record)], Document) == [rows_of(source)[2]]
    returned = await run(tmp_path, Told(word="returned"), source, ScriptedEngine(refuse))
    assert returned.manifest.counts == Counts(read=4, attempts=12, kept=4, rejected={"too_short": 8})


async def test_a_record_that_makes_nothing_is_a_reject(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(4))
    made = await run(tmp_path, Told(word="nothing"), source, ScriptedEngine(refuse))
    assert made.manifest.counts == Counts(read=4, attempts=4, rejected={"nothing_made": 4}, barren=4)


@pytest.mark.parametrize("word", ["bug", "none", "wrong type", "text", "nested"])
async def test_a_bug_in_a_step_names_the_record_and_chains_its_cause(tmp_path: Path, word: str) -> None:
    source = store(tmp_path / "steps", documents(4))
    with pytest.raises(StepFailed) as caught:
        await run(tmp_path, Told(word=word), source, ScriptedEngine(refuse))
    assert "told failed on record" in str(caught.value)
    assert any(row.id in str(caught.value) for row in rows_of(source))
    kinds = {"bug": ZeroDivisionError, "nested": ExceptionGroup}
    assert isinstance(caught.value.__cause__, kinds.get(word, TypeError))
    if word == "bug":
        assert document(2).id in str(caught.value)
        assert "002.txt" in str(caught.value)
    with pytest.raises(StoreError, match=r"no such stored step|did not finish"):
        Stored.open(place_of(Told(word=word), source, runtime_at(tmp_path))[0])


def runtime_at(root: Path) -> Runtime:
    return Runtime(root=root / "steps")


@pytest.mark.parametrize("word", ["surrogate", "number"])
async def test_a_row_that_cannot_be_stored_names_the_record_it_was_made_from(tmp_path: Path, word: str) -> None:
    source = store(tmp_path / "steps", documents(2))
    with pytest.raises(StepFailed, match=f"told made from record {rows_of(source)[0].id} a Document that cannot be"):
        await run(tmp_path, Told(word=word), source, ScriptedEngine(refuse))


@pytest.mark.parametrize(("word", "kind"), [("interrupted", Interrupted), ("ledger", LedgerError)])
async def test_what_is_no_bug_of_the_step_is_raised_as_it_is(tmp_path: Path, word: str, kind: type[Exception]) -> None:
    source = store(tmp_path / "steps", documents(4))
    with pytest.raises(kind):
        await run(tmp_path, Told(word=word), source, ScriptedEngine(refuse))


async def test_a_dead_engine_stops_the_run_and_finished_parts_stay(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(12))
    dead = EngineDown("gone")

    class Dies(ScriptedEngine):
        async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
            if "9" in requests[0].messages[0].content:
                while not list((tmp_path / "steps" / "echo").glob("*/part-00001.parquet")):
                    await asyncio.sleep(0.001)  # the part before is being written
                raise dead
            async for pair in super().complete(requests):
                yield pair

    engine = Dies(lambda _: "yes", batch=1, calls=1)
    with pytest.raises(EngineDown) as caught:
        await run(tmp_path, Echo(), source, engine, records_in_flight=1)
    assert caught.value is dead
    place = next((tmp_path / "steps" / "echo").iterdir())
    assert [path.name for path in sorted(place.glob("part-*"))] == ["part-00000.parquet", "part-00001.parquet"]
    mended = ScriptedEngine(lambda _: "yes")
    made = await run(tmp_path, Echo(), source, mended)
    assert len(mended.seen) == 3
    assert made.manifest.counts.kept == 12


async def test_a_stop_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(12))
    engine = Gate(lambda _: reply("yes"), batch=2, calls=1)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    runtime = runtime_of(tmp_path / "steps", engine, ledger)
    assert runtime.asker is not None
    running = asyncio.create_task(execute(Echo(), source, runtime))
    await engine.reached.wait()
    runtime.asker.stop()
    engine.opened.set()
    with pytest.raises(Interrupted):
        await running
    await runtime.asker.close()
    assert ledger.count() == engine.paid == 2
    await ledger.close()
    again = Shuffled(lambda _: reply("yes"))
    made = await run(tmp_path, Echo(), source, again)
    assert again.paid == 10
    assert made.manifest.counts.kept == 12


async def test_a_generator_without_an_engine_is_refused(tmp_path: Path) -> None:
    source = store(tmp_path, documents(2))
    with pytest.raises(StepFailed, match="echo asks a model but the run has no engine"):
        await execute(Echo(), source, Runtime(root=tmp_path))


async def test_a_lone_filter_is_told_to_come_in_a_stack(tmp_path: Path) -> None:
    source = store(tmp_path, documents(2))
    with pytest.raises(StepFailed, match="neither a Generator, a stack of Filters nor a DatasetStep"):
        await execute(NoDigit(), source, Runtime(root=tmp_path))


# The reject policy ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "after", "attempts", "rejects", "broken"),
    [
        (0.5, 50, 49, 49, False),
        (0.5, 50, 50, 25, False),
        (0.5, 50, 50, 26, True),
        (1.0, 1, 10, 10, False),
        (0.0, 1, 10, 1, True),
        (0.0, 1, 10, 0, False),
    ],
)
def test_the_policy_is_broken_only_past_the_share_and_the_minimum(
    share: float, after: int, attempts: int, rejects: int, broken: bool
) -> None:
    counts = Counts(attempts=attempts, kept=attempts - rejects, rejected={"r": rejects})
    assert RejectPolicy(share=share, after=after).broken_by(counts) is broken


async def test_too_many_rejects_stop_the_step_with_the_reasons_and_the_rows(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(60), part_rows=60)
    engine = ScriptedEngine(lambda _: " ", batch=1, calls=1)
    with pytest.raises(TooManyRejects) as caught:
        await run(tmp_path, Echo(), source, engine, RejectPolicy(share=0.5, after=20), records_in_flight=1)
    assert "echo: 20 of 20 attempts were rejected, more than the 50% the bill allows" in str(caught.value)
    assert "top reasons: empty 20" in str(caught.value)
    assert len(engine.seen) == 20, "nothing more is asked once it is over the line"
    place = next((tmp_path / "steps" / "echo").iterdir())
    assert str(place) in str(caught.value)
    readable = pq.read_table(place / "rejects" / "stopped.parquet").column("reason").to_pylist()
    assert readable == ["empty"] * 20
    made = await run(tmp_path, Echo(), source, engine, ANYTHING)
    assert not (place / "rejects" / "stopped.parquet").exists()
    assert made.manifest.counts.rejected == {"empty": 60}


async def test_a_step_over_the_line_at_its_end_is_not_finished(tmp_path: Path) -> None:
    source = store(tmp_path, [document(n, "77") for n in range(60)])
    stack = FilterStack(filters=(NoDigit(),))
    with pytest.raises(TooManyRejects, match=r"no_digit: 60 of 60 .* 98% .* has_7 60"):
        await execute(stack, source, Runtime(root=tmp_path))
    with pytest.raises(StoreError, match="did not finish"):
        Stored.open(place_of(stack, source, Runtime(root=tmp_path))[0])
    assert FILTER_POLICY.share == 0.98


async def test_a_stricter_policy_stops_at_a_finished_step_as_it_would_have_stopped_its_run(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(60), part_rows=60)
    engine = ScriptedEngine(lambda _: " ", batch=1, calls=1)
    made = await run(tmp_path, Echo(), source, engine, ANYTHING)
    watcher = Watcher()
    with pytest.raises(TooManyRejects, match="echo: 60 of 60 attempts were rejected, more than the 50%") as caught:
        await run(tmp_path, Echo(), source, ScriptedEngine(refuse), RejectPolicy(after=20), progress=watcher)
    assert f"top reasons: empty 60. Read them with `mashbill rejects {made.path}`" in str(caught.value)
    assert watcher.ended == []
    assert await run(tmp_path, Echo(), source, ScriptedEngine(refuse), ANYTHING) == made


# Filters -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Unsure(Filter[Document]):
    """Null where the text is short."""

    def reasons(self) -> dict[str, pl.Expr]:
        return {"unsure": pl.when(pl.col("text").str.len_chars() > 5).then(pl.lit(True))}

    def scores(self) -> dict[str, pl.Expr]:
        return {"half": pl.when(pl.col("text").str.len_chars() > 5).then(pl.lit(0.5))}


@dataclass(frozen=True, kw_only=True)
class OnlyScores(Filter[Document]):
    def reasons(self) -> dict[str, pl.Expr]:
        return {}

    def scores(self) -> dict[str, pl.Expr]:
        return {"letters": pl.col("text").str.len_chars()}


@dataclass(frozen=True, kw_only=True)
class Misspelt(Filter[Document]):
    def reasons(self) -> dict[str, pl.Expr]:
        return {"never": pl.col("txet") == ""}


@dataclass(frozen=True, kw_only=True)
class Buggy(Filter[Document]):
    def reasons(self) -> dict[str, pl.Expr]:
        raise KeyError("profile")


async def filtered(root: Path, source: Stored, *filters: Filter[Any]) -> Stored:
    return await execute(FilterStack(filters=filters), source, Runtime(root=root), ANYTHING)


async def test_a_row_keeps_the_first_reason_and_every_score(tmp_path: Path) -> None:
    source = store(tmp_path, [document(n, text) for n, text in enumerate(["plain", "7", "3", "737"])])
    made = await filtered(tmp_path, source, NoDigit(digit="3"), NoDigit(digit="7"))
    assert [row.text for row in rows_of(made)] == ["plain"]
    assert [(one.text, one.step, one.reason) for one in rejects_in(made)] == [
        ("7", "no_digit", "has_7"),
        ("3", "no_digit", "has_3"),
        ("737", "no_digit", "has_3"),
    ]
    scores = {one.text: {s.name: s.value for s in one.scores} for one in [*rows_of(made), *rejects_in(made)]}
    assert scores["737"] == {"count_3": 1.0, "count_7": 2.0}
    assert scores["plain"] == {"count_3": 0.0, "count_7": 0.0}
    kept = from_rows([orjson.loads(one.record) for one in rejects_in(made)], Document)
    assert [row.id for row in kept] == [one.id for one in rejects_in(made)]
    assert made.manifest.step == "filters"


async def test_null_counts_as_false_and_a_null_score_is_none(tmp_path: Path) -> None:
    source = store(tmp_path, [document(0, "short"), document(1, "long enough")])
    made = await filtered(tmp_path, source, Unsure())
    assert [row.text for row in rows_of(made)] == ["short"]
    assert rows_of(made)[0].scores == ()
    assert [score.name for score in rejects_in(made)[0].scores] == ["half"]


async def test_a_filter_with_scores_alone_keeps_every_row(tmp_path: Path) -> None:
    made = await filtered(tmp_path, store(tmp_path, documents(3)), OnlyScores())
    assert made.manifest.counts == Counts(read=3, attempts=3, kept=3)
    assert rows_of(made)[0].scores[0].name == "letters"


@settings(max_examples=20)
@given(st.lists(st.text("37ab", max_size=4).map(lambda text: text + "."), min_size=1, max_size=12))
def test_filtering_twice_is_filtering_once_and_loses_nothing(texts: list[str]) -> None:
    async def both(root: Path) -> None:
        source = store(root, [document(n, text) for n, text in enumerate(texts)], part_rows=5)
        once = await filtered(root, source, NoDigit(digit="3"), Unsure())
        assert once.manifest.counts.attempts == len(texts)
        ids = {row.id for row in [*rows_of(once), *rejects_in(once)]}
        assert ids == {row.id for row in rows_of(source)}
        twice = await filtered(root, once, NoDigit(digit="3"), Unsure())
        assert [row.id for row in rows_of(twice)] == [row.id for row in rows_of(once)]
        assert rejects_in(twice) == []

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(both(Path(folder)))


@pytest.mark.parametrize("broken", [Misspelt(), Buggy()])
async def test_a_filter_that_cannot_be_evaluated_is_named(tmp_path: Path, broken: Filter[Document]) -> None:
    with pytest.raises(StepFailed, match=f"a filter among {broken.name} cannot be evaluated"):
        await filtered(tmp_path, store(tmp_path, documents(3)), broken)


# Dataset steps -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Whole(DatasetStep[Document, Document]):
    """Yields what the test says for a number of parts."""

    how: str = "all"

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        none = to_table([], Reject)
        for index, table in enumerate(parts):
            if self.how == "few" and index == 1:
                return
            if self.how == "bug" and index == 1:
                raise KeyError("salt")
            if self.how == "store" and index == 1:
                raise StoreError("disk full")
            yield PartOutput(kept=table.slice(1) if self.how == "loses" else table, rejects=none)
        if self.how == "many":
            yield PartOutput(kept=to_table([], Document), rejects=none)

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        if self.how == "report":
            raise KeyError("pairs")
        return {"rows": made.manifest.counts.kept}


@dataclass(frozen=True, kw_only=True)
class Counting(DatasetStep[Document, Document]):
    """Builds something else from its rows."""

    accounts_for_rows = False

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        for table in parts:
            yield PartOutput(to_table([document(table.num_rows)], Document), to_table([], Reject))


@dataclass(frozen=True, kw_only=True)
class Anything(DatasetStep[Record, Record]):
    """Takes what comes."""

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        return (PartOutput(table, to_table([], Reject)) for table in parts)


async def test_a_step_for_any_record_writes_what_it_reads(tmp_path: Path) -> None:
    source = store(tmp_path, [Triple.new(head="a", relation="b", tail="c")])
    made = await execute(Anything(), source, Runtime(root=tmp_path))
    assert (made.kind, rows_of(made)) == (Triple, rows_of(source))


@dataclass(frozen=True, kw_only=True)
class Hollow(DatasetStep[Document, Document]):
    pass


async def test_a_dataset_step_gives_a_part_for_a_part_and_may_report(tmp_path: Path) -> None:
    source = store(tmp_path, documents(10))
    made = await execute(Whole(), source, Runtime(root=tmp_path))
    assert rows_of(made) == rows_of(source)
    assert made.manifest.notes == {"rows": 10}
    built = await execute(Counting(), source, Runtime(root=tmp_path))
    assert built.manifest.counts == Counts(read=10, attempts=3, kept=3)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("loses", r"whole, part 0: 4 rows were tried but 3 kept and 0 rejected; every row must be one or the other"),
        ("few", r"whole yielded 1 parts for the 3 it read"),
        ("many", r"whole yielded more parts than the 3 it read"),
        ("bug", r"whole failed on .*KeyError\('salt'\)"),
        ("report", r"whole failed on .*KeyError\('pairs'\)"),
    ],
)
async def test_a_dataset_step_that_miscounts_or_breaks_is_stopped(tmp_path: Path, how: str, message: str) -> None:
    source = store(tmp_path, documents(10))
    with pytest.raises(StepFailed, match=message):
        await execute(Whole(how=how), source, Runtime(root=tmp_path))
    with pytest.raises(StoreError):
        Stored.open(place_of(Whole(how=how), source, Runtime(root=tmp_path))[0])


async def test_a_dataset_step_without_a_run_and_one_that_cannot_store_say_so(tmp_path: Path) -> None:
    source = store(tmp_path, documents(10))
    with pytest.raises(StepFailed, match="Hollow has no `run`"):
        await execute(Hollow(), source, Runtime(root=tmp_path))
    with pytest.raises(StoreError, match="disk full"):
        await execute(Whole(how="store"), source, Runtime(root=tmp_path))


async def test_a_dataset_step_goes_on_after_the_parts_it_finished(tmp_path: Path) -> None:
    source = store(tmp_path, documents(10))
    made = await execute(Whole(), source, Runtime(root=tmp_path))
    expected = bytes_of(made.path)
    (made.path / "manifest.json").unlink()
    (made.path / "part-00002.parquet").unlink()
    before = (made.path / "part-00000.parquet").stat().st_mtime_ns
    again = await execute(Whole(), source, Runtime(root=tmp_path))
    assert bytes_of(again.path) == expected
    assert (made.path / "part-00000.parquet").stat().st_mtime_ns == before


# Identity ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Tuned(Generator[Document, Document]):
    words: frozenset[str] = frozenset({"b", "a"})
    kind: type = Document
    devices: int = field(default=1, metadata={"identity": False})


async def test_the_place_of_a_step_depends_on_what_it_is_and_not_on_how_it_runs(tmp_path: Path, ledger: Ledger) -> None:
    source, other = store(tmp_path, documents(2)), store(tmp_path, documents(3))
    runtime = runtime_of(tmp_path, ScriptedEngine(refuse), ledger)
    slower = runtime_of(tmp_path, ScriptedEngine(refuse, batch=1, calls=1), ledger, records_in_flight=1)
    another = runtime_of(tmp_path, ScriptedEngine(refuse, name="other"), ledger)
    place, identity, digest, *_ = place_of(Tuned(), source, runtime)
    assert place == tmp_path / "tuned" / digest
    assert identity["steps"][0]["fields"]["words"] == ["a", "b"]
    assert place_of(Tuned(devices=8), source, slower)[2] == digest
    different = [
        place_of(Tuned(words=frozenset({"a"})), source, runtime)[2],
        place_of(Tuned(), other, runtime)[2],
        place_of(Tuned(), source, another)[2],
        place_of(FilterStack(filters=(NoDigit(),)), source, runtime)[2],
    ]
    assert len({digest, *different}) == 5
    assert orjson.loads(orjson.dumps(identity)) == identity


@pytest.fixture
def _own_steps_forgotten() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("mashbill_steps_")]:
        del sys.modules[name]


@pytest.mark.usefixtures("_own_steps_forgotten")
async def test_an_edited_step_of_the_users_own_makes_new_rows_and_pays_for_what_it_asks_anew(tmp_path: Path) -> None:
    """One file of a user's own, as first written, then making other rows of the same replies, then asking otherwise."""
    own = """
from dataclasses import dataclass
from mashbill.records import Document
from mashbill.step import Generator

@dataclass(frozen=True, kw_only=True)
class Shout(Generator[Document, Document]):
    def prompt(self, record):
        return "Say it loud: " + record.text

    def parse(self, record, answer):
        yield record.child(Document, text=answer.text.upper())
"""
    source = store(tmp_path / "steps", documents(2))
    file = tmp_path / "mine" / "shout.py"
    file.parent.mkdir()
    texts, asked = [], []
    for code in (own, own.replace("upper", "title"), own.replace("loud", "soft"), own):
        file.write_text(code)
        engine = ScriptedEngine(lambda request: "so " + request.messages[0].content.split()[2])
        made = await run(tmp_path, load("step", "shout", [file.parent])(), source, engine)
        texts.append(rows_of(made)[0].text)
        asked.append(len(engine.seen))
        assert made.manifest.identity["steps"][0]["source"]
    assert texts == ["SO LOUD:", "So Loud:", "SO SOFT:", "SO LOUD:"]
    assert asked == [2, 0, 2, 0]


@pytest.mark.usefixtures("_own_steps_forgotten")
def test_an_edited_source_of_the_users_own_reads_again(tmp_path: Path) -> None:
    own = """
from dataclasses import dataclass
from mashbill.records import Document
from mashbill.step import Source

@dataclass(frozen=True, kw_only=True)
class Lines(Source[Document]):
    def files(self, root):
        return [root]

    def read(self, path, name):
        yield Document.new(text=path.read_text().upper(), source=name)
"""
    (tmp_path / "lines.py").write_text(own)
    (tmp_path / "text").write_text("so it is")
    texts = []
    for code in (own, own.replace("upper", "title")):
        (tmp_path / "lines.py").write_text(code)
        source = load("step", "lines", [tmp_path])(path="text")
        texts += [row.text for row in rows_of(ingest(source, tmp_path / "text", Runtime(root=tmp_path / "steps")))]
    assert texts == ["SO IT IS", "So It Is"]


async def test_an_input_may_lie_under_another_root(tmp_path: Path) -> None:
    source = store(tmp_path / "elsewhere", documents(2))
    made = await execute(Whole(), source, Runtime(root=tmp_path / "here"))
    assert made.manifest.inputs == {f"made_by_hand/{source.path.name}": source.manifest.fingerprint}


@dataclass
class Watcher(Silent):
    began: list[tuple[str, int, int]] = field(default_factory=list)
    counted: list[Counts] = field(default_factory=list)
    ended: list[tuple[str, bool]] = field(default_factory=list)

    def begin(self, step: str, records: int, done: int) -> None:
        self.began.append((step, records, done))

    def advance(self, step: str, counts: Counts, usage: Usage) -> None:
        self.counted.append(counts)

    def end(self, step: str, stored: Stored, *, reused: bool) -> None:
        self.ended.append((step, reused))


async def test_progress_is_told_of_the_rows_that_a_step_reads(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(6))
    first = await run(tmp_path, Told(word="returned"), source, ScriptedEngine(refuse))
    watcher = Watcher()
    await execute(FilterStack(filters=(NoDigit(),)), first, Runtime(root=tmp_path / "steps", progress=watcher))
    assert watcher.began == [("no_digit", first.manifest.counts.kept, 0)]
    assert watcher.ended == [("no_digit", False)]


def test_a_reply_row_is_stamped_with_the_step_it_was_made_by(tmp_path: Path) -> None:
    source = store(tmp_path / "steps", documents(2))
    made = asyncio.run(run(tmp_path, Echo(), source, ScriptedEngine(lambda _: "yes")))
    assert {row.made.step_fingerprint for row in rows_of(made)} == {made.manifest.fingerprint}
    assert {row.made.step for row in rows_of(made)} == {"echo"}
    assert made.manifest.engine == "scripted/scripted"
