"""A run through a batch endpoint in a process of its own, made to be killed.

It asks 30 documents two questions each, the second about the answer to the first, so that there are two waves. With a
tick it kills itself (-9) at that event, where an event is a file of the root opened, renamed or removed, or a change of
the list of batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.engine import user
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import Document
from mashbill.runtime import Runtime
from mashbill.step import Generator
from synth.engines.batch_run import BatchRun
from synth.engines.batch_store import BatchStore
from synth.engines.openai import Openai
from synth.engines.openai_run import OpenaiRun
from tests.mashbill.kill_worker import Death
from tests.support.kernel import documents, store

DOCUMENTS = 30


@dataclass(frozen=True, kw_only=True)
class TwoRounds(Generator[Document, Document]):
    """A question, and one about its answer."""

    async def make(self, record: Document, ask: Ask) -> Iterable[Document]:
        first = await ask(user(record.text, "\n\nWhat does it say?"), sampling=self.sampling)
        second = await ask(user(first.text, "\n\nSay it shorter."), sampling=self.sampling)
        return [record.child(Document, kind="short", text=second.text, made=second.made(first))]


async def main(root: Path, url: str, tick: int) -> None:
    source = store(root / "steps", documents(DOCUMENTS), part_rows=10)
    death = Death(tick, str(root))
    for name in ("plan", "enter", "collect"):
        setattr(BatchStore, name, ticking(death, getattr(BatchStore, name)))
    run = OpenaiRun(
        endpoints=(url,), batch=BatchRun(folder=root / "batches", poll=0.05, linger=0.01), sleep=soon, patience=20
    )
    ledger = Ledger(root / "ledger.sqlite")
    async with Asker(Openai(model="fake", run=run), ledger) as asker:
        runtime = Runtime(root=root / "steps", asker=asker, records_in_flight=DOCUMENTS)
        await execute(TwoRounds(), source, runtime)
    await ledger.close()


async def soon(seconds: float) -> None:
    """Pauses of a test."""
    await asyncio.sleep(min(seconds, 0.01))


def ticking(death: Death, method: Any) -> Any:
    """A method with an event before and after it."""

    def called(*args: Any, **named: Any) -> Any:
        death.tick()
        result = method(*args, **named)
        death.tick()
        return result

    return called


def work(root: Path, url: str, tick: int = 0) -> None:
    """The whole of it, in the process that calls this."""
    asyncio.run(main(root, url, tick))
