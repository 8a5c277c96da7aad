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
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from mashbill.engine import Reply, Request
from mashbill.ledger_reader import GET, Entry, LedgerReader
from mashbill.ledger_sql import chunks, repeated
from mashbill.ledger_states import Ended, Noted, Retry, insert_retries, insert_states
from mashbill.ledger_texts import SHARED, SharedTexts
from mashbill.packing import reply_key, reply_of, reply_row, request_bytes, to_json
from mashbill.spending import Clocks, Payer, spent_on, write_spent

__all__ = ["SHARED", "Entry", "Ledger", "reply_key", "request_bytes"]


@dataclass(slots=True)
class _Pending:
    key: bytes
    engine: str
    request: Request
    draw: int
    reply: Reply
    settled: Callable[[Reply | Exception], None]
    payer: Payer | None


class Ledger(LedgerReader):
    """The reply store of a run; several processes may share one file.

    Raises:
        LedgerError: when the file cannot be opened, read or written.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        with self._failures("open"):
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
        stored = dict(self._writer.execute(repeated(GET, "?", len(items)) + ")", [one.key for one in items]))
        return [reply_of(stored[one.key], one.key.hex()) for one in items]

    def retry(self, retries: Mapping[str, Mapping[str, Retry]]) -> None:
        """Have steps ask these otherwise from now on, by `Place.asks`; all of them on disk when it returns, or none."""
        with self._failures("write"):
            self._thread.submit(self._transact, lambda: insert_retries(self._writer, retries)).result()

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
