"""What it takes to have requests answered through a batch endpoint: waves, memory, and processor time for each.

A provider in a process of its own answers each batch at once (the fake of the tests), so that what is measured is ours:
documents with one question, and one about its answer, driven together as the kernel drives them.

    .venv/bin/python -m benchmarks.batches --documents 10000

Memory is the peak of this process beyond what it had before the run; half of it are the documents, requests and replies
themselves, which a run online has as well, but not all at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.asks import documents
from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.engine import user
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import Document
from mashbill.runtime import Runtime, spare_collector
from mashbill.step import Generator
from synth.engines.batch_run import BatchRun
from synth.engines.batch_store import BatchStore
from synth.engines.openai import Openai
from synth.engines.openai_run import OpenaiRun


@dataclass(frozen=True, kw_only=True)
class TwoRounds(Generator[Document, Document]):
    """A question, and one about its answer."""

    async def make(self, record: Document, ask: Ask) -> Iterable[Document]:
        """One document of two asks."""
        first = await ask(user(record.text, "\n\nWhat does it say?"), sampling=self.sampling)
        second = await ask(user(first.text, "\n\nSay it shorter."), sampling=self.sampling)
        return [record.child(Document, kind="short", text=second.text, made=second.made(first))]


async def serve() -> None:
    from tests.support.fake_batches import FakeBatches

    async with FakeBatches(context=1 << 20) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


@contextmanager
def provider() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.batches", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def peak() -> float:
    """Megabytes that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measure(url: str, count: int, requests: int, root: Path) -> None:
    source = documents(root, count)
    how = BatchRun(folder=root / "batches", requests=requests, poll=1.0, linger=0.2)
    engine = Openai(model="fake", run=OpenaiRun(endpoints=(url,), batch=how))
    ledger = Ledger(root / "ledger.sqlite")
    before, began, used = peak(), time.perf_counter(), time.process_time()
    async with Asker(engine, ledger) as asker:
        runtime = Runtime(root=root, asker=asker, records_in_flight=engine.records_wanted)
        stored = await execute(TwoRounds(), source, runtime)
    took, cpu = time.perf_counter() - began, time.process_time() - used
    if ledger.count() != 2 * count or stored.manifest.counts.kept != count:
        raise SystemExit(f"{count} documents: {ledger.count()} replies, {stored.manifest.counts}")
    await ledger.close()
    store = BatchStore(how.folder)
    sizes = [row.requests for row in store.batches()]
    store.close()
    grown = peak() - before
    print(f"{count:,} documents, two rounds, {requests:,} requests in a batch at most, {os.cpu_count()} cores")
    print(f"batches        {len(sizes)}: {', '.join(f'{size:,}' for size in sizes[:12])}")
    print(f"wall           {took:.1f} s, {2 * count / took:,.0f} requests/s with a provider that answers at once")
    print(f"processor      {cpu / count / 2 * 1e6:.0f} us a request")
    print(f"memory         {grown:.0f} MB more at the peak, {grown * 1024 / min(count, requests):.1f} kB a record")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=50_000, help="requests in a batch at most")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    spare_collector()
    root = Path(tempfile.mkdtemp(prefix="batches-", dir=os.environ.get("MASHBILL_BENCH_DIR")))
    try:
        with provider() as url:
            asyncio.run(measure(url, options.documents, options.batch, root))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
