"""One run of a bill at a time under a root: two at once would pay twice and write into one student's folder.

The lock is the system's own, on ``ROOT/.lock-NAME``; the file holds who has it, ``4711 20261201-041500-7f3a``: the
process and the id of its run (`mashbill.run_id`).
"""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from mashbill.errors import AlreadyRunning, StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class AnotherRun(AlreadyRunning):
    """Another run of the bill is at work under the root."""

    def __init__(self, root: Path, name: str, pid: str, run_id: str) -> None:
        known = [*([f"run {run_id}"] if run_id else []), *([f"pid {pid}"] if pid else [])]
        who = f" ({', '.join(known)})" if known else ""
        super().__init__(
            f"another run of the bill {name} is at work in {root}{who}; wait for it (`mashbill run --wait`), watch it "
            "(`mashbill status`) or stop it"
        )
        self.pid, self.run_id = pid, run_id


class AccountInUse(AlreadyRunning):
    """Another run spends from the account, and one of the two has a budget."""

    def __init__(self, account: str, who: str) -> None:
        known = f" ({who})" if who else ""
        super().__init__(
            f"another run{known} spends from the account {account}: with both the budget would be "
            "overspent; wait for it, or give this one another account (--account)"
        )


_TAKEN: ContextVar[Path | None] = ContextVar("taken", default=None)
"""The lock that is held around us for the run that is to come."""


@contextlib.contextmanager
def one_run(root: Path, name: str, run_id: str = "") -> Iterator[None]:
    """Hold the lock of a bill under a root; the system lets it go when the process ends, however it ends.

    Within `turn` of the same bill it is held already.

    Raises:
        AnotherRun: when another run of the bill holds it, with its id and process.
        StoreError: when the root cannot be written.
    """
    if _TAKEN.get() == _place(root, name):
        yield
        return
    with _held(root, name, run_id, None):
        yield


@contextlib.contextmanager
def payer(ledger: Path, account: str, run_id: str, *, alone: bool) -> Iterator[None]:
    """Spend from an account: with a budget `alone`, since it is reckoned from what the account held at the start.

    Raises:
        AccountInUse: when another run spends from it, and one of the two has a budget.
        StoreError: when the place cannot be written.
    """
    handle = _opened(ledger.parent, f"account-{urllib.parse.quote(account, safe='@#')}")
    try:
        if try_lock(handle, shared=not alone) is False:
            pid, _, other = os.read(handle, 64).decode(errors="replace").strip().partition(" ")
            raise AccountInUse(account, f"run {other}, pid {pid}" if other else "")
        if alone:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()} {run_id}\n".encode(), 0)
        try:
            yield
        finally:
            if alone:
                os.ftruncate(handle, 0)
    finally:
        os.close(handle)


@contextlib.contextmanager
def turn(root: Path, name: str, run_id: str, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock for the run inside; with `say`, wait for another run to end, and tell once whom it waits for.

    Ctrl-C ends the waiting.

    Raises:
        AnotherRun: when another run holds it, and there is no `say`.
        StoreError: when the root cannot be written.
    """
    with _held(root, name, run_id, say):
        token = _TAKEN.set(_place(root, name))
        try:
            yield
        finally:
            _TAKEN.reset(token)


@contextlib.contextmanager
def _held(root: Path, name: str, run_id: str, say: Callable[[str], None] | None) -> Iterator[None]:
    handle = _opened(root, name)
    try:
        try:
            _lock(handle, root, name)
        except AnotherRun as other:
            if say is None:
                raise
            who = f"run {other.run_id}" if other.run_id else "another run"
            say(f"waiting for {who} of {name} to end{f' (pid {other.pid})' if other.pid else ''}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {run_id}".strip().encode() + b"\n", 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)  # not removed: another may have it open, and would then hold a lock on nothing
    finally:
        os.close(handle)


def _place(root: Path, name: str) -> Path:
    return root / f".lock-{name}"


def _opened(root: Path, name: str) -> int:
    place = _place(root, name)
    try:
        root.mkdir(parents=True, exist_ok=True)
        return os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StoreError(f"{place}: cannot be written: {error.strerror}; mend it or take another --root") from error


def _lock(handle: int, root: Path, name: str) -> None:
    if try_lock(handle) is False:
        pid, _, run_id = os.read(handle, 64).decode(errors="replace").strip().partition(" ")
        raise AnotherRun(root, name, pid, run_id)


def try_lock(handle: int, *, shared: bool = False) -> bool | None:
    """Take the lock of an open file until it is closed; False when another has it, None where nothing can be locked."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None  # a file system without locks: some of those on a network
    return True
