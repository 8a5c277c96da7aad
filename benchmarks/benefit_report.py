"""The results of the benefit benchmark as a table, a chart and a verdict.

Five accuracies of an arm, ``0.91 0.94 0.93 0.90 0.95`` -> ``0.926 ± 0.026``, the 95 % interval of Student's t.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.benefit_run import MAIN_ARMS, ArmResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""Student's t at 0.975 for 1, 2, … 15 degrees of freedom; the normal 1.96 is never below it."""

CHANCE = 0.05


@dataclass(frozen=True)
class Interval:
    """A mean with the half-width of its 95 % interval; of one value the width is infinite."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """The interval of independent values."""
        if len(values) < 2:
            return cls(statistics.fmean(values), inf)
        t = _T[min(len(values) - 2, len(_T) - 1)]
        return cls(statistics.fmean(values), t * statistics.stdev(values) / sqrt(len(values)))

    def __str__(self) -> str:
        return f"{self.mean:.3f}" if self.half == inf else f"{self.mean:.3f} ± {self.half:.3f}"

    def below(self, other: Interval) -> bool:
        """Whether all of it lies below all of the other."""
        return self.mean + self.half < other.mean - other.half


def by_arm(results: Sequence[ArmResult]) -> dict[str, list[ArmResult]]:
    """Results by arm, the three main arms first."""
    groups: defaultdict[str, list[ArmResult]] = defaultdict(list)
    for result in sorted(results, key=lambda one: one.seed):
        groups[result.arm].append(result)
    first = [arm for arm in MAIN_ARMS if arm in groups]
    return {arm: groups[arm] for arm in [*first, *sorted(set(groups) - set(first))]}


def table(results: Sequence[ArmResult]) -> str:
    """The table in Markdown."""
    head = "| arm | seeds | held-out accuracy | people with questions | texts | tokens | passes | mentions | removed |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    for arm, runs in by_arm(results).items():
        cells = [
            arm,
            str(len(runs)),
            str(Interval.of([run.accuracy for run in runs])),
            f"{statistics.fmean(run.trained_people for run in runs):.3f}",
            f"{statistics.fmean(run.texts for run in runs):,.0f}",
            f"{statistics.fmean(run.corpus_tokens for run in runs):,.0f}",
            f"{statistics.fmean(run.passes for run in runs):.1f}",
            f"{statistics.fmean(run.mentions for run in runs):.0f}",
            f"{statistics.fmean(run.removed for run in runs):.1%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def curve_table(results: Sequence[ArmResult]) -> str:
    """Mean held-out accuracy over training tokens, in Markdown."""
    arms = by_arm(results)
    points = [tokens for tokens, _ in next(iter(arms.values()))[0].curve]
    lines = [f"| arm | {' | '.join(f'{tokens / 1e6:.2f}M' for tokens in points)} |", "|---" * (len(points) + 1) + "|"]
    for arm, runs in arms.items():
        means = [statistics.fmean(values) for values in zip(*([y for _, y in run.curve] for run in runs), strict=True)]
        lines.append(f"| {arm} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    return "\n".join(lines)


def verdict(results: Sequence[ArmResult]) -> tuple[bool, str]:
    """Whether raw < rephrase < entigraph with intervals that do not overlap, in words."""
    arms = by_arm(results)
    missing = [arm for arm in MAIN_ARMS if len(arms.get(arm, [])) < 2]
    if missing:
        return False, f"No verdict: {', '.join(missing)} has fewer than two seeds, so there is no interval."
    spans = {arm: Interval.of([run.accuracy for run in arms[arm]]) for arm in MAIN_ARMS}
    holds = all(spans[low].below(spans[high]) for low, high in itertools.pairwise(MAIN_ARMS))
    said = ", ".join(f"{arm} {span}" for arm, span in spans.items())
    return (
        holds,
        f"raw < rephrase < entigraph with separate 95 % intervals {'holds' if holds else 'DOES NOT hold'}: {said}.",
    )


def chart(results: Sequence[ArmResult], path: Path) -> None:
    """Accuracy over training tokens, and over the threshold of deduplication, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    arms = by_arm(results)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), width_ratios=(3, 2))
    for arm, runs in arms.items():
        if arm not in MAIN_ARMS:
            continue
        x = [tokens / 1e6 for tokens, _ in runs[0].curve]
        spans = [Interval.of(ys) for ys in zip(*([y for _, y in run.curve] for run in runs), strict=True)]
        (line,) = left.plot(x, [span.mean for span in spans], marker="o", markersize=3, label=arm)
        if len(runs) > 1:
            low, high = ([span.mean + sign * span.half for span in spans] for sign in (-1, 1))
            left.fill_between(x, low, high, alpha=0.2, color=line.get_color())
    left.axhline(CHANCE, color="grey", linestyle=":", label="chance")
    left.set(xlabel="training tokens (millions)", ylabel="closed-book accuracy, held-out people", ylim=(0, 1.02))
    left.legend()
    _dedup_panel(right, arms)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _dedup_panel(axes: Axes, arms: Mapping[str, list[ArmResult]]) -> None:
    runs = {float(arm.rpartition("_")[2]): found for arm, found in arms.items() if "_dedup_" in arm}
    thresholds = sorted(runs, reverse=True)
    labels = [*(["off"] if "entigraph" in arms else []), *(f"{threshold:g}" for threshold in thresholds)]
    groups = [*([arms["entigraph"]] if "entigraph" in arms else []), *(runs[threshold] for threshold in thresholds)]
    spans = [Interval.of([run.accuracy for run in group]) for group in groups]
    heights, errors = [span.mean for span in spans], [0.0 if span.half == inf else span.half for span in spans]
    bars = axes.bar(labels, heights, yerr=errors, capsize=3, color="tab:green", alpha=0.7)
    shares = [f"-{statistics.fmean(run.removed for run in group):.0%}" for group in groups]
    axes.bar_label(bars, shares, padding=3, fontsize=8)
    axes.set(
        xlabel="Jaccard threshold within a document (rows removed)", ylim=(0, 1.1), title="entigraph, deduplicated"
    )
