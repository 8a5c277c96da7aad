"""What runs inside the sandbox: limits first, then the answer, then its tests, then one word on how it went.

Started by `mashbill.matching.sandbox` as a script of its own with nothing of ours on its path; never imported. The
order comes as JSON on the standard input; the report goes to what was the standard output, behind a token that the
answer is not told, so that an answer cannot report for itself by printing, nor by ending early.
"""

from __future__ import annotations

import _posixsubprocess
import json
import os
import resource
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


def _words(text: str) -> list[str]:
    return text.split()


WRITES = frozenset(
    _words(
        "os.remove os.rename os.rmdir os.mkdir os.chmod os.chown os.link os.symlink os.truncate "
        "os.utime os.chdir shutil.rmtree shutil.copyfile shutil.move"
    )
)
"""Audited acts on a path, allowed within the working folder alone."""
FORBIDDEN = (
    *("socket.", "subprocess.", "ctypes.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty."),
    *("os.kill", "signal.", "sys.addaudithook", "mmap.", "urllib.", "ftplib.", "smtplib.", "resource.setrlimit"),
)
LISTS = frozenset({"os.listdir", "os.scandir"})
"""Allowed where reading is: the import of a package lists its folder."""
FORBIDDEN_IMPORTS = frozenset({"_ctypes", "ctypes"})


def limit(cpu_seconds: int, memory_bytes: int, file_bytes: int) -> None:  # pragma: no cover - it cannot be undone
    """Bound this process for good: the hard limits too."""
    for what, soft, hard in (
        (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),
        (resource.RLIMIT_AS, memory_bytes, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes, file_bytes),
        (resource.RLIMIT_NOFILE, 64, 64),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(what, (soft, hard))


def no_processes(*_: object) -> NoReturn:
    """In place of the one way to start a process that is not audited (asyncio imports its module, so it stays)."""
    raise PermissionError("the sandbox allows no other process")


def guard(folder: str) -> Callable[[str, tuple[object, ...]], None]:
    """A hook that refuses the network, other processes, and files outside the folder and Python's own."""
    readable = tuple(os.path.realpath(place) for place in {sys.prefix, sys.base_prefix, *sys.path} if place)
    devices = frozenset({"/dev/null", "/dev/urandom", "/dev/random"})
    realpath, inside, fsdecode = os.path.realpath, folder + os.sep, os.fsdecode

    def refuse(event: str, what: object) -> None:
        raise PermissionError(f"the sandbox allows no {event}: {what}")

    def place(path: object) -> str:
        return realpath(fsdecode(path)) if isinstance(path, (str, bytes)) else ""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(FORBIDDEN):
            refuse(event, arguments[:1])
        if event == "import" and arguments[0] in FORBIDDEN_IMPORTS:
            refuse(event, arguments[0])
        if event in WRITES:
            for path in arguments[:2]:
                if isinstance(path, (str, bytes)) and not (place(path) + os.sep).startswith(inside):
                    refuse(event, path)
        if event in LISTS and isinstance(arguments[0], (str, bytes)):
            path = place(arguments[0]) + os.sep
            if not path.startswith((inside, *(one + os.sep for one in readable))):
                refuse(event, path)
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            path = place(arguments[0])
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            if path.startswith(inside) or path in devices:
                return
            if writes or not path.startswith(tuple(one + os.sep for one in readable)):
                refuse(event, path)

    return hook


def judge(answer: str, tests: str) -> tuple[str, str]:
    """How the tests of an answer went: a word and for a reader what happened."""
    try:
        checks = compile(tests, "tests.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "tests_broken", f"{type(error).__name__}: {error}"
    try:
        code = compile(answer, "answer.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "no_code", f"{type(error).__name__}: {error}"
    module = types.ModuleType("answer")
    sys.modules["answer"] = module
    for name, part in (("raises", code), ("tests_fail", checks)):
        try:
            exec(part, module.__dict__)
        except BaseException as error:
            return name, f"{type(error).__name__}: {str(error)[:200]}".rstrip(": ")
    return "passed", ""


def main() -> None:  # pragma: no cover - runs in its own process
    """Read the order, limit this process, judge, report."""
    order = json.loads(sys.stdin.read())
    report = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    token, answer, tests = order.pop("token"), order["answer"], order["tests"]
    limit(order["cpu_seconds"], order["memory_bytes"], order["file_bytes"])

    def spent(*_: object) -> None:
        os.write(report, f"\n{token} done timeout all of its CPU time is spent\n".encode())
        os._exit(0)

    signal.signal(signal.SIGXCPU, spent)
    _posixsubprocess.fork_exec = no_processes
    os.write(report, f"{token} ready\n".encode())
    sys.addaudithook(guard(str(Path.cwd().resolve())))
    word, detail = judge(answer, tests)
    text = " ".join(detail.split()).encode("utf-8", "replace").decode()
    os.write(report, f"\n{token} done {word} {text}\n".encode())
    os._exit(0)  # no exit handler of the answer's has a say after the report


if __name__ == "__main__":
    main()
