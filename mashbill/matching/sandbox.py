"""Run an answer's code with its tests in a process of its own, which may do next to nothing.

No network and no processes but its own (Linux namespaces by ``unshare``, where they are to be had), an empty
environment, an empty working folder, limits on CPU time, memory and file size, a deadline after which the whole process
group is killed, and in any case an audit hook that refuses sockets, other processes, and files outside that folder.

The hook is a fence against accidents and against what models write. Where there are no namespaces, code that is
written to break out of Python may do so: ask for them with ``namespaces: required``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

RUNNER = Path(__file__).with_name("sandbox_runner.py")
REPORT_BYTES = 1 << 16
"""Read from the end of a report; what an answer may have written to it before is passed over."""
NOBODY = 65534
"""The user and the group that own nothing."""
_NAMESPACES = ("--user", "--map-root-user", "--net", "--pid", "--ipc", "--fork", "--kill-child")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the code may take."""

    cpu_seconds: int = 5
    """Of CPU time, which does not depend on what else the machine does."""
    wall_seconds: float = 60.0
    """The deadline, for code that waits."""
    memory_mb: int = 512
    file_mb: int = 8
    namespaces: bool = False
    """Whether to refuse to run without namespaces."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How it went."""

    word: str
    """``passed``, ``tests_fail``, ``raises``, ``no_code``, ``tests_broken``, ``timeout``, ``deadline``,
    ``ended_early``; ``no_sandbox`` when it was not run."""
    detail: str = ""


@functools.cache
def unshare() -> tuple[str, ...]:
    """The command that gives a process namespaces of its own; empty where there is none that works."""
    found = shutil.which("unshare")
    if found is None:
        return ()
    command = (found, *_NAMESPACES)
    try:
        ran = subprocess.run([*command, sys.executable, "-S", "-c", ""], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return command if ran.returncode == 0 else ()


@functools.cache
def nobody(before: tuple[str, ...]) -> Mapping[str, Any]:
    """For root: how a process is started as the user nobody, who owns no file, where that user can run Python."""
    if os.geteuid() != 0:
        return {}
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": ()}
    command = [*before, sys.executable, "-S", "-c", f"open({str(RUNNER)!r}).close()"]
    try:
        ran = subprocess.run(command, capture_output=True, timeout=30, check=False, cwd="/", **who)  # type: ignore[call-overload]
    except (OSError, subprocess.SubprocessError):
        return {}
    return who if ran.returncode == 0 else {}


def run_tests(answer: str, tests: str, limits: Limits) -> Ran:
    """Run code, then its tests in the same names; nothing of either runs in this process."""
    before = unshare()
    if limits.namespaces and not before:
        return Ran("no_sandbox", "no namespaces here: unshare is absent, or the system does not let users make them")
    token, ready = secrets.token_hex(16), secrets.token_hex(16)
    order = {
        "token": token,
        "ready": ready,
        "answer": answer,
        "tests": tests,
        "cpu_seconds": limits.cpu_seconds,
        "memory_bytes": limits.memory_mb << 20,
        "file_bytes": limits.file_mb << 20,
    }
    # No user's packages (-s), none at all (-S), nothing of the working folder (-P), no files written (-B).
    command = [*before, sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8", str(RUNNER)]
    try:
        with (
            tempfile.TemporaryDirectory(prefix="mashbill-sandbox-", ignore_cleanup_errors=True) as folder,
            tempfile.TemporaryFile() as report,
        ):
            late, status = _run(command, order, folder, report, limits, nobody(before))
            return _said(report, token, ready, late, status)
    except OSError as error:
        return Ran("no_sandbox", f"{error.strerror or error}")


def _run(
    command: list[str],
    order: dict[str, object],
    folder: str,
    report: IO[bytes],
    limits: Limits,
    who: Mapping[str, Any],
) -> tuple[bool, int]:
    if who:
        os.chown(folder, NOBODY, NOBODY)
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=report,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        # A fixed hash seed: code that depends on the order of a set does so the same way each time.
        env={"PYTHONHASHSEED": "0"},
        start_new_session=True,
        close_fds=True,
        **who,
    )
    late = False
    try:
        process.communicate(json.dumps(order).encode("ascii"), timeout=limits.wall_seconds)
    except subprocess.TimeoutExpired:
        late = True
    finally:
        # The group is killed in any case: what the code left running has no business here.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return late, process.returncode


def _said(report: IO[bytes], token: str, ready: str, late: bool, status: int) -> Ran:
    size = report.seek(0, os.SEEK_END)
    report.seek(max(0, size - REPORT_BYTES))
    lines = [line.split(" ", 2) for line in report.read().decode("utf-8", "replace").split("\n")]
    said = {words[1]: " ".join(words[2:]) for words in lines if words[0] == ready and len(words) > 1}
    for words in lines:
        if words[:2] == [token, "done"]:
            word, _, detail = words[2].partition(" ")
            return Ran(word, detail)
    if "timeout" in said:
        return Ran("timeout", "all of its CPU time is spent")
    if "failed" in said:
        return Ran("tests_fail" if "answered" in said else "raises", said["failed"].replace(" : ", ": ", 1))
    if late:
        return Ran("deadline", "still running at the deadline")
    if "ready" not in said and size < REPORT_BYTES:
        return Ran("no_sandbox", f"the sandbox did not start (status {status})")
    return Ran("ended_early", f"it ended with status {status} before its tests did")
