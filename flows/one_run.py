"""One run of a bill at a time under a root: two at once would pay twice and write into one student's folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from mashbill.errors import AlreadyRunning, StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def one_run(root: Path, name: str) -> Iterator[None]:
    """Hold the lock of a bill under a root; the system lets it go when the process ends, however it ends.

    Raises:
        AlreadyRunning: when another run of the bill holds it.
        StoreError: when the root cannot be written.
    """
    place = root / f".lock-{name}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StoreError(f"{place}: cannot be written: {error.strerror}; mend it or take another --root") from error
    try:
        _lock(handle, root, name)
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        try:
            yield
        finally:
            os.ftruncate(handle, 0)  # not removed: another may have it open, and would then hold a lock on nothing
    finally:
        os.close(handle)


def _lock(handle: int, root: Path, name: str) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(handle, 32).decode(errors="replace").strip()
        who = f" (pid {pid})" if pid else ""
        raise AlreadyRunning(
            f"another run of the bill {name} is at work in {root}{who}; wait for it or stop it"
        ) from None
    except OSError:
        return  # a file system without locks: some of those on a network
