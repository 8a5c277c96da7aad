"""Asking the openai engine against a fake server, with a clock that only moves when someone sleeps."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field

from mashbill.engine import Reply, Request, Sampling, user
from synth.engines.openai import Openai
from synth.engines.openai_run import OpenaiRun, Secret

ASK = Request(messages=(user("Where does the salt come from?"),), sampling=Sampling(max_tokens=20), seed=7)


@dataclass
class FakeTime:
    """A clock moved by sleeping alone."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def clock(self) -> float:
        return self.now


def run(time: FakeTime, *urls: str, key: str = "", tries: int = 4) -> OpenaiRun:
    keys = (Secret(key),) if key else ()
    return OpenaiRun(endpoints=urls, keys=keys, tries=tries, timeout=5.0, sleep=time.sleep, clock=time.clock)


async def ask(how: OpenaiRun, *requests: Request) -> list[Reply]:
    engine = Openai(model="fake", run=how)
    await engine.start()
    try:
        pairs = [pair async for pair in engine.complete(requests or (ASK,))]
    finally:
        await engine.close()
    return [reply for _, reply in sorted(pairs, key=lambda pair: pair[0])]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
