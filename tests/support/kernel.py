"""Builders of stored inputs, steps small enough to read at a glance, and engines with a will of their own."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel

from mashbill.ask import Ask
from mashbill.asker import Asker
from mashbill.counts import Counts
from mashbill.disk import file_digest, write_json, write_parquet
from mashbill.engine import Reply, Request, Sampling, user
from mashbill.errors import BadReply
from mashbill.ledger import Ledger
from mashbill.records import Document, Record, Reject, from_rows, to_table
from mashbill.step import Filter, Generator, settle
from mashbill.store import Manifest, PartEntry, Stored, part_name
from mashbill.usage import Usage

GREEDY = Sampling(temperature=0.0, max_tokens=64)


def document(number: int, text: str = "") -> Document:
    return Document.new(text=text or f"Document {number} tells of the salt road.", source=f"{number:03d}.txt")


def documents(count: int) -> list[Document]:
    return [document(number) for number in range(count)]


def store(root: Path, rows: Sequence[Record], part_rows: int = 4, step: str = "made_by_hand") -> Stored:
    """A finished stored step with these rows."""
    kind = type(rows[0])
    place = root / step / f"{len(rows):032x}"
    parts = []
    for index, start in enumerate(range(0, len(rows), part_rows)):
        chunk = rows[start : start + part_rows]
        kept, rejects = place / part_name(index), place / "rejects" / part_name(index)
        write_parquet(rejects, to_table([], Reject))
        write_parquet(kept, to_table(chunk, kind))
        counts = Counts(read=len(chunk), attempts=len(chunk), kept=len(chunk))
        entry = PartEntry(name=kept.name, sha256=file_digest(kept), rejects_sha256=file_digest(rejects), counts=counts)
        parts.append(entry)
    manifest = Manifest(
        step=step,
        kind=kind.__name__,
        fingerprint=place.name,
        identity={},
        parts=tuple(parts),
        counts=sum((part.counts for part in parts), Counts()),
    )
    write_json(place / "manifest.json", manifest.model_dump(mode="json"))
    return Stored.open(place)


def rows_of(stored: Stored) -> list[Any]:
    return [record for table in stored for record in from_rows(table.to_pylist(), stored.kind)]


def rejects_in(stored: Stored) -> list[Reject]:
    tables = [stored.rejects(index) for index in range(len(stored))]
    return [reject for table in tables for reject in from_rows(table.to_pylist(), Reject)]


def bytes_of(root: Path) -> dict[str, bytes]:
    """Every file under a folder by its name: two runs of one bill must give the same."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def hashed(request: Request) -> int:
    """A number that depends on the request alone."""
    text = "|".join(f"{message.role}:{message.content}" for message in request.messages)
    return int.from_bytes(hashlib.blake2b(f"{request.seed}{text}".encode(), digest_size=4).digest(), "big")


def reply(text: str, finish_reason: Any = "stop", tokens: int = 3) -> Reply:
    return Reply(text=text, finish_reason=finish_reason, prompt_tokens=7, completion_tokens=tokens)


def fickle(request: Request) -> Reply:
    """Good JSON, broken JSON, blanks and cut-off replies, by the request alone."""
    number = hashed(request)
    if request.schema:
        if number % 5 == 0:
            return reply("Here are the names.")
        if number % 7 == 0:
            return reply('{"names": ["Ora', "length")
        return reply(f'{{"names": ["Ora {number % 100}", "Venn {number % 10}"]}}')
    return reply("   " if number % 6 == 0 else f"A tale of {number}.", tokens=number % 11)


class Names(BaseModel):
    names: list[str]


@dataclass(frozen=True, kw_only=True)
class Tales(Generator[Document, Document]):
    """Names first, then several texts at once: two rounds, with re-asks, rejects and barren records."""

    texts: int = 3

    async def make(self, record: Document, ask: Ask) -> Iterable[Document | BadReply]:
        found = await ask(user(record.text, "\n\nList the names."), returns=Names, sampling=self.sampling)

        async def one(number: int) -> Document:
            question = user(record.text, f"\n\nTell tale {number} of {', '.join(found.value.names)}.")
            tale = await ask(question, sampling=self.sampling)
            return record.child(Document, kind="tale", text=tale.text, made=tale.made(found))

        return await settle(one(number) for number in range(self.texts))


@dataclass(frozen=True, kw_only=True)
class Echo(Generator[Document, Document]):
    """One question a record."""

    sampling: Sampling = GREEDY

    async def make(self, record: Document, ask: Ask) -> Iterable[Document]:
        answer = await ask(record.text, sampling=self.sampling)
        return [record.child(Document, kind="echo", text=answer.text, made=answer.made())]


@dataclass(frozen=True, kw_only=True)
class NoDigit(Filter[Document]):
    """Rejects texts that hold a digit."""

    digit: str = "7"

    def reasons(self) -> dict[str, pl.Expr]:
        return {f"has_{self.digit}": pl.col("text").str.contains(self.digit, literal=True)}

    def scores(self) -> dict[str, pl.Expr]:
        return {f"count_{self.digit}": pl.col("text").str.count_matches(self.digit, literal=True)}


@dataclass
class Shuffled:
    """Answers by a script, in an order and at moments of its own."""

    script: Callable[[Request], Reply]
    order: random.Random = field(default_factory=lambda: random.Random(0))
    batch: int = 64
    calls: int = 4
    paid: int = 0
    sizes: list[int] = field(default_factory=list)

    @property
    def identity(self) -> str:
        return "shuffled/1"

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        self.sizes.append(len(requests))
        for index in self.order.sample(range(len(requests)), len(requests)):
            for _ in range(self.order.randrange(4)):
                await asyncio.sleep(0)
            self.paid += 1
            yield index, self.script(requests[index])


@dataclass
class Gate(Shuffled):
    """Holds every call until it is opened; `reached` is set when one waits."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        self.reached.set()
        await self.opened.wait()
        async for pair in Shuffled.complete(self, requests):
            yield pair


def ask_of(asker: Asker, record: str = "r1", step: str = "echo") -> Ask:
    return Ask(asker, record, step)


def total(usages: Iterable[Usage]) -> int:
    return sum(usage.asks for usage in usages)


def ledger_at(root: Path) -> Ledger:
    return Ledger(root / "ledger.sqlite")
