"""Which batches are under way and which requests they hold: written down before anything is sent.

SQLite in WAL mode, one file for all bills under a root, beside the files that were sent and came back::

    runs/batches/batches.sqlite
                 9f3a….input.jsonl      what was sent, until its batch has ended
                 9f3a….output.jsonl     what came back, as the provider wrote it
                 9f3a….errors.jsonl

One row of ``batches``, and one of ``asked``::

    name 9f3a…   place api.openai.com:443/v1   state created   file_id file-abc   batch_id batch_d   status in_progress
    key 6f1c…    batch 9f3a…   file output   place_in 18233

A batch is ``planned`` (written down), ``uploaded`` (its file is there), ``created`` (the provider works on it),
``collected`` (what came back is on disk), or ``dropped`` (it was never created). A process that dies between two of
these leaves a row that says what to look for.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from mashbill.errors import LedgerError

State = Literal["planned", "uploaded", "created", "collected", "dropped"]

_TABLES = """
CREATE TABLE IF NOT EXISTS batches (
    name TEXT PRIMARY KEY NOT NULL, place TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL,
    file_id TEXT NOT NULL DEFAULT '', batch_id TEXT NOT NULL DEFAULT '', status TEXT NOT NULL DEFAULT '',
    requests INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL, seen REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS asked (
    key BLOB NOT NULL, batch TEXT NOT NULL, file TEXT NOT NULL DEFAULT '', place_in INTEGER NOT NULL DEFAULT -1,
    PRIMARY KEY (key, batch)
) WITHOUT ROWID;
"""
_COLUMNS = "name, place, model, state, file_id, batch_id, status, requests, done, failed, created, seen"
_SOME = 500
"""Keys in one look: SQLite takes 999 values at least."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One batch as it is written down."""

    name: str
    place: str
    """Host, port and path of the endpoint; never a key."""
    model: str
    state: State
    file_id: str
    batch_id: str
    status: str
    """The provider's own word: ``validating``, ``in_progress``, ``completed``, …"""
    requests: int
    done: int
    failed: int
    created: float
    """When it was written down, in seconds since 1970."""
    seen: float
    """When the provider was last asked about it."""


@dataclass(frozen=True, slots=True)
class Held:
    """Where one request stands: in which batch, and where its line is, once that was collected."""

    batch: str
    state: State
    file: str
    place_in: int


class BatchStore:
    """The file of the batches under a root.

    Raises:
        LedgerError: when it cannot be opened, read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "batches.sqlite"
        self._lock = threading.RLock()  # large writes run on a thread; one connection has one transaction
        with self._failures("open"):
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=60, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_TABLES)

    @contextlib.contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{self.path}: cannot {doing} the list of batches: {error}; check the disk's free space and the "
                "file's permissions, then run the same command again: batches under way are kept at the provider"
            ) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._failures("write"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def file(self, name: str, kind: str) -> Path:
        """A file of a batch: ``input``, ``output`` or ``errors``."""
        return self.folder / f"{name}.{kind}.jsonl"

    def plan(self, name: str, place: str, model: str, keys: Sequence[str]) -> None:
        """Write a batch down with the keys it holds; its input file is there by now."""
        now = time.time()
        with self._writing() as db:
            db.execute(
                "INSERT INTO batches (name, place, model, state, requests, created, seen) VALUES (?,?,?,?,?,?,?)",
                (name, place, model, "planned", len(keys), now, now),
            )
            db.executemany("INSERT INTO asked (key, batch) VALUES (?,?)", [(bytes.fromhex(key), name) for key in keys])

    def enter(
        self,
        name: str,
        *,
        state: State | None = None,
        file_id: str | None = None,
        batch_id: str | None = None,
        status: str | None = None,
        done: int | None = None,
        failed: int | None = None,
    ) -> None:
        """Change what is known of a batch."""
        known = {"state": state, "file_id": file_id, "batch_id": batch_id, "status": status}
        values: dict[str, object] = {**known, "done": done, "failed": failed}
        given = {column: value for column, value in values.items() if value is not None} | {"seen": time.time()}
        sets = ", ".join(f"{column}=?" for column in given)
        with self._writing() as db:
            db.execute(f"UPDATE batches SET {sets} WHERE name=?", (*given.values(), name))

    def collect(self, name: str, places: Mapping[str, tuple[str, int]], status: str) -> None:
        """What came back is on disk: key -> its file and the place of its line there."""
        rows = [(file, at, bytes.fromhex(key), name) for key, (file, at) in places.items()]
        done = sum(file == "output" for file, _ in places.values())
        with self._writing() as db:
            db.executemany("UPDATE asked SET file=?, place_in=? WHERE key=? AND batch=?", rows)
            db.execute(
                "UPDATE batches SET state='collected', status=?, done=?, failed=requests-?, seen=? WHERE name=?",
                (status, done, done, time.time(), name),
            )

    def batch(self, name: str) -> BatchRow:
        """One batch."""
        with self._failures("read"):
            return BatchRow(*self._db.execute(f"SELECT {_COLUMNS} FROM batches WHERE name=?", (name,)).fetchone())

    def batches(self, place: str = "", states: Iterable[State] = ()) -> list[BatchRow]:
        """All batches, of one endpoint and in these states where they are given, the oldest first."""
        wanted = set(states)
        with self._failures("read"):
            rows = [BatchRow(*row) for row in self._db.execute(f"SELECT {_COLUMNS} FROM batches ORDER BY created")]
        return [row for row in rows if (not place or row.place == place) and (not wanted or row.state in wanted)]

    def keys(self, name: str) -> list[str]:
        """The keys of the requests in a batch."""
        with self._failures("read"):
            return [key.hex() for (key,) in self._db.execute("SELECT key FROM asked WHERE batch=?", (name,))]

    def held(self, keys: Sequence[str], place: str) -> dict[str, Held]:
        """Where these requests stand at an endpoint: in a batch under way, or with an output line on disk."""
        found = dict[str, Held]()
        with self._failures("read"):
            for start in range(0, len(keys), _SOME):
                some = [bytes.fromhex(key) for key in keys[start : start + _SOME]]
                sql = (
                    "SELECT key, batch, state, file, place_in FROM asked JOIN batches ON batches.name = asked.batch "
                    f"WHERE key IN ({','.join('?' * len(some))}) AND place=? "
                    "AND (state='created' OR (state='collected' AND file='output')) ORDER BY state DESC, created DESC"
                )
                for key, *rest in self._db.execute(sql, [*some, place]):
                    found.setdefault(key.hex(), Held(*rest))  # one under way first, then the newest line
        return found

    @contextlib.contextmanager
    def lines(self) -> Iterator[Lines]:
        """Lines of collected files, read where they stand."""
        with contextlib.ExitStack() as opened:
            yield Lines(self, opened)

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        self._db.close()


class Lines:
    """Single lines of collected files; each file is opened once."""

    def __init__(self, store: BatchStore, opened: contextlib.ExitStack) -> None:
        self._store, self._opened = store, opened
        self._files = dict[Path, BinaryIO | None]()

    def at(self, name: str, kind: str, place_in: int) -> bytes:
        """The line that begins there; empty where the file was removed by hand, so that its request is asked again."""
        path = self._store.file(name, kind)
        if path not in self._files:
            self._files[path] = self._opened.enter_context(path.open("rb")) if path.is_file() else None
        file = self._files[path]
        if file is None:
            return b""
        file.seek(place_in)
        return file.readline()
