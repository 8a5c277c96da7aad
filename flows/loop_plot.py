"""Pictures of a loop: validation and test by round, groups as heat maps, recipes and what they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.heat_map import Panel, draw_heat_maps
from kg.plot_figure import COLOURS, INK, LINE, QUIET, cut, new_figure, text_at, written
from mashbill.weakness import group_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from flows.loop_report import Tested
    from flows.loop_rounds import Rounds

SHOWN = 24
"""Groups of a heat map: those that were given most."""
_ASIDE = 0.06
"""Rounds that the lines of two runs stand apart, so that their intervals can be told from each other."""


def draw_curve(runs: Sequence[Rounds], tested: Sequence[Tested], path: Path) -> Path:
    """Validation accuracy by round for each run, with intervals, and the chosen round's test accuracy as a diamond."""
    figure = new_figure(8.0, 4.6)
    axes = figure.add_axes((0.09, 0.13, 0.83, 0.65))
    last = max(run.done[-1].number for run in runs)
    for at, (run, test) in enumerate(zip(runs, tested, strict=True)):
        colour, aside = COLOURS[at], (at - (len(runs) - 1) / 2) * _ASIDE
        sure = [one.accuracy for one in run.done]
        places = [one.number + aside for one in run.done]
        below = [max(0.0, one.value - one.low) for one in sure]
        above = [max(0.0, one.high - one.value) for one in sure]
        axes.errorbar(
            places, [one.value for one in sure], yerr=[below, above], color=colour, capsize=3, marker="o",
            markersize=4, linewidth=1.6, linestyle="--" if run.uniform else "-",
            label=f"{cut(run.name)}, validation",
        )  # fmt: skip
        found = test.accuracy
        spread = [[max(0.0, found.value - found.low)], [max(0.0, found.high - found.value)]]
        axes.errorbar(
            [test.round + aside + 0.14], [found.value], yerr=spread, color=colour, capsize=3, marker="D", markersize=7,
            markerfacecolor="white", linestyle="none", label=f"{cut(run.name)}, test, round {test.round}",
        )  # fmt: skip
    chance = tested[0].result.chance
    if chance is not None:
        axes.axhline(chance, color=QUIET, linewidth=0.8, linestyle=":")
        text_at(axes, last + 0.45, chance, "chance", "left", QUIET, size=8)
    _frame(axes, last, "accuracy")
    # Above the picture: within it there is no corner that no curve may come to.
    axes.legend(
        frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=len(runs), handlelength=3.2
    )
    figure.text(0.09, 0.93, "Accuracy by round, 95 % intervals over questions", color=INK, fontsize=11, weight="bold")
    return written(figure, path, "Rounds of a loop")


def _frame(axes: Axes, last: int, label: str) -> None:
    axes.set_xlim(-0.35, last + 0.4)
    axes.set_ylim(0, 1.02)
    axes.set_xticks(range(last + 1))
    axes.set_xlabel("round", color=INK, fontsize=9)
    axes.set_ylabel(label, color=INK, fontsize=9)
    axes.tick_params(colors=QUIET, labelsize=8)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw_groups(run: Rounds, path: Path) -> Path:
    """Accuracy of each group by round, and what each round was to make of it, side by side."""
    budgets: dict[tuple[str, int], float | None] = {}
    rights: dict[tuple[str, int], float | None] = {}
    total: dict[str, float] = {}
    for one in run.done:
        for score in group_scores(one.validated.answers, smoothing=0):
            rights[score.name, one.number] = score.accuracy
            total.setdefault(score.name, 0.0)
        for name, amount in ({} if one.allocation is None else one.allocation.by_group).items():
            budgets[name, one.number] = float(amount)
            total[name] = total.get(name, 0.0) + amount
    shown = sorted(total, key=lambda name: (-total[name], name))[:SHOWN]
    unit = run.loop.spec.unit
    panels = [
        Panel(title="right, by round", cells=_named(rights, shown), scale="share"),
        Panel(title=f"{unit} to be made, by round", cells=_named(budgets, shown), scale="amount"),
    ]
    left = len(total) - len(shown)
    note = f"{run.loop.spec.budget:,} {unit} a round by {'weakness' if not run.uniform else 'equal parts'}"
    note += f"; {left} more groups are in report.md" if left else ""
    return draw_heat_maps(
        panels, path, title=f"{run.name}: what is weak, and what was written", note=note, below="round"
    )


def _named(cells: dict[tuple[str, int], float | None], shown: Sequence[str]) -> dict[tuple[str, int], float | None]:
    return {(name or "(no group)", number): value for (name, number), value in cells.items() if name in shown}


def draw_recipes(run: Rounds, path: Path) -> Path:
    """Each recipe's share of the budget by round, stacked, and its reward beside it."""
    figure = new_figure(9.0, 3.8)
    rounds = [one for one in run.done if one.allocation is not None]
    recipes = run.loop.spec.recipes
    split, reward = (figure.add_axes((left, 0.15, 0.36, 0.62)) for left in (0.07, 0.5))
    bottom = [0.0] * len(rounds)
    for at, name in enumerate(recipes):
        shares = [0.0 if one.allocation is None else one.allocation.shares.get(name, 0.0) for one in rounds]
        colour = COLOURS[at % len(COLOURS)]
        split.bar([one.number for one in rounds], shares, bottom=bottom, color=colour, width=0.7)
        bottom = [low + share for low, share in zip(bottom, shares, strict=True)]
        known = [(one.number, one.worth[name].reward) for one in rounds if name in one.worth]
        reward.plot([x for x, _ in known], [y for _, y in known], color=colour, marker="o", markersize=4)
        text_at(figure.axes[1], 1.04, 0.95 - 0.1 * at, cut(name, 22), "left", colour, weight="bold")
    for axes, label in ((split, "share of the budget"), (reward, "reward")):
        _frame(axes, rounds[-1].number, label)
        axes.set_xlim(0.4, rounds[-1].number + 0.6)
        axes.set_xticks([one.number for one in rounds])
    for text in reward.texts:
        text.set_transform(reward.transAxes)
    figure.text(0.07, 0.9, f"{cut(run.name)}: recipes by round", color=INK, fontsize=11, weight="bold")
    return written(figure, path, "Recipes of a loop")
