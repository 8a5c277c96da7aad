"""What runs inside the sandbox: limits first, then the answer, then its tests, then one word on how it went.

Started by `mashbill.matching.sandbox` as a script of its own with nothing of ours on its path; never imported. The
order comes as JSON on the standard input; the report goes to what was the standard output.

An answer passes when a token stands in the report that it is not told. It shares the interpreter with its tests, so the
token lies where no frame, module or closure leads: in an iterator on the stack of one C call, which runs the answer,
then the tests, then writes the token (`steps`). The ways to look for objects themselves (``gc``), and to jump over
lines (``sys.settrace``), are refused. That a failure is reported takes no token: it is of no use to forge one.
"""

from __future__ import annotations

import _posixsubprocess
import json
import os
import resource
import signal
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn


def _words(text: str) -> list[str]:
    return text.split()


WRITES = frozenset(
    _words(
        "os.remove os.rename os.rmdir os.mkdir os.chmod os.chown os.link os.symlink os.truncate "
        "os.utime os.chdir os.chown os.setxattr os.removexattr shutil.rmtree shutil.copyfile shutil.move"
    )
)
"""Audited acts on a path, allowed within the working folder alone."""
FORBIDDEN = (
    *("socket.", "subprocess.", "ctypes.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty."),
    *("os.kill", "signal.", "sys.addaudithook", "mmap.", "urllib.", "ftplib.", "smtplib.", "resource.setrlimit"),
    *("gc.", "sys.settrace", "sys.setprofile", "sys.monitoring.", "sqlite3."),
)
LISTS = frozenset({"os.listdir", "os.scandir"})
"""Allowed where reading is: the import of a package lists its folder."""
FORBIDDEN_IMPORTS = frozenset(
    _words(
        "_ctypes ctypes _ctypes_test _sqlite3 readline _dbm _gdbm _curses _tkinter _posixshmem _posixsubprocess "
        "_multiprocessing _testcapi _testinternalcapi _testclinic _testbuffer _xxsubinterpreters _xxinterpchannels "
        "_interpreters"
    )
)
"""C modules that reach files, processes or memory without a word to the hook."""
UNAUDITED = frozenset(_words("mkfifo mknod chroot setns unshare"))
"""Functions of `os` that tell the hook nothing."""
SOCKET_PAIR = 1
"""The family of two ends within this process (AF_UNIX), which asyncio opens to wake itself; to connect is refused."""
MOST_FILES = 32
"""Files written and folders made: with the limit of each, the bytes on the disk."""
MOST_DEPTH = 8
"""Folders inside each other."""


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
    """In place of what the hook is not told of (asyncio imports `_posixsubprocess`, so the module stays)."""
    raise PermissionError("the sandbox allows no other process and no special file")


def guard(folder: str) -> Callable[[str, tuple[object, ...]], None]:
    """A hook that refuses the network, other processes, and files outside the folder and Python's own."""
    readable = tuple(os.path.realpath(place) for place in {sys.prefix, sys.base_prefix, *sys.path} if place)
    made: set[str] = set()
    devices = frozenset({"/dev/null", "/dev/urandom", "/dev/random"})
    realpath, isdir, inside, fsdecode = os.path.realpath, os.path.isdir, folder + os.sep, os.fsdecode

    def refuse(event: str, what: object) -> None:
        raise PermissionError(f"the sandbox allows no {event}: {what}")

    def place(path: object) -> str:
        return realpath(fsdecode(path)) if isinstance(path, (str, bytes)) else ""

    def makes(event: str, path: str) -> None:
        made.add(path)
        if len(made) > MOST_FILES or path.count(os.sep) - folder.count(os.sep) > MOST_DEPTH:
            refuse(event, f"more than {MOST_FILES} files and folders, or {MOST_DEPTH} inside each other")

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(FORBIDDEN) and (event != "socket.__new__" or arguments[1:2] != (SOCKET_PAIR,)):
            refuse(event, arguments[:1])
        if event == "import" and str(arguments[0]).rpartition(".")[2] in FORBIDDEN_IMPORTS:
            refuse(event, arguments[0])
        if event in WRITES:
            for path in arguments[:2]:
                if isinstance(path, (str, bytes)) and not (place(path) + os.sep).startswith(inside):
                    refuse(event, path)
            if event == "os.mkdir":
                makes(event, place(arguments[0]))
        if event in LISTS and isinstance(arguments[0], (str, bytes)):
            path = place(arguments[0]) + os.sep
            if not path.startswith((inside, *(one + os.sep for one in readable))):
                refuse(event, path)
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            path = place(arguments[0])
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            if isdir(path):  # a folder that is held open takes paths which are not relative to the working folder
                refuse(event, path)
            if path.startswith(inside) or path in devices:
                if writes and path.startswith(inside):
                    makes(event, path)
                return
            if writes or not path.startswith(tuple(one + os.sep for one in readable)):
                refuse(event, path)

    return hook


def compiled(answer: str, tests: str) -> tuple[types.CodeType, types.CodeType] | tuple[str, str]:
    """Both as code, or a word and for a reader why not."""
    try:
        checks = compile(tests, "tests.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "tests_broken", f"{type(error).__name__}: {error}"
    try:
        return compile(answer, "answer.py", "exec", dont_inherit=True), checks
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "no_code", f"{type(error).__name__}: {error}"


def steps(order: dict[str, Any], report: int) -> Iterator[object]:
    """The answer, a line that it ran, its tests, and the token that says that they passed: each done when it is drawn.

    Drawn by a C function, there is no frame of ours from which the code that runs could come to what follows it.
    """
    codes = compiled(order["answer"], order["tests"])
    if isinstance(codes[0], str):
        return map(os.write, [report], [_line(order["token"], "done", *map(str, codes))])
    module = types.ModuleType("answer")
    sys.modules["answer"] = module
    names = module.__dict__
    return chain(
        map(exec, codes[:1], [names]),
        map(os.write, [report], [_line(order["ready"], "answered")]),
        map(exec, codes[1:], [names]),
        map(os.write, [report], [_line(order["token"], "done", "passed")]),
    )


def _line(*words: str) -> bytes:
    return ("\n" + " ".join(" ".join(words).split()) + "\n").encode("utf-8", "replace")


def draw(orders: list[dict[str, Any]], report: int, ready: str) -> None:
    """Take the one order out of the list and do it; what is raised on the way is the report."""
    try:
        deque(steps(orders.pop(), report), 0)
    except BaseException as error:
        os.write(report, _line(ready, "failed", type(error).__name__, f": {str(error)[:200]}" if str(error) else ""))


def main() -> None:  # pragma: no cover - runs in its own process
    """Read the order, limit this process, do it."""
    orders = [json.loads(sys.stdin.buffer.read())]
    report, ready = os.dup(1), orders[0]["ready"]
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    limit(*(orders[0][name] for name in ("cpu_seconds", "memory_bytes", "file_bytes")))

    def spent(*_: object) -> None:
        os.write(report, _line(ready, "timeout"))
        os._exit(0)

    signal.signal(signal.SIGXCPU, spent)
    _posixsubprocess.fork_exec = no_processes
    for name in UNAUDITED & vars(os).keys():
        setattr(os, name, no_processes)
        setattr(sys.modules["posix"], name, no_processes)
    os.write(report, _line(ready, "ready"))
    sys.addaudithook(guard(str(Path.cwd().resolve())))
    draw(orders, report, ready)
    os._exit(0)  # no exit handler of the answer's has a say after the report


if __name__ == "__main__":
    main()
