"""Running a generator: many records driven together, so that the engine is fed to the last one.

A bounded number of workers go from record to record, across parts; a part is written, in input order, when its last
record is done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import orjson
import pyarrow as pa

from mashbill import logs
from mashbill.ask import Ask
from mashbill.counts import Tally
from mashbill.disk import write_parquet
from mashbill.errors import BadReply, Interrupted, MashbillError, StepFailed, TooManyRejects, Unanswered
from mashbill.filter_stack import label_of
from mashbill.records import Record, Reject, from_table, to_row, to_table
from mashbill.step import Generator, PartOutput, unanswered
from mashbill.step_run import StepRun

log = logs.logger("step")

TOLD_EVERY = 0.1
"""Seconds between two words to the watcher: terminals show four a second, and a word costs more than a record."""
SHOWN = 1000
"""Rejects kept to be read when the policy stops a step in the middle of its parts."""


class GeneratorRun(StepRun):
    """One execution of a generator."""

    async def rest(self) -> None:
        """Make the rows of the parts that are left."""
        step = self.step
        assert isinstance(step, Generator)
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
                await asyncio.to_thread(write_parquet, self.stopped, self._table(live.rejects, Reject))
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
            if made.missing:
                part.lacking.update(dict.fromkeys(made.missing, 1))
            part.left -= 1
            if not part.left:
                group.create_task(self._end_of(part))
            live.tally.add(made.tally)
            live.rejects.extend(made.rejects)
            if self.policy.broken_by(live.tally):
                self.check(live.tally.counts())
            if live.due():
                self._advance(live.tally)
            if not made.tally.asks:
                await asyncio.sleep(0)  # a step that asks nothing must let the others, and a stop, have their turn

    def _advance(self, tally: Tally) -> None:
        self.runtime.progress.advance(label_of(self.step), tally.counts(), self.runtime.usage())

    async def _end_of(self, part: _Part) -> None:
        kept, rejects = list(chain.from_iterable(part.rows)), list(chain.from_iterable(part.rejects))
        output = PartOutput(kept=self._table(kept, self.kind), rejects=self._table(rejects, Reject))
        await asyncio.to_thread(self.write, part.index, output, part.tally.counts(), part.lacking)

    def _table(self, rows: Iterable[Record], kind: type[Record]) -> pa.Table:
        try:
            return to_table(rows, kind)
        except (pa.ArrowException, StepFailed, ValueError, TypeError, AttributeError, OverflowError):
            for row in rows:
                self._storable(row, kind)
            raise

    def _storable(self, row: Record, kind: type[Record]) -> None:
        try:
            to_table([row], kind)
        except Exception as error:
            failed = StepFailed(
                f"{self.step.name} made from record {', '.join(row.parents)} a {kind.__name__} that cannot be stored: "
                f"{error}; check the types of its fields"
            )
            failed.logged = f"{self.step.name} made a row that cannot be stored: {type(error).__name__}"
            raise failed from error

    async def _make(self, step: Generator[Any, Any], record: Record) -> _Made:
        assert self.runtime.asker is not None
        ask = self.ask_for(self.runtime.asker, record.id, record.id)
        try:
            outcomes = self._checked(list(await step.make(record, ask)))
        except BadReply as bad:
            outcomes = [bad]
        except Unanswered as missing:
            outcomes = [unanswered(missing)]
        except (MashbillError, asyncio.CancelledError):
            raise  # the engine, the ledger or the settings: said as it is, and no bug of the step
        except Exception as error:
            failed = StepFailed(
                f"{step.name} failed on record {record.id} ({record.source or 'no source'}): {error!r}; "
                "it is a bug in the step: mend it and run the same command again, replies already paid for are kept"
            )
            failed.logged = f"{step.name} failed on record {record.id}: {type(error).__name__}"
            raise failed from error
        return self._account(step, record, outcomes, ask)

    def _checked(self, outcomes: list[Any]) -> list[Any]:
        for one in outcomes:
            if type(one) is not self.kind and not isinstance(one, BadReply):
                wrong = f"returned a {type(one).__name__}, not a {self.kind.__name__}: {one!r:.200}"
                raise TypeError(wrong)
        return outcomes

    def _account(self, step: Generator[Any, Any], record: Record, outcomes: list[Record | BadReply], ask: Ask) -> _Made:
        usage = ask.usage
        rows = tuple(self._stamped(row) for row in outcomes if isinstance(row, Record))
        rejects = tuple(reject_of(bad, record, step.name) for bad in outcomes if isinstance(bad, BadReply))
        if not outcomes:
            rejects = (reject_of(BadReply("nothing_made", "the step returned no row"), record, step.name),)
        if rejects and log.isEnabledFor(logging.DEBUG):
            where = {"step": step.name, "record": record.id}
            for reject in rejects:  # never the detail: it may quote the reply
                log.debug("rejected: %s", reject.reason, extra={**where, "ask": "".join(reject.made.asks[-1:])})
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
            states=usage.states,
            roles=usage.roles,
        )
        return _Made(rows, rejects, tally, tuple(ask.missing))

    def _stamped(self, row: Record) -> Record:
        # What an answer made has its stamp already; this is for what a step put together by itself. A row that another
        # step made, and this one only judged, keeps that step's.
        if row.made.step != self.step.name or row.made.step_fingerprint == self.digest:
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
    missing: Sequence[str]
    """States in which asks of it were left, as ``over_budget``."""


@dataclass(slots=True)
class _Part:
    """A part under way: what came of each of its records, in their order."""

    index: int
    left: int
    """Records of which nothing has come yet."""
    rows: list[Sequence[Record]]
    rejects: list[Sequence[Reject]]
    tally: Tally = field(default_factory=Tally)
    lacking: Counter[str] = field(default_factory=Counter)
    """State -> records that were not answered."""


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
    """The reject row of a reply that could not be used; with the record's scores where the reply gave it some."""
    return record.child(
        Reject,
        kind=type(record).__name__,
        step=step,
        reason=bad.reason,
        detail=bad.detail,
        text=bad.text,
        subjects=bad.subjects,
        verdicts=bad.verdicts or getattr(record, "verdicts", ()),
        scores=(*record.scores, *bad.scores) if bad.scores else (),
        made=replace(record.made, step=step, asks=bad.asks),
        record=orjson.dumps(to_row(record)).decode(),
    )
