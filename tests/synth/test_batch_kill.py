"""Kill a run that waits for batches, between any two phases: nothing is paid for twice, and the bytes are the same."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.fake_batches import FakeBatches
from tests.support.kernel import bytes_of
from tests.synth.batch_worker import DOCUMENTS, work

pytestmark = pytest.mark.slow

PHASES = ("POST files", "POST batches", "GET batch", "GET content")


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeBatches]:
    async with FakeBatches() as one:
        yield one


def worker(root: Path, server: FakeBatches, tick: int = 0) -> BaseProcess:
    # A server that has everything imported forks each of them: by itself one would take two seconds to begin.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.synth.batch_worker"])
    process = context.Process(target=work, args=(root, server.url, tick))
    process.start()
    return process


async def ended(process: BaseProcess) -> int:
    await asyncio.to_thread(process.join)
    code = process.exitcode
    process.close()
    assert code in (0, -signal.SIGKILL), "its traceback is above"
    return code


def dataset(root: Path) -> dict[str, bytes]:
    return {name: data for name, data in bytes_of(root / "steps").items() if not Path(name).name.startswith(".")}


def created_of(server: FakeBatches) -> Counter[str]:
    """custom_id -> batches that hold it."""
    return Counter(row["custom_id"] for job in server.jobs.values() for row in job.rows)


async def test_killed_before_and_after_each_call_nothing_is_asked_twice(server: FakeBatches, tmp_path: Path) -> None:
    assert await ended(worker(tmp_path / "whole", server)) == 0
    whole = dataset(tmp_path / "whole")
    assert len(created_of(server)) == 2 * DOCUMENTS
    server.jobs.clear()
    # One run, killed in each phase of its first wave and then of its second.
    kills = [f"{when} {phase}" for phase in PHASES for when in ("before", "after")] * 2
    for kill in kills:
        await killed_when(server, tmp_path / "run", kill)
    assert await ended(worker(tmp_path / "run", server)) == 0
    assert dataset(tmp_path / "run") == whole
    assert set(created_of(server).values()) == {1}, "no request is in two batches"
    assert len(created_of(server)) == 2 * DOCUMENTS


async def killed_when(server: FakeBatches, root: Path, moment: str) -> None:
    process: BaseProcess | None = None
    reached = asyncio.Event()

    def event(what: str) -> None:
        if what == moment and not reached.is_set():
            assert process is not None
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            reached.set()

    server.event = event
    process = worker(root, server)
    assert await ended(process) in (0, -signal.SIGKILL)
    server.event = lambda _: None


async def test_killed_at_events_of_its_own_nothing_is_asked_twice(server: FakeBatches, tmp_path: Path) -> None:
    assert await ended(worker(tmp_path / "whole", server)) == 0
    whole, point = dataset(tmp_path / "whole"), random.Random(7)
    server.jobs.clear()
    kills = 0
    for _ in range(14):
        died = await ended(worker(tmp_path / "run", server, tick=point.randrange(4, 16))) == -signal.SIGKILL
        kills += died
        if not died:
            break
    assert kills >= 6
    assert await ended(worker(tmp_path / "run", server)) == 0
    assert dataset(tmp_path / "run") == whole
    assert set(created_of(server).values()) == {1}
