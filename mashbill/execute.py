"""Run one step over one stored input: the only loop that writes data.

One input part gives one output part. A generator's records are driven together, a bounded number at a time across
parts, so the engine is fed to the last record; a part is written, in input order, when its last record is done. Every
record is accounted for, and the reject policy can stop the step before anything downstream starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mashbill.ask import Ask, Asker, Interrupted, Usage
from mashbill.errors import BadReply, EngineError, LedgerError, MashbillError, StepFailed, StoreError, TooManyRejects
from mashbill.filter_stack import FilterStack, apply_filters, label_of
from mashbill.fingerprint import fingerprint, step_identity
from mashbill.progress import Progress, Silent
from mashbill.records import Record, Reject, from_table, to_row, to_table
from mashbill.step import DatasetStep, Filter, Generator, PartOutput, Step
from mashbill.store import Counts, Manifest, PartEntry, Stored, Tally, file_digest, part_name, write_json, write_parquet

_COUNTS_KEY = "mashbill.counts"
TOLD_EVERY = 0.1
"""Seconds between two words to the watcher: terminals show four a second, and a word costs more than a record."""
SHOWN = 1000
"""Rejects kept to be read when the policy stops a step in the middle of its parts."""


@dataclass(frozen=True, kw_only=True)
class RejectPolicy:
    """When rejects stop a step: more than `share` of the attempts, once `after` attempts were made.

    The minimum keeps an early bad row from being measured against a tiny denominator.
    """

    share: float = 0.5
    after: int = 50

    def broken_by(self, counts: Counts | Tally) -> bool:
        """Whether these counts are over the line."""
        return counts.attempts >= self.after and counts.rejects > self.share * counts.attempts


FILTER_POLICY = RejectPolicy(share=0.98, after=50)
"""Filters are there to reject; only a stack that leaves almost nothing is a mistake in the bill."""


@dataclass(kw_only=True)
class Runtime:
    """How steps run: none of it is identity."""

    root: Path
    asker: Asker | None = None
    records_in_flight: int = 64
    """Records whose coroutines are driven at once; each may have many asks."""
    progress: Progress = field(default_factory=Silent)


def identity_of(step: Step, source: Stored, engine: str) -> dict[str, Any]:
    """What decides a stored step's rows, as plain readable values."""
    steps: Sequence[Step] = step.filters if isinstance(step, FilterStack) else [step]
    return {
        "steps": [plain_identity(one) for one in steps],
        "input": source.manifest.fingerprint,
        "engine": engine,
    }


def plain_identity(step: Step) -> dict[str, Any]:
    """A step's name, version, class and fields as plain values, for a manifest."""
    whole = {"name": step.name, "version": step.version, **step_identity(step)}
    return dict(json.loads(orjson.dumps(whole, default=_unplain)))


def _unplain(value: Any) -> Any:
    # fingerprint() has refused unstable values before this is reached, so repr is only for reading.
    return sorted(value) if isinstance(value, set | frozenset) else repr(value)


def place_of(step: Step, source: Stored, runtime: Runtime) -> tuple[Path, dict[str, Any], str]:
    """Where a step's rows lie, with its identity and fingerprint.

    Raises:
        FingerprintError: when a field of the step has no stable bytes.
    """
    asks = isinstance(step, Generator) and runtime.asker is not None
    engine = runtime.asker.engine.identity if asks and runtime.asker is not None else ""
    steps: Sequence[Step] = step.filters if isinstance(step, FilterStack) else [step]
    exact = [(one.name, one.version, step_identity(one)) for one in steps]
    digest = fingerprint((exact, source.manifest.fingerprint, engine))
    return runtime.root / label_of(step) / digest, identity_of(step, source, engine), digest


async def execute(step: Step, source: Stored, runtime: Runtime, policy: RejectPolicy | None = None) -> Stored:
    """The stored output of a step over a stored input; finished work is opened, unfinished work goes on.

    Raises:
        TooManyRejects: with the top reasons and where to read them.
        StepFailed: for a bug in the step, with the record's id.
        EngineError, LedgerError, StoreError, Interrupted: finished parts and paid replies stay.
    """
    place, identity, digest = place_of(step, source, runtime)
    if Stored.finished(place):
        stored = Stored.open(place)
        runtime.progress.end(label_of(step), stored, reused=True)
        return stored
    run = _Run(step, source, runtime, place, digest, policy or _default_policy(step))
    await run.all_parts()
    return run.finish(identity)


def _default_policy(step: Step) -> RejectPolicy:
    return RejectPolicy() if isinstance(step, Generator) else FILTER_POLICY


class _Run:
    """One execution of one step: what is done so far and how to do the rest."""

    def __init__(
        self, step: Step, source: Stored, runtime: Runtime, place: Path, digest: str, policy: RejectPolicy
    ) -> None:
        self.step, self.source, self.runtime = step, source, runtime
        self.place, self.digest, self.policy = place, digest, policy
        self.kind = source.kind if isinstance(step, FilterStack | Filter) else step.writes
        if self.kind is Record:
            self.kind = source.kind
        self.counts = Counts()
        self.parts: dict[int, PartEntry] = {}

    async def all_parts(self) -> None:
        for index in range(len(self.source)):
            self._reuse(index)
        self.runtime.progress.begin(label_of(self.step), self.source.manifest.counts.kept, self.counts.read)
        if isinstance(self.step, Generator):
            await self._generate(self.step)
        elif isinstance(self.step, FilterStack):
            await asyncio.to_thread(self._filter, self.step)
        elif isinstance(self.step, DatasetStep):
            await asyncio.to_thread(self._dataset, self.step)
        else:
            raise StepFailed(f"{self.step.name} is neither a Generator, a stack of Filters nor a DatasetStep")

    def _reuse(self, index: int) -> None:
        kept, rejects = self._paths(index)
        if not (kept.is_file() and rejects.is_file()):
            return
        try:
            metadata = pq.read_schema(kept).metadata or {}
            counts = Counts.model_validate_json(metadata[_COUNTS_KEY.encode()])
        except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
            raise StoreError(f"{kept}: an earlier run wrote it but it cannot be read ({error}); remove it") from error
        self._enter(index, counts)

    def _paths(self, index: int) -> tuple[Path, Path]:
        return self.place / part_name(index), self.place / "rejects" / part_name(index)

    @property
    def _stopped(self) -> Path:
        return self.place / "rejects" / "stopped.parquet"

    def _enter(self, index: int, counts: Counts) -> None:
        kept, rejects = self._paths(index)
        self.parts[index] = PartEntry(
            name=kept.name, sha256=file_digest(kept), rejects_sha256=file_digest(rejects), counts=counts
        )
        self.counts += counts

    def _write(self, index: int, output: PartOutput, counts: Counts) -> None:
        if counts.attempts != counts.kept + counts.rejects:
            raise StepFailed(
                f"{self.step.name}, part {index}: {counts.attempts} rows were tried but {counts.kept} kept and "
                f"{counts.rejects} rejected; every row must be one or the other"
            )
        kept, rejects = self._paths(index)
        # Rejects first: a part counts as done when the kept file is there.
        write_parquet(rejects, output.rejects)
        write_parquet(kept, output.kept, {_COUNTS_KEY: counts.model_dump_json()})
        self._enter(index, counts)

    def _check(self, counts: Counts) -> None:
        if not self.policy.broken_by(counts):
            return
        top = ", ".join(f"{reason} {count}" for reason, count in Counter(counts.rejected).most_common(3))
        raise TooManyRejects(
            f"{label_of(self.step)}: {counts.rejects} of {counts.attempts} attempts were rejected, more than the "
            f"{self.policy.share:.0%} the bill allows; top reasons: {top}. Read them with "
            f"`mashbill rejects {self.place}`; raise `rejects.share` in the bill to go on"
        )

    def finish(self, identity: dict[str, Any]) -> Stored:
        parts = tuple(self.parts[index] for index in range(len(self.source)))
        # Summed here: parts are written on several threads, and `self.counts` is for the watcher.
        counts = sum((part.counts for part in parts), Counts())
        self._check(counts)
        manifest = Manifest(
            step=label_of(self.step),
            kind=self.kind.__name__,
            fingerprint=self.digest,
            identity=identity,
            inputs={self._input_name(): self.source.manifest.fingerprint},
            engine=identity["engine"],
            parts=parts,
            counts=counts,
        )
        notes = self._notes(manifest)
        self._stopped.unlink(missing_ok=True)
        write_json(self.place / "manifest.json", manifest.model_copy(update={"notes": notes}).model_dump(mode="json"))
        stored = Stored.open(self.place)
        self.runtime.progress.end(label_of(self.step), stored, reused=False)
        return stored

    def _input_name(self) -> str:
        path, root = self.source.path, self.runtime.root
        # An input may lie under another root; where that is would be no identity.
        return (path.relative_to(root) if path.is_relative_to(root) else Path(*path.parts[-2:])).as_posix()

    def _notes(self, manifest: Manifest) -> dict[str, Any]:
        report = getattr(self.step, "report", None)
        if report is None:
            return {}
        with self._named_failures():
            return dict(report(self.source, Stored(self.place, manifest)))

    # Filters and dataset steps -----------------------------------------------------------------------------------

    def _filter(self, stack: FilterStack) -> None:
        for index in range(len(self.source)):
            if index not in self.parts:
                table = self.source.table(index)
                self._judged(index, table.num_rows, apply_filters(stack.filters, table, self.kind))

    def _dataset(self, step: DatasetStep[Any, Any]) -> None:
        outputs = self._guarded(step)
        index = -1
        for index, output in enumerate(outputs):
            if index >= len(self.source):
                raise StepFailed(f"{step.name} yielded more parts than the {len(self.source)} it read")
            if index not in self.parts:
                self._judged(index, self.source.manifest.parts[index].counts.kept, output, step.accounts_for_rows)
        if index + 1 != len(self.source):
            raise StepFailed(f"{step.name} yielded {index + 1} parts for the {len(self.source)} it read")

    def _guarded(self, step: DatasetStep[Any, Any]) -> Iterator[PartOutput]:
        with self._named_failures():
            yield from step.run(self.source)

    @contextlib.contextmanager
    def _named_failures(self) -> Iterator[None]:
        try:
            yield
        except MashbillError:
            raise
        except Exception as error:
            raise StepFailed(f"{self.step.name} failed on {self.source.path}: {error!r}") from error

    def _judged(self, index: int, read: int, output: PartOutput, accounts_for_rows: bool = True) -> None:
        reasons = pl.Series(output.rejects.column("reason").to_pylist(), dtype=pl.String)
        tried = read if accounts_for_rows else output.kept.num_rows + output.rejects.num_rows
        counts = Counts(
            read=read,
            attempts=tried,
            kept=output.kept.num_rows,
            rejected=dict(sorted(Counter(reasons.to_list()).items())),
            barren=output.rejects.num_rows if accounts_for_rows else 0,
        )
        self._write(index, output, counts)
        self.runtime.progress.advance(label_of(self.step), self.counts, Usage())

    # Generators --------------------------------------------------------------------------------------------------

    async def _generate(self, step: Generator[Any, Any]) -> None:
        if self.runtime.asker is None:
            raise StepFailed(f"{step.name} asks a model but the run has no engine")
        live = _Live()
        live.tally.add(self.counts)
        try:
            async with asyncio.TaskGroup() as group:
                records = self._records(group)
                # Workers that go from record to record: a task for each record would cost 8 microseconds of it.
                for _ in range(self.runtime.records_in_flight):
                    group.create_task(self._work(step, records, group, live))
        except BaseExceptionGroup as several:
            worst = _worst(several)
            if isinstance(worst, TooManyRejects):
                # The parts under way are not written, but the message promises their rejects.
                await asyncio.to_thread(write_parquet, self._stopped, self._table(live.rejects, Reject))
            raise worst from worst.__cause__

        self._advance(live.tally)

    def _records(self, group: asyncio.TaskGroup) -> Iterator[tuple[_Part, int, Record]]:
        """Every record of the parts that are not done, with its part and its place there."""
        for index in range(len(self.source)):
            if index in self.parts:
                continue
            records = from_table(self.source.table(index), self.source.kind)
            part = _Part(index, len(records), [()] * len(records), [()] * len(records))
            if not records:
                group.create_task(self._end_of(part))
            for place, record in enumerate(records):
                yield part, place, record

    async def _work(
        self,
        step: Generator[Any, Any],
        records: Iterator[tuple[_Part, int, Record]],
        group: asyncio.TaskGroup,
        live: _Live,
    ) -> None:
        for part, place, record in records:
            made = await self._make(step, record)
            part.rows[place], part.rejects[place] = made.rows, made.rejects
            part.tally.add(made.tally)
            part.left -= 1
            if not part.left:
                group.create_task(self._end_of(part))
            live.tally.add(made.tally)
            live.rejects.extend(made.rejects)
            if self.policy.broken_by(live.tally):
                self._check(live.tally.counts())
            if live.due():
                self._advance(live.tally)
            if not made.tally.asks:
                await asyncio.sleep(0)  # a step that asks nothing must let the others, and a stop, have their turn

    def _advance(self, tally: Tally) -> None:
        assert self.runtime.asker is not None
        self.runtime.progress.advance(label_of(self.step), tally.counts(), self.runtime.asker.usage)

    async def _end_of(self, part: _Part) -> None:
        kept, rejects = list(chain.from_iterable(part.rows)), list(chain.from_iterable(part.rejects))
        output = PartOutput(kept=self._table(kept, self.kind), rejects=self._table(rejects, Reject))
        await asyncio.to_thread(self._write, part.index, output, part.tally.counts())

    def _table(self, rows: Iterable[Record], kind: type[Record]) -> pa.Table:
        try:
            return to_table(rows, kind)
        except (pa.ArrowException, ValueError, TypeError, AttributeError, OverflowError):
            for row in rows:
                self._storable(row, kind)
            raise

    def _storable(self, row: Record, kind: type[Record]) -> None:
        try:
            to_table([row], kind)
        except Exception as error:
            raise StepFailed(
                f"{self.step.name} made from record {', '.join(row.parents)} a {kind.__name__} that cannot be stored: "
                f"{error}; check the types of its fields"
            ) from error

    async def _make(self, step: Generator[Any, Any], record: Record) -> _Made:
        assert self.runtime.asker is not None
        ask = Ask(self.runtime.asker, record.id, step.name, self.digest)
        try:
            outcomes = self._checked(list(await step.make(record, ask)))
        except BadReply as bad:
            outcomes = [bad]
        except (EngineError, LedgerError, Interrupted, asyncio.CancelledError):
            raise
        except Exception as error:
            raise StepFailed(
                f"{step.name} failed on record {record.id} ({record.source or 'no source'}): {error!r}; "
                "it is a bug in the step: mend it and run the same command again, replies already paid for are kept"
            ) from error
        return self._account(step, record, outcomes, ask.usage)

    def _checked(self, outcomes: list[Any]) -> list[Any]:
        for one in outcomes:
            if type(one) is not self.kind and not isinstance(one, BadReply):
                wrong = f"returned a {type(one).__name__}, not a {self.kind.__name__}: {one!r:.200}"
                raise TypeError(wrong)
        return outcomes

    def _account(
        self, step: Generator[Any, Any], record: Record, outcomes: list[Record | BadReply], usage: Usage
    ) -> _Made:
        rows = tuple(self._stamped(row) for row in outcomes if isinstance(row, Record))
        rejects = tuple(reject_of(bad, record, step.name) for bad in outcomes if isinstance(bad, BadReply))
        if not outcomes:
            rejects = (reject_of(BadReply("nothing_made", "the step returned no row"), record, step.name),)
        tally = Tally(
            read=1,
            attempts=len(rows) + len(rejects),
            kept=len(rows),
            rejected=Counter(reject.reason for reject in rejects) if rejects else {},
            barren=0 if rows else 1,
            asks=usage.asks,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            rejects=len(rejects),
        )
        return _Made(rows, rejects, tally)

    def _stamped(self, row: Record) -> Record:
        # What an answer made has its stamp already; this is for what a step put together by itself.
        if not row.made.step or row.made.step_fingerprint == self.digest:
            return row
        return replace(row, made=replace(row.made, step_fingerprint=self.digest))


@dataclass
class _Live:
    """Counts over all parts under way, for the reject policy and the watcher."""

    tally: Tally = field(default_factory=Tally)
    rejects: deque[Reject] = field(default_factory=lambda: deque(maxlen=SHOWN))
    """The latest, to be read when the policy stops the step."""
    _told: float = float("-inf")

    def due(self) -> bool:
        """Whether the watcher has not been told for a while."""
        now = time.monotonic()
        if now - self._told < TOLD_EVERY:
            return False
        self._told = now
        return True


@dataclass(frozen=True, slots=True)
class _Made:
    """What came of one record."""

    rows: Sequence[Record]
    rejects: Sequence[Reject]
    tally: Tally


@dataclass(slots=True)
class _Part:
    """A part under way: what came of each of its records, in their order."""

    index: int
    left: int
    """Records of which nothing has come yet."""
    rows: list[Sequence[Record]]
    rejects: list[Sequence[Reject]]
    tally: Tally = field(default_factory=Tally)


def _worst(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one to show: the first that is not merely the stop of the others."""
    flat = list(_flatten(several))
    return next((error for error in flat if not isinstance(error, Interrupted)), flat[0])


def _flatten(several: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in several.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flatten(error)
        else:
            yield error


def reject_of(bad: BadReply, record: Record, step: str) -> Reject:
    """The reject row of a reply that could not be used."""
    return record.child(
        Reject,
        kind=type(record).__name__,
        step=step,
        reason=bad.reason,
        detail=bad.detail,
        text=bad.text,
        subjects=bad.subjects,
        made=replace(record.made, step=step, asks=bad.asks),
        record=orjson.dumps(to_row(record)).decode(),
    )
