"""The engine protocol: requests in, replies out, and the scripted engine that stands in for a model.

An engine is anything with an `identity` and a `complete`. It owns transport, batching inside one call, and retries of
momentary faults (408, 409, 429, 5xx, connection); it knows nothing of ledgers, records or schemas beyond passing a
JSON schema on. `mashbill.ask` feeds it.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import orjson

from mashbill.errors import EngineDown

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message; its content may come in parts, so that a long shared beginning is stored once.

    Splitting changes nothing of what is sent or of a request's identity:

    >>> Message("user", ("The document.", " The question.")).content
    'The document. The question.'
    """

    role: Role
    parts: tuple[str, ...]

    @property
    def content(self) -> str:
        """The text as the model sees it."""
        return self.parts[0] if len(self.parts) == 1 else "".join(self.parts)


def system(*parts: str) -> Message:
    """A system message."""
    return Message("system", parts)


def user(*parts: str) -> Message:
    """A user message."""
    return Message("user", parts)


def assistant(*parts: str) -> Message:
    """An assistant message."""
    return Message("assistant", parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters, complete: every default is written here, so identity never depends on a server's."""

    max_tokens: int = 512
    temperature: float = 1.0
    """1.0 is EntiGraph's (arXiv 2409.07431, `devapi.gptqa`); 0 means greedy and needs no seed."""
    top_p: float = 1.0
    top_k: int = 0
    """0 means all."""
    stop: tuple[str, ...] = ()
    logprobs: int = 0
    """How many alternatives to return per generated token; 0 means none."""

    def __post_init__(self) -> None:
        # One expression: this is built for each ask. NaN lies in no range, so it is refused too.
        if not (
            self.max_tokens >= 1
            and 0 <= self.temperature < math.inf
            and 0 < self.top_p <= 1
            and self.top_k >= 0
            and self.logprobs >= 0
        ):
            raise ValueError(self._wrong())

    def _wrong(self) -> str:
        if not self.max_tokens >= 1:
            return f"max_tokens is {self.max_tokens}; it must be 1 or more"
        if not 0 <= self.temperature < math.inf:
            return f"temperature is {self.temperature}; it must be 0 (greedy) or a number above it"
        if not 0 < self.top_p <= 1:
            return f"top_p is {self.top_p}; it must be above 0 and at most 1 (all)"
        name = "top_k" if not self.top_k >= 0 else "logprobs"
        return f"{name} is {getattr(self, name)}; it must be 0 or more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One complete request: what is sent is exactly what is here."""

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    schema: str = ""
    """Canonical JSON of a JSON schema the reply must obey, or empty."""
    seed: int = 0
    """In [0, 2**31); 0 for greedy requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """One generated token with its log-probability (natural log) and the best alternatives."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an engine answered.

    >>> Reply(text="Salt.", finish_reason="stop", prompt_tokens=12, completion_tokens=2).text
    'Salt.'
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()
    key: str = ""
    """The ledger key, filled in by `mashbill.ask`; engines leave it empty."""


@runtime_checkable
class Engine(Protocol):
    """The whole protocol.

    The contract, held by `tests/contract/test_engines.py`:

    * `complete` yields exactly one ``(index, reply)`` for each request, in any order, each as soon as it is known.
    * A fault that is momentary is retried inside; what remains raises `EngineRefused`, `EngineDown` or
      `EngineGarbage` out of the iterator, and pairs already yielded stay good.
    * A request that it will not serve while it would serve others (too long) raises `RequestRefused`, and one that
      fails on every try while others are served raises `RequestFailed`, after all the others were yielded.
    * With temperature 0, or a seed, the same request alone gives the same reply.
    * The text holds no stop string and no special token; `finish_reason` is ``length`` when `max_tokens` cut it.
    * With a schema, the text is JSON that obeys it unless the finish reason is ``length``.
    * No key, header or URL credential appears in a reply, an error or a log.
    """

    @property
    def identity(self) -> str:
        """Kind, model and revision: all that decides what it would answer. Never a URL, device or key."""
        ...

    @property
    def batch(self) -> int:
        """How many requests to hand to one call at most (how it runs, not identity)."""
        ...

    @property
    def calls(self) -> int:
        """How many calls of `complete` may be under way at once."""
        ...

    def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        """Answer the requests, each as soon as it is known."""
        ...

    async def start(self) -> None:
        """Get ready: load weights, start a server, open connections. Called once, before the first request."""
        ...

    async def close(self) -> None:
        """Let go of everything; safe to call twice."""
        ...


@runtime_checkable
class SingleEngine(Engine, Protocol):
    """An engine whose batch is one and that can answer in place: all that `complete` promises, for one request."""

    async def answer(self, request: Request) -> Reply:
        """What `complete` would yield for this request alone, or the error it would raise."""
        ...


@runtime_checkable
class PatientEngine(Engine, Protocol):
    """An engine whose replies may take hours, for many requests at once: a provider's batch endpoint."""

    @property
    def records_wanted(self) -> int:
        """Records to drive at once, at least, so that a batch is full; 0 leaves it to the settings."""
        ...

    def leave(self) -> None:
        """Wait for nothing more: whoever waits gets `Interrupted`, and what goes on elsewhere is taken up next time."""
        ...


def records_wanted(engine: Engine) -> int:
    """Records that an engine wants driven at once, at least; 0 where it does not mind."""
    return engine.records_wanted if isinstance(engine, PatientEngine) else 0


@runtime_checkable
class Embedder(Protocol):
    """Texts to vectors. `identity` enters the fingerprint of what is made with it."""

    @property
    def identity(self) -> str:
        """Kind, model and revision."""
        ...

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One unit-length vector for each text."""
        ...


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sampling_json(sampling: Sampling) -> str:
    """Canonical JSON of sampling parameters, as records carry it."""
    return orjson.dumps(sampling, option=orjson.OPT_SORT_KEYS).decode()


Script = Callable[[Request], "str | Reply | Exception"]


@dataclass
class ScriptedEngine:
    """An engine whose replies come from a rule: for tests, docs and dry runs, through the real path.

    A script maps a request to a text, a whole `Reply`, or an exception to raise. A plain mapping answers by the first
    key found in the last message.

    >>> engine = ScriptedEngine({"capital": "Orrin."})
    """

    script: Script | Mapping[str, str]
    name: str = "scripted"
    delay: float = 0.0
    """Seconds each call takes."""
    batch: int = 64
    calls: int = 4
    seen: list[Request] = field(default_factory=list)
    """Every request answered, in order: what would have been paid for."""
    started: int = 0
    closed: int = 0

    @property
    def identity(self) -> str:
        """The name alone."""
        return f"scripted/{self.name}"

    async def start(self) -> None:
        """Count the start."""
        self.started += 1

    async def close(self) -> None:
        """Count the close."""
        self.closed += 1

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        """Answer each request by the script."""
        if self.delay:
            await asyncio.sleep(self.delay)
        for index, request in enumerate(requests):
            answer = self._answer(request)
            if isinstance(answer, Exception):
                raise answer
            self.seen.append(request)
            yield index, answer

    def _answer(self, request: Request) -> Reply | Exception:
        if isinstance(self.script, Mapping):
            last = request.messages[-1].content
            found = next((text for key, text in self.script.items() if key in last), None)
            if found is None:
                return EngineDown(
                    f"the script has no answer for: {last[-200:]!r}; its keys are {sorted(self.script)!r}"
                )
            answer: str | Reply | Exception = found
        else:
            answer = self.script(request)
        if isinstance(answer, str):
            return self._cut(request, answer)
        return answer

    @staticmethod
    def _cut(request: Request, text: str) -> Reply:
        # Whitespace words stand for tokens: enough to exercise max_tokens and stop strings.
        for stop in request.sampling.stop:
            text = text.split(stop, 1)[0]
        words = text.split(" ")
        cut = len(words) > request.sampling.max_tokens
        kept = words[: request.sampling.max_tokens]
        return Reply(
            text=" ".join(kept),
            finish_reason="length" if cut else "stop",
            prompt_tokens=sum(len(message.content.split()) for message in request.messages),
            completion_tokens=len(kept),
        )
