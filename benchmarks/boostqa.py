"""Does it help to write questions where a student is weak, and what does each controller add?

A made subject domain (`benchmarks/boostqa_world.py`), scripted models of known faults, and students of 0.1M weights
that have read easy texts of one field more than the rest. Each arm has the same number of tokens in training, with
general text at 35 %:

    seeds only         the seeds, again and again
    uniform            as many questions for each cell
    weakness           the budget follows what the student gets wrong, gamma 2
    no re-annotation   … and drafts are taken for what was asked for
    no refinement      … and reasons stay as they were drawn
    no grades          … and the writer is told no grade

Finished arms are written to ``results.json``; running the same command again goes on where it stopped. Three seeds take
some three minutes on one idle core::

    OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.boostqa --seeds 3 --out runs/boostqa
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.benefit_report import Interval
from benchmarks.boostqa_run import CHANGES, Arm, ArmResult, run
from flows.heat_map import Panel, draw_heat_maps
from mashbill.disk import write_bytes, write_json

ROWS, TOKENS, BASE_TOKENS = 300, 50_000, 195_000
QUICK_ROWS, QUICK_TOKENS, QUICK_BASE = 45, 4_000, 4_000
FULL = "weakness"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and report; 0 when the budget by weakness lies clearly above the uniform one."""
    options = _options(arguments)
    path = options.out / "results.json"
    found = {key: ArmResult.model_validate(value) for key, value in _read(path).items()}
    wanted = [
        Arm(name, seed, options.rows, options.tokens, options.base_tokens, options.out)
        for seed in range(options.seeds)
        for name in CHANGES
    ]
    for arm in wanted:
        if arm.key in found:
            continue
        found[arm.key] = result = run(arm)
        write_json(path, {key: value.model_dump(mode="json") for key, value in found.items()})
        line = f"{arm.name} seed {arm.seed}: {result.mean_before:.3f} -> {result.mean_after:.3f}"
        print(f"{line} in {result.seconds:.0f} s", flush=True)
    results = [found[arm.key] for arm in wanted]
    holds, said = verdict(results)
    report = f"{table(results)}\n\n{controllers(results)}\n\n{said}\n"
    write_bytes(options.out / "report.md", report.encode())
    heat_maps(results, options.out / "cells.png")
    print(f"\n{report}\nheat maps: {options.out / 'cells.png'}")
    return 0 if holds else 1


def table(results: Sequence[ArmResult]) -> str:
    """One line an arm: means over cells and seeds, and the difference to the full arm on the same seeds."""
    full = {one.seed: one.mean_after for one in results if one.arm == FULL}
    lines = [
        "| arm | rows | tokens | general | before | after | hard cells | non-STEM | less than weakness by |",
        f"|{'---|' * 9}",
    ]
    for name, own in _by_arm(results).items():
        gap = Interval.of([full[one.seed] - one.mean_after for one in own])
        cells = [
            name,
            f"{statistics.fmean(one.rows for one in own):,.0f}",
            f"{statistics.fmean(one.tokens for one in own):,.0f}",
            f"{statistics.fmean(one.general for one in own):.0%}",
            str(Interval.of([one.mean_before for one in own])),
            str(Interval.of([one.mean_after for one in own])),
            f"{statistics.fmean(_part(one.after, '/4', '/5') for one in own):.3f}",
            f"{statistics.fmean(_part(one.after, 'law') for one in own):.3f}",
            "–" if name == FULL else str(gap),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{len(full)} seeds; ± is the 95 % interval of Student's t over seeds."])


def controllers(results: Sequence[ArmResult]) -> str:
    """What was put in against what came out, one line an arm that wrote questions."""
    lines = [
        "| arm | degradation of first drafts | of rows | easier than said | wrong answers | answers changed, seen |",
        f"|{'---|' * 6}",
    ]
    for name, own in _by_arm(results).items():
        if name == "seeds only":
            continue
        changed = [sum(numbers) for numbers in zip(*(one.changed for one in own), strict=True)]
        cells = [
            name,
            *(_mean([one.degradation[at] for one in own]) for at in (0, 1)),
            f"{statistics.fmean(one.easier for one in own):.1%}",
            f"{statistics.fmean(one.wrong for one in own):.1%}",
            f"{changed[0]}, {changed[1]}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def verdict(results: Sequence[ArmResult]) -> tuple[bool, str]:
    """Whether the budget by weakness is above each other arm on the same seeds, by paired intervals."""
    full = {one.seed: one.mean_after for one in results if one.arm == FULL}
    if len(full) < 2:
        return False, "One seed says nothing of how sure this is: run three or more."
    gaps = {
        name: Interval.of([full[one.seed] - one.mean_after for one in own])
        for name, own in _by_arm(results).items()
        if name != FULL
    }
    clear = [name for name, gap in gaps.items() if gap.mean - gap.half > 0]
    said = "; ".join(f"{name} {gap}{'' if name in clear else ' (not clear)'}" for name, gap in gaps.items())
    return "uniform" in clear, f"By how much `weakness` is above, paired by seed: {said}."


def heat_maps(results: Sequence[ArmResult], path: Path) -> Path:
    """Accuracy before and after, the budget, and the gain of the budget by weakness over the uniform one."""
    arms = _by_arm(results)
    full, even = arms[FULL], arms["uniform"]
    after, other = _over(full, "after"), _over(even, "after")
    panels = [
        Panel(title="right before", cells=_over(full, "before"), scale="share"),
        Panel(title="rows, by weakness", cells=_over(full, "budget"), scale="amount"),
        Panel(title="right after: uniform", cells=other, scale="share"),
        Panel(title="right after: by weakness", cells=after, scale="share"),
        Panel(title="by weakness less uniform", cells={key: after[key] - other[key] for key in after}, scale="change"),
    ]
    seeds = len({one.seed for one in results})
    note = f"means over {seeds} seeds; rows: disciplines, columns: levels; law alone is not STEM"
    return draw_heat_maps(panels, path, title="Questions where a student is weak: a made domain", note=note)


def _over(own: Sequence[ArmResult], name: str) -> dict[tuple[str, int], float]:
    cells = dict[tuple[str, int], float]()
    for key in getattr(own[0], name):
        field, _, level = key.rpartition("/")
        cells[field, int(level)] = statistics.fmean(getattr(one, name).get(key, 0) for one in own)
    return cells


def _part(cells: Mapping[str, float], *marks: str) -> float:
    return statistics.fmean(value for key, value in cells.items() if any(mark in key for mark in marks))


def _mean(values: Sequence[float | None]) -> str:
    known = [one for one in values if one is not None]
    return f"{statistics.fmean(known):+.2f}" if known else "not known"


def _by_arm(results: Sequence[ArmResult]) -> dict[str, list[ArmResult]]:
    return {name: own for name in CHANGES if (own := [one for one in results if one.arm == name])}


def _read(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_bytes()) if path.is_file() else {}
    return found


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="each is a world and a student of its own")
    parser.add_argument("--rows", type=int, default=ROWS, help="questions that each arm has written")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="that each arm learns from")
    parser.add_argument("--base-tokens", type=int, default=BASE_TOKENS, help="that the student has read before")
    parser.add_argument("--out", type=Path, default=Path("runs/boostqa"))
    parser.add_argument("--quick", action="store_true", help="one seed, too short to learn: a smoke test")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.rows, options.tokens, options.base_tokens = 1, QUICK_ROWS, QUICK_TOKENS, QUICK_BASE
    return options


if __name__ == "__main__":
    sys.exit(main())
