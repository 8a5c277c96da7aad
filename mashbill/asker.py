"""The asker: many coroutines on one side, one engine on the other, the ledger between.

What is asked in one turn of the event loop is looked up in the ledger together; what is not there is queued, sent to
the engine in as large a batch as it takes, and answered when its reply is on disk. Whoever asks for what is already
on its way shares it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mashbill import logs
from mashbill.ask_state import ENDINGS
from mashbill.budget import Budget
from mashbill.engine import Engine, PatientEngine, Reply, Request, SingleEngine
from mashbill.errors import (
    EngineDown,
    EngineGarbage,
    Interrupted,
    MashbillError,
    NotKept,
    OverBudget,
    RequestFailed,
    RequestRefused,
    SettingsError,
)
from mashbill.ledger import Ledger
from mashbill.meter import Meter
from mashbill.prices import BATCH
from mashbill.spending import Payer
from mashbill.usage import Usage
from mashbill.waiting import Queue, RankedQueue, Waiting

log = logs.logger("engine")
SPENT = "the budget was spent before it was asked"
SETTLE = 64
"""Turns of the event loop to wait for more asks before sending a batch that is not full."""


@dataclass
class Asker:
    """Feeds one engine from many coroutines, through the ledger. Use as an async context manager."""

    engine: Engine
    ledger: Ledger
    usage: Usage = field(default_factory=Usage)
    stopping: bool = False
    offline: bool = False
    """Take replies from the ledger alone: an ask that is not there is `NotKept`, and the engine never starts."""
    lacking: bool = False
    """When offline: take what is not there as left by a budget or failed by the provider, as whoever made a partial
    dataset did."""
    account: str = ""
    """On which what is paid for is entered in the ledger; none without a name."""
    budget: Budget | None = None
    """What may be spent, shared by all engines of a run."""
    meter: Meter | None = None
    """Is told how large calls are and how long replies take."""
    _asked: list[Waiting] = field(default_factory=list)
    """Not yet looked up in the ledger."""
    _queue: Queue = field(default_factory=deque)
    _inflight: dict[str, Waiting] = field(default_factory=dict)
    _idle: deque[asyncio.Future[None]] = field(default_factory=deque)
    _workers: list[asyncio.Task[None]] = field(default_factory=list)
    _starting: asyncio.Task[None] | None = None
    _started: bool = False
    _failure: BaseException | None = None
    _abandoned: bool = False
    _spent: bool = False
    """Whether it was said that the budget is spent."""

    def __post_init__(self) -> None:
        """Keep the order of records where the budget may not do for all."""
        if self.budget is not None:
            self._queue = RankedQueue()

    async def __aenter__(self) -> Asker:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def under_way(self) -> tuple[int, int]:
        """Asks that wait for a reply, and how many of them wait for a call to the engine."""
        return len(self._inflight), len(self._queue)

    @functools.cached_property
    def identity(self) -> str:
        """The engine's identity, taken once: a key needs it for each ask."""
        return self.engine.identity

    @functools.cached_property
    def _failed(self) -> Mapping[str, str]:
        return self.ledger.failed()

    @functools.cached_property
    def _refused(self) -> Mapping[str, str]:
        return self.ledger.refused()

    @functools.cached_property
    def tariff(self) -> str:
        """By which of an engine's prices it is charged: one that asks in batches says it is `batched`."""
        return BATCH if getattr(self.engine, "batched", False) else ""

    async def close(self) -> None:
        """Stop the workers and close the engine; the ledger stays open.

        What is in flight ends first and is stored, since it will be paid for: not after the engine itself failed, when
        it may never end, nor after `abandon`.
        """
        self._look_up()
        if self._failure is None and not self._abandoned:
            self.stop()
        # While the engine is still starting nothing has been sent, so nothing will be paid for.
        started = self._starting is not None and self._starting.done()
        while started and not self._abandoned and self._failure is None and self._inflight:
            # Futures of our own: those of askers that were cancelled are done before the reply is stored.
            ends = [self._joined(waiting) for waiting in self._inflight.values()]
            await asyncio.wait(ends)
        for worker in self._workers:
            worker.cancel()
        for worker in self._workers:
            with contextlib.suppress(asyncio.CancelledError):
                await worker
        self._workers.clear()
        self._end(list(self._queue), Interrupted("closed before it was asked"))
        self._queue.clear()
        if self._starting is not None:
            if not self._starting.done():
                self._starting.cancel()
                await asyncio.wait([self._starting])
            await self.engine.close()
            self._starting, self._started = None, False

    def stop(self) -> None:
        """Send nothing more; what is in flight is finished and stored, everything waiting ends as `Interrupted`."""
        self.stopping = True
        while self._queue:
            self._fail(self._queue.popleft(), Interrupted("stopped before it was asked"))
        if isinstance(self.engine, PatientEngine):
            self.engine.leave()

    def abandon(self) -> None:
        """Wait for nothing more: `close` then ends what is in flight at once."""
        self._abandoned = True

    async def reply(self, key: str, request: Request, draw: int, rank: int = 0) -> tuple[Reply, bool]:
        """The reply to a request and whether it came from the ledger; paid for once, however often it is asked."""
        waiting = self._inflight.get(key)
        if waiting is None:
            waiting = self._inflight[key] = Waiting(key, request, draw, [], logs.WHERE.get(), rank)
            if not self._asked:
                asyncio.get_running_loop().call_soon(self._look_up)
            self._asked.append(waiting)
        return await self._joined(waiting)

    @staticmethod
    def _joined(waiting: Waiting) -> asyncio.Future[tuple[Reply, bool]]:
        done: asyncio.Future[tuple[Reply, bool]] = asyncio.get_running_loop().create_future()
        waiting.askers.append(done)
        return done

    def _look_up(self) -> None:
        """Look in the ledger for all that was asked in this turn of the loop, and queue what is not there."""
        asked, self._asked = self._asked, []
        try:
            stored = self.ledger.get_all([waiting.key for waiting in asked])
        except Exception as error:
            self._end(asked, error)
            return
        for waiting in asked:
            reply = stored.get(waiting.key)
            if reply is not None:
                self._forget(waiting)
                waiting.settle(reply, replayed=True)
            elif self.offline:
                self._fail(waiting, self._not_kept(waiting))
            elif self.stopping:
                self._fail(waiting, Interrupted("stopped before it was asked"))
            elif self._failure is not None:
                self._fail(waiting, self._failure)
            else:
                self._queue.append(waiting)
                self._staff()

    def _not_kept(self, waiting: Waiting) -> MashbillError:
        if (refused := self._refused.get(waiting.key)) is not None:
            return RequestRefused(refused)
        if self.lacking:
            failed = self._failed.get(waiting.key)
            return OverBudget(SPENT) if failed is None else RequestFailed(failed)
        said = " ".join("".join(waiting.request.messages[-1].parts).split())[-80:]
        missing = NotKept(
            f"{self.ledger.path}: has no reply of {self.identity} to a request that ends in {said!r} (draw "
            f"{waiting.draw}): it was never asked, or with another prompt, model or sampling; run the bill with its "
            "engine first"
        )
        missing.logged = f"{self.ledger.path}: has no reply of {self.identity} to the ask {waiting.key}"
        return missing

    def _staff(self) -> None:
        """Wake one idle worker, not all of them; hire one more while the engine takes more calls."""
        while self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        if len(self._workers) < self.engine.calls:
            self._workers.append(asyncio.get_running_loop().create_task(self._work()))

    async def _ready(self) -> None:
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self.engine.start())
        await asyncio.shield(self._starting)
        self._started = True

    async def _work(self) -> None:
        # An engine of calls of one answers in place: an iterator for each ask would cost it 8 microseconds.
        single = self.engine if self.engine.batch == 1 and isinstance(self.engine, SingleEngine) else None
        while True:
            while not self._queue:
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._idle.append(waiter)
                await waiter
            if self.engine.batch > 1:
                await self._settle()
            if self.budget is None:
                count = min(self.engine.batch, len(self._queue))
                batch = [self._queue.popleft() for _ in range(count)]
            else:
                batch = await self._paid_for(self.budget)
            if batch:
                try:
                    if not self._started:
                        await self._ready()
                    if single is None:
                        await self._send(batch)
                    else:
                        await self._send_one(single, batch[0])
                except asyncio.CancelledError:
                    self._end(batch, Interrupted("the run was cancelled"))
                    raise
                except Exception as error:
                    failure = _as_ours(error, self.identity)
                    if self._failure is None:  # every call under way ends the same way
                        log.error("%s", failure.for_log())
                    self._failure = failure
                    self._end([*batch, *self._queue], failure)
                    self._queue.clear()

    async def _paid_for(self, budget: Budget) -> list[Waiting]:
        """The first of the queue that there is money for now; those that nothing will pay for end here."""
        batch: list[Waiting] = []
        while self._queue and len(batch) < self.engine.batch:
            first = self._queue.popleft()
            if first.deserted:  # another ask of its record was left
                self._fail(first, Interrupted("nobody waits for it"))
                continue
            first.held = budget.reserve(self.identity, self.tariff, first.request)
            if first.held is not None:
                batch.append(first)
            elif budget.out_of_time or not (batch or budget.busy):
                if not self._spent:
                    self._spent = True
                    log.warning("the budget is spent: what is not asked by now is left for another run")
                self._fail(first, OverBudget(SPENT))
            else:
                self._queue.appendleft(first)
                if batch:
                    break
                await budget.changed()
        return batch

    async def _settle(self) -> None:
        # Coroutines that were just answered ask again within a few turns of the loop: wait for them, not for a clock.
        seen, still = -1, 0
        while len(self._queue) < self.engine.batch and still < SETTLE:
            still = still + 1 if len(self._queue) == seen else 0
            seen = len(self._queue)
            await asyncio.sleep(0)

    async def _send_one(self, engine: SingleEngine, waiting: Waiting) -> None:
        logs.WHERE.set(waiting.where)
        logs.ASK.set(waiting.key)
        began = self._handed(1)
        try:
            reply = await engine.answer(waiting.request)
        except ENDINGS as ending:
            self._fail(waiting, ending)
        else:
            self._measure(began, reply)
            self._store(waiting, reply)

    def _handed(self, requests: int) -> float:
        """When a call was handed to the engine; 0 where nobody measures."""
        if self.meter is None:
            return 0.0
        self.meter.sent(self.identity, requests)
        return time.perf_counter()

    def _measure(self, began: float, reply: Reply) -> None:
        if self.meter is not None:
            self.meter.answered(self.identity, time.perf_counter() - began, reply)

    async def _send(self, batch: list[Waiting]) -> None:
        answered: set[int] = set()
        # The requests of a batch may be of many records, hardly ever of several steps.
        logs.WHERE.set((batch[0].where[0], ""))
        began = self._handed(len(batch))
        replies = self.engine.complete([waiting.request for waiting in batch])
        try:
            while True:
                patience = self._patience(answered, batch)
                if patience is None:
                    index, reply = await anext(replies)
                else:
                    async with asyncio.timeout(patience):
                        index, reply = await anext(replies)
                if index in answered or not 0 <= index < len(batch):
                    raise EngineGarbage(f"{self.identity} answered request {index} twice, or none such exists")
                answered.add(index)
                self._measure(began, reply)
                self._store(batch[index], reply)
        except StopAsyncIteration:
            missing = len(batch) - len(answered)
            if missing:
                raise EngineGarbage(f"{self.identity} left {missing} of {len(batch)} requests open") from None
        except ENDINGS as ending:
            # Only what is still open: the engine has answered all others of the batch first.
            self._end([waiting for index, waiting in enumerate(batch) if index not in answered], ending)
        except TimeoutError:
            if not self.stopping:
                raise
            # Those answered are on their way into the ledger, and `close` waits for them.
            still_open = [waiting for index, waiting in enumerate(batch) if index not in answered]
            self._end(still_open, Interrupted("stopped before it was answered"))
        finally:
            close = getattr(replies, "aclose", None)
            if close is not None:
                await close()

    def _patience(self, answered: set[int], batch: list[Waiting]) -> float | None:
        # Stopping: replies of the batch now computed come together; the next batch is not waited for.
        if self.stopping and answered and len(answered) < len(batch):
            return 0.5
        return None

    def _store(self, waiting: Waiting, reply: Reply) -> None:
        if self.budget is not None and waiting.held is not None:
            self.budget.charge(waiting.held, reply)
            waiting.held = None

        def settled(outcome: Reply | Exception) -> None:
            self._forget(waiting)
            waiting.settle(outcome if isinstance(outcome, Exception) else _with_key(outcome, waiting.key))

        payer = Payer(self.account, self.identity, self.tariff, waiting.where[0]) if self.account else None
        self.ledger.store(waiting.key, self.identity, waiting.request, waiting.draw, reply, settled, payer)

    def _end(self, batch: Sequence[Waiting], error: BaseException) -> None:
        for waiting in batch:
            self._fail(waiting, error)

    def _fail(self, waiting: Waiting, error: BaseException) -> None:
        if self.budget is not None and waiting.held is not None:
            self.budget.release(waiting.held)
            waiting.held = None
        self._forget(waiting)
        waiting.settle(error)

    def _forget(self, waiting: Waiting) -> None:
        # One that failed may have been asked again by now, under the same key.
        if self._inflight.get(waiting.key) is waiting:
            del self._inflight[waiting.key]


def _as_ours(error: Exception, engine: str) -> MashbillError:
    """Whatever an engine lets out, as the model end's failure: it is no bug of the step that asked."""
    if isinstance(error, MashbillError):
        return error
    if isinstance(error, ImportError) and error.name:
        ours: MashbillError = SettingsError(
            f"the engine {engine} wants the package {error.name}, which is not installed; "
            "the extras are in the README (`pip install 'mashbill[local]'` for the transformers engine)"
        )
    else:
        ours = EngineDown(f"{engine} failed: {error!r}")
        ours.logged = f"{engine} failed: {type(error).__name__}"
    ours.__cause__ = error
    return ours


def _with_key(reply: Reply, key: str) -> Reply:
    # Written out: `replace` takes three times as long.
    return Reply(
        text=reply.text,
        finish_reason=reply.finish_reason,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        logprobs=reply.logprobs,
        key=key,
    )
