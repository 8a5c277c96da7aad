"""A small root made by the real loop with a scripted model: two documents, retold, filtered, released."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filters.length import Length
from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.engine import Request, Sampling, ScriptedEngine, system, user
from mashbill.errors import BadReply
from mashbill.execute import execute
from mashbill.filter_stack import FilterStack
from mashbill.ingest import ingest
from mashbill.ledger import Ledger
from mashbill.records import Document
from mashbill.release import ReleasePlan, publish
from mashbill.runtime import Runtime
from mashbill.sources.read_documents import ReadDocuments
from mashbill.step import Generator, settle
from mashbill.store import Stored

SALT = "# The Salt Guild\nOra Venn founded the Salt Guild in Marrow Bay, and sold salt to the lampwrights of Oskelby.\n"
LAMPS = "# Lamps\nBlue lamps hang in Vintrack; green lamps hang in Oskelby and are lit by the guild.\n"


@dataclass(frozen=True, kw_only=True)
class Retell(Generator[Document, Document]):
    """Tells a document again three times."""

    sampling: Sampling = Sampling(max_tokens=60)

    async def make(self, record: Document, ask: Ask) -> Iterable[Document | BadReply]:
        return await settle(self._tell(record, draw, ask) for draw in range(3))

    async def _tell(self, record: Document, draw: int, ask: Ask) -> Document:
        question = [system("You retell."), user(record.text, f"\n\nRetell it, in way {draw}.")]
        answer = await ask(question, sampling=self.sampling, draw=draw)
        if "[/sorry]" in answer.text:
            raise BadReply("refusal", "opens with [/sorry]", text=answer.text, asks=answer.keys, subjects=("way",))
        return record.child(Document, kind="retold", title=record.title, text=answer.text, made=answer.made())


def tell(request: Request) -> str:
    """A refusal, a short text, and a text with markup and a control sequence in it."""
    asked = request.messages[-1].content
    if "way 0" in asked:
        return "[/sorry] I cannot \x1b[31mdo that."
    return "Too short." if "way 1" in asked else f"[bold]Retold[/bold] {request.seed}: {asked[:60]} and so on it goes."


@dataclass(frozen=True)
class Kept:
    """What lies under the root."""

    root: Path
    source: Stored
    retold: Stored
    curated: Stored
    release: Path


async def _make(folder: Path) -> Kept:
    corpus, root = folder / "corpus", folder / "runs"
    corpus.mkdir(parents=True)
    (corpus / "salt.md").write_text(SALT, encoding="utf-8")
    (corpus / "lamps.md").write_text(LAMPS, encoding="utf-8")
    ledger = Ledger(root / "ledger.sqlite")
    async with Asker(ScriptedEngine(tell), ledger) as asker:
        runtime = Runtime(root=root, asker=asker)
        reader = ReadDocuments(path="corpus", license="CC0-1.0", domain="Veylund")
        source = ingest(reader, corpus, runtime)
        retold = await execute(Retell(), source, runtime)
        curated = await execute(FilterStack(filters=(Length(min_words=4),)), retold, runtime)
    await ledger.close()
    plan = ReleasePlan(
        name="small",
        version="1",
        description="Two documents, retold.",
        license="CC0-1.0",
        language="en",
        seed=0,
        shares={"retold": 0.0},
        splits={"validation": 0.5},
    )
    return Kept(root, source, retold, curated, publish(plan, {"retold": curated}, root))


def kept_root(folder: Path) -> Kept:
    """Make the root."""
    return asyncio.run(_make(folder))
