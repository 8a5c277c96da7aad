"""What the generator tests share: documents in a store, a made-up teacher, and one way to run a step."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mashbill.asker import Asker
from mashbill.counts import Counts
from mashbill.disk import write_json, write_parquet
from mashbill.engine import Reply, Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import Document, Reject, from_rows, to_table
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Step
from mashbill.store import Manifest, PartEntry, Stored, part_name

GUILD = Document.new(
    title="The Salt Guild",
    author="Emmer Toll",
    year="502",
    source="guild.md",
    domain="Veylund",
    text="Ora Venn founded the Salt Guild in Marrow Bay. Venn sold salt to the lampwrights, and the guild {grew}. "
    'Old Perrick said: "Nobody {0} buys salt from a stranger."',
)
BRACES = Document.new(
    title='A "Braced" {title} %s $x', text="Ash {entities} met Birch in {title} under %d oaks. $y \\1"
)
PLAIN = Document.new(title="Lamps", text="Blue lamps hang in Vintrack, and green lamps hang in Oskelby.")

NAMES = {
    GUILD.title: ["Ora Venn", "the Salt Guild", "Venn", "Marrow Bay", "lampwright", "King Arthur"],
    BRACES.title: ["Ash", "Birch", "oak"],
    PLAIN.title: ["blue lamps", "Vintrack", "Oskelby"],
}

FILLER = " ".join(f"word{at}" for at in range(60))


def store(root: Path, documents: Sequence[Document], parts: int = 1) -> Stored:
    """Documents as a finished stored step."""
    place, entries = root / "read" / "0", []
    for index in range(parts):
        rows = documents[index::parts]
        write_parquet(place / part_name(index), to_table(rows, Document))
        write_parquet(place / "rejects" / part_name(index), to_table([], Reject))
        counts = Counts(read=len(rows), attempts=len(rows), kept=len(rows))
        entries.append(PartEntry(name=part_name(index), sha256="", rejects_sha256="", counts=counts))
    total = sum((entry.counts for entry in entries), Counts())
    manifest = Manifest(step="read", kind="Document", fingerprint="0", identity={}, parts=tuple(entries), counts=total)
    write_json(place / "manifest.json", manifest.model_dump(mode="json"))
    return Stored.open(place)


def question_of(request: Request) -> str:
    """The part of a request that follows the document."""
    return request.messages[1].parts[1]


def title_in(request: Request) -> str:
    """The title at the head of the document part."""
    return re.split(r'", |"\.\n', request.messages[1].parts[0][1:], maxsplit=1)[0]


def entities_in(request: Request) -> list[str]:
    """The entities a relation prompt asks about."""
    return re.findall(r"^- (.+)$", question_of(request), re.MULTILINE)


def good_text(request: Request) -> str:
    """A text that passes: names its title and entities, is long, copies nothing, and differs with the seed."""
    title, names = title_in(request), entities_in(request)
    return f"Discussion of {title} in relation to {' and '.join(names)} {request.seed}. {FILLER} {FILLER} The end."


def teacher(request: Request) -> str | Reply | Exception:
    """Lists the entities of the documents above and writes a good text for every other prompt."""
    if request.schema:
        title = title_in(request)
        return json.dumps({"summary": f"{title} in short.", "entities": NAMES[title]})
    return good_text(request)


def instead(write: Callable[[Request], str | Reply | None]) -> Callable[[Request], str | Reply | Exception]:
    """The teacher, but for the texts that `write` has another answer for."""

    def script(request: Request) -> str | Reply | Exception:
        other = None if request.schema else write(request)
        return teacher(request) if other is None else other

    return script


@dataclass
class ShuffledEngine(ScriptedEngine):
    """Answers each batch in an order of its own, after a wait of its own."""

    order: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.order)

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        order = list(range(len(requests)))
        self._random.shuffle(order)
        for index in order:
            await asyncio.sleep(self._random.choice([0, 0, 0.001]))
            async for _, reply in super().complete([requests[index]]):
                yield index, reply


def cut(text: str) -> Reply:
    """A reply that max_tokens ended."""
    return Reply(text=text, finish_reason="length", prompt_tokens=1, completion_tokens=len(text.split()))


async def run(
    step: Step, source: Stored, engine: ScriptedEngine, *, in_flight: int = 64, ledger: Path | None = None
) -> Stored:
    """The stored output of a step under the source's root; any share of rejects is let through."""
    root = source.path.parent.parent
    replies = Ledger(ledger or root / "ledger.sqlite")
    try:
        async with Asker(engine, replies) as asker:
            runtime = Runtime(root=root, asker=asker, records_in_flight=in_flight)
            return await execute(step, source, runtime, RejectPolicy(share=1.0))
    finally:
        await replies.close()


def rows_of(stored: Stored) -> list[Document]:
    """All kept rows."""
    return [row for index in range(len(stored)) for row in from_rows(stored.table(index).to_pylist(), Document)]


def rejects_of(stored: Stored) -> list[Reject]:
    """All reject rows."""
    return [row for index in range(len(stored)) for row in from_rows(stored.rejects(index).to_pylist(), Reject)]


def digest_of(stored: Stored) -> str:
    """One digest over every file of a stored step."""
    digest = hashlib.sha256()
    for file in sorted(stored.path.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(stored.path).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def forget(stored: Stored) -> None:
    """Remove a stored step's manifest and parts, as a crash before the first part would leave it."""
    for file in sorted(stored.path.rglob("*.parquet")):
        file.unlink()
    (stored.path / "manifest.json").unlink()
