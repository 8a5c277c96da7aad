"""``mashbill waterfall``: how many rows of each stream were left after each step, from its source to the release.

STEP             TRIED   KEPT                                      LOST TO
read_documents   1,203  1,200  ████████████████████████████████▏   empty 3
rephrase         3,500  3,000  ███████████████████████████▌▒▒▒▒▒   truncated 480, unparsable 20
filters          3,000  2,100  ███████████████████▎▒▒▒▒▒▒▒▒        refusal 900
released         2,100  2,100  ███████████████████▎
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from flows.stored import the_thing
from flows.terminal import console, grid, number
from mashbill.release_manifest import ReleaseManifest, StreamCounts

BAR = 36
"""Characters of the longest bar."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class Fall:
    """One step of a stream: rows it tried, and what became of them."""

    step: str
    read: int
    tried: int
    kept: int
    lost: Mapping[str, int]
    """Reason -> rows, the commonest first; with `kept` it adds up to `tried`."""

    @property
    def made(self) -> bool:
        """Whether it makes rows, so that what it tried is not what it read."""
        return self.tried != self.read


def falls_of(stream: StreamCounts) -> list[Fall]:
    """The steps of a stream in their order, and the release at the end."""
    found = []
    for step in stream.steps:
        counts = step.counts
        lost = dict(sorted(counts.rejected.items(), key=lambda one: (-one[1], one[0])))
        found.append(Fall(step.step, counts.read, counts.attempts, counts.kept, lost))
    curated = stream.released + stream.over_share
    over = {"over_share": stream.over_share} if stream.over_share else {}
    return [*found, Fall("released", curated, curated, stream.released, over)]


def bar(fall: Fall, widest: int, width: int = BAR) -> str:
    """Kept and lost rows as one bar.

    >>> bar(Fall("length", 8, 8, 6, {"too_short": 2}), widest=8, width=8)
    '██████▒▒'
    >>> bar(Fall("length", 8, 8, 7, {"too_short": 1}), widest=16, width=8)
    '███▌'
    """
    kept, tried = fall.kept / max(widest, 1) * width, fall.tried / max(widest, 1) * width
    whole, rest = int(kept), int((kept - int(kept)) * 8)
    drawn = "█" * whole + (_EIGHTHS[rest] if rest else "")
    return drawn + "▒" * (round(tried) - len(drawn))


def render_waterfall(said: str, root: Path, to: Path | None) -> None:
    """Print the table and draw the picture; beside the card unless another place is named.

    Raises:
        StoreError: when there is no such release.
        SettingsError: when a picture is asked for by name and matplotlib is not installed, or it is of no known kind.
    """
    thing = the_thing(said, root, ["release"])
    manifest, out = ReleaseManifest.read(thing.path), console()
    out.print(Text(str(thing), "bold"), f"{number(manifest.rows)} rows released")
    for name, stream in manifest.streams.items():
        _print(name, falls_of(stream), out)
    picture = thing.path / "waterfall.svg" if to is None else to
    if to is None and not _can_draw():
        out.print("\nno picture: `pip install 'mashbill[plots]'` draws one beside the card")
        return
    from flows.waterfall_plot import draw_waterfall

    streams = {name: falls_of(stream) for name, stream in manifest.streams.items()}
    out.print(f"\n{draw_waterfall(manifest.name, streams, picture)}", soft_wrap=True)


def _can_draw() -> bool:
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def _print(name: str, falls: list[Fall], out: Console) -> None:
    widest = max(fall.tried for fall in falls)
    out.print()
    out.print(Text(name, "bold"))
    rows = ([one.step, number(one.tried), number(one.kept), bar(one, widest), _lost(one)] for one in falls)
    out.print(grid(["STEP", "TRIED", "KEPT", "", "LOST TO"], rows, right=["TRIED", "KEPT"], wide="LOST TO"))


def _lost(fall: Fall) -> str:
    return ", ".join(_said(fall))


def _said(fall: Fall) -> Iterator[str]:
    yield from (f"{reason} {number(count)}" for reason, count in fall.lost.items())
