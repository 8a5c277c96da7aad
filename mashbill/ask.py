r"""`ask`: one awaitable per model call, durable, shared, validated.

Inside a generator::

    answer = await ask(user(doc.text, "\n\nList the entities."), returns=Entities)
    answer.value.entities        # a validated pydantic object
    answer.made()                # how it was made, for the record

Each ask is looked up in the ledger first; a new one is queued, sent to the engine in as large a batch as it takes,
and its reply is committed before the coroutine sees it. Two records that ask the same thing share one call. A reply
that does not have the asked shape is asked for again, with the error, a bounded number of times.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel

from mashbill.engine import Engine, Message, Reply, Request, Sampling, assistant, sampling_json, user
from mashbill.errors import BadReply, EngineGarbage, MashbillError, RequestRefused
from mashbill.ledger import Ledger, reply_key, request_bytes
from mashbill.records import Made
from mashbill.shape import NotTheShape, parse_reply, schema_json

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

TRIES = 3
"""Asks for one shaped reply, the first included. Most that parse do so by the second; past three a teacher repeats."""

SETTLE = 64
"""Turns of the event loop to wait for more asks before sending a batch that is not full."""


class Interrupted(MashbillError):
    """The run was asked to stop; what was in flight is in the ledger."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A usable reply."""

    value: T
    """The validated object, or the text when no shape was asked for."""
    reply: Reply
    request: Request
    keys: tuple[str, ...]
    """Ledger keys of every reply it took, the last one this one's."""
    step: str
    engine: str
    step_fingerprint: str = ""
    repaired: bool = False
    """The JSON was mended (quotes, commas, fences) before it parsed."""

    @property
    def text(self) -> str:
        """The reply's text as it came."""
        return self.reply.text

    @property
    def finish_reason(self) -> str:
        """Why the model stopped: ``stop``, ``length`` or ``content_filter``."""
        return self.reply.finish_reason

    def made(self, *before: Answer[Any]) -> Made:
        """How a record made from this answer came to be; `before` are earlier answers that led to it."""
        earlier = [key for answer in before for key in answer.keys]
        return Made(
            step=self.step,
            step_fingerprint=self.step_fingerprint,
            engine=self.engine,
            asks=tuple(dict.fromkeys([*earlier, *self.keys])),
            sampling=sampling_json(self.request.sampling),
            seed=self.request.seed,
            finish_reason=self.reply.finish_reason,
            prompt_tokens=self.reply.prompt_tokens,
            completion_tokens=self.reply.completion_tokens,
        )


@dataclass(slots=True)
class Usage:
    """What asks have cost: replayed ones came from the ledger."""

    asks: int = 0
    replayed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    new_completion_tokens: int = 0

    def add(self, reply: Reply, replayed: bool) -> None:
        """Count one reply."""
        self.asks += 1
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        if replayed:
            self.replayed += 1
        else:
            self.new_completion_tokens += reply.completion_tokens


@dataclass(slots=True)
class _Waiting:
    """One request on its way, and everybody who asked for it: each has a future of his own, and may be gone."""

    key: str
    request: Request
    draw: int
    askers: list[asyncio.Future[tuple[Reply, bool]]]

    def settle(self, outcome: Reply | BaseException, replayed: bool = False) -> None:
        """Tell everybody. The first has paid for it, unless it is replayed; the others share it."""
        for asker in self.askers:
            if asker.done():
                pass
            elif isinstance(outcome, BaseException):
                asker.set_exception(outcome)
                # Whoever asked may be gone already; the error reaches the run by another of its asks.
                asker.exception()
            else:
                asker.set_result((outcome, replayed))
            replayed = True


@dataclass
class Asker:
    """Feeds one engine from many coroutines, through the ledger. Use as an async context manager."""

    engine: Engine
    ledger: Ledger
    usage: Usage = field(default_factory=Usage)
    stopping: bool = False
    _asked: list[_Waiting] = field(default_factory=list)
    """Not yet looked up in the ledger."""
    _queue: deque[_Waiting] = field(default_factory=deque)
    _inflight: dict[str, _Waiting] = field(default_factory=dict)
    _idle: deque[asyncio.Future[None]] = field(default_factory=deque)
    _workers: list[asyncio.Task[None]] = field(default_factory=list)
    _starting: asyncio.Task[None] | None = None
    _failure: BaseException | None = None

    async def __aenter__(self) -> Asker:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @functools.cached_property
    def identity(self) -> str:
        """The engine's identity, taken once: a key needs it for each ask."""
        return self.engine.identity

    async def close(self) -> None:
        """Stop the workers and close the engine; the ledger stays open. After `stop`, what is in flight ends first."""
        self._look_up()
        while self.stopping and self._inflight:
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
            self._starting = None

    def stop(self) -> None:
        """Send nothing more; what is in flight is finished and stored, everything waiting ends as `Interrupted`."""
        self.stopping = True
        while self._queue:
            self._fail(self._queue.popleft(), Interrupted("stopped before it was asked"))

    async def reply(self, key: str, request: Request, draw: int) -> tuple[Reply, bool]:
        """The reply to a request and whether it came from the ledger; paid for once, however often it is asked."""
        waiting = self._inflight.get(key)
        if waiting is None:
            waiting = self._inflight[key] = _Waiting(key, request, draw, [])
            if not self._asked:
                asyncio.get_running_loop().call_soon(self._look_up)
            self._asked.append(waiting)
        return await self._joined(waiting)

    @staticmethod
    def _joined(waiting: _Waiting) -> asyncio.Future[tuple[Reply, bool]]:
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
            elif self.stopping:
                self._fail(waiting, Interrupted("stopped before it was asked"))
            elif self._failure is not None:
                self._fail(waiting, self._failure)
            else:
                self._queue.append(waiting)
                self._staff()

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

    async def _work(self) -> None:
        while True:
            while not self._queue:
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._idle.append(waiter)
                await waiter
            if self.engine.batch > 1:
                await self._settle()
            count = min(self.engine.batch, len(self._queue))
            batch = [self._queue.popleft() for _ in range(count)]
            if batch:
                try:
                    await self._ready()
                    await self._send(batch)
                except asyncio.CancelledError:
                    self._end(batch, Interrupted("the run was cancelled"))
                    raise
                except Exception as error:
                    self._failure = error
                    self._end([*batch, *self._queue], error)
                    self._queue.clear()

    async def _settle(self) -> None:
        # Coroutines that were just answered ask again within a few turns of the loop: wait for them, not for a clock.
        seen, still = -1, 0
        while len(self._queue) < self.engine.batch and still < SETTLE:
            still = still + 1 if len(self._queue) == seen else 0
            seen = len(self._queue)
            await asyncio.sleep(0)

    async def _send(self, batch: list[_Waiting]) -> None:
        answered: set[int] = set()
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
                self._store(batch[index], reply)
        except StopAsyncIteration:
            missing = len(batch) - len(answered)
            if missing:
                raise EngineGarbage(f"{self.identity} left {missing} of {len(batch)} requests open") from None
        except RequestRefused as refused:
            # Only what is still open: the engine has answered all others of the batch first.
            self._end([waiting for index, waiting in enumerate(batch) if index not in answered], refused)
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

    def _patience(self, answered: set[int], batch: list[_Waiting]) -> float | None:
        # Stopping: replies of the batch now computed come together; the next batch is not waited for.
        if self.stopping and answered and len(answered) < len(batch):
            return 0.5
        return None

    def _store(self, waiting: _Waiting, reply: Reply) -> None:
        def settled(outcome: Reply | Exception) -> None:
            self._forget(waiting)
            waiting.settle(outcome if isinstance(outcome, Exception) else _with_key(outcome, waiting.key))

        self.ledger.store(waiting.key, self.identity, waiting.request, waiting.draw, reply, settled)

    def _end(self, batch: Sequence[_Waiting], error: BaseException) -> None:
        for waiting in batch:
            self._fail(waiting, error)

    def _fail(self, waiting: _Waiting, error: BaseException) -> None:
        self._forget(waiting)
        waiting.settle(error)

    def _forget(self, waiting: _Waiting) -> None:
        # One that failed may have been asked again by now, under the same key.
        if self._inflight.get(waiting.key) is waiting:
            del self._inflight[waiting.key]


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


@dataclass(slots=True)
class Ask:
    """What a generator's `make` gets: ask for one record, with its own seeds and its own account."""

    asker: Asker
    record_id: str
    step: str
    step_fingerprint: str = ""
    usage: Usage = field(default_factory=Usage)

    @overload
    async def __call__(
        self, prompt: str | Message | Sequence[Message], *, sampling: Sampling = ..., draw: int = ...
    ) -> Answer[str]: ...

    @overload
    async def __call__(
        self,
        prompt: str | Message | Sequence[Message],
        *,
        returns: type[M],
        sampling: Sampling = ...,
        draw: int = ...,
        tries: int = ...,
    ) -> Answer[M]: ...

    async def __call__(
        self,
        prompt: str | Message | Sequence[Message],
        *,
        returns: type[M] | None = None,
        sampling: Sampling | None = None,
        draw: int = 0,
        tries: int = TRIES,
    ) -> Answer[Any]:
        """Ask once; with `returns`, until the reply has that shape or `tries` are spent.

        Args:
            prompt: a user message's text, one message, or a conversation. Put what many asks share first, in a part
                of its own: engines compute it once and the ledger stores it once.
            returns: a pydantic model the reply must parse as; its JSON schema is sent to the engine.
            sampling: complete sampling parameters; None takes the defaults of `Sampling`.
            draw: which draw of the same question this is, for several answers to one prompt.
            tries: how often to ask in all when the shape is wrong.

        Raises:
            BadReply: ``empty`` for a blank reply; ``truncated``, ``filtered`` or ``unparsable`` when the shape never
                came; ``request_refused`` when the engine will not serve this request (too long for the model).
        """
        request = Request(
            messages=_messages(prompt),
            sampling=sampling or Sampling(),
            schema="" if returns is None else schema_json(returns),
        )
        question, keys = request.messages, list[str]()
        for attempt in range(max(1, tries)):
            request, reply = await self._once(request, draw, attempt)
            keys.append(reply.key)
            if returns is None:
                if not reply.text.strip():
                    raise BadReply("empty", "the reply holds no text", asks=tuple(keys))
                return self._answer(reply.text, reply, request, keys)
            try:
                value, repaired = parse_reply(reply, returns)
            except NotTheShape as wrong:
                if attempt + 1 >= max(1, tries):
                    raise BadReply(wrong.reason, wrong.detail, text=reply.text, asks=tuple(keys)) from None
                request = replace(request, messages=(*question, *_complaint(reply, wrong)))
                continue
            return self._answer(value, reply, request, keys, repaired)
        raise AssertionError("unreachable: the last try returns or raises")

    def _answer(self, value: T, reply: Reply, request: Request, keys: list[str], repaired: bool = False) -> Answer[T]:
        by = self.step, self.asker.identity, self.step_fingerprint
        return Answer(value, reply, request, tuple(keys), *by, repaired=repaired)

    async def _once(self, request: Request, draw: int, attempt: int) -> tuple[Request, Reply]:
        base, sampling = request_bytes(request), request.sampling
        seed = 0 if sampling.temperature == 0 else self._seed(base, draw, attempt)
        seeded = Request(messages=request.messages, sampling=sampling, schema=request.schema, seed=seed)
        key = reply_key(self.asker.identity, base, seed, draw)
        try:
            reply, replayed = await self.asker.reply(key, seeded, draw)
        except RequestRefused as refused:
            raise BadReply("request_refused", str(refused)) from refused
        self.usage.add(reply, replayed)
        self.asker.usage.add(reply, replayed)
        return seeded, reply

    def _seed(self, base: bytes, draw: int, attempt: int) -> int:
        # From the record and the step, so that two records with one prompt get answers of their own; and from the
        # attempt, or a teacher that gives one bad reply twice would be asked a third time for that very reply.
        key = (f"{self.step}/{draw}/{attempt}" if attempt else f"{self.step}/{draw}").encode()
        # A key of BLAKE2 holds 64 bytes; cut off, a long name would give each draw one seed.
        key = key if len(key) <= 64 else hashlib.blake2b(key).digest()
        digest = hashlib.blake2b(base, digest_size=4, key=key)
        digest.update(self.record_id.encode())
        return int.from_bytes(digest.digest(), "big") & 0x7FFFFFFF


def _messages(prompt: str | Message | Sequence[Message]) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        return (user(prompt),)
    return (prompt,) if isinstance(prompt, Message) else tuple(prompt)


def _complaint(reply: Reply, wrong: NotTheShape) -> tuple[Message, Message]:
    """What follows the question when it is asked again: the last bad reply alone, or the context would grow."""
    return (
        assistant(reply.text),
        user(f"That reply cannot be used: {wrong.detail} Answer again, with only the JSON object asked for."),
    )
