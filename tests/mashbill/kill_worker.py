"""A small whole run in a process of its own, made to be killed: `python -m tests.mashbill.kill_worker ROOT LOG [TICK]`.

Every paid request is appended to LOG before its reply is known to anyone. With TICK the process kills itself (-9) at
that event, where an event is a payment, a reply handed over, or a file of the run opened, renamed or removed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mashbill.asker import Asker
from mashbill.engine import Reply, Request
from mashbill.errors import Interrupted
from mashbill.execute import execute
from mashbill.filter_stack import FilterStack
from mashbill.ledger import Ledger, reply_key, request_bytes
from mashbill.records import Document, Reject, to_table
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import DatasetStep, PartOutput, Parts
from tests.support.kernel import NoDigit, Tales, documents, fickle, hashed, store

BATCH, CALLS = 4, 2
INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class EvenParts(DatasetStep[Document, Document]):
    """Keeps every row, after a look at all of them."""

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        rows = sum(len(table) for table in parts)
        assert rows > 0
        for table in parts:
            yield PartOutput(kept=table, rejects=to_table([], Reject))


class Death:
    """Kills this process at the tick it was told."""

    def __init__(self, at: int, root: str) -> None:
        self.left, self.root = at, root
        if at:
            sys.addaudithook(self.hook)

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(self, event: str, args: tuple[object, ...]) -> None:
        if event in ("open", "os.rename", "os.remove", "os.mkdir") and str(args[0]).startswith(self.root):
            self.tick()


@dataclass
class Paid:
    """An engine whose every reply costs a line in a file."""

    log: Path
    death: Death
    identity: str = "paid/1"
    batch: int = BATCH
    calls: int = CALLS

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        for index, request in enumerate(requests):
            await asyncio.sleep(hashed(request) % 3 / 1000)
            self.death.tick()
            key = reply_key(self.identity, request_bytes(request), request.seed, 0)
            handle = os.open(self.log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
            os.write(handle, f"{os.getpid()} {key}\n".encode())
            os.close(handle)
            self.death.tick()
            yield index, fickle(request)


async def main(root: Path, log: Path, tick: int) -> int:
    source = store(root / "steps", documents(40), part_rows=5)
    ledger = Ledger(root / "ledger.sqlite")
    asker = Asker(Paid(log, Death(tick, str(root))), ledger)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, asker.stop)
    runtime = Runtime(root=root / "steps", asker=asker, records_in_flight=6)
    anything = RejectPolicy(share=1.0)
    try:
        tales = await execute(Tales(), source, runtime, anything)
        kept = await execute(FilterStack(filters=(NoDigit(digit="7"), NoDigit(digit="3"))), tales, runtime, anything)
        await execute(EvenParts(), kept, runtime)
    except Interrupted:
        return INTERRUPTED
    finally:
        await asker.close()
        await ledger.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)))
