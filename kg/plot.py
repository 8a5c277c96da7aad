"""Pictures of a graph: what is joined to one node, and what a set of paths covers.

A neighbourhood is drawn in rows, not as a ball of springs: the node in the middle, what it points to on the right, what
points to it on the left, and a heading for each relation. So no label lies on another, a relation is written once for
all its edges, and the same graph gives the same bytes.

The kind of file follows from its suffix: .svg, .png, .pdf, or .html with the picture inside.
"""

from __future__ import annotations

import functools
import html
import io
import itertools
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.coverage import Coverage
from kg.graph import Graph
from mashbill.errors import SettingsError
from mashbill.store import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf", ".html")
ROW = 0.19
"""Inches of one row: text of 9 points with some air."""
LONGEST = 40
"""Letters of a name, those of double width counted twice; the rest of a longer one is cut."""
WIDTH = 12.5
CENTRE = WIDTH / 2
LEGEND = WIDTH - 5.6
"""Inches for the names of tags, between those of the two sides; "other tags" fits on top."""
INK, QUIET, LINE = "#1a1a1a", "#6b7280", "#d1d5db"
COLOURS = ("#3b6fb6", "#c2571a", "#2f855a", "#8b5aa8", "#b7313e", "#0f7f8a", "#8a6d1a", "#c2498e", "#5a6b2f", "#555b6e")
"""Told apart by most people who confuse red and green, and dark enough to be read as text on white."""
FIRST, SECOND = COLOURS[0], COLOURS[1]


_MISSING = re.compile(r"Glyph (\d+) .*missing from (?:current )?font", re.DOTALL)
FALLBACKS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Hiragino Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Noto Sans Devanagari",
    "Noto Emoji",
    "Symbola",
    "Segoe UI Emoji",
    "Arial Unicode MS",
)
"""Families with letters that matplotlib's own font lacks, of the usual systems; those that are there are used."""


class MissingLetters(UserWarning):
    """No font on this machine has some letters of a picture that had to be drawn."""


@dataclass(frozen=True)
class Block:
    """The neighbours of one relation on one side."""

    relation: str
    edges: int
    shown: tuple[tuple[str, str], ...]
    """Name and tag of each neighbour that is drawn."""

    @property
    def rows(self) -> int:
        """Rows it takes: its heading, its neighbours, and the line that says how many are not drawn."""
        return 1 + len(self.shown) + (self.edges > len(self.shown))


def neighbourhood(
    graph: Graph, name: str, *, most: int | None = None, each: int | None = None
) -> tuple[list[Block], list[Block]]:
    """What points to a node and what it points to, by relation: `most` neighbours a side, or `each` of a relation.

    Raises:
        InputError: when no node has that name, with the nearest.
    """
    node = graph.node(name)
    sides: tuple[dict[int, list[int]], dict[int, list[int]]] = ({}, {})
    for hop in graph.hops(node):
        sides[not hop.inverse].setdefault(int(graph.relation[hop.edge]), []).append(hop.node)
    return _blocks(graph, sides[0], most, each), _blocks(graph, sides[1], most, each)


def _blocks(graph: Graph, side: Mapping[int, list[int]], most: int | None, each: int | None) -> list[Block]:
    order = sorted(side, key=lambda code: (-len(side[code]), graph.relations[code].name))
    sizes = [len(side[code]) for code in order]
    limits = [size if each is None else each for size in sizes] if most is None else _shared(sizes, most)
    return [
        Block(
            relation=graph.relations[code].name,
            edges=len(side[code]),
            shown=tuple((graph.name(one), graph.tag(one)) for one in sorted(side[code])[:limit]),
        )
        for code, limit in zip(order, limits, strict=True)
    ]


def _shared(sizes: list[int], most: int) -> list[int]:
    """How many of each to draw: what is left is shared out, so that a large relation does not push out the small ones.

    >>> _shared([100, 3, 1], 12)
    [8, 3, 1]
    """
    limits = [0] * len(sizes)
    for _ in range(most):
        open_ones = [at for at, size in enumerate(sizes) if limits[at] < size]
        if not open_ones:
            break
        limits[min(open_ones, key=lambda at: (limits[at], at))] += 1
    return limits


def draw_neighbourhood(graph: Graph, name: str, path: Path, *, most: int = 40) -> Path:
    """Draw what is joined to a node.

    Raises:
        InputError: when no node has that name, with the nearest.
        SettingsError: when matplotlib is not installed, or the file's suffix is unknown.
        StoreError: when the file cannot be written.
    """
    _known(path)
    left, right = neighbourhood(graph, name, most=most)
    rows = max(sum(block.rows for block in side) + len(side) for side in (left, right))
    height = max(rows + 1, 8) * ROW + 1.0
    figure = _figure(WIDTH, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(0, height)
    tags = Counter(tag for side in (left, right) for block in side for _, tag in block.shown if tag)
    colours = _coloured(tags)
    middle = (height - 0.75) / 2
    for side, out in ((left, False), (right, True)):
        _side(axes, side, colours, middle, out=out)
    edges = sum(block.edges for block in left), sum(block.edges for block in right)
    _node(axes, name, graph.tag(graph.node(name)), edges, middle)
    _legend(axes, height, edges, colours, others=len(tags) > len(colours))
    return _written(figure, path, f"{_cut(name)}: what it is joined to")


def _side(axes: Axes, blocks: Iterable[Block], colours: Mapping[str, str], middle: float, *, out: bool) -> None:
    blocks = list(blocks)
    sign, align = (1, "left") if out else (-1, "right")
    y = middle + (sum(block.rows for block in blocks) + len(blocks) - 2) * ROW / 2
    for block in blocks:
        heading = y
        # From the box to the heading: one line for a relation, whose edges then fork.
        start, fork = CENTRE + sign * 1.3, CENTRE + sign * 2.35
        _curve(axes, (start, middle), (fork - sign * 0.08, heading))
        # The arrow points to the right on both sides, as the edges do.
        _text(axes, fork, y, f"{_cut(block.relation)} →", align, INK, weight="bold")
        for one, tag in block.shown:
            y -= ROW
            colour = colours.get(tag, QUIET)
            axes.plot([fork + sign * 0.12], [y], marker="o", markersize=4, color=colour)
            _text(axes, fork + sign * 0.24, y, _cut(one), align, INK)
        if block.edges > len(block.shown):
            y -= ROW
            _text(axes, fork + sign * 0.24, y, f"and {block.edges - len(block.shown):,} more", align, QUIET)
        axes.plot([fork + sign * 0.03] * 2, [heading - ROW * 0.6, y - ROW * 0.3], color=LINE, linewidth=1)
        y -= 2 * ROW


def _curve(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Line

    halfway = (start[0] + end[0]) / 2
    points = [start, (halfway, start[1]), (halfway, end[1]), end]
    codes = [Line.MOVETO, Line.CURVE4, Line.CURVE4, Line.CURVE4]
    axes.add_patch(PathPatch(Line(points, codes), facecolor="none", edgecolor=LINE, linewidth=1.1))


def _node(axes: Axes, name: str, tag: str, edges: tuple[int, int], middle: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    lines = _wrapped(name, 24)
    height = 0.2 * len(lines) + 0.32
    style = "round,pad=0.02,rounding_size=0.08"
    box = FancyBboxPatch(
        (CENTRE - 1.3, middle - height / 2),
        2.6,
        height,
        boxstyle=style,
        facecolor="white",
        edgecolor=FIRST,
        linewidth=1.6,
    )
    axes.add_patch(box)
    for at, line in enumerate(lines):
        _text(axes, CENTRE, middle + height / 2 - 0.17 - 0.2 * at, line, "center", INK, weight="bold", size=10)
    below = f"{edges[0]:,} in, {edges[1]:,} out" + (f"; {tag}" if tag else "")
    _text(axes, CENTRE, middle - height / 2 + 0.13, _cut(below), "center", QUIET, size=8)


def _coloured(tags: Counter[str]) -> dict[str, str]:
    """A colour for each of the commonest tags, as many as the legend has room for: one that it lacks says nothing."""
    order = sorted(tags, key=lambda tag: (-tags[tag], tag))
    width, colours = 0.0, dict[str, str]()
    for tag, colour in zip(order, COLOURS[:-1], strict=False):  # the last is too like the grey of the others
        width += _legend_width(tag)
        if width > LEGEND:
            break
        colours[tag] = colour
    return colours


def _legend_width(tag: str) -> float:
    # 9 points are about 0.08 inches a letter, twice that for one of double width.
    return 0.08 * sum(_columns(one) for one in _cut(tag, 20)) + 0.35


def _legend(axes: Axes, height: float, edges: tuple[int, int], colours: Mapping[str, str], *, others: bool) -> None:
    top = height - 0.3
    into, outof = (f"{count:,} edge{'s' * (count != 1)}" for count in edges)
    _text(axes, 0.3, top, f"points to it: {into}", "left", QUIET)
    _text(axes, WIDTH - 0.3, top, f"it points to: {outof}", "right", QUIET)
    shown = [*colours.items(), *([("other tags", QUIET)] if others else [])]
    widths = [_legend_width(tag) for tag, _ in shown]
    x = CENTRE - sum(widths) / 2
    for (tag, colour), width in zip(shown, widths, strict=True):
        axes.plot([x], [top], marker="o", markersize=5, color=colour)
        _text(axes, x + 0.1, top, _cut(tag, 20), "left", QUIET)
        x += width


def draw_coverage(coverages: Mapping[str, Coverage], path: Path) -> Path:
    """Draw what one set of paths, or several to compare, cover: how fast, how evenly, of what lengths.

    Raises:
        SettingsError: when matplotlib is not installed, or the file's suffix is unknown.
        StoreError: when the file cannot be written.
    """
    _known(path)
    figure = _figure(11, 3.9)
    axes = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.065, right=0.985, bottom=0.22, top=0.86, wspace=0.3)
    colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(coverages)}
    _coverage_curve(axes[0], coverages, colours)
    _evenness(axes[1], coverages, colours)
    _lengths(axes[2], coverages, colours)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8, colors=QUIET)
        one.xaxis.label.set_size(9)
        one.yaxis.label.set_size(9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False, fontsize=9)
    return _written(figure, path, "What the paths cover")


def _coverage_curve(axes: Axes, coverages: Mapping[str, Coverage], colours: Mapping[str, str]) -> None:
    for name, one in coverages.items():
        label = f"{name}: {one.covered:,} of {one.reachable:,} nodes, Gini {one.gini:.2f}"
        axes.plot(
            [0, *(at for at, _ in one.curve)],
            [0, *(100 * share for _, share in one.curve)],
            color=colours[name],
            linewidth=1.8,
            label=label,
        )
    axes.set(xlabel="paths", ylabel="nodes on a path, %", ylim=(0, 102), xlim=(0, None))
    axes.set_title("How fast the graph is covered", fontsize=10, loc="left")


def _evenness(axes: Axes, coverages: Mapping[str, Coverage], colours: Mapping[str, str]) -> None:
    axes.plot([0, 100], [0, 100], color=LINE, linewidth=1)
    axes.text(52, 56, "all nodes alike", fontsize=8, color=QUIET, rotation=37, ha="center", rotation_mode="anchor")
    for name, one in coverages.items():
        axes.plot(
            [100 * x for x, _ in one.lorenz], [100 * y for _, y in one.lorenz], color=colours[name], linewidth=1.8
        )
    axes.set(xlabel="nodes, rarest first, %", ylabel="places on paths, %", xlim=(0, 100), ylim=(0, 102))
    axes.set_title("How evenly (Gini: area to the line, doubled)", fontsize=10, loc="left")


def _lengths(axes: Axes, coverages: Mapping[str, Coverage], colours: Mapping[str, str]) -> None:
    lengths = sorted({length for one in coverages.values() for length in one.hops})
    width = 0.8 / max(len(coverages), 1)
    for at, (name, one) in enumerate(coverages.items()):
        places = [place - 0.4 + (at + 0.5) * width for place in range(len(lengths))]
        bars = axes.bar(places, [one.hops.get(length, 0) for length in lengths], width * 0.92, color=colours[name])
        axes.bar_label(bars, [f"{one.hops.get(length, 0):,}" for length in lengths], fontsize=7, color=QUIET)
    axes.set_xticks(range(len(lengths)), [str(length) for length in lengths])
    axes.set(xlabel="hops", ylabel="paths")
    axes.margins(y=0.1)
    axes.set_title("How long the paths are", fontsize=10, loc="left")


def _text(
    axes: Axes, x: float, y: float, text: str, align: str, colour: str, *, weight: str = "normal", size: float = 9
) -> None:
    # parse_math off: a name with two dollar signs is no formula.
    axes.text(
        x, y, text, ha=align, va="center", color=colour, weight=weight, fontsize=size, family=_fonts(), parse_math=False
    )


@functools.cache
def _fonts() -> list[str]:
    """The usual font, and behind it those of this machine that have what it lacks, letter by letter."""
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return ["sans-serif", *(name for name in FALLBACKS if name in there)]


def _cut(text: str, most: int = LONGEST) -> str:
    r"""One line of at most so many letters, with marks for what does not print.

    >>> _cut("salt\tand\nlamps"), _cut("saltworks", 5)
    ('salt⇥and⏎lamps', 'salt…')
    """
    line = text.replace("\t", "⇥").replace("\n", "⏎").replace("\r", "⏎")
    line = "".join(one if one.isprintable() else "�" for one in line)
    widths = list(itertools.accumulate(map(_columns, line)))
    if not widths or widths[-1] <= most:
        return line
    return line[: sum(width < most for width in widths)] + "…"


def _columns(letter: str) -> int:
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _wrapped(name: str, width: int) -> list[str]:
    import textwrap

    # At underscores too: names of ontologies have no spaces.
    spaced = _cut(name, 3 * width).replace("_", "_ ")
    return [line.replace("_ ", "_") for line in textwrap.wrap(spaced, width)] or [""]


def _known(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        found = path.suffix or "no suffix"
        raise SettingsError(f"{path}: {found} is no kind of picture; name a file that ends in {', '.join(SUFFIXES)}")


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingsError("matplotlib is not installed: `pip install 'mashbill[plots]'`") from error
    return Figure(figsize=(width, height), facecolor="white")


def _written(figure: Figure, path: Path, title: str) -> Path:
    import matplotlib

    suffix = path.suffix.lower()
    kind = "svg" if suffix == ".html" else suffix[1:]
    # As text and not as outlines: it can be searched, and the reader's fonts have the letters that ours lack.
    settings: dict[str, Any] = {"svg.fonttype": "none", "svg.hashsalt": "mashbill"}
    metadata = {"svg": {"Date": None, "Title": title}, "pdf": {"CreationDate": None}}.get(kind)
    made = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught, matplotlib.rc_context(settings):
        warnings.simplefilter("always")
        figure.savefig(made, format=kind, dpi=150, metadata=metadata)
    missing = {str(one.message) for one in caught if _MISSING.match(str(one.message))}
    for one in caught:
        if str(one.message) not in missing:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if missing and kind != "svg":  # who opens an .svg has fonts of their own
        letters = "".join(chr(int(found[1])) for text in sorted(missing) if (found := _MISSING.match(text)))
        warnings.warn(
            f"{path}: no font here has {_cut(letters, 20)}: in their place stand boxes; install one (Noto Sans CJK has "
            "most), or name a file that ends in .svg or .html, which use the fonts of whoever opens them",
            MissingLetters,
            stacklevel=3,
        )
    data = made.getvalue()
    if suffix == ".html":
        picture = data.decode()[data.decode().index("<svg") :]
        head = f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        data = f"{head}<body>\n{picture}</body>\n</html>\n".encode()
    write_bytes(path, data)
    return path
