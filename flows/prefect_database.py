"""An empty Prefect database, made once on a machine and copied for each root.

Prefect makes one by running all its migrations, which take as much processor time as the rest of the server's start:
measured here, 20 s of it for a server with a new database and 10 s with one that is there. So the first one that a
server of ours has made is kept in the cache, by Prefect's version, and the next root begins with a copy.

It holds what Prefect puts into every new database, and no run.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from mashbill.disk import replacing
from mashbill.embedded import cache_dir
from mashbill.errors import StoreError

logger = logging.getLogger(__name__)

_NO_COPY = (OSError, sqlite3.Error, StoreError)
_ELSEWHERE = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")


def lend_database(home: Path) -> bool:
    """Put a copy where the server looks for its database; whether there was none yet, so that one is being made.

    Nothing is done where the root has one, or where the user keeps Prefect's database elsewhere.
    """
    database = home / "prefect.db"
    if database.exists() or any(name in os.environ for name in _ELSEWHERE):
        return False
    kept = kept_database()
    if not kept.is_file():
        return True
    try:
        _copy(kept, database)
    except _NO_COPY as error:
        logger.warning("%s: cannot be copied (%s); Prefect makes a new database", kept, error)
        database.unlink(missing_ok=True)
        return True
    return False


def keep_database(home: Path) -> None:
    """Keep the database that a server has just made, before any run is in it; a cache that is closed is no matter."""
    with contextlib.suppress(*_NO_COPY):
        _copy(home / "prefect.db", kept_database())


def kept_database() -> Path:
    """Where the empty one is kept, for the Prefect that is installed."""
    return cache_dir() / "prefect" / f"{importlib.metadata.version('prefect')}.db"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Through SQLite: what a server has just written stands in a journal beside the file.
    with replacing(target) as aside, closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(aside)) as other:
        one.backup(other)
        other.execute("PRAGMA journal_mode=DELETE")  # one file, and no journal beside it
    target.chmod(0o600)
