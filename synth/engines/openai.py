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
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mashbill.engine import Reply, Request, canonical_json
from mashbill.errors import EngineError, RequestRefused, SettingsError, Unanswered
from synth.engines.adaptive import Pool
from synth.engines.http_post import Poster, Target
from synth.engines.openai_calls import Calls
from synth.engines.openai_run import OpenaiRun
from synth.engines.wire import RESERVED

if TYPE_CHECKING:
    from synth.engines.batch_mode import Batches

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
    _open: list[Calls | Batches] = field(default_factory=list, init=False, metadata={"identity": False}, repr=False)

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
        """As many as all endpoints together may ever have in flight; with batches, as all of them may hold."""
        if self.run.batch is not None:
            return self.run.batch.requests * self.run.batch.under_way
        return max(1, len(self.run.endpoints)) * max(1, self.run.concurrency)

    @property
    def batched(self) -> bool:
        """Whether requests go to the provider's batch endpoint, at its price."""
        return self.run.batch is not None

    @property
    def records_wanted(self) -> int:
        """Records to drive at once, at least, so that batches are full; 0 leaves that to the settings."""
        return self.run.batch.requests if self.run.batch is not None else 0

    async def start(self) -> None:
        """Check the settings and open the connection pool.

        Raises:
            SettingsError: when no endpoint is set, or one is no URL.
        """
        if not self._open and self.run.batch is not None:
            from synth.engines.batch_mode import Batches

            self._open.append(Batches(self.model, self.extra, self.run, self.identity))
        elif not self._open:
            endpoints = self.run.open()
            pool = Pool(endpoints, rounds=self.run.tries, clock=self.run.clock, sleep=self.run.sleep)
            targets = {endpoint: Target(endpoint.url, endpoint.headers, endpoint.proxy) for endpoint in endpoints}
            self._open.append(Calls(self.model, self.extra, self.run, pool, targets, Poster(self.run.timeout)))

    async def close(self) -> None:
        """Close every connection."""
        while self._open:
            await self._open.pop().close()

    def leave(self) -> None:
        """Let go of what may take hours: batches under way go on, and the next run takes them up.

        Requests that are answered one by one end by themselves, and are waited for.
        """
        for opened in self._open:
            opened.leave()

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
        slots, ends = asyncio.Semaphore(self.calls), _Ends()
        work = (_indexed(opened, slots, ends, index, request) for index, request in enumerate(requests))
        tasks = [asyncio.create_task(coroutine) for coroutine in work]
        try:
            for done in asyncio.as_completed(tasks):
                if (pair := await done) is not None:
                    yield pair
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if ends.of_all or ends.of_one:
            raise (*ends.of_all, *ends.of_one)[0]


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


@dataclass(slots=True)
class _Ends:
    """What went wrong in one call."""

    of_all: list[EngineError] = field(default_factory=list)
    of_one: list[RequestRefused | Unanswered] = field(default_factory=list)
    """What ends one request and no other."""


async def _indexed(
    opened: Calls | Batches, slots: asyncio.Semaphore, ends: _Ends, index: int, request: Request
) -> tuple[int, Reply] | None:
    async with slots:
        if ends.of_all:
            return None  # not sent yet, so not paid for
        try:
            return index, await opened.answer(request)
        # Kept until the others, which are paid for, have been handed out.
        except (RequestRefused, Unanswered) as ending:
            ends.of_one.append(ending)
        except EngineError as error:
            ends.of_all.append(error)
        return None
