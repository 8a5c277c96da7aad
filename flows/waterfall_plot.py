"""A picture of a release's waterfall: a panel for each stream, a bar for each step, what was lost coloured at its end.

The bar of ``rephrase``, 3,500 tried: blue up to 3,000 kept, then 480 ``truncated`` and 20 ``unparsable``. A thin line
goes from where a bar's kept rows end to the next one, which begins with as many, unless a step makes rows of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.terminal import number
from flows.waterfall import Fall
from kg.plot_figure import COLOURS, INK, LINE, QUIET, check_suffix, cut, new_figure, text_at, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 3
"""Reasons of a step that are told apart; the rest are one."""
KEPT = COLOURS[0]
_WIDTH, _BAR, _ROW, _HEAD = 11.0, 0.62, 0.48, 0.75
"""Inches of the picture, share of a row that its bar takes, inches of a row and of a panel's head."""
_LEFT, _RIGHT = 0.21, 0.56
"""Where bars begin and the longest ends, as shares of the width."""
_LETTER, _LINE = 0.0058, 0.085
"""Width of a letter of what is said beside a bar, as a share; inches that its lines stand off the middle."""


def draw_waterfall(title: str, streams: Mapping[str, Sequence[Fall]], path: Path) -> Path:
    """Draw the steps of each stream.

    Raises:
        SettingsError: for a file of no known kind, or where matplotlib is not installed.
        StoreError: when it cannot be written.
    """
    check_suffix(path)
    inches = [_HEAD + _ROW * len(falls) for falls in streams.values()]
    height = sum(inches) + 0.55
    figure = new_figure(_WIDTH, height)
    top = height - 0.45
    figure.text(0.02, 1 - 0.28 / height, f"{title}: from source to dataset", color=INK, fontsize=13, weight="bold")
    colours = _colours(streams)
    for (name, falls), tall in zip(streams.items(), inches, strict=True):
        axes = figure.add_axes((0.0, (top - tall) / height, 1.0, tall / height))
        _panel(axes, name, falls, colours, tall)
        top -= tall
    return written(figure, path, f"{title}: waterfall")


def _colours(streams: Mapping[str, Sequence[Fall]]) -> dict[str, str]:
    """One colour for a reason in all panels; those of most rows first, later ones share."""
    total: dict[str, int] = {}
    for falls in streams.values():
        for fall in falls:
            for reason, count in list(fall.lost.items())[:SHOWN]:
                total[reason] = total.get(reason, 0) + count
    others = [one for one in COLOURS if one != KEPT]
    ordered = sorted(total, key=lambda reason: (-total[reason], reason))
    return {reason: others[at % len(others)] for at, reason in enumerate(ordered)}


def _panel(axes: Axes, name: str, falls: Sequence[Fall], colours: Mapping[str, str], inches: float) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(inches, 0)
    axes.axis("off")
    text_at(axes, 0.02, 0.3, cut(name), "left", INK, weight="bold", size=11)
    widest = max(1, *(fall.tried for fall in falls))
    scale = (_RIGHT - _LEFT) / widest
    for at, fall in enumerate(falls):
        middle = _HEAD - 0.1 + at * _ROW
        text_at(axes, _LEFT - 0.012, middle, cut(fall.step, 28), "right", INK)
        end = _bars(axes, fall, middle, scale, colours)
        _beside(axes, fall, colours, end + 0.012, middle)
        if at + 1 < len(falls):
            kept = _LEFT + fall.kept * scale
            below = middle + _ROW - _ROW * _BAR / 2
            axes.plot([kept, kept], [middle + _ROW * _BAR / 2, below], color=QUIET, linewidth=0.8)


def _bars(axes: Axes, fall: Fall, middle: float, scale: float, colours: Mapping[str, str]) -> float:
    """Draw one bar, and return where it ends."""
    thick = _ROW * _BAR
    axes.barh(middle, fall.kept * scale, height=thick, left=_LEFT, color=KEPT)
    at = _LEFT + fall.kept * scale
    for reason, count in _pieces(fall):
        colour = colours.get(reason, LINE)
        axes.barh(middle, count * scale, height=thick, left=at, color=colour, edgecolor="white", linewidth=0.4)
        at += count * scale
    return at


def _pieces(fall: Fall) -> list[tuple[str, int]]:
    """What was lost: the commonest reasons, then all others together.

    >>> _pieces(Fall("x", 9, 9, 0, {"a": 4, "b": 2, "c": 1, "d": 1, "e": 1}))
    [('a', 4), ('b', 2), ('c', 1), ('other', 2)]
    """
    shown = list(fall.lost.items())
    others = sum(count for _, count in shown[SHOWN:])
    return [*shown[:SHOWN], *([("other", others)] if others else [])]


def _beside(axes: Axes, fall: Fall, colours: Mapping[str, str], x: float, middle: float) -> None:
    """What a bar says in words: kept of tried, and under it each reason in its colour."""
    whole = f"{number(fall.kept)} of {number(fall.tried)}" if fall.lost else number(fall.kept)
    if fall.made and fall.read:
        whole += f", from {number(fall.read)} read"
    text_at(axes, x, middle - (_LINE if fall.lost else 0.0), whole, "left", INK, size=8.5)
    left = int((0.985 - x) / _LETTER)
    for reason, count in _pieces(fall):
        shown = cut(f"{reason} {number(count)}", max(left, 0))
        text_at(axes, x, middle + _LINE, shown, "left", colours.get(reason, QUIET), size=8)
        x += _LETTER * (len(shown) + 2)
        left -= len(shown) + 2
