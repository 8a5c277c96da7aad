"""Any OpenAI-compatible endpoint, or several of them at once.

>>> engine = Openai(model="qwen3-8b", revision="2026-04-28")
>>> engine.identity
'openai/qwen3-8b@2026-04-28'

Where it is reached is not identity: the same model behind another URL gives the same dataset. `complete` answers one
request in place, with no task and no queue between: the dispatcher gives one request a call (`batch` is 1) and keeps
many calls under way, which measured fastest (`benchmarks/asks.py`) and leaves no call waiting for its slowest member.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from mashbill.engine import Reply, Request, canonical_json
from mashbill.errors import EngineDown, EngineError, EngineGarbage, EngineRefused, SettingsError
from synth.engines.adaptive import Endpoint, Pool
from synth.engines.http_post import Answer, Poster, Target
from synth.engines.openai_run import OpenaiRun
from synth.engines.wire import RESERVED, Fault, decode, encode, retry_after, said

_MOMENTARY = frozenset((408, 409, 425))
_OVERLOADED = frozenset((429, 503))
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_SECRET = re.compile(
    r"api[_-]?key|authorization|secret|password|credential|(access|auth)[_-]?token|bearer", re.IGNORECASE
)
"""Names of fields that hold a secret; ``max_tokens`` and its kin are none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Openai:
    """A model behind one or more OpenAI-compatible endpoints."""

    model: str
    """The name the endpoint knows it by."""
    revision: str = "unstated"
    """What the endpoint cannot tell and the user can: a date, a commit, a quantisation."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """More body fields that change the answer: ``{"chat_template_kwargs": {"enable_thinking": false}}``."""
    run: OpenaiRun = field(default_factory=OpenaiRun.from_env, metadata={"identity": False}, repr=False)
    _open: list[_Open] = field(default_factory=list, init=False, metadata={"identity": False}, repr=False)

    def __post_init__(self) -> None:
        if taken := sorted(RESERVED & self.extra.keys()):
            raise SettingsError(f"`extra` of the openai engine sets {taken}, which each request sets; take them out")
        if secret := next(_secrets(self.extra), None):
            raise SettingsError(
                f"`extra` of the openai engine sets {secret!r}: it is identity, and so would be written into "
                "the ledger, the manifests and the card; a key goes into the environment, as MASHBILL_API_KEY"
            )
        # A copy of its own: what is identity must not change under us.
        object.__setattr__(self, "extra", json.loads(canonical_json(dict(self.extra))))

    @property
    def identity(self) -> str:
        """Model, revision and extra fields."""
        return f"openai/{self.model}@{self.revision}" + (f"+{canonical_json(self.extra)}" if self.extra else "")

    @property
    def batch(self) -> int:
        """One: calls are cheap, and a call of one waits for nobody."""
        return 1

    @property
    def calls(self) -> int:
        """As many as all endpoints together may ever have in flight."""
        return max(1, len(self.run.endpoints)) * max(1, self.run.concurrency)

    async def start(self) -> None:
        """Check the settings and open the connection pool.

        Raises:
            SettingsError: when no endpoint is set, or one is no URL.
        """
        if not self._open:
            endpoints = self.run.open()
            pool = Pool(endpoints, rounds=self.run.tries, clock=self.run.clock, sleep=self.run.sleep)
            targets = {endpoint: Target(endpoint.url, endpoint.headers, endpoint.proxy) for endpoint in endpoints}
            self._open.append(_Open(self.model, self.extra, self.run, pool, targets, Poster(self.run.timeout)))

    async def close(self) -> None:
        """Close every connection."""
        while self._open:
            opened = self._open.pop()
            await opened.pool.close()
            await opened.poster.close()

    async def answer(self, request: Request) -> Reply:
        """Answer one request in place, with no task, queue or iterator between."""
        if not self._open:
            await self.start()
        return await self._open[0].answer(request)

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        """Answer the requests, each as soon as it is known."""
        if not requests:
            return
        if len(requests) == 1:
            yield 0, await self.answer(requests[0])
            return
        if not self._open:
            await self.start()
        opened = self._open[0]
        slots, failed = asyncio.Semaphore(self.calls), list[EngineError]()
        work = (_indexed(opened, slots, failed, index, request) for index, request in enumerate(requests))
        tasks = [asyncio.create_task(coroutine) for coroutine in work]
        try:
            for done in asyncio.as_completed(tasks):
                if (pair := await done) is not None:
                    yield pair
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if failed:
            raise failed[0]


def _secrets(value: object) -> Iterator[str]:
    """The names in `extra`, at any depth, that look like a secret's; never what stands under them."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if _SECRET.search(str(name)):
                yield str(name)
            yield from _secrets(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner)


async def _indexed(
    opened: _Open, slots: asyncio.Semaphore, failed: list[EngineError], index: int, request: Request
) -> tuple[int, Reply] | None:
    async with slots:
        if failed:
            return None  # not sent yet, so not paid for
        try:
            return index, await opened.answer(request)
        except EngineError as error:
            # Kept until those in flight, which are paid for, have been handed out.
            failed.append(error)
            return None


@dataclass(kw_only=False, slots=True)
class _Open:
    """An engine with its connections open."""

    model: str
    extra: Mapping[str, object]
    run: OpenaiRun = field(repr=False)
    pool: Pool
    targets: Mapping[Endpoint, Target] = field(repr=False)
    poster: Poster

    async def answer(self, request: Request) -> Reply:
        """One request through faults to its reply.

        Raises:
            EngineRefused, EngineDown, EngineGarbage: as the engine contract says.
        """
        tries, turned_away, avoid = 0, 0, None
        first = self.run.clock()
        while True:
            endpoint = await self.pool.take(avoid)
            result = await self._try(endpoint, request)
            if isinstance(result, Reply):
                return result
            if result.kind == "again":
                continue
            avoid = endpoint
            if result.kind == "overloaded":
                turned_away += 1
                self._check_patience(endpoint, result, first)
                pause = None if result.wait else _pause(turned_away, request)
            else:
                tries += 1
                if tries >= self.run.tries:
                    raise self._given_up(endpoint, result, tries)
                # A connection that fails makes the endpoint rest: the pool waits, for all requests at once.
                pause = None if result.kind == "connection" else _pause(tries, request)
            if pause is not None and not self.pool.another(endpoint):
                await self.run.sleep(pause)

    async def _try(self, endpoint: Endpoint, request: Request) -> Reply | Fault:
        sent = self.run.clock()
        try:
            result = await self._post(endpoint, request)
            if isinstance(result, Reply):
                self.pool.good(endpoint)
            else:
                self.pool.bad(endpoint, result, sent)
        finally:
            self.pool.put(endpoint)
        return result

    async def _post(self, endpoint: Endpoint, request: Request) -> Reply | Fault:
        body = encode(self.model, self.extra, request, endpoint.token_field)
        try:
            answer = await self.poster.post(self.targets[endpoint], body)
        except TimeoutError:
            return Fault("broken", f"no whole answer in {self.run.timeout:g} s")
        except aiohttp.ClientConnectorError as error:
            whom = " to the proxy" if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
            return Fault("connection", f"cannot connect{whom} ({_why(error.os_error)})")
        except aiohttp.ClientPayloadError:
            return Fault("broken", "half an answer, then the connection ended")
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError, ValueError) as error:
            # The type alone: these messages may quote headers or a proxy's URL.
            return Fault("broken", f"the connection broke ({type(error).__name__})")
        if answer.status == 200:
            return decode(answer.body, request)
        return self._not_ok(endpoint, answer)

    def _not_ok(self, endpoint: Endpoint, answer: Answer) -> Fault:
        status, body = answer.status, answer.body
        what = f"{status} {answer.reason}".strip()[:60]
        if status in _OVERLOADED and b"insufficient_quota" not in body:
            return Fault("overloaded", what, retry_after(answer.headers, time.time()))
        if status in _MOMENTARY or status >= 500:
            return Fault("broken", what)
        if status == 400 and endpoint.token_field == "max_tokens" and b"max_completion_tokens" in body:
            # Newer models refuse the old name and say so; the meaning is the same.
            endpoint.token_field = "max_completion_tokens"
            return Fault("again", what)
        raise self._refused(endpoint, status, what, body)

    def _refused(self, endpoint: Endpoint, status: int, what: str, body: bytes) -> EngineRefused:
        start = f"{endpoint.name} refused model {self.model!r} with {what}"
        if status in (401, 403):
            # Nothing of the body: such answers quote the key.
            has = "the key it was sent is not accepted" if "Authorization" in endpoint.headers else "no key was sent"
            return EngineRefused(f"{start}: {has}; set MASHBILL_API_KEY (or MASHBILL_API_KEY_NAMES) to one it accepts")
        message = said(body, self.run.secrets())
        todo = {
            400: "change the sampling or schema it names; where a prompt is too long for the server, raise its limit "
            "or leave long documents out with a `length` filter before the generator",
            404: "check the model name and that the URL ends in /v1",
            413: "shorten the prompt",
            422: "change the field it names; `extra` may hold one it does not know",
            429: "the account has no quota left: add to it, then run the same command",
        }.get(status, "check MASHBILL_ENGINE_URL")
        # Never `RequestRefused`: what a server takes is its settings' doing, and they are no identity of the rows. A
        # refusal kept as a reject row would outlive the limit that caused it.
        return EngineRefused(f"{start}: {message or 'no message'}; {todo}")

    def _check_patience(self, endpoint: Endpoint, fault: Fault, first: float) -> None:
        waited = self.run.clock() - max(first, self.pool.last_success)
        if waited > self.run.patience or (fault.wait or 0.0) > self.run.patience:
            asked = f" and asks to wait {fault.wait:g} s" if fault.wait else ""
            raise EngineDown(
                f"{endpoint.name} says {fault.what} to model {self.model!r} and let nothing through for {waited:.0f} s"
                f"{asked}; wait, or raise MASHBILL_ENGINE_PATIENCE ({self.run.patience:g} s), then run the same command"
            )

    def _given_up(self, endpoint: Endpoint, fault: Fault, tries: int) -> EngineError:
        kind = EngineGarbage if fault.kind == "garbage" else EngineDown
        todo = {
            "garbage": "check that the URL is an OpenAI-compatible chat endpoint",
            "connection": "start the server or mend MASHBILL_ENGINE_URL",
        }.get(fault.kind, "look at the server, or raise MASHBILL_ENGINE_TRIES or MASHBILL_ENGINE_TIMEOUT")
        return kind(
            f"{endpoint.name} gave no completion of model {self.model!r} in {tries} tries (last: {fault.what}); "
            f"{todo}, then run the same command: replies already paid for are kept"
        )


def _why(error: OSError) -> str:
    # asyncio's own text repeats the address; the system's says what is wrong.
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or type(error).__name__
    return os.strerror(error.errno)


def _pause(tries: int, request: Request) -> float:
    # Jitter from the request itself: spread out, and the same when the run is repeated.
    spread = zlib.crc32(request.messages[-1].content[-256:].encode("utf-8", "replace"), request.seed + tries) % 1024
    return float(min(_FIRST_PAUSE * 2.0 ** (tries - 1), _LONGEST_PAUSE) * (0.5 + spread / 2048))
