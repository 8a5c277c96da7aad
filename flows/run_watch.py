"""Keeps the record of a run (`flows.run_record`) while it is at work, and writes how it ended.

The record is written at most once a second and at the end. A disk that is full costs the record, never the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from flows.one_run import try_lock
from flows.run_log import FOLDER, scrubbed
from flows.run_record import Run, StepNow
from mashbill import logs
from mashbill.counts import Counts
from mashbill.errors import Interrupted, MashbillError, StoreError
from mashbill.store import Stored
from mashbill.usage import Usage

EVERY = 1.0
"""Seconds between two writings: a watcher reads no faster."""
WINDOW = 10
"""Writings over which the speed is reckoned: long enough to be steady, short enough to show a model that slows down."""
LONGEST_ERROR = 600
"""Characters of an error kept; the whole of it was on the terminal."""

log, step_log = logs.logger("run"), logs.logger("step")


class RunRecord:
    """Keeps the record of one run up to date; implements `mashbill.progress.Progress`."""

    def __init__(self, root: Path, run: Run, clock: Callable[[], float] = time.time) -> None:
        self.run, self.path = run, root / FOLDER / f"{run.id}.json"
        self.usage: Callable[[], Usage] = Usage
        """What the run has asked by now; set by whoever has the engines."""
        self._root, self._clock = root, clock
        self._written = float("-inf")
        self._samples: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._trouble = False
        self._ended: set[Path] = set()
        """Steps that are counted: a run may come to one again, as each draw of a stream does that accepts so much."""

    def begin(self, step: str, records: int, done: int) -> None:
        """A step starts."""
        step_log.info("begins with %d records, %d of them done before", records, done, extra={"step": step})
        self.run.step = StepNow(name=step, total=records, done=done, before=done, began=self._clock())
        self.write()

    def advance(self, step: str, counts: Counts, usage: Usage) -> None:
        """The step's counts so far."""
        now = self.run.step
        if now is None or now.name != step:
            return
        if self._due():
            now.done, now.kept, now.rejected = counts.read, counts.kept, dict(counts.rejected)
            self.write()

    def end(self, step: str, stored: Stored, *, reused: bool) -> None:
        """The step is finished."""
        counts = stored.manifest.counts
        step_log.info(
            "%s: %d records read, %d rows kept, %d rejected",
            "was done before" if reused else "ends",
            counts.read,
            counts.kept,
            counts.rejects,
            extra={"step": step},
        )
        if stored.path not in self._ended:
            self._ended.add(stored.path)
            self.run.steps += 1
            for reason, count in counts.rejected.items():
                self.run.rejected[reason] = self.run.rejected.get(reason, 0) + count
        if self.run.step is not None and self.run.step.name == step:
            self.run.step = None
        if self._due():
            self.write()

    def training(self, event: Mapping[str, object]) -> None:
        """One optimiser step."""
        name, done, total = str(event.get("name") or "train"), int(str(event["step"])), int(str(event["steps"]))
        if self.run.step is None or self.run.step.name != name:
            self.run.step = StepNow(name=name, total=total, done=done, before=done - 1, began=self._clock())
        self.run.step.done = done
        if self._due() or done == total:
            step_log.debug("step %d of %d", done, total, extra={"step": name})
            self.write()

    def close(self, state: str, error: str = "") -> None:
        """Write how the run ended."""
        self.run.state, self.run.error = state, error
        self.write()

    def _due(self) -> bool:
        return self._clock() - self._written >= EVERY

    def write(self) -> None:
        """Write the record now."""
        now, usage, run = self._clock(), self.usage(), self.run
        self._written = run.updated = now
        run.asks, run.replayed = usage.asks, usage.replayed
        run.prompt_tokens, run.completion_tokens = usage.prompt_tokens, usage.completion_tokens
        self._samples.append((now, usage.asks - usage.replayed))
        (since, first), ended = self._samples[0], run.state != "running"
        if ended:
            since, first, run.ended = run.started, 0, now
        run.asks_per_second = round((usage.asks - usage.replayed - first) / (now - since), 2) if now > since else 0.0
        aside = self.path.with_suffix(".json.tmp")
        try:
            aside.write_text(json.dumps(dataclasses.asdict(run), ensure_ascii=False, indent=1), encoding="utf-8")
            aside.replace(self.path)
        except OSError as error:
            # The run is worth more than its record; what it makes fails by itself when the disk is full.
            if not self._trouble:
                log.warning("%s: cannot be written: %s", self.path, error.strerror)
            self._trouble = True


@contextlib.contextmanager
def recorded(root: Path, run: Run, file: Path) -> Iterator[RunRecord]:
    """Keep a run's record while it is at work, and write how it ended; `file` is its log, which is locked meanwhile.

    Raises:
        StoreError: when the log cannot be opened.
    """
    with _locked(file):
        record = RunRecord(root, run)
        log.info("%s of the bill %s begins", run.command, run.name)
        record.write()
        try:
            yield record
        except BaseException as error:
            stopped = isinstance(error, Interrupted | KeyboardInterrupt | asyncio.CancelledError)
            said = logged(error)
            log.log(logging.INFO if stopped else logging.ERROR, "%s: %s", "stopped" if stopped else "failed", said)
            record.close("stopped" if stopped else "failed", said)
            raise
        log.info("done")
        record.close("done")


def logged(error: BaseException) -> str:
    """An error in one line that may be kept: without texts of prompts or replies, and without credentials."""
    if isinstance(error, MashbillError):
        return scrubbed(error.for_log())[:LONGEST_ERROR]
    return type(error).__name__  # a bug: nobody has looked at what its message quotes


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the lock of a run's log: it says that the run lives, whatever becomes of its process."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CREAT, 0o666)
    except OSError as error:
        raise StoreError(f"{file}: cannot be opened: {error.strerror}; mend it or take another --root") from error
    try:
        try_lock(handle)
        yield
    finally:
        os.close(handle)
