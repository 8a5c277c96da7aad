"""What is known of the runs under a root: ``ROOT/run-log/ID.json``, written by `flows.run_watch` as a run goes.

    {"id": "20261201-041500-7f3a", "name": "tolvarey", "command": "run", "bill": "/srv/tolvarey/bill.yaml",
     "pid": 4711, "state": "running", "started": 1796098500.2, "updated": 1796098531.9,
     "step": {"name": "entigraph", "done": 8, "total": 12, "kept": 214, "rejected": {"truncated": 31}, …},
     "steps": 3, "asks": 286, "replayed": 40, "asks_per_second": 9.1, "prompt_tokens": 41200, …}

It is written at most once a second, aside and renamed, and once more at the end with how the run ended. A run that was
killed cannot write that; its lock on its log is gone then, and `Run.state` says ``killed``. Losing it loses nothing
that was made.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.one_run import try_lock
from flows.run_log import FOLDER
from mashbill.disk import lives
from mashbill.errors import StoreError
from mashbill.run_id import is_run_id
from mashbill.settings import Settings


@dataclass(kw_only=True)
class StepNow:
    """The step, or training, under way."""

    name: str
    total: int
    """Input records, or optimiser steps."""
    done: int = 0
    before: int = 0
    """Of those done, what an earlier run did."""
    kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    """Reason -> rows."""
    began: float = 0.0


@dataclass(kw_only=True)
class Run:
    """What is known of a run."""

    id: str
    name: str
    """Of the bill."""
    command: str
    """``run``, ``loop``, …"""
    bill: str
    pid: int
    started: float
    """Seconds since the epoch, as all times here."""
    updated: float
    ended: float | None = None
    state: str = "running"
    """``running``, ``done``, ``stopped`` (on request), ``failed``; ``killed`` where the process is gone without it."""
    error: str = ""
    step: StepNow | None = None
    steps: int = 0
    """Steps finished or found finished."""
    asks: int = 0
    replayed: int = 0
    """Of the asks, those whose reply was in the ledger."""
    asks_per_second: float = 0.0
    """Replies paid for, over the last ten seconds; over the whole run once it has ended."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    """Reason -> rows, over all steps that this run made or found made."""
    account: str = ""
    """The account in the ledger that its spending is kept in."""
    budget: dict[str, Any] = field(default_factory=dict)
    """The fields of its limits (`mashbill.limits.Limits`); empty for a run without a budget."""
    prices: str = ""
    """The file of prices that money is reckoned with."""
    release: str = ""
    """Where the release lies; empty while there is none."""
    report: str = ""

    @classmethod
    def now(cls, run_id: str, name: str, command: str, bill: Path) -> Run:
        """A run of this process that begins now."""
        began = time.time()
        place = str(bill.resolve())
        return cls(id=run_id, name=name, command=command, bill=place, pid=os.getpid(), started=began, updated=began)

    @classmethod
    def from_plain(cls, said: Mapping[str, Any]) -> Run:
        """From the file's values; fields of a later version are left out."""
        known = {one.name for one in dataclasses.fields(cls)}
        values = {name: value for name, value in said.items() if name in known}
        step = values.get("step")
        return cls(**{**values, "step": None if step is None else StepNow(**step)})


def note_budget(run: Run, settings: Settings, account: str) -> None:
    """Put down what the run may spend, so that a watcher can say what is left of it."""
    run.account, run.prices = account, str(settings.prices or "")
    run.budget = dataclasses.asdict(settings.budget) if settings.budget else {}


def runs_under(root: Path) -> list[Run]:
    """Every run recorded under a root, the oldest first; one whose process is gone is ``killed``.

    Raises:
        StoreError: for a record that cannot be read.
    """
    found = []
    for path in sorted((root / FOLDER).glob("*.json")):
        if is_run_id(path.stem):
            run = _read(path)
            if run.state == "running" and not _at_work(path.with_suffix(".jsonl"), run.pid):
                run.state, run.ended = "killed", run.updated
            found.append(run)
    return found


def _read(path: Path) -> Run:
    try:
        return Run.from_plain(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path}: is not the record of a run ({error}); remove it") from error


def _at_work(file: Path, pid: int) -> bool:
    """Whether a run's lock on its log is held; without locks, whether a process of that id is there."""
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        free = try_lock(handle, shared=True)
    finally:
        os.close(handle)
    return lives(pid) if free is None else not free
