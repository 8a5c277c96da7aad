"""Reading the ledger: replies, how asks ended, what is asked otherwise, and what accounts have spent."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mashbill.ask_state import AskState
from mashbill.engine import Reply, Request
from mashbill.errors import LedgerError
from mashbill.ledger_sql import chunks, repeated
from mashbill.ledger_states import TABLES, Ended, Retry, read_retries, read_said, read_states
from mashbill.ledger_texts import unpack
from mashbill.packing import reply_of
from mashbill.spending import TABLES as SPENDING
from mashbill.spending import Account, read_account

_TABLES = """
CREATE TABLE IF NOT EXISTS replies (
    key BLOB PRIMARY KEY NOT NULL, engine TEXT NOT NULL, request BLOB NOT NULL, draw INTEGER NOT NULL,
    reply BLOB NOT NULL, created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS texts (id BLOB PRIMARY KEY NOT NULL, body BLOB NOT NULL);
"""
# Rows by rowid, so that a group is appended and only the small index is written at random places: in groups of 64
# that is 11 microseconds a row against 43 without rowid, 24 against 76 in a ledger of 300,000.


GET = "SELECT key, reply FROM replies WHERE key IN ("


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger row, as `trace` shows it."""

    key: str
    engine: str
    request: Request
    draw: int
    reply: Reply
    created: float


class LedgerReader:
    """What a ledger holds; the file is made where there is none.

    Raises:
        LedgerError: when the file cannot be opened or read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with self._failures("open"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._reader = self._connect()

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
                for key, packed in self._reader.execute(repeated(GET, "?", len(some)) + ")", some):
                    found[key.hex()] = reply_of(packed, key.hex())
        return found

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
            return dict(read_said(self._reader, AskState.PROVIDER_ERROR))

    def refused(self) -> dict[str, str]:
        """Key -> why the model could not serve it, of each ask that was refused."""
        with self._failures("read"):
            return dict(read_said(self._reader, AskState.REFUSED))

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

    def account(self, name: str) -> Account:
        """What an account has spent, by engine and step."""
        with self._failures("read"):
            return read_account(self._reader, name)

    def count(self) -> int:
        """How many replies are stored."""
        with self._failures("read"):
            return int(self._reader.execute("SELECT count(*) FROM replies").fetchone()[0])
