"""One request through an endpoint's faults to its reply.

A 500, then an answer -> the answer; eight times a 500 while other requests are answered -> `RequestFailed`, the end of
this request alone; eight times a 500 and no answer to anybody -> `EngineDown`, the end of the run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import aiohttp

from mashbill import logs
from mashbill.engine import Reply, Request, user
from mashbill.errors import EngineDown, EngineError, EngineGarbage, EngineRefused, RequestFailed
from synth.engines.adaptive import Endpoint, Pool
from synth.engines.http_post import Answer, Poster, Target
from synth.engines.openai_run import OpenaiRun
from synth.engines.wire import Fault, decode, encode, retry_after, said

log = logs.logger("engine")

_MOMENTARY = frozenset((408, 409, 425))
_OVERLOADED = frozenset((429, 503))
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
PROBE = "Say yes."
"""What is asked, for one token, to learn whether an endpoint that fails some requests serves any."""


@dataclass(slots=True)
class Calls:
    """The connections of an engine that answers each request by itself."""

    model: str
    extra: Mapping[str, object]
    run: OpenaiRun = field(repr=False)
    pool: Pool
    targets: Mapping[Endpoint, Target] = field(repr=False)
    poster: Poster
    probing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.close()
        await self.poster.close()

    def leave(self) -> None:
        """Nothing is left behind: what is in flight is answered soon, and is waited for."""

    async def answer(self, request: Request) -> Reply:
        """One request through faults to its reply.

        Raises:
            EngineRefused, EngineDown, EngineGarbage, RequestFailed: as the engine contract says.
        """
        tries, turned_away, avoid = 0, 0, None
        first, served = self.run.clock(), self.pool.answered
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
                    raise await self._given_up(endpoint, request, result, tries, served)
                # A connection that fails makes the endpoint rest: the pool waits, for all requests at once.
                pause = None if result.kind == "connection" else _pause(tries, request)
            level = logging.INFO if result.kind == "overloaded" else logging.WARNING
            log.log(level, "%s: %s; tried %d times, to be tried again", endpoint.name, result.what, tries + turned_away)
            if pause is not None and not self.pool.another(endpoint):
                await self.run.sleep(pause)

    async def _try(self, endpoint: Endpoint, request: Request) -> Reply | Fault:
        sent, rests = self.run.clock(), False
        try:
            result = await self._post(endpoint, request)
            if isinstance(result, Reply):
                self.pool.good(endpoint)
            else:
                rests = self.pool.bad(endpoint, result, sent) and result.kind != "connection"
            if rests:
                # Before all wait: it may be these requests alone that it fails.
                await self._serves(endpoint, request, self.pool.answered)
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
        refused = EngineRefused(f"{start}: {message or 'no message'}; {todo}")
        refused.logged = f"{start}; {todo}"  # a server's own message may quote the prompt
        return refused

    def _check_patience(self, endpoint: Endpoint, fault: Fault, first: float) -> None:
        waited = self.run.clock() - max(first, self.pool.last_success)
        if waited > self.run.patience or (fault.wait or 0.0) > self.run.patience:
            asked = f" and asks to wait {fault.wait:g} s" if fault.wait else ""
            raise EngineDown(
                f"{endpoint.name} says {fault.what} to model {self.model!r} and let nothing through for {waited:.0f} s"
                f"{asked}; wait, or raise MASHBILL_ENGINE_PATIENCE ({self.run.patience:g} s), then run the same command"
            )

    async def _given_up(
        self, endpoint: Endpoint, request: Request, fault: Fault, tries: int, served: int
    ) -> EngineError | RequestFailed:
        """What one request that failed on every try means: that it fails, or that nothing is served any more."""
        what = f"{endpoint.name} gave no completion of model {self.model!r} in {tries} tries (last: {fault.what})"
        if await self._serves(endpoint, request, served):
            many = self.pool.one_failed()
            if not many:
                return RequestFailed(f"{what} and served others meanwhile; the same command asks again")
            what = f"{many} (last: {endpoint.name}, {fault.what})"
        kind = EngineGarbage if fault.kind == "garbage" else EngineDown
        todo = {
            "garbage": "check that the URL is an OpenAI-compatible chat endpoint",
            "connection": "start the server or mend MASHBILL_ENGINE_URL",
        }.get(fault.kind, "look at the server, or raise MASHBILL_ENGINE_TRIES or MASHBILL_ENGINE_TIMEOUT")
        return kind(f"{what}; {todo}, then run the same command: replies already paid for are kept")

    async def _serves(self, endpoint: Endpoint, request: Request, served: int) -> bool:
        """Whether another request was answered since `served`, or a short one without content is answered now.

        The last requests of a run, and those that a second run asks again, have no others beside them to be told by.
        """
        sampling = replace(request.sampling, max_tokens=1, stop=(), logprobs=0)
        short = Request(messages=(user(PROBE),), sampling=sampling)
        async with self.probing:
            if self.pool.answered > served:
                return True
            try:
                answer = await self._post(endpoint, short)
            except EngineRefused:
                return False  # it says nothing of whether others are served
            if not isinstance(answer, Reply):
                return False
            self.pool.good(endpoint)
            return True


def _why(error: OSError) -> str:
    # asyncio's own text repeats the address; the system's says what is wrong.
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or type(error).__name__
    return os.strerror(error.errno)


def _pause(tries: int, request: Request) -> float:
    # Jitter from the request itself: spread out, and the same when the run is repeated.
    spread = zlib.crc32(request.messages[-1].content[-256:].encode("utf-8", "replace"), request.seed + tries) % 1024
    return float(min(_FIRST_PAUSE * 2.0 ** (tries - 1), _LONGEST_PAUSE) * (0.5 + spread / 2048))
