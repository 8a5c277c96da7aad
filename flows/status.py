"""``mashbill status``: the runs at work under a root, and how the last ones ended.

    tolvarey  20261201-041500-7f3a  run, at work for 2:14 (pid 4711)
      step      entigraph, 8 of 12, 214 rows kept, 1:07 left
      asks      286 (40 from the ledger), 9.1 a second; 41,200 tokens read, 12,040 written
      budget    left of 2 USD: 1.59 USD; account tolvarey: 246 asks, 35,400 + 10,300 tokens, 0.41 USD, 2.1 min
      rejected  truncated 30, refusal 3
      log       runs/run-log/20261201-041500-7f3a.jsonl

It reads the records of the runs (`flows.run_record`) and asks nobody, so it may be called at any time, from anywhere.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from flows.progress import clock_time
from flows.run_log import FOLDER
from flows.run_record import Run, runs_under
from flows.terminal import date, number, plain

REASONS = 3
"""Reject reasons named; `mashbill rejects` shows all."""
PAUSE = 1.0
"""Seconds between two looks when it follows: a record is written no faster."""


def render_status(
    root: Path,
    *,
    last: int = 5,
    as_json: bool = False,
    follow: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Print the runs at work and the `last` others; with `follow` again and again until none is at work.

    Raises:
        StoreError: for a record that cannot be read.
    """
    before = ""
    while True:
        runs = _shown(runs_under(root), last)
        said = _as_json(runs, root) if as_json else _as_text(runs, root)
        # Only what is new: where this is piped into a file, an hour of waiting must not fill it.
        if said != before:
            typer.echo(said if as_json else _cleared(said, first=not before))
            before = said
        if not (follow and any(one.state == "running" for one in runs)):
            return
        sleep(PAUSE)


def _cleared(text: str, *, first: bool) -> str:
    import sys

    if first:
        return text
    # On a terminal the new lines stand in the place of the old ones.
    return f"\x1b[2J\x1b[H{text}" if sys.stdout.isatty() else f"\n{text}"


def _shown(runs: Sequence[Run], last: int) -> list[Run]:
    """Those at work, then the last others, the newest first."""
    working = [one for one in runs if one.state == "running"]
    ended = [one for one in runs if one.state != "running"]
    return [*reversed(working), *list(reversed(ended))[:last]]


def _as_json(runs: Sequence[Run], root: Path) -> str:
    return json.dumps([_plain(one, root) for one in runs], ensure_ascii=False)


def _plain(run: Run, root: Path) -> dict[str, Any]:
    return {**dataclasses.asdict(run), "log": str(_log(run, root))}


def _as_text(runs: Sequence[Run], root: Path) -> str:
    if not runs:
        return (
            f"no run is recorded under {root}; begin one with `mashbill run BILL`, or name another place with --root "
            "(what is stored: `mashbill ls`)"
        )
    return "\n".join(plain("\n".join(lines_of(one, root))) for one in runs)


def lines_of(run: Run, root: Path) -> Iterator[str]:
    """A run for a reader."""
    yield f"{run.name}  {run.id}  {run.command}, {_state(run)}"
    told: dict[str, str] = {
        "step": _step(run),
        "asks": _asks(run),
        "budget": _budget(run, root),
        "rejected": _rejected(run),
        "error": run.error if run.state == "failed" else "",
        "release": run.release,
        "report": run.report,
        "log": str(_log(run, root)),
    }
    yield from (f"  {name:<9} {value}" for name, value in told.items() if value)


def _log(run: Run, root: Path) -> Path:
    return root / FOLDER / f"{run.id}.jsonl"


def _state(run: Run) -> str:
    if run.state == "running":
        return f"at work for {clock_time(run.updated - run.started)} (pid {run.pid})"
    took = clock_time((run.ended or run.updated) - run.started)
    how = {"killed": "was killed", "stopped": "stopped on request"}.get(run.state, run.state)
    go_on = "; the same command goes on" if run.state in ("killed", "stopped") else ""
    return f"{how} after {took}, {date(run.ended or run.updated)}{go_on}"


def _step(run: Run) -> str:
    now = run.step
    if now is None or run.state == "done":
        return ""
    pieces = [f"{now.name}, {number(now.done)} of {number(now.total)}"]
    if now.kept:
        pieces.append(f"{number(now.kept)} rows kept")
    took = run.updated - now.began
    if run.state == "running" and now.done > now.before and took > 0 and now.done < now.total:
        pieces.append(f"{clock_time(took / (now.done - now.before) * (now.total - now.done))} left")
    return ", ".join(pieces)


def _asks(run: Run) -> str:
    if not run.asks:
        return ""
    replayed = f" ({number(run.replayed)} from the ledger)" if run.replayed else ""
    return (
        f"{number(run.asks)}{replayed}, {run.asks_per_second:g} a second; {number(run.prompt_tokens)} tokens read, "
        f"{number(run.completion_tokens)} written"
    )


def _budget(run: Run, root: Path) -> str:
    """What is left of its budget, from its account in the ledger."""
    if not run.budget:
        return ""
    from flows.budget import render_account
    from mashbill.limits import Limits
    from mashbill.prices import PriceTable
    from mashbill.settings import Settings
    from mashbill.spending import kept_account

    limits, account = Limits(**run.budget), kept_account(Settings(root=root).ledger, run.account)
    prices = PriceTable.read(Path(run.prices)) if run.prices else None
    spent, left, *_ = render_account(account, limits, prices).splitlines()
    return f"{left}; {spent}"


def _rejected(run: Run) -> str:
    counts = dict(run.rejected)
    for reason, count in (run.step.rejected if run.step is not None else {}).items():
        counts[reason] = counts.get(reason, 0) + count
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    named = ", ".join(f"{reason} {number(count)}" for reason, count in ordered[:REASONS])
    return named + (f", {len(ordered) - REASONS} more reasons" if len(ordered) > REASONS else "")
