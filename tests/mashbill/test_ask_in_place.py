"""Engines that take one request a call and answer in place: the same promises, without an iterator for each ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from mashbill.asker import Asker
from mashbill.engine import Reply, Request
from mashbill.errors import BadReply, EngineDown, Interrupted, RequestRefused
from mashbill.ledger import Ledger
from tests.support.kernel import Gate, ask_of, fickle, reply


@dataclass
class Single(Gate):
    """Answers one request a call, in place, once it is opened; `complete` is not for it."""

    batch: int = 1
    fails: Exception | None = None

    async def answer(self, request: Request) -> Reply:
        self.reached.set()
        await self.opened.wait()
        if request.messages[-1].content == "broken" and self.fails is not None:
            raise self.fails
        self.paid += 1
        return self.script(request)

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        raise AssertionError("an engine that answers in place was handed a batch")
        yield 0, reply("")


async def asked(engine: Single, ledger: Ledger, *texts: str) -> list[Any]:
    engine.opened.set()
    async with Asker(engine, ledger) as asker:
        return await asyncio.gather(*(ask_of(asker)(text) for text in texts), return_exceptions=True)


async def test_each_ask_gets_its_own_answer(ledger: Ledger) -> None:
    engine = Single(lambda request: reply(request.messages[-1].content))
    texts = [f"q{number}" for number in range(9)]
    assert [answer.text for answer in await asked(engine, ledger, *texts)] == texts
    assert engine.paid == ledger.count() == 9


async def test_a_request_refused_is_a_bad_reply_and_the_others_go_on(ledger: Ledger) -> None:
    engine = Single(fickle, fails=RequestRefused("it is too long"))
    _, refused, _ = await asked(engine, ledger, "one", "broken", "two")
    assert isinstance(refused, BadReply)
    assert refused.reason == "request_refused"
    assert engine.paid == ledger.count() == 2


async def test_an_engine_that_fails_ends_what_waits_and_keeps_what_it_answered(ledger: Ledger) -> None:
    engine = Single(fickle, calls=1, fails=OSError("unplugged"))
    first, *others = await asked(engine, ledger, "one", "broken", "two")
    assert not isinstance(first, BaseException)
    assert all(isinstance(error, EngineDown) and isinstance(error.__cause__, OSError) for error in others)
    assert engine.paid == ledger.count() == 1


async def test_closing_stores_what_is_in_flight(ledger: Ledger) -> None:
    engine = Single(fickle, calls=2)
    asker = Asker(engine, ledger)
    waiting = [asyncio.create_task(ask_of(asker)(f"q{number}")) for number in range(4)]
    await engine.reached.wait()
    closing = asyncio.create_task(asker.close())
    await asyncio.sleep(0)
    engine.opened.set()
    await closing
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert engine.paid == ledger.count() == 2
    assert [isinstance(one, Interrupted) for one in found] == [False, False, True, True]
