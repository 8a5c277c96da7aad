"""Tables of the ledger beside the replies: how asks ended that did not end ``ok``, and what is asked otherwise since.

A row of ``states``, for a step's ask whose reply was cut off::

    key     c3f0…  (of the reply; of the request where there is none)
    step    df2b08e3…  (the fingerprint of the stored step)     name  rephrase
    state   truncated        last  1  (the ask ended with it; 0: it was asked again, for its shape)
    first   c3f0…  (the key of what the step asked at first)
    record  09ab…            engine  openai/qwen3-8b@9c925d64        draw  0
    detail  it was cut off after 160 tokens; be shorter.
    request NULL  (the reply's row has it; where there is no reply, the request stands here)

A row of ``retries`` says that what a step asks under a key is to be asked otherwise: with these sampling parameters,
for the n-th time. It is found by the step and its engines, whatever the step reads, and counts where the step reads the
record it was asked for. The step's fingerprint takes it in, so the rows made of it lie in a folder of their own.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mashbill.ask_state import AskState
from mashbill.engine import Request, Sampling
from mashbill.fingerprint import fingerprint
from mashbill.ledger_texts import sampling_of
from mashbill.packing import from_json, to_json

TABLES = """
CREATE TABLE IF NOT EXISTS states (
    step TEXT NOT NULL, key BLOB NOT NULL, state TEXT NOT NULL, last INTEGER NOT NULL, first BLOB NOT NULL,
    name TEXT NOT NULL, record TEXT NOT NULL, engine TEXT NOT NULL, draw INTEGER NOT NULL, detail TEXT NOT NULL,
    request BLOB, created REAL NOT NULL, PRIMARY KEY (step, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retries (
    asks TEXT NOT NULL, key BLOB NOT NULL, record TEXT NOT NULL, times INTEGER NOT NULL, sampling BLOB NOT NULL,
    state TEXT NOT NULL, created REAL NOT NULL, PRIMARY KEY (asks, key)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One ask of a step that did not end ``ok``; or one that did, where it was a retry."""

    key: str
    """Ledger key of its reply; of its request where there is none."""
    step: str
    """Fingerprint of the stored step."""
    name: str
    """The step's name."""
    record: str
    """Id of the record it was asked for; of a generator, one of those that it reads."""
    engine: str
    state: AskState
    first: str
    """Key of what the step asked at first: before it was asked again for its shape, and before any retry."""
    last: bool
    """Whether the ask ended so; False where it was asked again, for its shape."""
    draw: int = 0
    detail: str = ""
    request: Request | None = None
    """Where there is no reply, what would have been sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What is asked instead of a step's own request."""

    times: int
    """How often it was asked otherwise by now, this time included; it enters the seed."""
    sampling: Sampling
    state: AskState
    """What the ask had ended in."""
    record: str = ""
    """Id of the record it was asked for."""
    created: float = 0.0
    """When that was said: the same for all that were retried together; filled in by the ledger."""


@dataclass(slots=True)
class Noted:
    """One that waits to be written, and whoever waits for that."""

    ended: Ended
    done: asyncio.Future[None]

    def settle(self, failure: Exception | None) -> None:
        """Say that it is on disk, or what went wrong; whoever waited may be gone."""
        if self.done.done():
            return
        if failure is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(failure)


def digest_of(retries: Mapping[str, Retry]) -> str:
    """What a step's fingerprint takes in of its retries: nothing where there are none."""
    return fingerprint({key: (one.times, one.sampling) for key, one in retries.items()}) if retries else ""


def insert_states(writer: sqlite3.Connection, rows: Iterable[tuple[Ended, bytes | None]]) -> None:
    """Write how asks ended, each with its packed request; the latest stands, within the caller's transaction."""
    now = time.time()
    values = [
        (
            *(one.step, bytes.fromhex(one.key), one.state.value, int(one.last), bytes.fromhex(one.first), one.name),
            *(one.record, one.engine, one.draw, one.detail, packed, now),
        )
        for one, packed in rows
    ]
    writer.executemany(f"INSERT OR REPLACE INTO states VALUES ({','.join('?' * 12)})", values)


def insert_retries(writer: sqlite3.Connection, retries: Mapping[str, Mapping[str, Retry]]) -> None:
    """Write what steps ask otherwise, within the caller's transaction; of one ask the last retry stands."""
    now = time.time()
    values = [
        (asks, bytes.fromhex(key), one.record, one.times, to_json(one.sampling), one.state.value, now)
        for asks, some in retries.items()
        for key, one in some.items()
    ]
    writer.executemany("INSERT OR REPLACE INTO retries VALUES (?,?,?,?,?,?,?)", values)


def read_said(reader: sqlite3.Connection, state: AskState) -> Iterator[tuple[str, str]]:
    """Key and detail of each ask that ended in this state, which has no reply, and has none since."""
    rows = reader.execute(
        "SELECT key, detail FROM states s WHERE state=? AND NOT EXISTS (SELECT 1 FROM replies r WHERE r.key=s.key)",
        (state.value,),
    )
    yield from ((key.hex(), detail) for key, detail in rows)


def read_states(reader: sqlite3.Connection, step: str) -> Iterator[Ended]:
    """How a step's asks ended, those left out that got their reply since."""
    # A request without a reply that was asked again by now has its reply under the same key.
    rows = reader.execute(
        "SELECT s.key, s.state, s.last, s.first, s.name, s.record, s.engine, s.draw, s.detail FROM states s "
        "WHERE s.step=? AND (s.request IS NULL OR NOT EXISTS (SELECT 1 FROM replies r WHERE r.key=s.key)) "
        "ORDER BY s.created, s.key",
        (step,),
    )
    for key, state, last, first, name, record, engine, draw, detail in rows:
        yield Ended(
            key=key.hex(),
            step=step,
            name=name,
            record=record,
            engine=engine,
            state=AskState(state),
            first=first.hex(),
            last=bool(last),
            draw=draw,
            detail=detail,
        )


def read_retries(reader: sqlite3.Connection, asks: str) -> dict[str, Retry]:
    """By the key of a step's own request, what is asked instead."""
    rows: Sequence[tuple[bytes, str, int, bytes, str, float]] = reader.execute(
        "SELECT key, record, times, sampling, state, created FROM retries WHERE asks=? ORDER BY key", (asks,)
    ).fetchall()
    return {
        key.hex(): Retry(
            times=times,
            sampling=sampling_of(from_json(sampling)),
            state=AskState(state),
            record=record,
            created=created,
        )
        for key, record, times, sampling, state, created in rows
    }
