"""What was spent, by account, engine, tariff and step: kept in the ledger, in the commit of the replies it paid for.

One row::

    account   tolvarey            a bill's name, or what --account says
    engine    openai/qwen3-8b@2026-04-28
    tariff    ""                  or "batch", where the request went to a batch endpoint
    step      entigraph
    asks      812                 replies that were paid for: those from the ledger are not counted again
    tokens    1,310,022 + 402,110

Beside it stand the seconds of an account: from the start of each run to its last new reply.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mashbill.engine import Reply
from mashbill.errors import LedgerError

TABLES = """
CREATE TABLE IF NOT EXISTS spending (
    account TEXT NOT NULL, engine TEXT NOT NULL, tariff TEXT NOT NULL, step TEXT NOT NULL, asks INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, PRIMARY KEY (account, engine, tariff, step)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent_time (account TEXT PRIMARY KEY NOT NULL, seconds REAL NOT NULL) WITHOUT ROWID;
"""
_ADD = """
INSERT INTO spending VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET asks = asks + excluded.asks,
    prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens
"""
_ADD_TIME = """
INSERT INTO spent_time VALUES (?, ?) ON CONFLICT DO UPDATE SET seconds = seconds + excluded.seconds
"""


class Payer(NamedTuple):
    """On whose account a reply goes."""

    account: str
    engine: str
    tariff: str
    step: str


@dataclass(slots=True)
class Spent:
    """What was paid for."""

    asks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and new tokens."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, asks: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Add these."""
        self.asks += asks
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens


@dataclass(frozen=True, slots=True)
class Account:
    """One account as the ledger has it."""

    name: str
    spent: Mapping[Payer, Spent]
    seconds: float


class Clocks:
    """How long accounts have gone on since that was last written."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def start(self, account: str) -> None:
        """Count an account's time from now on."""
        self._since[account] = time.monotonic()

    def since(self, accounts: Iterable[str]) -> dict[str, float]:
        """Seconds of each that is counted."""
        now = time.monotonic()
        return {account: now - self._since[account] for account in set(accounts) if account in self._since}

    def written(self, seconds: Mapping[str, float]) -> None:
        """These are on disk now."""
        for account, taken in seconds.items():
            self._since[account] += taken


def spent_on(paid: Iterable[tuple[Payer, Reply]]) -> dict[Payer, Spent]:
    """What replies took, by who pays; also one that another process had stored before: it was paid for."""
    spent: dict[Payer, Spent] = {}
    for payer, reply in paid:
        found = spent.get(payer)
        if found is None:
            found = spent[payer] = Spent()
        found.add(1, reply.prompt_tokens, reply.completion_tokens)
    return spent


def write_spent(connection: sqlite3.Connection, spent: Mapping[Payer, Spent], seconds: Mapping[str, float]) -> None:
    """Add to accounts, inside the transaction that stores the replies."""
    connection.executemany(
        _ADD, [(*payer, one.asks, one.prompt_tokens, one.completion_tokens) for payer, one in spent.items()]
    )
    connection.executemany(_ADD_TIME, list(seconds.items()))


def read_account(connection: sqlite3.Connection, name: str) -> Account:
    """What an account has spent; nothing for one that never paid."""
    rows = connection.execute(
        "SELECT engine, tariff, step, asks, prompt_tokens, completion_tokens FROM spending WHERE account=? "
        "ORDER BY engine, tariff, step",
        (name,),
    )
    spent = {Payer(name, *row[:3]): Spent(*row[3:]) for row in rows}
    found = connection.execute("SELECT seconds FROM spent_time WHERE account=?", (name,)).fetchone()
    return Account(name, spent, 0.0 if found is None else float(found[0]))


def kept_account(ledger: Path, name: str) -> Account:
    """What an account has spent by a ledger's file, which is opened for reading only; nothing where there is none.

    Raises:
        LedgerError: when it cannot be read.
    """
    if not ledger.is_file():
        return Account(name, {}, 0.0)
    try:
        with contextlib.closing(sqlite3.connect(f"{ledger.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as one:
            kept = one.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('spending', 'spent_time')").fetchone()
            # Of an earlier version there is no account.
            return read_account(one, name) if kept == (2,) else Account(name, {}, 0.0)
    except sqlite3.Error as error:
        raise LedgerError(
            f"{ledger}: cannot read the ledger: {error}; check that it is a ledger and may be read"
        ) from error
