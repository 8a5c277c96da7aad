"""A thousand asks through the real engine, the ledger and a step, one in ten of whose requests goes wrong."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from aiohttp import web
from pydantic import BaseModel

from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.errors import BadReply
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import Document
from mashbill.runtime import Runtime
from mashbill.step import Generator
from mashbill.store import Stored
from synth.engines.openai import Openai
from synth.engines.openai_calls import PROBE
from tests.contract.fake_openai import FakeOpenai, Fault, cut, garbage, half_an_answer, status
from tests.support.kernel import store
from tests.synth.openai_helpers import FakeTime, run

RECORDS = 1000
SHARE = 0.1


class Said(BaseModel):
    number: int


@dataclass(frozen=True, kw_only=True)
class SayTheNumber(Generator[Document, Document]):
    """Has the number that a document holds said again."""

    async def make(self, record: Document, ask: Ask) -> Iterable[Document | BadReply]:
        answer = await ask(record.text, returns=Said)
        return [record.child(Document, kind="said", text=str(answer.value.number), made=answer.made())]


@dataclass
class Flaky:
    """Says the number it is told; one request in ten goes wrong, and those of some numbers always do."""

    rng: random.Random = field(default_factory=lambda: random.Random(11))
    never_whole: frozenset[str] = frozenset()
    never_answered: frozenset[str] = frozenset()
    done: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    """Number -> whole replies sent, which would have been paid for."""

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        number = str(body["messages"][0]["content"])
        if number in self.never_answered:
            return await status(500)(request)
        kind = self.rng.choice(sorted(FAULTS)) if number != PROBE and self.rng.random() < SHARE else "none"
        self.done[kind] += 1
        if kind == "truncated" or number in self.never_whole:
            return answer('{"number": ', "length")
        if kind == "slow":
            await asyncio.sleep(0.03)
        elif kind != "none":
            return await FAULTS[kind](request)
        self.whole[number] += 1
        return answer(f'{{"number": {number}}}' if number != PROBE else "yes", "stop")


def answer(text: str, finish: str) -> web.Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})


async def as_it_is(_: web.Request) -> web.StreamResponse:
    raise AssertionError("answered by the server itself")


FAULTS: dict[str, Fault] = {
    "429": status(429, headers={"Retry-After": "1"}),
    "500": status(500),
    "reset": cut,
    "half": half_an_answer,
    "garbage": garbage(b"<html>busy</html>"),
    "slow": as_it_is,
    "truncated": as_it_is,
}


async def said(root: Path, server: FakeOpenai, source: Stored) -> Stored:
    ledger = Ledger(root / "ledger.sqlite")
    try:
        async with Asker(Openai(model="fake", run=run(FakeTime(), server.url, tries=8)), ledger) as asker:
            return await execute(SayTheNumber(), source, Runtime(root=root, asker=asker))
    finally:
        await ledger.close()


async def test_no_row_is_lost_doubled_or_kept_truncated(tmp_path: Path) -> None:
    source = store(tmp_path, [Document.new(text=str(number)) for number in range(RECORDS)], part_rows=100)
    flaky = Flaky(never_whole=frozenset({"17", "400", "999"}), never_answered=frozenset({"3", "500"}))
    async with FakeOpenai() as server:
        server.always = flaky
        partial = await said(tmp_path, server, source)
        assert set(FAULTS) < set(flaky.done)
        counts = partial.manifest.counts
        assert counts.rejected == {"provider_error": 2, "truncated": 3}
        assert (counts.read, counts.attempts, counts.kept) == (RECORDS, RECORDS, RECORDS - 5)
        assert counts.states["provider_error"] == 2
        assert counts.states["truncated"] >= 9  # three tries each, and those that came whole at a later one
        rows = [row for part in partial for row in part.to_pylist()]
        assert {row["text"] for row in rows} == {str(n) for n in range(RECORDS)} - {"17", "400", "999", "3", "500"}
        assert len({row["id"] for row in rows}) == len(rows) == RECORDS - 5
        assert {row["made"]["finish_reason"] for row in rows} == {"stop"}
        assert max(flaky.whole.values()) == 1  # no reply was paid for twice

        # The server is mended: those it failed are asked alone, and the step is whole.
        flaky.never_answered, before = frozenset(), flaky.whole.total()
        whole = await said(tmp_path, server, source)
        assert whole.manifest.counts.rejected == {"truncated": 3}
        assert whole.manifest.fingerprint != partial.manifest.fingerprint
        assert flaky.whole.total() == before + 2
