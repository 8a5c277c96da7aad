"""The ledger: every reply, durable before it is used.

SQLite in WAL mode. Replies that arrive together are committed together (group commit), on a thread of the ledger's
own; `put` resolves when the commit is on disk. The key is the digest of engine identity, the complete request after
defaults, and the draw number, so a run that starts again finds what it has paid for, and a changed prompt does not.

One row::

    key         c3f0…  (16 bytes)
    engine      transformers/smollm2-135m-instruct@5af1…
    request     {"messages": [["user", ["@9b1e…", "Summarise …"]]], "sampling": {…}, "schema": "", "seed": 77}
    draw        0
    reply       {"text": "…", "finish_reason": "stop", "prompt_tokens": 911, "completion_tokens": 212}
    created     1790000000.0

Message parts of `SHARED` characters or more stand once, compressed, in the table ``texts`` (``@`` and their digest):
a recipe that sends one document a thousand times stores it once. No header, URL or key is ever stored. Two more tables
say how asks ended that gave no usable reply, and what is asked otherwise since (`mashbill.ledger_states`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from mashbill.engine import Reply, Request
from mashbill.errors import LedgerError
from mashbill.ledger_sql import chunks, repeated
from mashbill.ledger_states import (
    TABLES,
    Ended,
    Noted,
    Retry,
    insert_retries,
    insert_states,
    read_failed,
    read_retries,
    read_states,
)
from mashbill.ledger_texts import SHARED, SharedTexts, unpack
from mashbill.packing import reply_key, reply_of, reply_row, request_bytes, to_json
from mashbill.spending import TABLES as SPENDING
from mashbill.spending import Account, Clocks, Payer, read_account, spent_on, write_spent

__all__ = ["SHARED", "Entry", "Ledger", "reply_key", "request_bytes"]

_TABLES = """
CREATE TABLE IF NOT EXISTS replies (
    key BLOB PRIMARY KEY NOT NULL, engine TEXT NOT NULL, request BLOB NOT NULL, draw INTEGER NOT NULL,
    reply BLOB NOT NULL, created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS texts (id BLOB PRIMARY KEY NOT NULL, body BLOB NOT NULL);
"""
# Rows by rowid, so that a group is appended and only the small index is written at random places: in groups of 64
# that is 11 microseconds a row against 43 without rowid, 24 against 76 in a ledger of 300,000.


_GET = "SELECT key, reply FROM replies WHERE key IN ("


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger row, as `trace` shows it."""

    key: str
    engine: str
    request: Request
    draw: int
    reply: Reply
    created: float


@dataclass(slots=True)
class _Pending:
    key: bytes
    engine: str
    request: Request
    draw: int
    reply: Reply
    settled: Callable[[Reply | Exception], None]
    payer: Payer | None


class Ledger:
    """The reply store of a run; several processes may share one file.

    Raises:
        LedgerError: when the file cannot be opened, read or written.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with self._failures("open"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._reader = self._connect()
            # The writer is used only on its own thread; sqlite3 would refuse it otherwise.
            self._writer = self._connect()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._pending: list[_Pending] = []
        self._noted: list[Noted] = []
        self._flusher: asyncio.Task[None] | None = None
        self._texts = SharedTexts()
        self.clocks = Clocks()
        """Accounts whose time is counted: it is written with each reply that they pay for."""
        self._closed = False

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=60, check_same_thread=False, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            # FULL: the commit survives a power cut, not only kill -9; group commit makes the sync cheap.
            connection.execute("PRAGMA synchronous=FULL")
            connection.executescript(_TABLES + TABLES + SPENDING)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{self.path}: cannot {doing} the ledger: {error}; check the disk's free space and the file's "
                "permissions, then run the same command again: replies already committed are kept"
            ) from error

    def get(self, key: str) -> Reply | None:
        """The reply stored under a key, or None."""
        return self.get_all([key]).get(key)

    def get_all(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The replies stored under these keys; one look for many costs 3 microseconds a key against 13 for each."""
        found = dict[str, Reply]()
        with self._failures("read"):
            for some in chunks([bytes.fromhex(key) for key in keys]):
                for key, packed in self._reader.execute(repeated(_GET, "?", len(some)) + ")", some):
                    found[key.hex()] = reply_of(packed, key.hex())
        return found

    def put(self, key: str, engine: str, request: Request, draw: int, reply: Reply) -> asyncio.Future[Reply]:
        """Store a reply; the future resolves, once it is on disk, to the reply that stands under the key.

        That is another one only if another process stored its own first: the first stays.
        """
        done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def settled(outcome: Reply | Exception) -> None:
            if done.done():
                return
            if isinstance(outcome, Exception):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)

        self.store(key, engine, request, draw, reply, settled)
        return done

    def store(
        self,
        key: str,
        engine: str,
        request: Request,
        draw: int,
        reply: Reply,
        settled: Callable[[Reply | Exception], None],
        payer: Payer | None = None,
    ) -> None:
        """As `put`, without a future: `settled` is called with what stands, or with what went wrong.

        What the reply took is entered on the account of `payer` in the same commit.
        """
        self._pending.append(_Pending(bytes.fromhex(key), engine, request, draw, reply, settled, payer))
        self._wake()

    def note(self, ended: Ended) -> asyncio.Future[None]:
        """Keep how an ask ended that did not end ``ok``; the future resolves once it is on disk."""
        noted = Noted(ended, asyncio.get_running_loop().create_future())
        self._noted.append(noted)
        self._wake()
        return noted.done

    def _wake(self) -> None:
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending or self._noted:
            group, self._pending = self._pending, []
            notes, self._noted = self._noted, []
            outcomes: Sequence[Reply | Exception]
            failure: Exception | None = None
            try:
                outcomes = await loop.run_in_executor(self._thread, self._commit, group, notes)
            except Exception as error:  # whatever it is, whoever waits for the reply must hear of it
                outcomes, failure = [error] * len(group), error
            for item, outcome in zip(group, outcomes, strict=True):
                item.settled(outcome)
            for note in notes:
                note.settle(failure)

    def _commit(self, group: list[_Pending], notes: list[Noted]) -> list[Reply]:
        # Packed before and written in few statements: each one lets go of the interpreter and must win it back.
        texts, now = dict[bytes, bytes](), time.time()
        rows = [
            (one.key, one.engine, self._texts.pack(one.request, texts), one.draw, to_json(reply_row(one.reply)), now)
            for one in group
        ]
        ended = [
            (one.ended, self._texts.pack(one.ended.request, texts) if one.ended.request else None) for one in notes
        ]
        standing: list[Reply] = []
        spent = spent_on((one.payer, one.reply) for one in group if one.payer is not None)
        seconds = self.clocks.since(payer.account for payer in spent)

        def write() -> None:
            for some in chunks(list(texts.items())):
                self._insert("texts", some)
            for chunk, items in zip(chunks(rows), chunks(group), strict=True):
                added = self._insert("replies", chunk)
                standing.extend([one.reply for one in items] if added == len(items) else self._standing(items))
            if ended:
                insert_states(self._writer, ended)
            if spent:
                write_spent(self._writer, spent, seconds)

        with self._failures("write"):
            self._transact(write)
        self._texts.stored(texts)
        self.clocks.written(seconds)
        return standing

    def _transact(self, write: Callable[[], None]) -> None:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            write()
            self._writer.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled it back already; there is then nothing left to undo.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]]) -> int:
        row = f"({','.join('?' * len(rows[0]))})"
        sql = repeated(f"INSERT OR IGNORE INTO {table} VALUES ", row, len(rows))
        return self._writer.execute(sql, list(chain.from_iterable(rows))).rowcount

    def _standing(self, items: Sequence[_Pending]) -> list[Reply]:
        stored = dict(self._writer.execute(repeated(_GET, "?", len(items)) + ")", [one.key for one in items]))
        return [reply_of(stored[one.key], one.key.hex()) for one in items]

    def entry(self, key: str) -> Entry | None:
        """The whole row under a key, with its request restored; None when there is none."""
        with self._failures("read"):
            row = self._reader.execute(
                "SELECT engine, request, draw, reply, created FROM replies WHERE key=?", (bytes.fromhex(key),)
            ).fetchone()
            if row is None:
                return None
            return Entry(key, row[0], unpack(row[1], self._text), row[2], reply_of(row[3], key), row[4])

    def _text(self, digest: bytes) -> bytes:
        return bytes(self._reader.execute("SELECT body FROM texts WHERE id=?", (digest,)).fetchone()[0])

    def states(self, step: str) -> list[Ended]:
        """How the asks of a stored step ended, by its fingerprint, those alone that did not end ``ok``."""
        with self._failures("read"):
            return list(read_states(self._reader, step))

    def failed(self) -> dict[str, str]:
        """Key -> what was said of each ask that a provider failed, and that has no reply since."""
        with self._failures("read"):
            return dict(read_failed(self._reader))

    def unanswered(self, step: str, key: str) -> Request | None:
        """The request of an ask that ended without a reply."""
        with self._failures("read"):
            row = self._reader.execute(
                "SELECT request FROM states WHERE step=? AND key=?", (step, bytes.fromhex(key))
            ).fetchone()
            return None if row is None or row[0] is None else unpack(row[0], self._text)

    def retries(self, asks: str) -> dict[str, Retry]:
        """What a step asks otherwise, by the key of its own request; `asks` is `mashbill.step_run.Place.asks`."""
        with self._failures("read"):
            return read_retries(self._reader, asks)

    def retry(self, retries: Mapping[str, Mapping[str, Retry]]) -> None:
        """Have steps ask these otherwise from now on, by `Place.asks`; all of them on disk when it returns, or none."""
        with self._failures("write"):
            self._thread.submit(self._transact, lambda: insert_retries(self._writer, retries)).result()

    def account(self, name: str) -> Account:
        """What an account has spent, by engine and step."""
        with self._failures("read"):
            return read_account(self._reader, name)

    def count(self) -> int:
        """How many replies are stored."""
        with self._failures("read"):
            return int(self._reader.execute("SELECT count(*) FROM replies").fetchone()[0])

    async def close(self) -> None:
        """Commit what is pending and let go of the file; safe to call twice."""
        if self._closed:
            return
        if self._flusher is not None:
            await asyncio.shield(self._flusher)
        self._closed = True
        self._thread.shutdown(wait=True)
        self._writer.close()
        self._reader.close()
