"""A picture of what is joined to one node of a graph.

A neighbourhood is drawn in rows, not as a ball of springs: the node in the middle, what it points to on the right, what
points to it on the left, and a heading for each relation. So no label lies on another, a relation is written once for
all its edges, and the same graph gives the same bytes.

The kind of file follows from its suffix: .svg, .png, .pdf, or .html with the picture inside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kg.graph import Graph
from kg.plot_figure import (
    COLOURS,
    INK,
    LINE,
    QUIET,
    check_suffix,
    columns_of,
    cut,
    new_figure,
    text_at,
    wrapped,
    written,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.19
"""Inches of one row: text of 9 points with some air."""
RELATIONS = 100
"""Relations on a side that have a heading each; matplotlib refuses pictures of more than 65,536 points of height."""
WIDTH = 12.5
CENTRE = WIDTH / 2
LEGEND = WIDTH - 5.6
"""Inches for the names of tags, between those of the two sides; "other tags" fits on top."""


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
    check_suffix(path)
    left, right = (_fewer(side) for side in neighbourhood(graph, name, most=most))
    rows = max(sum(block.rows for block in side) + len(side) for side in (left, right))
    height = max(rows + 1, 8) * ROW + 1.0
    figure = new_figure(WIDTH, height)
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
    return written(figure, path, f"{cut(name)}: what it is joined to")


def _fewer(blocks: list[Block]) -> list[Block]:
    """The commonest relations, and in one block all others: a picture has a largest height."""
    rest = blocks[RELATIONS:]
    more = [Block(f"{len(rest):,} more relations", sum(one.edges for one in rest), ())] if rest else []
    return blocks[:RELATIONS] + more


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
        text_at(axes, fork, y, f"{cut(block.relation)} →", align, INK, weight="bold")
        for one, tag in block.shown:
            y -= ROW
            colour = colours.get(tag, QUIET)
            axes.plot([fork + sign * 0.12], [y], marker="o", markersize=4, color=colour)
            text_at(axes, fork + sign * 0.24, y, cut(one), align, INK)
        if block.edges > len(block.shown):
            y -= ROW
            rest = block.edges - len(block.shown)
            more = f"and {rest:,} more" if block.shown else f"{rest:,} edge{'s' * (rest != 1)}"
            text_at(axes, fork + sign * 0.24, y, more, align, QUIET)
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

    lines = wrapped(name, 24)
    height = 0.2 * len(lines) + 0.32
    style = "round,pad=0.02,rounding_size=0.08"
    box = FancyBboxPatch(
        (CENTRE - 1.3, middle - height / 2),
        2.6,
        height,
        boxstyle=style,
        facecolor="white",
        edgecolor=COLOURS[0],
        linewidth=1.6,
    )
    axes.add_patch(box)
    for at, line in enumerate(lines):
        text_at(axes, CENTRE, middle + height / 2 - 0.17 - 0.2 * at, line, "center", INK, weight="bold", size=10)
    below = f"{edges[0]:,} in, {edges[1]:,} out" + (f"; {tag}" if tag else "")
    text_at(axes, CENTRE, middle - height / 2 + 0.13, cut(below), "center", QUIET, size=8)


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
    return 0.08 * sum(columns_of(one) for one in cut(tag, 20)) + 0.35


def _legend(axes: Axes, height: float, edges: tuple[int, int], colours: Mapping[str, str], *, others: bool) -> None:
    top = height - 0.3
    into, outof = (f"{count:,} edge{'s' * (count != 1)}" for count in edges)
    text_at(axes, 0.3, top, f"points to it: {into}", "left", QUIET)
    text_at(axes, WIDTH - 0.3, top, f"it points to: {outof}", "right", QUIET)
    shown = [*colours.items(), *([("other tags", QUIET)] if others else [])]
    widths = [_legend_width(tag) for tag, _ in shown]
    x = CENTRE - sum(widths) / 2
    for (tag, colour), width in zip(shown, widths, strict=True):
        axes.plot([x], [top], marker="o", markersize=5, color=colour)
        text_at(axes, x + 0.1, top, cut(tag, 20), "left", QUIET)
        x += width
