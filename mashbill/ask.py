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

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel

from mashbill import logs
from mashbill.ask_state import ENDINGS, AskState, state_of_ending, state_of_text
from mashbill.asker import Asker
from mashbill.engine import Message, Reply, Request, Sampling, assistant, sampling_json, user
from mashbill.errors import BadReply, OverBudget, StepFailed, Unanswered
from mashbill.ledger import reply_key, request_bytes
from mashbill.ledger_states import Ended, Retry
from mashbill.records import Made
from mashbill.shape import NotTheShape, parse_reply, schema_json
from mashbill.usage import Usage

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

log = logs.logger("ask")

TRIES = 3
"""Asks for one shaped reply, the first included. Most that parse do so by the second; past three a teacher repeats."""


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
class Ask:
    """What a generator's `make` gets: ask for one record, with its own seeds and its own account."""

    asker: Asker
    record_id: str
    step: str
    step_fingerprint: str = ""
    usage: Usage = field(default_factory=Usage)
    askers: Mapping[str, Asker] = field(default_factory=dict)
    """The other engines by role."""
    rank: int = 0
    """Of its record: where money is short, the asks of the lowest go first."""
    ranks: Iterator[int] | None = None
    """Of a step over all records: each record that it asks for gets the next."""
    missing: dict[str, set[str]] = field(default_factory=dict)
    """State -> ids of those on whose behalf an ask was not answered in this run (see `mashbill.errors.Unanswered`)."""

    @property
    def over_budget(self) -> bool:
        """Whether an ask was not sent because the budget is spent: a step that draws until it has enough ends here."""
        return OverBudget.state in self.missing

    owner: str = ""
    """The record that the step reads, where all that is asked here is asked on its behalf."""
    retries: Mapping[str, Retry] = field(default_factory=dict)
    """By the key of what the step asks, what is asked instead; see `mashbill.ledger_states`."""

    def of(self, record_id: str) -> Ask:
        """The same on behalf of another record: its own seeds, one account."""
        if self.ranks is None:
            return replace(self, record_id=record_id)
        return replace(self, record_id=record_id, rank=next(self.ranks), ranks=None)

    @overload
    async def __call__(
        self,
        prompt: str | Message | Sequence[Message],
        *,
        sampling: Sampling = ...,
        draw: int = ...,
        engine: str = ...,
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
        engine: str = ...,
    ) -> Answer[M]: ...

    async def __call__(
        self,
        prompt: str | Message | Sequence[Message],
        *,
        returns: type[M] | None = None,
        sampling: Sampling | None = None,
        draw: int = 0,
        tries: int = TRIES,
        engine: str = "",
    ) -> Answer[Any]:
        """Ask once; with `returns`, until the reply has that shape or `tries` are spent.

        Args:
            prompt: a user message's text, one message, or a conversation. Put what many asks share first, in a part
                of its own: engines compute it once and the ledger stores it once.
            returns: a pydantic model the reply must parse as; its JSON schema is sent to the engine.
            sampling: complete sampling parameters; None takes the defaults of `Sampling`.
            draw: which draw of the same question this is, for several answers to one prompt.
            tries: how often to ask in all when the shape is wrong.
            engine: the role of the engine to ask, as the bill names it under ``engines``; none is the main one.

        Raises:
            StepFailed: when the step asks an engine that its `engines` did not name.
            BadReply: ``empty`` for a blank reply; ``truncated``, ``filtered`` or ``unparsable`` when the shape never
                came; ``request_refused`` when the engine will not serve this request (too long for the model).
            Unanswered: when there is no reply in this run: the endpoint failed it, or the budget is spent. This and
                what a `BadReply` says is in the ledger by then (see `mashbill.ask_state`).
        """
        request = Request(
            messages=_messages(prompt),
            sampling=sampling or Sampling(),
            schema="" if returns is None else schema_json(returns),
        )
        way = _Way(self._asker(engine), draw, engine)
        if returns is None:
            return await self._text(way, request)
        question = request.messages
        for attempt in range(max(1, tries)):
            request, reply = await self._once(way, request, attempt)
            try:
                value, repaired = parse_reply(reply, returns)
            except NotTheShape as wrong:
                last = attempt + 1 >= max(1, tries)
                await self._ended(way, reply.key, AskState(wrong.reason), wrong.detail, last=last)
                if last:
                    raise BadReply(wrong.reason, wrong.detail, text=reply.text, asks=tuple(way.keys)) from None
                request = replace(request, messages=(*question, *_complaint(reply, wrong)))
                continue
            if way.times:
                await self._ended(way, reply.key, AskState.OK)
            return self._answer(way, value, reply, request, repaired)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _text(self, way: _Way, request: Request) -> Answer[str]:
        request, reply = await self._once(way, request, 0)
        state = state_of_text(reply)
        if state is not AskState.OK or way.times:
            await self._ended(way, reply.key, state, _why(state, reply))
        if not reply.text.strip():
            raise BadReply("empty", "the reply holds no text", asks=tuple(way.keys))
        return self._answer(way, reply.text, reply, request)

    def _asker(self, role: str) -> Asker:
        if not role:
            return self.asker
        try:
            return self.askers[role]
        except KeyError:
            raise StepFailed(
                f"{self.step} asks the engine {role!r}, which its `engines` does not name, so none was built"
            ) from None

    def _answer(self, way: _Way, value: T, reply: Reply, request: Request, repaired: bool = False) -> Answer[T]:
        by = self.step, way.asker.identity, self.step_fingerprint
        return Answer(value, reply, request, tuple(way.keys), *by, repaired=repaired)

    async def _once(self, way: _Way, request: Request, attempt: int) -> tuple[Request, Reply]:
        asked, key = self._seeded(way, request, attempt)
        if not way.first:
            way.first = key
            if (retry := self.retries.get(key)) is not None:
                way.times = retry.times
                asked, key = self._seeded(way, replace(request, sampling=retry.sampling), attempt)
        asker = way.asker
        logs.WHERE.set((self.step, self.record_id))
        try:
            reply, replayed = await asker.reply(key, asked, way.draw, self.rank)
        except ENDINGS as ending:
            state = state_of_ending(ending)
            await self._ended(way, key, state, str(ending), request=asked)
            if isinstance(ending, Unanswered):
                self.missing.setdefault(ending.state, set()).add(self.record_id)
                raise
            raise BadReply("request_refused", str(ending), asks=tuple(way.keys)) from ending
        way.keys.append(reply.key)
        self.usage.add(reply, replayed, way.role)
        asker.usage.add(reply, replayed)
        return asked, reply

    def _seeded(self, way: _Way, request: Request, attempt: int) -> tuple[Request, str]:
        base, sampling = request_bytes(request), request.sampling
        seed = 0 if sampling.temperature == 0 else self._seed(base, way, attempt)
        seeded = Request(messages=request.messages, sampling=sampling, schema=request.schema, seed=seed)
        return seeded, reply_key(way.asker.identity, base, seed, way.draw)

    async def _ended(
        self,
        way: _Way,
        key: str,
        state: AskState,
        detail: str = "",
        *,
        last: bool = True,
        request: Request | None = None,
    ) -> None:
        """Count an ask that did not end ``ok``, and have it in the ledger before anything is made of it."""
        if state is not AskState.OK:
            self.usage.ended(state)
            way.asker.usage.ended(state)
            # Never the detail: it may quote the reply.
            level = logging.WARNING if state is AskState.PROVIDER_ERROR else logging.DEBUG
            log.log(level, "the ask ended as %s", state.value, extra={"ask": key})
        await way.asker.ledger.note(
            Ended(
                key=key,
                step=self.step_fingerprint,
                name=self.step,
                record=self.owner or self.record_id,
                engine=way.asker.identity,
                state=state,
                first=way.first,
                last=last,
                draw=way.draw,
                detail=detail,
                request=request,
            )
        )

    def _seed(self, base: bytes, way: _Way, attempt: int) -> int:
        # From the record and the step, so that two records with one prompt get answers of their own; and from the
        # attempt, or a teacher that gives one bad reply twice would be asked a third time for that very reply.
        name = f"{self.step}/{way.draw}/{attempt}" if attempt else f"{self.step}/{way.draw}"
        key = (f"{name}/retry-{way.times}" if way.times else name).encode()
        # A key of BLAKE2 holds 64 bytes; cut off, a long name would give each draw one seed.
        key = key if len(key) <= 64 else hashlib.blake2b(key).digest()
        digest = hashlib.blake2b(base, digest_size=4, key=key)
        digest.update(self.record_id.encode())
        return int.from_bytes(digest.digest(), "big") & 0x7FFFFFFF


@dataclass(slots=True)
class _Way:
    """One ask on its way through its tries."""

    asker: Asker
    draw: int
    role: str
    """Of the engine; none is the main one."""
    first: str = ""
    """Key of what the step asked."""
    times: int = 0
    """How often it was asked otherwise since, by `mashbill retry`."""
    keys: list[str] = field(default_factory=list)
    """Of the replies it took."""


def _why(state: AskState, reply: Reply) -> str:
    if state is AskState.TRUNCATED:
        return f"it was cut off after {reply.completion_tokens} tokens"
    return {AskState.FILTERED: "the provider's content filter ended it", AskState.UNPARSABLE: "it holds no text"}.get(
        state, ""
    )


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
