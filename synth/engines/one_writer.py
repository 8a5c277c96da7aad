"""One process at a time through a stretch of work that waits: a file lock that does not hold up the event loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PAUSE = 0.2
"""Seconds between two tries to get it."""


@contextlib.asynccontextmanager
async def one_writer(path: Path, sleep: Callable[[float], Awaitable[None]]) -> AsyncIterator[None]:
    """Hold the lock of a file; the system lets it go when the process ends, however it ends.

    Two tasks of one process exclude each other too, since each opens the file for itself.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while not _locked(handle):
            await sleep(PAUSE)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: some of those on a network
    return True
