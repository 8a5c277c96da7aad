"""Heat maps side by side: a row for each discipline, a column for each difficulty, a panel for each thing shown.

The panels share their rows and columns, so that the same place is the same cell in all. Each cell says its number; the
colour says it again. A cell without a value is left white, so that nothing looks like a nought. The kind of file
follows from its suffix: .svg, .png, .pdf, or .html with the picture inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kg.plot_figure import INK, LINE, QUIET, check_suffix, columns_of, cut, new_figure, text_at, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Cells = Mapping[tuple[str, int], float | None]
"""Discipline and difficulty -> a value; None, or absent, where there is none."""
Scale = Literal["share", "amount", "change"]
CELL, ROW, HEAD = 0.78, 0.42, 1.0
"""Inches: a cell's width and height, and what stands above the first row."""
LETTER = 0.078
"""Inches of a letter of 9 points."""
_WEAK_TO_STRONG = ("#c2571a", "#f7f3ea", "#3b6fb6")
"""Orange to blue: those who confuse red and green can tell them apart."""
_LITTLE_TO_MUCH = ("#ffffff", "#c8b0d6", "#8b5aa8")
_DARK = 0.53
"""Below this brightness of a cell its number is written in white."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One heat map."""

    title: str
    cells: Cells
    scale: Scale
    """``share``: 0 orange to 1 blue; ``amount``: 0 white to the largest purple; ``change``: down orange, up blue."""
    under: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """A small line below a cell's number, as its interval."""


def draw_heat_maps(
    panels: Sequence[Panel], path: Path, *, title: str, note: str = "", below: str = "difficulty"
) -> Path:
    """Draw panels side by side into a file; `below` says what the columns are.

    Raises:
        SettingsError: when matplotlib is not installed, or the file's suffix is unknown.
        StoreError: when the file cannot be written.
        ValueError: when there is nothing to draw.
    """
    check_suffix(path)
    rows = list(dict.fromkeys(row for panel in panels for row, _ in sorted(panel.cells)))
    columns = sorted({column for panel in panels for _, column in panel.cells})
    if not rows:
        raise ValueError("there is no cell to draw")
    rows.sort()
    names = max(sum(columns_of(one) for one in cut(row)) for row in rows) * LETTER + 0.5
    each = len(columns) * CELL + 0.35
    width = max(names + len(panels) * each, len(title) * 0.11 + 0.6, len(note) * LETTER + 0.6)
    height = HEAD + len(rows) * ROW + 0.75
    figure = new_figure(width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    text_at(axes, 0.2, height - 0.25, cut(title, 120), "left", INK, weight="bold", size=11)
    text_at(axes, 0.2, 0.2, cut(note, 200), "left", QUIET, size=8)
    for at, row in enumerate(rows):
        text_at(axes, names - 0.12, _middle(height, at), cut(row), "right", INK)
    for at, panel in enumerate(panels):
        _panel(axes, panel, rows, columns, names + at * each, height, below)
    return written(figure, path, title)


def _middle(height: float, row: int) -> float:
    return height - HEAD - (row + 0.5) * ROW


def _panel(
    axes: Axes, panel: Panel, rows: Sequence[str], columns: Sequence[int], left: float, height: float, what: str
) -> None:
    from matplotlib.patches import Rectangle

    text_at(axes, left, height - 0.58, cut(panel.title, 60), "left", INK, weight="bold")
    largest = max((abs(value) for value in panel.cells.values() if value is not None), default=0.0)
    for across, column in enumerate(columns):
        x = left + across * CELL
        text_at(axes, x + CELL / 2, height - HEAD + 0.14, str(column), "center", QUIET)
        for down, row in enumerate(rows):
            value, y = panel.cells.get((row, column)), _middle(height, down)
            colour = "white" if value is None else _colour(value, panel.scale, largest)
            box = Rectangle((x, y - ROW / 2), CELL, ROW, facecolor=colour, edgecolor=LINE, linewidth=0.8)
            axes.add_patch(box)
            if value is None:
                continue
            ink, small = _ink(colour), panel.under.get((row, column), "")
            text_at(axes, x + CELL / 2, y + (0.07 if small else 0), _said(value, panel.scale), "center", ink)
            if small:
                text_at(axes, x + CELL / 2, y - 0.11, small, "center", ink, size=6.5)
    below = _middle(height, len(rows) - 1) - ROW / 2 - 0.16
    text_at(axes, left + len(columns) * CELL / 2, below, what, "center", QUIET, size=8)


def _said(value: float, scale: Scale) -> str:
    if scale == "amount":
        return f"{value:,.0f}"
    return f"{value:+.2f}" if scale == "change" else f"{value:.2f}"


def _colour(value: float, scale: Scale, largest: float) -> str:
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    stops = _LITTLE_TO_MUCH if scale == "amount" else _WEAK_TO_STRONG
    if scale == "share":
        place = value
    elif scale == "amount":
        place = value / largest if largest else 0.0
    else:
        place = 0.5 + value / (2 * largest) if largest else 0.5
    return str(to_hex(LinearSegmentedColormap.from_list(scale, stops)(min(1.0, max(0.0, place)))))


def _ink(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)) if colour != "white" else (1, 1, 1)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < _DARK else INK
