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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel

from mashbill.asker import Asker, Usage
from mashbill.engine import Message, Reply, Request, Sampling, assistant, sampling_json, user
from mashbill.errors import BadReply, OverBudget, RequestRefused, StepFailed, Unanswered
from mashbill.ledger import reply_key, request_bytes
from mashbill.records import Made
from mashbill.shape import NotTheShape, parse_reply, schema_json

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

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
    missing: dict[str, set[str]] = field(default_factory=dict)
    """State -> ids of those on whose behalf an ask was not answered in this run (see `mashbill.errors.Unanswered`)."""

    @property
    def over_budget(self) -> bool:
        """Whether an ask was not sent because the budget is spent: a step that draws until it has enough ends here."""
        return OverBudget.state in self.missing

    def of(self, record_id: str) -> Ask:
        """The same on behalf of another record: its own seeds, one account."""
        return replace(self, record_id=record_id)

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
            Unanswered: when there is no reply in this run, as `OverBudget`; the runtime leaves the record for another.
        """
        request = Request(
            messages=_messages(prompt),
            sampling=sampling or Sampling(),
            schema="" if returns is None else schema_json(returns),
        )
        asker = self._asker(engine)
        question, keys = request.messages, list[str]()
        for attempt in range(max(1, tries)):
            request, reply = await self._once(asker, request, draw, attempt)
            keys.append(reply.key)
            if returns is None:
                if not reply.text.strip():
                    raise BadReply("empty", "the reply holds no text", asks=tuple(keys))
                return self._answer(asker, reply.text, reply, request, keys)
            try:
                value, repaired = parse_reply(reply, returns)
            except NotTheShape as wrong:
                if attempt + 1 >= max(1, tries):
                    raise BadReply(wrong.reason, wrong.detail, text=reply.text, asks=tuple(keys)) from None
                request = replace(request, messages=(*question, *_complaint(reply, wrong)))
                continue
            return self._answer(asker, value, reply, request, keys, repaired)
        raise AssertionError("unreachable: the last try returns or raises")

    def _asker(self, role: str) -> Asker:
        if not role:
            return self.asker
        try:
            return self.askers[role]
        except KeyError:
            raise StepFailed(
                f"{self.step} asks the engine {role!r}, which its `engines` does not name, so none was built"
            ) from None

    def _answer(
        self, asker: Asker, value: T, reply: Reply, request: Request, keys: list[str], repaired: bool = False
    ) -> Answer[T]:
        by = self.step, asker.identity, self.step_fingerprint
        return Answer(value, reply, request, tuple(keys), *by, repaired=repaired)

    async def _once(self, asker: Asker, request: Request, draw: int, attempt: int) -> tuple[Request, Reply]:
        base, sampling = request_bytes(request), request.sampling
        seed = 0 if sampling.temperature == 0 else self._seed(base, draw, attempt)
        seeded = Request(messages=request.messages, sampling=sampling, schema=request.schema, seed=seed)
        key = reply_key(asker.identity, base, seed, draw)
        try:
            reply, replayed = await asker.reply(key, seeded, draw)
        except RequestRefused as refused:
            raise BadReply("request_refused", str(refused)) from refused
        except Unanswered as missing:
            self.missing.setdefault(missing.state, set()).add(self.record_id)
            raise
        self.usage.add(reply, replayed)
        asker.usage.add(reply, replayed)
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
