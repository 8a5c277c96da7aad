"""Code against its tests: what passes, what does not, and what the code is kept from doing."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mashbill.errors import BadReply
from mashbill.matching import matcher, sandbox
from mashbill.matching.code_tests import MOST_CHARS
from mashbill.matching.sandbox import Limits, nobody, run_tests, unshare
from mashbill.matching.sandbox_runner import compiled, draw, guard, no_processes

TESTS = "assert area(2, 3) == 6\nassert area(1, 1) == 1"
RIGHT = "def area(a, b):\n    return a * b\n"
QUICK = {"cpu_seconds": 1, "wall_seconds": 20.0}


def compared(code: str, tests: str = TESTS, **fields: object) -> tuple[str, str]:
    found = matcher("code_tests", **{**QUICK, **fields}).compare(code, tests)
    return found.outcome, found.detail


@pytest.fixture(params=["namespaces", "hook"])
def _everywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With the namespaces this machine gives, if any, and as on a machine that gives none."""
    unshare.cache_clear()
    if request.param == "hook":
        monkeypatch.setattr("shutil.which", lambda _: None)
    elif not unshare():
        pytest.skip("this system lets users make no namespaces")
    yield
    unshare.cache_clear()


pytestmark = pytest.mark.usefixtures("_everywhere")


def test_code_that_passes_is_the_same_and_code_that_fails_is_different() -> None:
    assert compared(RIGHT) == ("same", "")
    assert compared("def area(a, b):\n    return a + b\n") == ("different", "tests_fail: AssertionError")
    assert compared("x = 1")[1].startswith("tests_fail: NameError")
    assert compared("raise ValueError('salt')") == ("different", "raises: ValueError: salt")


def test_what_is_no_python_is_unreadable() -> None:
    assert compared("def area(:")[1].startswith("no_code: SyntaxError")
    assert compared("(" * 50_000)[0] == "unreadable"
    assert compared(" ")[0] == "unreadable"
    assert compared("#" * (MOST_CHARS + 1))[0] == "unreadable"
    assert compared(RIGHT, "assert (")[1].startswith("tests_broken: SyntaxError")
    assert compared(RIGHT, "")[0] == "gold_unreadable"


@pytest.mark.parametrize(
    "code",
    ["import sys; sys.exit(0)", "import os; os._exit(0)", "print('passed')", "def area(a, b): raise SystemExit(0)",
     "import os\nfor f in range(3, 60):\n    try: os.write(f, b'done passed')\n    except OSError: pass",
     "import atexit, os; atexit.register(os._exit, 0)"],
)  # fmt: skip
def test_code_that_ends_early_or_reports_for_itself_has_not_passed(code: str) -> None:
    assert compared(code)[0] == "different"


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket()",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:1')",
        "import os; os.system('true')",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.fork()",
        "import _posixsubprocess; _posixsubprocess.fork_exec()",
        "import os; os.execv('/bin/true', ['true'])",
        "import os; os.kill(os.getppid(), 9)",
        "import ctypes",
        "open('/etc/passwd')",
        "open('/etc/salt', 'w')",
        "import os; os.open('/tmp/salt', os.O_CREAT)",
        "import os; os.remove('/tmp/salt')",
        "import os; os.rename('a', '/tmp/salt')",
        "import os; os.listdir('/etc')",
        "import os; os.chdir('/')",
    ],
)
def test_the_network_other_processes_and_other_files_are_out_of_reach(code: str) -> None:
    assert compared(code)[1].startswith("raises: PermissionError: the sandbox allows no")


def test_the_environment_and_the_folder_are_empty_and_files_there_are_ones_own() -> None:
    code = """
import os
assert set(os.environ) <= {"PYTHONHASHSEED", "LC_CTYPE"}, sorted(os.environ)
assert os.listdir(".") == []
open("salt.txt", "w").write("salt")
os.rename("salt.txt", "oak.txt")
assert open("oak.txt").read() == "salt"
import asyncio, json, random, dataclasses, statistics
"""
    assert compared(code + RIGHT) == ("same", "")


def test_packages_of_the_installation_are_not_there() -> None:
    assert compared("import polars\n" + RIGHT)[1].startswith("raises: ModuleNotFoundError")


def test_time_memory_and_files_have_an_end() -> None:
    assert compared("while True: pass") == ("different", "timeout: all of its CPU time is spent")
    assert compared("salt = [0] * 10**10")[1].startswith("raises: MemoryError")
    assert compared("open('salt', 'w').write('a' * 10**8)")[1].startswith("raises: OSError")
    found = compared("import time; time.sleep(1000)", wall_seconds=1.0)
    assert found == ("different", "deadline: still running at the deadline")


def test_code_that_will_not_be_told_that_its_time_is_spent_is_killed() -> None:
    code = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    assert compared(code)[1].startswith("ended_early")


def test_the_last_block_of_python_is_the_answer() -> None:
    code = matcher("code_tests")
    assert code.final("Try\n```python\nx = 1\n```\nBetter:\n```py\nx = 2\n```\nIt prints\n```\n2\n```\n") == "x = 2\n"
    assert code.final("```\nx = 3\n```") == "x = 3\n"
    assert code.final("```python\nx = 5\n```\nand\n```python\nx = 6") == "x = 5\n"
    assert isinstance(code.final("Look:\n" + "```python\n" * 100_000), BadReply)
    assert code.final("x = 4") == "x = 4"
    for text in ("```python\n```", "One is added to the other.", ""):
        found = code.final(text)
        assert isinstance(found, BadReply)
        assert found.reason == "no_final_answer"


def test_two_codes_agree_when_they_are_one() -> None:
    code = matcher("code_tests")
    assert code.agree("x = 1\n", "x = 1")
    assert not code.agree("assert True", "x = 1")  # though the one passes the other as a test


def test_limits_that_mean_nothing_are_refused() -> None:
    for fields in ({"cpu_seconds": 0}, {"wall_seconds": 0.0}, {"memory_mb": 1}):
        with pytest.raises(ValueError, match="or more"):
            matcher("code_tests", **fields)


# --- where no sandbox can be made


def test_without_namespaces_a_matcher_that_requires_them_says_neither_yes_nor_no(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unshare.cache_clear()
    monkeypatch.setattr("shutil.which", lambda _: None)
    outcome, detail = compared(RIGHT, namespaces="required")
    assert outcome == "error"
    assert detail.startswith("no_sandbox: no namespaces here")


def test_an_unshare_that_does_not_work_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for script in ("exit 1", None):
        broken = tmp_path / "unshare"
        broken.write_text(f"#!/bin/sh\n{script}\n" if script else "not a program")
        broken.chmod(0o755)
        monkeypatch.setattr("shutil.which", {"unshare": str(broken)}.get)
        unshare.cache_clear()
        assert unshare() == ()


def test_a_sandbox_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sandbox, "RUNNER", tmp_path / "absent.py")
    assert run_tests(RIGHT, TESTS, Limits()).word == "no_sandbox"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    monkeypatch.setattr(sandbox, "unshare", tuple)
    assert compared(RIGHT)[0] == "error"


# --- what runs inside, looked at from here


@pytest.mark.parametrize(
    ("answer", "tests", "report"),
    [
        ("x = 1", "assert x == 1", ["ready answered", "token done passed"]),
        ("x = 1", "assert x == 2", ["ready answered", "ready failed AssertionError"]),
        ("1 / 0", "", ["ready failed ZeroDivisionError : division by zero"]),
        ("x =", "", ["token done no_code SyntaxError: invalid syntax (answer.py, line 1)"]),
        ("x = 1", "assert", ["token done tests_broken SyntaxError: invalid syntax (tests.py, line 1)"]),
        ("import answer\nx = 1", "import answer; assert answer.x == 1", ["ready answered", "token done passed"]),
    ],
)
def test_what_is_reported_of_an_order(tmp_path: Path, answer: str, tests: str, report: list[str]) -> None:
    orders = [{"token": "token", "ready": "ready", "answer": answer, "tests": tests}]
    with (tmp_path / "report").open("w+b") as file:
        draw(orders, file.fileno(), "ready")
    sys.modules.pop("answer", None)
    assert [line for line in (tmp_path / "report").read_text().split("\n") if line] == report
    assert orders == []


def test_a_text_that_is_no_unicode_is_no_code() -> None:
    assert compiled("x = '\ud800'", "")[0] == "no_code"


FORGERIES = {
    "from the frames below": """
import os, sys
frame = sys._getframe()
while frame:
    for name, value in frame.f_locals.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(one, dict): one = one.get("token", "")
            if isinstance(one, str) and len(one) == 32:
                os.write(3, f"\\n{one} done passed\\n".encode())
    frame = frame.f_back
""",
    "by another way to write": """
import os
write = os.write
os.write = lambda to, text: write(to, text.replace(b"failed", b"passed").replace(b"tests_fail", b"passed"))
""",
    "from the report": """
import os
for number in range(3, 60):
    try:
        os.lseek(number, 0, 0)
        for word in os.read(number, 1000).decode().split():
            os.write(number, f"\\n{word} done passed\\n".encode())
    except OSError:
        pass
""",
    "by looking for objects": "import gc; gc.get_objects()",
    "over the lines": "import sys; sys.settrace(lambda *_: None)",
}


@pytest.mark.parametrize("way", FORGERIES)
def test_a_report_is_not_forged(way: str) -> None:
    assert compared(FORGERIES[way], "assert False")[0] == "different"


def test_what_tells_the_hook_nothing_is_out_of_reach_as_well(tmp_path: Path) -> None:
    place = str(tmp_path / "salt")
    for code in (
        f"import sqlite3; sqlite3.connect({place!r}).execute('create table a(b)')",
        f"import readline; readline.write_history_file({place!r})",
        f"import os; os.mkfifo({place!r})",
        "import os, json; os.open(os.path.dirname(json.__file__), os.O_RDONLY)",  # and then a file of it by dir_fd
        "import sys; del sys.modules['_posixsubprocess']; import _posixsubprocess",
        "import _multiprocessing",
        "for n in range(1000): open(f'salt{n}', 'w').write('a')",
        "import os\nfor _ in range(1000): os.mkdir('d'); os.chdir('d')",
    ):
        assert compared(code)[1].startswith("raises: PermissionError: the sandbox allows no"), code
    assert list(tmp_path.iterdir()) == []


def test_code_that_waits_on_itself_or_has_threads_is_run() -> None:
    waits = "import asyncio\nasync def f(): return 1\nassert asyncio.run(f()) == 1\n"
    threads = (
        "from concurrent.futures import ThreadPoolExecutor\nassert list(ThreadPoolExecutor(2).map(abs, [-1])) == [1]\n"
    )
    assert compared(waits + threads + RIGHT) == ("same", "")


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    slow = "import os, time\nos.mkdir('d')\nos.chmod('d', 0)\ntime.sleep(100)"
    assert compared(slow, wall_seconds=0.5)[1].startswith("deadline")
    assert list(tmp_path.iterdir()) == []
    with contextlib.suppress(ChildProcessError):  # none at all is as good
        assert os.waitpid(-1, os.WNOHANG) == (0, 0)  # none that has ended and waits to be asked how


def test_root_runs_code_as_nobody_where_nobody_can_run_python(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody.cache_clear()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert nobody(()) == {}
    nobody.cache_clear()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(sys, "executable", "/absent")
    assert nobody(()) == {}
    nobody.cache_clear()


def test_as_nobody_no_file_of_roots_is_written() -> None:
    if os.geteuid() != 0 or not nobody(unshare()):
        pytest.skip("not root, or the user nobody cannot run this Python")
    assert compared("import os; assert os.getuid() in (0, 65534)\n" + RIGHT) == ("same", "")


def test_what_the_guard_lets_through_and_what_not(tmp_path: Path) -> None:
    folder = os.path.realpath(tmp_path)
    hook = guard(folder)
    allowed: list[tuple[str, tuple[object, ...]]] = [
        ("open", (f"{folder}/salt", "w", os.O_WRONLY)),
        ("open", (os.fsencode(f"{folder}/salt"), "r", 0)),
        ("open", (os.__file__, "r", 0)),
        ("open", ("/dev/null", "w", os.O_WRONLY)),
        ("open", (3, "r", 0)),
        ("os.listdir", (str(Path(os.__file__).parent),)),
        ("os.listdir", (None,)),
        ("os.mkdir", (f"{folder}/pans", 0)),
        ("import", ("json", None, None, None, None)),
        ("socket.__new__", (None, 1, 1, 0)),
        ("compile", (None, None)),
    ]
    for event, arguments in allowed:
        hook(event, arguments)
    refused: list[tuple[str, tuple[object, ...]]] = [
        ("open", (os.__file__, "w", os.O_WRONLY)),
        ("open", ("/etc/passwd", "r", 0)),
        ("open", (f"{folder}-beside/salt", "w", os.O_WRONLY)),
        ("os.scandir", ("/etc",)),
        ("os.rename", (f"{folder}/a", f"{folder}/../b")),
        ("socket.connect", (None, None)),
        ("socket.__new__", (None, 2, 1, 0)),
        ("import", ("ctypes", None, None, None, None)),
        ("import", ("salt._sqlite3", None, None, None, None)),
        ("open", (str(Path(os.__file__).parent), None, os.O_RDONLY)),
        ("os.mkdir", (f"{folder}{'/d' * 20}", 0)),
    ]
    for event, arguments in refused:
        with pytest.raises(PermissionError, match="the sandbox allows no"):
            hook(event, arguments)
    with pytest.raises(PermissionError, match="no other process"):
        no_processes()
