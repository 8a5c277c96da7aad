"""A run on the terminal: one line a step, live while it works, plain when it is done.

    entigraph  ━━━━━━━━━╸━━━━  8/12 records  214 kept  31 rejected 13%  40 replayed  412 tokens/s  2:14 left
    entigraph: 12 records read, 241 kept, 33 rejected (truncated 30, refusal 3), 40 of 286 asks replayed, 6:02

Everything goes to stderr, so that what a command prints can be piped. Where stderr is no terminal only the last line
of each step is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from flows.terminal import console, number, some
from mashbill.counts import Counts
from mashbill.store import Stored
from mashbill.usage import Usage

REASONS = 3
"""Reject reasons named on a finished line; `mashbill rejects` shows all."""


@dataclass
class _Watch:
    """What is known of a step or a training under way."""

    task: TaskID
    total: int
    first: int
    """Done by an earlier run: it must not make this one look fast."""
    began: float
    tokens_before: int = 0
    done: int = 0
    usage: Usage = field(default_factory=Usage)


class RichProgress:
    """Shows a run's progress; use as a context manager.

    Implements `mashbill.progress.Progress`, and `training` for the steps of an optimiser.
    """

    def __init__(self, out: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = out or console(stderr=True)
        self._clock = clock
        self._watches: dict[str, _Watch] = {}
        self._tokens = 0
        self._asks = 0
        self._replayed = 0
        self._bars = Bars(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[said]}", markup=False),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
            refresh_per_second=4,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, step: str, records: int, done: int) -> None:
        """A step starts with so many input records, some done by an earlier run."""
        self._begin(step, records, done, f"{number(done)}/{some(records, 'record')}")

    def advance(self, step: str, counts: Counts, usage: Usage) -> None:
        """The step's counts so far, and the run's usage."""
        watch = self._watches.get(step)
        if watch is None:
            return
        watch.done = counts.read
        self._count(usage)
        pieces = [f"{number(counts.read)}/{some(watch.total, 'record')}", f"{number(counts.kept)} kept"]
        if counts.rejects:
            pieces.append(f"{number(counts.rejects)} rejected {counts.rejects / counts.attempts:.0%}")
        if usage.replayed > watch.usage.replayed:
            pieces.append(f"{number(usage.replayed - watch.usage.replayed)} replayed")
        seconds = self._clock() - watch.began
        new = self._tokens - watch.tokens_before
        if new and seconds > 0:
            pieces.append(f"{number(round(new / seconds))} tokens/s")
        pieces.append(_left(watch, seconds))
        self._bars.update(watch.task, completed=counts.read, said=_joined(pieces))

    def end(self, step: str, stored: Stored, *, reused: bool) -> None:
        """The step is finished; `reused` when it was finished before."""
        watch, counts = self._end(step), stored.manifest.counts
        pieces = [f"{some(counts.read, 'record')} read", f"{number(counts.kept)} kept", _rejected(counts)]
        if reused:
            pieces.append("done before")
        elif watch is not None:
            replayed = self._replayed - watch.usage.replayed
            if replayed:
                pieces.append(f"{number(replayed)} of {some(self._asks - watch.usage.asks, 'ask')} replayed")
            pieces.append(clock_time(self._clock() - watch.began))
        self._line(step, pieces)

    def training(self, event: Mapping[str, object]) -> None:
        """One optimiser step: ``step`` of ``steps``, ``loss``, ``tokens_per_second``; ``name`` says whose."""
        name = str(event.get("name") or "train")
        step, steps = _whole(event["step"]), _whole(event["steps"])
        watch = self._watches.get(name) or self._begin(name, steps, step - 1, "")
        watch.done = step
        numbers = [f"loss {_real(event['loss']):.3f}", f"{number(round(_real(event['tokens_per_second'])))} tokens/s"]
        seconds = self._clock() - watch.began
        if step < steps:
            said = [f"{number(step)}/{some(steps, 'step')}", *numbers, _left(watch, seconds)]
            self._bars.update(watch.task, completed=step, said=_joined(said))
            return
        self._end(name)
        self._line(name, [some(steps, "step"), *numbers, clock_time(seconds)])

    def _begin(self, name: str, total: int, done: int, said: str) -> _Watch:
        self._end(name)
        task = self._bars.add_task(name, total=max(total, 1), completed=done, said=said)
        # The run's usage goes on from step to step; what went before is taken off.
        usage = Usage(asks=self._asks, replayed=self._replayed)
        watch = _Watch(task, total, done, self._clock(), self._tokens, done, usage)
        self._watches[name] = watch
        return watch

    def _end(self, name: str) -> _Watch | None:
        watch = self._watches.pop(name, None)
        if watch is not None:
            self._bars.remove_task(watch.task)
            # Now, or the finished line is printed with the old one still below it.
            self._bars.refresh()
        return watch

    def _count(self, usage: Usage) -> None:
        # Steps that ask nothing report nothing; the run's own counts only grow.
        self._tokens = max(self._tokens, usage.new_completion_tokens)
        self._asks = max(self._asks, usage.asks)
        self._replayed = max(self._replayed, usage.replayed)

    def _line(self, name: str, pieces: list[str]) -> None:
        said = ", ".join(piece for piece in pieces if piece)
        self.console.print(Text(f"{name}: ", "bold").append(said, "not bold"), soft_wrap=True)


def _joined(pieces: list[str]) -> str:
    return "  ".join(piece for piece in pieces if piece)


def _rejected(counts: Counts) -> str:
    if not counts.rejects:
        return ""
    ordered = sorted(counts.rejected.items(), key=lambda one: (-one[1], one[0]))
    named = ", ".join(f"{reason} {number(count)}" for reason, count in ordered[:REASONS])
    more = f", {len(ordered) - REASONS} more" if len(ordered) > REASONS else ""
    return f"{number(counts.rejects)} rejected ({named}{more})"


def _left(watch: _Watch, seconds: float) -> str:
    """The time left at this run's own pace, once there is one."""
    done, left = watch.done - watch.first, watch.total - watch.done
    if done <= 0 or left <= 0 or seconds <= 0:
        return ""
    return f"{clock_time(seconds / done * left)} left"


def clock_time(seconds: float) -> str:
    """A duration for a reader.

    >>> clock_time(3.21), clock_time(134), clock_time(7322)
    ('3.2 s', '2:14', '2:02:02')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _whole(value: object) -> int:
    return int(_real(value))


def _real(value: object) -> float:
    return float(str(value))
