"""Adaptive concurrency over several endpoints: how many requests may be in flight, and where the next one goes.

An endpoint begins with a few slots and up to doubles them each round trip while it keeps up (slow start); the first
429 or 503 halves them, and from then on each round trip adds one. That is TCP's rule (Chiu and Jain 1989: additive
increase with multiplicative decrease is what converges to a fair share); it finds a provider's quota without being
told. Signals from requests sent before the last decrease are ignored, so that 100 requests turned away together
halve once and not 100 times.

An endpoint that cannot be reached rests, longer each time, then is tried with one request; the others take its work.
When all of them rest and have failed `rounds` times in a row, the pool raises `EngineDown`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from yarl import URL

from mashbill import logs
from mashbill.errors import EngineDown
from synth.engines.wire import Fault

logger = logs.logger("engine")

FIRST_REST = 0.5
LONGEST_REST = 30.0
SUSPECT_AFTER = 3
"""Rounds of broken answers in a row before an endpoint that can be reached rests: one bad prompt must not stop it."""

FAILED_LEAST = 50
"""Requests that may fail on every try, however few are answered: those that no server takes come together when a
second run asks for them alone."""
FAILED_SHARE = 0.2
"""The share of requests that may fail so, beyond those: past it the server is ill, and each one costs all its tries."""


class Endpoint:
    """One base URL: what it takes to send there, and how much it takes now."""

    __slots__ = (
        "busy",
        "ceiling",
        "failures",
        "headers",
        "limit",
        "marked",
        "name",
        "proxy",
        "rest_until",
        "slow_start",
        "token_field",
        "unreachable",
        "url",
    )

    def __init__(self, url: URL, headers: Mapping[str, str], ceiling: int, first: int, proxy: URL | None) -> None:
        self.url = url
        self.headers = headers
        self.proxy = proxy
        self.name = f"{url.host}:{url.port}"
        self.ceiling = ceiling
        self.limit = float(min(first, ceiling))
        self.slow_start = True
        self.busy = 0
        self.failures = 0
        """Rounds that failed since the last success."""
        self.unreachable = False
        """Whether the last of them could not even connect."""
        self.rest_until = float("-inf")
        self.marked = float("-inf")
        """When the last signal was acted on; requests older than that tell nothing new."""
        self.token_field = "max_tokens"

    def free(self, now: float) -> int:
        """Slots to be had now; one at a time for an endpoint that comes back from a rest."""
        if now < self.rest_until:
            return 0
        suspect = self.failures and self.rest_until > float("-inf")
        return (1 if suspect else int(self.limit)) - self.busy


class Pool:
    """The endpoints of one engine, and those who wait for a slot."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        rounds: int,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.endpoints = tuple(endpoints)
        self.rounds = rounds
        self.last_success = clock()
        self.answered = 0
        """Requests answered."""
        self.failed = 0
        """Requests that failed on every try while others were answered."""
        self._clock = clock
        self._sleep = sleep
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._wakers: set[asyncio.Task[None]] = set()
        self._last_fault = ""

    async def take(self, avoid: Endpoint | None = None) -> Endpoint:
        """A slot at the endpoint with the most free ones, waiting for it where need be.

        Raises:
            EngineDown: when every endpoint is dead.
        """
        if not self._waiting and (found := self._free(avoid)) is not None:
            return found
        again = False
        while True:
            self._raise_if_dead()
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            # Woken and found the slot gone: first in the queue again, so that nobody waits for ever.
            (self._waiting.appendleft if again else self._waiting.append)(future)
            if not again:
                self._wake()
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._wake()
                raise
            finally:
                with contextlib.suppress(ValueError):  # there only when cancelled before it was woken
                    self._waiting.remove(future)
            if (found := self._free(avoid)) is not None:
                return found
            again = True

    def put(self, endpoint: Endpoint) -> None:
        """Give a slot back."""
        endpoint.busy -= 1
        if self._waiting:
            self._wake()

    def good(self, endpoint: Endpoint) -> None:
        """The endpoint answered as it should; call before `put`."""
        self.last_success = self._clock()
        self.answered += 1
        if endpoint.failures:
            logger.info("%s answers again", endpoint.name)
            endpoint.failures = 0
            endpoint.rest_until = float("-inf")
        # Growing while half the slots are idle would be growing on no evidence.
        if endpoint.limit < endpoint.ceiling and endpoint.busy * 2 >= endpoint.limit:
            step = 1.0 if endpoint.slow_start else 1.0 / endpoint.limit
            endpoint.limit = min(endpoint.limit + step, float(endpoint.ceiling))

    def bad(self, endpoint: Endpoint, fault: Fault, sent: float) -> bool:
        """The endpoint failed a request that was sent then; whether it rests for that. Call before `put`."""
        now = self._clock()
        if fault.kind == "again":
            return False
        if fault.kind == "overloaded":
            if fault.wait:
                self._rest(endpoint, now + fault.wait)
            if sent > endpoint.marked:
                endpoint.marked = now
                endpoint.slow_start = False
                endpoint.limit = max(1.0, endpoint.limit / 2)
                logger.info("%s says %s; %d requests at once now", endpoint.name, fault.what, int(endpoint.limit))
            return False
        self._last_fault = fault.what
        if sent <= endpoint.marked:
            return False
        endpoint.marked, endpoint.unreachable = now, fault.kind == "connection"
        endpoint.failures += 1
        if fault.kind == "connection" or endpoint.failures >= SUSPECT_AFTER:
            rest = min(FIRST_REST * 2.0 ** (endpoint.failures - 1), LONGEST_REST)
            logger.warning("%s: %s; rests %.1f s (%d in a row)", endpoint.name, fault.what, rest, endpoint.failures)
            self._rest(endpoint, now + rest)
            return True
        return False

    def one_failed(self) -> str:
        """Count a request that failed on every try while others were answered; what to say when they are too many."""
        self.failed += 1
        ended = self.answered + self.failed
        if self.failed > FAILED_LEAST and self.failed > FAILED_SHARE * ended:
            return f"{self.failed} of {ended} requests failed on every try, more than {FAILED_SHARE:.0%}"
        return ""

    async def close(self) -> None:
        """Stop the timers of resting endpoints."""
        wakers = tuple(self._wakers)
        for task in wakers:
            task.cancel()
        await asyncio.gather(*wakers, return_exceptions=True)

    def another(self, endpoint: Endpoint) -> bool:
        """Is there another endpoint that could take the request at once?"""
        now = self._clock()
        return any(other is not endpoint and other.free(now) > 0 for other in self.endpoints)

    def _free(self, avoid: Endpoint | None) -> Endpoint | None:
        now = self._clock()
        best, most = None, 0
        for endpoint in self.endpoints:
            free = endpoint.free(now)
            # The one to avoid is taken only if no other has a slot.
            if free > 0 and (best is None or best is avoid or (free > most and endpoint is not avoid)):
                best, most = endpoint, free
        if best is not None:
            best.busy += 1
        return best

    def _rest(self, endpoint: Endpoint, until: float) -> None:
        if until <= endpoint.rest_until:
            return
        endpoint.rest_until = until
        task = asyncio.get_running_loop().create_task(self._wake_later(until - self._clock()))
        self._wakers.add(task)
        task.add_done_callback(self._wakers.discard)

    async def _wake_later(self, seconds: float) -> None:
        await self._sleep(seconds)
        self._wake()

    def _wake(self) -> None:
        now = self._clock()
        free = sum(max(0, endpoint.free(now)) for endpoint in self.endpoints)
        if free <= 0 and self._dead(now):
            free = len(self._waiting)  # all of them, to be told
        while free > 0 and self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                free -= 1

    def _dead(self, now: float) -> bool:
        # One that answers, if only with faults, is given up by the requests that have spent their tries there.
        return all(one.unreachable and one.failures >= self.rounds and now < one.rest_until for one in self.endpoints)

    def _raise_if_dead(self) -> None:
        if self._dead(self._clock()):
            names = ", ".join(endpoint.name for endpoint in self.endpoints)
            raise EngineDown(
                f"no answer from {names} in {self.rounds} rounds (last: {self._last_fault}); start the server or mend "
                "MASHBILL_ENGINE_URL, then run the same command: replies already paid for are kept"
            )
