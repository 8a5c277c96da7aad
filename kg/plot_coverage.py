"""A picture of what sets of paths cover of a graph: how fast, how evenly, and of what lengths they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kg.coverage import Coverage
from kg.plot_figure import COLOURS, LINE, QUIET, check_suffix, new_figure, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = 8
"""Bars that have room for their numbers; of more, the axis says how high they are."""


def draw_coverage(coverages: Mapping[str, Coverage], path: Path) -> Path:
    """Draw what one set of paths, or several to compare, cover: how fast, how evenly, of what lengths.

    Raises:
        SettingsError: when matplotlib is not installed, or the file's suffix is unknown.
        StoreError: when the file cannot be written.
    """
    check_suffix(path)
    figure = new_figure(11, 3.9)
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
    return written(figure, path, "What the paths cover")


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
        if len(lengths) * len(coverages) <= BARS:
            axes.bar_label(bars, [f"{one.hops.get(length, 0):,}" for length in lengths], fontsize=7, color=QUIET)
    axes.set_xticks(range(len(lengths)), [str(length) for length in lengths])
    axes.set(xlabel="hops", ylabel="paths")
    axes.margins(y=0.1)
    axes.set_title("How long the paths are", fontsize=10, loc="left")
