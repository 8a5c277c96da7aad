"""A training in several processes of this machine, one for each device, as torchrun would start them.

torchrun itself does as well (`train.job`) and is what several machines want. Here the processes are the run's own: a
stop reaches each of them, and when one fails the others end too and its words are the error.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from mashbill.errors import Interrupted, StepFailed, UserError
from train.job import Job
from train.result import TrainResult

LOOK = 0.2
"""Seconds between two looks at whether a stop was asked for or a process has ended."""


def train_job(
    job: Job,
    *,
    progress: Callable[[dict[str, object]], None] | None = None,
    stopping: Callable[[], bool] | None = None,
) -> TrainResult:
    """Carry a job out in this process, or in as many as `job.hardware.processes` says; a finished one is opened."""
    path = job.write()
    if job.hardware.processes == 1:
        return job.train(progress, stopping)
    return job.finished() or _in_processes(job, str(path), progress, stopping)


def _in_processes(
    job: Job,
    path: str,
    progress: Callable[[dict[str, object]], None] | None,
    stopping: Callable[[], bool] | None,
) -> TrainResult:
    """Carry a job out in several processes.

    Raises:
        Interrupted: when it was asked to stop; the step it was at is in a checkpoint.
        UserError: what a process said that the user can mend.
        StepFailed: when a process ended otherwise, with the last of what it wrote.
    """
    with contextlib.ExitStack() as held:
        errors = [held.enter_context(tempfile.TemporaryFile("w+")) for _ in range(job.hardware.processes)]
        children = [_child(path, rank, errors[rank], env) for rank, env in _places(job.hardware.processes)]
        held.callback(_end, children)
        reader = threading.Thread(target=_read, args=(children[0].stdout, progress), daemon=True)
        reader.start()
        stopped = _watch(children, stopping)
        reader.join()
        _refuse_failed(children, errors)
    result = TrainResult.read(job.out)
    if result is None:
        assert stopped
        raise Interrupted("stopped while training; the step it was at is in a checkpoint")
    return result


def _places(size: int) -> Iterator[tuple[int, dict[str, str]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for rank in range(size):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port}
        yield rank, {name: str(value) for name, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}


def _child(path: str, rank: int, errors: IO[str], place: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "train.job", path],
        env={**os.environ, **place},
        stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
        stderr=errors,
        text=True,
        # Ctrl-C goes to the whole group of a terminal: this process is the one that says stop.
        start_new_session=True,
    )


def _read(lines: IO[str] | None, progress: Callable[[dict[str, object]], None] | None) -> None:
    assert lines is not None
    with lines:
        for line in lines:
            if progress is not None and line.startswith("{"):
                progress(json.loads(line))


def _watch(children: list[subprocess.Popen[str]], stopping: Callable[[], bool] | None) -> bool:
    """Wait for all to end; whether a stop was asked for. One that fails takes the others with it."""
    asked = False
    while any(child.poll() is None for child in children):
        if not asked and stopping is not None and stopping():
            asked = True
            for child in children:
                child.send_signal(signal.SIGTERM)
        if any(child.poll() for child in children):
            _end(children)
        for running in [child for child in children if child.poll() is None][:1]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(LOOK)
    return asked


def _end(children: list[subprocess.Popen[str]]) -> None:
    for child in children:
        if child.poll() is None:
            child.kill()
            child.wait()


def _refuse_failed(children: list[subprocess.Popen[str]], errors: Sequence[IO[str]]) -> None:
    # The first that failed by itself; those that were ended for its sake have a signal's code.
    failed = sorted((child.returncode < 0, rank) for rank, child in enumerate(children) if child.returncode)
    if not failed:
        return
    _, rank = failed[0]
    errors[rank].seek(0)
    said = errors[rank].read().strip().splitlines()
    if children[rank].returncode == 2 and said:
        raise UserError(said[-1].removeprefix("error: "))
    raise StepFailed(
        f"process {rank} of {len(children)} ended with {children[rank].returncode}: {' | '.join(said[-5:]) or 'silent'}"
    )
