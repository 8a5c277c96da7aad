"""Kill a run anywhere, run the same command again: the same bytes, nothing paid for twice but what was in flight."""

from __future__ import annotations

import random
import select
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.mashbill.kill_worker import BATCH, CALLS, INTERRUPTED
from tests.support.kernel import bytes_of

pytestmark = pytest.mark.slow
KILLS = 20
IN_FLIGHT = BATCH * CALLS
HERE = Path(__file__).parents[2]


def start(root: Path, tick: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.mashbill.kill_worker", str(root), str(root.with_suffix(".log")), str(tick)]
    return subprocess.Popen(command, cwd=HERE, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes]) -> int:
    _, errors = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL, INTERRUPTED), errors.decode()
    return process.returncode


def payments(root: Path) -> list[tuple[int, str]]:
    log = root.with_suffix(".log")
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(process), key) for process, key in (line.split() for line in lines)]


def stored_keys(root: Path) -> set[str]:
    if not (root / "ledger.sqlite").exists():
        return set()
    with sqlite3.connect(root / "ledger.sqlite") as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name='replies'").fetchone():
            return set()
        return {key.hex() for (key,) in connection.execute("SELECT key FROM replies")}


def dataset(root: Path) -> dict[str, bytes]:
    """What a run leaves; the pieces of files that a kill left behind begin with a dot and are not part of it."""
    files = bytes_of(root / "steps")
    return {name: data for name, data in files.items() if not Path(name).name.startswith(".")}


def wait_for_payments(process: subprocess.Popen[bytes], root: Path, count: int) -> None:
    """Until that many requests are paid or the process has ended; looks, and does not guess at a time."""
    while len(payments(root)) < count and process.poll() is None:
        select.select([], [], [], 0.002)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    root = tmp_path_factory.mktemp("whole") / "run"
    assert ended(start(root)) == 0
    return root


def test_an_undisturbed_run_pays_each_request_once(whole: Path) -> None:
    keys = [key for _, key in payments(whole)]
    assert len(keys) > 100
    assert len(set(keys)) == len(keys)
    assert set(keys) == stored_keys(whole)
    assert len([name for name in dataset(whole) if name.endswith("manifest.json")]) == 4


def test_a_run_killed_twenty_times_gives_the_same_bytes_and_pays_twice_only_for_what_was_in_flight(
    whole: Path, tmp_path: Path
) -> None:
    root, point = tmp_path / "run", random.Random(20)
    all_paid, kills = len(payments(whole)), 0
    while kills < KILLS:
        before, safe = len(payments(root)), stored_keys(root)
        if kills % 4 == 3:  # from outside, wherever it happens to be
            process = start(root)
            wait_for_payments(process, root, before + point.randrange(1, all_paid // KILLS))
            process.kill()
        else:  # at an event of its own: after a payment, before a rename, ...
            process = start(root, tick=point.randrange(1, all_paid // KILLS + 10))
        died = ended(process) == -signal.SIGKILL
        paid = payments(root)
        run = [key for _, key in paid[before:]]
        assert len(set(run)) == len(run), "one run paid for one request twice"
        assert not set(run) & safe, "a reply in the ledger was paid for again"
        if not died:
            break
        kills += 1
    assert ended(start(root)) == 0
    assert kills == KILLS
    assert dataset(root) == dataset(whole)
    assert stored_keys(root) == stored_keys(whole)
    times = Counter(key for _, key in payments(root))
    double = sum(count - 1 for count in times.values())
    assert double <= kills * IN_FLIGHT
    assert set(times) == {key for _, key in payments(whole)}


@pytest.mark.parametrize("tick", [3, 20, 48])
def test_a_run_killed_while_it_writes_what_is_paid_gives_the_same_bytes(whole: Path, tmp_path: Path, tick: int) -> None:
    root = tmp_path / "run"
    root.mkdir()
    with sqlite3.connect(whole / "ledger.sqlite") as source, sqlite3.connect(root / "ledger.sqlite") as copy:
        source.backup(copy)
    assert ended(start(root, tick)) == -signal.SIGKILL
    assert ended(start(root)) == 0
    assert payments(root) == []
    assert dataset(root) == dataset(whole)


def test_a_run_that_is_asked_to_stop_stores_what_is_in_flight_and_goes_on_later(whole: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    process = start(root)
    wait_for_payments(process, root, 30)
    process.send_signal(signal.SIGINT)
    assert ended(process) == INTERRUPTED
    paid = [key for _, key in payments(root)]
    assert 30 <= len(paid) < len(payments(whole))
    assert set(paid) == stored_keys(root), "all that was paid for is in the ledger"
    assert ended(start(root)) == 0
    keys = [key for _, key in payments(root)]
    assert len(set(keys)) == len(keys), "nothing was paid for twice"
    assert dataset(root) == dataset(whole)
