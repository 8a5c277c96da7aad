"""How much of a bare HTTP loop's speed is left once every reply is durable and every record accounted for.

An instant server in a process of its own answers every request with the same bytes; then, in the same run and with
the same number in flight::

    bare      aiohttp, one session, json in and json out: nothing else
    engine    `Openai.complete`
    kernel    a generator of one ask a record, through `Asker`, the ledger on disk, `execute`, Parquet parts

    .venv/bin/python -m benchmarks.asks --requests 20000 --flight 50 --json runs/asks.json

The bare loop is what one would write first, a session with its defaults; the engine posts over aiohttp's connector with
less around it (`synth.engines.http_post`), so it is above 1. The main thread's time on the processor is told too: it is
what bounds all three, and unlike requests a second it hardly depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import peer_server
from mashbill.ask import Answer
from mashbill.asker import Asker
from mashbill.counts import Counts
from mashbill.disk import file_digest, write_json, write_parquet
from mashbill.engine import Request, Sampling, user
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import Document, Reject, to_table
from mashbill.runtime import Runtime, spare_collector
from mashbill.step import Generator, Prompt
from mashbill.store import Manifest, PartEntry, Stored, part_name
from synth.engines.openai import Openai
from synth.engines.openai_run import OpenaiRun

REPLY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "instant",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Salt came down the river by barge. " * 8},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 64, "total_tokens": 104},
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(REPLY), REPLY)
TEXT = "The salt road ran from the flats to the upper market, and every barge paid the lock keeper in kind. "
PART_ROWS = 1000


class Instant(peer_server.Instant):
    """Answers all alike: the server must not be what is measured."""

    def answer(self, body: bytes) -> None:
        """The same bytes again."""
        self.write(ANSWER)


@contextmanager
def instant_server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.asks", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.terminate()


@dataclass(frozen=True, kw_only=True)
class OneAsk(Generator[Document, Document]):
    """One ask, one document."""

    def prompt(self, record: Document) -> Prompt:
        """The document and a question."""
        return user(record.text, "\n\nWhat does it say?")

    def parse(self, record: Document, answer: Answer[Any]) -> Iterable[Document]:
        """The reply as it is."""
        yield record.child(Document, kind="summary", text=answer.text, made=answer.made())


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it went."""

    rate: float = 0.0
    """Requests a second."""
    cpu: float = float("inf")
    """Microseconds of the main thread's processor time for each request."""

    def better(self, other: Pace) -> Pace:
        """The better of both, each figure by itself."""
        return Pace(max(self.rate, other.rate), min(self.cpu, other.cpu))


@contextmanager
def timed(requests: int) -> Iterator[list[Pace]]:
    """The pace of the block, in a list that is filled when it ends."""
    paces = list[Pace]()
    started, used = time.perf_counter(), time.thread_time()
    yield paces
    used, took = time.thread_time() - used, time.perf_counter() - started
    paces.append(Pace(requests / took, used / requests * 1e6))


async def in_flight(requests: int, flight: int, one: Callable[[int], Awaitable[object]]) -> Pace:
    """The pace with so many workers."""
    numbers = iter(range(requests))

    async def worker() -> None:
        for number in numbers:
            await one(number)

    with timed(requests) as paces:
        await asyncio.gather(*(worker() for _ in range(flight)))
    return paces[0]


async def bare(url: str, requests: int, flight: int) -> Pace:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(number: int) -> object:
            content = f"{TEXT}{number}\n\nWhat does it say?"
            body = {"model": "instant", "messages": [{"role": "user", "content": content}], "max_tokens": 512}
            async with session.post(url + "/chat/completions", json=body) as response:
                return (await response.json())["choices"][0]["message"]["content"]

        return await in_flight(requests, flight, one)


async def engine(url: str, requests: int, flight: int) -> Pace:
    under_test = Openai(model="instant", run=OpenaiRun(endpoints=(url,), concurrency=flight))
    await under_test.start()

    async def one(number: int) -> object:
        request = Request(messages=(user(f"{TEXT}{number}", "\n\nWhat does it say?"),), sampling=Sampling(), seed=1)
        return [pair async for pair in under_test.complete([request])]

    try:
        return await in_flight(requests, flight, one)
    finally:
        await under_test.close()


async def kernel(url: str, requests: int, flight: int) -> Pace:
    root = Path(tempfile.mkdtemp(prefix="asks-", dir=os.environ.get("MASHBILL_BENCH_DIR")))
    try:
        source = documents(root, requests)
        ledger = Ledger(root / "ledger.sqlite")
        under_test = Openai(model="instant", run=OpenaiRun(endpoints=(url,), concurrency=flight))
        with timed(requests) as paces:
            async with Asker(under_test, ledger) as asker:
                runtime = Runtime(root=root, asker=asker, records_in_flight=RECORDS_PER_FLIGHT * flight)
                stored = await execute(OneAsk(), source, runtime)
        if not stored.manifest.counts.kept == ledger.count() == requests:
            raise SystemExit(f"{requests} asked, {ledger.count()} in the ledger, {stored.manifest.counts}")
        await ledger.close()
    finally:
        shutil.rmtree(root)
    return paces[0]


RECORDS_PER_FLIGHT = 4
"""Records under way for each request in flight: those that wait for the disk must not leave the engine idle."""


def documents(root: Path, count: int) -> Stored:
    """A stored step of so many short documents."""
    place = root / "read" / "0"
    parts = []
    for index, start in enumerate(range(0, count, PART_ROWS)):
        numbers = range(start, min(start + PART_ROWS, count))
        rows = to_table((Document.new(text=f"{TEXT}{number}") for number in numbers), Document)
        kept, rejects = place / part_name(index), place / "rejects" / part_name(index)
        write_parquet(kept, rows)
        write_parquet(rejects, to_table([], Reject))
        counts = Counts(read=rows.num_rows, attempts=rows.num_rows, kept=rows.num_rows)
        digests = {"sha256": file_digest(kept), "rejects_sha256": file_digest(rejects)}
        parts.append(PartEntry(name=kept.name, counts=counts, **digests))
    total = sum((part.counts for part in parts), Counts())
    manifest = Manifest(step="read", kind="Document", fingerprint="0", identity={}, parts=tuple(parts), counts=total)
    write_json(place / "manifest.json", manifest.model_dump(mode="json"))
    return Stored.open(place)


def measure(requests: int, flight: int, repeats: int) -> dict[str, Pace]:
    """The best of some repeats of each, alternating, so that a busy moment spoils no one of them."""
    best = {"bare": Pace(), "engine": Pace(), "kernel": Pace()}
    with instant_server() as url:
        asyncio.run(bare(url, min(requests, 500), flight))
        for _ in range(repeats):
            for name, what in (("bare", bare), ("engine", engine), ("kernel", kernel)):
                best[name] = best[name].better(asyncio.run(what(url, requests, flight)))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--flight", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(peer_server.serve(Instant))
        return
    spare_collector()  # as the command line does; the bare loop has it too
    best = measure(options.requests, options.flight, options.repeats)
    print(f"{options.requests} requests, {options.flight} in flight, best of {options.repeats}, {os.cpu_count()} cores")
    print(f"{'':8} {'requests/s':>12} {'of bare':>8} {'main thread us':>15} {'of bare':>8}")
    for name, pace in best.items():
        of_bare, cpu_of_bare = pace.rate / best["bare"].rate, best["bare"].cpu / pace.cpu
        print(f"{name:8} {pace.rate:12,.0f} {of_bare:8.2f} {pace.cpu:15.1f} {cpu_of_bare:8.2f}")
    if options.json:
        found = {"requests": options.requests, "flight": options.flight, "cores": os.cpu_count()}
        found |= {name: pace.rate for name, pace in best.items()}
        found |= {f"{name}_of_bare": pace.rate / best["bare"].rate for name, pace in best.items()}
        found |= {f"{name}_cpu_us": pace.cpu for name, pace in best.items()}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
