"""``mashbill asks``: how the asks of each step ended, and those that did not end ``ok``, with their raw text.

STEP                  STATE      ASKS  SHARE  TO RETRY  FOR EXAMPLE
retell/df2b08e3c92e   ok          412    91%
                      truncated    41     9%        41  it was cut off after 160 tokens

The numbers are those of the stored parts; the asks are in the ledger.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from flows.retry_change import state_named
from flows.stored import Thing, find_thing, releases, steps, the_thing
from flows.terminal import console, excerpt, grid, number, plain, short, some
from mashbill.ask_state import ASKED_AGAIN, AskState, by_state
from mashbill.counts import Counts
from mashbill.errors import StoreError
from mashbill.ledger import Ledger
from mashbill.ledger_states import Ended
from mashbill.partial import PARTIAL
from mashbill.settings import Settings
from mashbill.step_run import counts_in
from mashbill.store import Stored

SHOWN = 10


@dataclass(frozen=True)
class _Asked:
    """A stored step that asked, and how its asks ended."""

    thing: Thing
    counts: Counts
    ended: Sequence[Ended]
    """Those that did not end ``ok``, by the ledger."""

    @property
    def states(self) -> Counter[str]:
        return Counter(by_state(self.counts.asks, self.counts.states))


def render_asks(said: str, settings: Settings, *, state: str = "", rows: int | None = None, as_json: bool) -> None:
    """Print how asks ended: the states of each step, then asks; or every ask as JSON.

    Raises:
        StoreError: when there is no such bill, step or release, or none of its steps asked.
        UserError: for a state that is none.
    """
    wanted = state_named(state) if state else None
    things = _things(said, settings.root)
    asyncio.run(_render(said, things, settings, wanted, rows, as_json))


async def _render(
    said: str, things: list[Thing], settings: Settings, state: AskState | None, rows: int | None, as_json: bool
) -> None:
    # Opening a ledger creates it; looking must not.
    if not settings.ledger.is_file():
        raise StoreError(f"{settings.root}: has no ledger, so nothing was asked; run a bill first")
    ledger = Ledger(settings.ledger)
    try:
        found = [one for thing in things if (one := _asked(thing, ledger)) is not None]
        if not found:
            raise StoreError(f"{said or settings.root}: none of its {some(len(things), 'step')} asked a model")
        if as_json:
            for row in _first(_rows(found, ledger, state), rows):
                typer.echo(orjson.dumps(row).decode())
        else:
            _print(found, ledger, state, SHOWN if rows is None else rows, said, console())
    finally:
        await ledger.close()


def _things(said: str, root: Path) -> list[Thing]:
    """The stored steps that are meant."""
    known = steps(root)
    if named := [one for one in known if said in ("", one.name)]:
        return _once(named)
    if Path(said).is_file():
        return _steps_of_bill(Path(said), known, root)
    thing = find_thing(said, root, ["step", "release"]) or the_thing(said, root, ["step", "release"])
    return [thing] if thing.sort == "step" else _steps_of(thing, root)


def _steps_of_bill(path: Path, known: list[Thing], root: Path) -> list[Thing]:
    """The steps of its latest release; of each step that it names and that is not there, the last that was stored."""
    from mashbill.read_bill import read_bill

    bill = read_bill(path)
    made = [one for one in releases(root) if one.name == bill.name and one.finished]
    found = _steps_of(made[-1], root) if made else []
    named = {step.name for stream in bill.streams.values() for step in stream.steps if step.asks}
    last = {one.name: one for one in known if one.name in named - {step.name for step in found}}
    if not (found or last):
        raise StoreError(f"{path}: none of its steps that ask is stored under {root}; run it first")
    return [*found, *last.values()]


def _steps_of(release: Thing, root: Path) -> list[Thing]:
    from mashbill.release_manifest import ReleaseManifest

    streams = ReleaseManifest.read(release.path).streams.values()
    wanted = {(one.step, one.fingerprint) for stream in streams for one in stream.steps}
    return [one for one in steps(root) if (one.name, one.fingerprint) in wanted]


def _once(things: list[Thing]) -> list[Thing]:
    """Of a whole step and partial ones of it, which ask the same: the whole where it is finished, else the last."""
    chosen = dict[str, Thing]()
    for one in sorted(things, key=lambda one: (one.finished, not one.finished or _whole(one) == one.fingerprint)):
        chosen[_whole(one) if one.finished else one.fingerprint] = one
    return [one for one in things if one in chosen.values()]


def _whole(thing: Thing) -> str:
    """The fingerprint that the asks of a finished step are found by: of a partial one, the whole's."""
    return str(Stored.open(thing.path).manifest.identity.get(PARTIAL, {}).get("of", thing.fingerprint))


def _asked(thing: Thing, ledger: Ledger) -> _Asked | None:
    """How a step's asks ended, or None where it asked nothing."""
    if thing.finished:
        counts, fingerprint = Stored.open(thing.path).manifest.counts, _whole(thing)
    else:
        counts, fingerprint = _so_far(thing), thing.fingerprint
    ended = [one for one in ledger.states(fingerprint) if one.state is not AskState.OK]
    return _Asked(thing, counts, ended) if counts.asks or ended else None


def _so_far(thing: Thing) -> Counts:
    """What an unfinished step's parts say."""
    counts = Counts()
    for part in thing.parts:
        try:
            counts += counts_in(part)
        except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
            raise StoreError(f"{part}: cannot be read ({error}); remove it and run the bill again") from error
    return counts


def _print(found: list[_Asked], ledger: Ledger, state: AskState | None, rows: int, said: str, out: Console) -> None:
    out.print(
        grid(
            ["STEP", "STATE", "ASKS", "SHARE", "TO RETRY", "FOR EXAMPLE"],
            _lines(found, state),
            right=["ASKS", "SHARE", "TO RETRY"],
            wide="FOR EXAMPLE",
        )
    )
    if not all(one.thing.finished for one in found):
        out.print("(an unfinished step: what its written parts asked; a part under way is not counted)")
    shown = list(_first(_rows(found, ledger, state), rows))
    for row in shown:
        _row(row, out)
    of = sum(1 for one in found for ended in one.ended if state in (None, ended.state))
    if len(shown) < of:
        words = ["mashbill asks", *([said] if said else []), *([f"--state {state.value}"] if state else []), f"-n {of}"]
        out.print(f"\n{number(of - len(shown))} more: `{' '.join(words)}`")


def _lines(found: list[_Asked], state: AskState | None) -> Iterator[list[str]]:
    for one in found:
        name, states = str(one.thing) + ("" if one.thing.finished else " (unfinished)"), one.states
        for what in AskState:
            count = states[what.value]
            if state not in (None, what) or not (count or state):
                continue
            like = [ended for ended in one.ended if ended.state is what]
            left = sum(ended.last for ended in like)
            retried = "" if what is AskState.OK or not left else "by itself" if what in ASKED_AGAIN else number(left)
            share = f"{count / max(1, states.total()):.0%}"
            yield [name, what.value, number(count), share, retried, excerpt(like[0].detail, 100) if like else ""]
            name = ""


def _rows(found: list[_Asked], ledger: Ledger, state: AskState | None) -> Iterator[dict[str, Any]]:
    """Asks that did not end ``ok``, whole."""
    for one in found:
        for ended in one.ended:
            if state not in (None, ended.state):
                continue
            entry = ledger.entry(ended.key)
            request = ledger.unanswered(ended.step, ended.key) if entry is None else entry.request
            yield {
                "step": one.thing.name,
                "step_fingerprint": ended.step,
                "state": ended.state.value,
                "detail": ended.detail,
                "record": ended.record,
                "engine": ended.engine,
                "key": ended.key,
                "first": ended.first,
                "last": ended.last,
                "draw": ended.draw,
                "text": None if entry is None else entry.reply.text,
                "finish_reason": None if entry is None else entry.reply.finish_reason,
                "prompt_tokens": None if entry is None else entry.reply.prompt_tokens,
                "completion_tokens": None if entry is None else entry.reply.completion_tokens,
                "request": request,
            }


def _first(rows: Iterator[dict[str, Any]], most: int | None) -> Iterator[dict[str, Any]]:
    for count, row in enumerate(rows):
        if most is not None and count >= most:
            return
        yield row


def _row(row: dict[str, Any], out: Console) -> None:
    again = "" if row["last"] else "asked again for its shape"
    head = [row["state"], short(row["key"]), f"record {short(row['record'])}", f"{row['step']}", row["engine"], again]
    out.print()
    out.print(Text("  ".join(plain(one) for one in head if one), "bold"))
    if row["detail"]:
        out.print(Padding(Text(excerpt(row["detail"], 300)), (0, 0, 0, 2), expand=False))
    if row["text"]:
        out.print(Padding(Text(excerpt(row["text"], 300), "dim"), (0, 0, 0, 2), expand=False))
    elif row["request"] is not None and row["text"] is None:
        asked = "".join(row["request"].messages[-1].parts)
        out.print(Padding(Text("asked: " + excerpt(asked[-300:], 300), "dim"), (0, 0, 0, 2), expand=False))
