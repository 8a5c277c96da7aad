"""Runs a server and sees to it that it never outlives the run: ``python vllm_keeper.py COMMAND ...``.

Its standard input is a pipe from the run. When that ends (closed, or the run died, however it died), or the run is no
longer its parent, the whole process group of the server gets SIGTERM and, ten seconds later, SIGKILL. A script on its
own, on the standard library: it is started by path, and imports nothing of Mashbill.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from types import FrameType

GRACE_SECONDS = 10.0
LOOK_SECONDS = 0.25
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux for SIGTERM when the keeper itself is killed; elsewhere the process group has to do."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main(command: list[str]) -> int:
    """Run the command until it ends or nobody wants it; its exit code, or minus the signal that ended it."""
    parent = os.getppid()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    # The keeper has one thread, so what runs between fork and exec is safe.
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent)
    with contextlib.suppress(KeyboardInterrupt):
        while server.poll() is None and os.getppid() == parent:
            if select.select([0], [], [], LOOK_SECONDS)[0] and not os.read(0, 4096):
                break
    end(server)
    return server.returncode


def end(server: subprocess.Popen[bytes]) -> None:
    """Stop the server's whole group, gently first."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(GRACE_SECONDS)
    # What is left: workers that lost their leader.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
