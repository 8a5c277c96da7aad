"""Does a loop that looks at what is weak do better than one that does not, at the same budgets and from the same seeds?

A made country of six trades with 12 to 48 things to know in each, a scripted teacher with one recipe that is right and
one that is wrong in 60 % of its texts, and students of thousands of weights (`benchmarks/loop_world.py`). Each seed is
a country of its own. Both loops have the same new tokens in each round, and each round's student learns from the same
number of tokens; the control gives every trade and both recipes as much in each round. Beside them two that each take
one half of the machinery away:

    loop       weakness and bandit
    even       every trade as much (gamma 0), shares by the bandit
    no bandit  by weakness, both recipes half of it (exploration 1)
    uniform    neither: the control of the first

Finished loops are kept under ``--out`` and opened. Three seeds take some four minutes of one core::

    OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.loop --seeds 3 --out runs/loop
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.benefit_report import Interval
from benchmarks.loop_world import LOOP, World, write_project

ARMS: Mapping[str, Mapping[str, Any]] = {
    "loop": {"control": "uniform"},
    "even": {"control": None, "weak": {"by": "domain", "gamma": 0}},
    "no bandit": {"control": None, "exploration": 1.0},
}
"""Arm -> what it changes in the bill; the control of the first is the arm ``uniform``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and report; 0 when the loop lies clearly above its control on the test."""
    options = _options(arguments)
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in range(options.seeds):
        for arm in options.arms:
            changes = ARMS[arm]
            begun = time.process_time()
            report = run_arm(options.out / f"seed-{seed}-{arm.replace(' ', '-')}", seed, changes, quick=options.quick)
            found.setdefault(arm, []).append(one_run(report, "country"))
            if arm == "loop":
                found.setdefault("uniform", []).append(one_run(report, "country-uniform"))
            print(f"seed {seed} {arm}: {time.process_time() - begun:.0f} s of CPU", flush=True)
    holds, said = verdict(found)
    text = f"{table(found)}\n\n{groups_table(found)}\n\n{said}\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "report.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")
    return 0 if holds else 1


def run_arm(folder: Path, seed: int, changes: Mapping[str, Any], *, quick: bool) -> dict[str, Any]:
    """One loop to its end; the numbers of its report."""
    import torch

    from flows.loop import run_loop
    from flows.run_bill import run_stages
    from mashbill.progress import Silent
    from mashbill.settings import Settings

    torch.set_num_threads(1)
    small = {"rounds": 2, "tokens": 400, "train": {**LOOP["train"], "tokens": 1_024}} if quick else {}
    bill = write_project(folder, World.made(seed), **{**small, **changes})
    settings = Settings(root=folder / "runs", tables={"hardware": {"device": "cpu"}})
    outcome = run_stages(bill, settings, Silent(), run_loop)
    assert outcome.report is not None
    return dict(json.loads((outcome.report / "loop.json").read_bytes()))


def one_run(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What is compared: validation by round, the last and the chosen round, the test, and the good recipe's share."""
    rounds = report["runs"][name]["rounds"]
    last = rounds[-1]["allocation"]
    made = [one["made"] for one in rounds[1:]]
    tokens = {recipe: sum(one[recipe]["tokens"] for one in made if recipe in one) for recipe in ("notes", "gossip")}
    return {
        "validation": [one["validation"]["accuracy"] for one in rounds],
        "tokens": [one["new_tokens"] for one in rounds[1:]],
        "test": report["test"][name]["accuracy"],
        "chosen": report["runs"][name]["chosen"],
        "notes": tokens["notes"] / max(1, sum(tokens.values())),
        "last": {group: sum(own.get(group, 0) for own in last["wanted"].values()) for group in last["wanted"]["notes"]},
        "right": {one["name"]: one["accuracy"] for one in last["groups"]},
    }


def table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """One line an arm: validation by round, the test, and the difference to the loop on the same seeds."""
    rounds = len(found["loop"][0]["validation"])
    heads = ["arm", "new tokens a round", *(f"round {at}" for at in range(rounds)), "test, chosen round",
             "rows of the right recipe", "less than `loop` by, on the test"]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for arm, own in found.items():
        gap = Interval.of([one["test"] - other["test"] for one, other in zip(found["loop"], own, strict=True)])
        cells = [
            arm,
            f"{statistics.fmean(size for one in own for size in one['tokens']):,.0f}",
            *(f"{statistics.fmean(one['validation'][at] for one in own):.3f}" for at in range(rounds)),
            str(Interval.of([one["test"] for one in own])),
            f"{statistics.fmean(one['notes'] for one in own):.0%}",
            "–" if arm == "loop" else str(gap),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    seeds = len(found["loop"])
    return "\n".join(
        [*lines, "", f"{seeds} seed{'s' * (seeds > 1)}; ± is the 95 % interval of Student's t over seeds."]
    )


def groups_table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """What the last round gave each trade, and how much of it was known before that."""
    groups = list(found["loop"][0]["right"])
    lines = [f"| last round | {' | '.join(groups)} |", f"|{'---|' * (len(groups) + 1)}"]
    for arm, own in found.items():
        cells = [
            f"{statistics.fmean(one['last'].get(name, 0) for one in own):,.0f} "
            f"({statistics.fmean(one['right'][name] for one in own):.2f})"
            for name in groups
        ]
        lines.append(f"| {arm}: tokens (right before) | {' | '.join(cells)} |")
    return "\n".join(lines)


def verdict(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[bool, str]:
    """Whether the loop is above its control on the test, by the paired interval over seeds."""
    if len(found["loop"]) < 2:
        return False, "One seed says nothing of how sure this is: run three or more."
    gaps = {
        arm: Interval.of([one["test"] - other["test"] for one, other in zip(found["loop"], own, strict=True)])
        for arm, own in found.items()
        if arm != "loop"
    }
    clear = {arm: gap.mean - gap.half > 0 for arm, gap in gaps.items()}
    said = "; ".join(f"{arm} {gap}{'' if clear[arm] else ' (not clear)'}" for arm, gap in gaps.items())
    return clear["uniform"], f"By how much `loop` is above on the test, paired by seed: {said}."


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="each is a country and a student of its own")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), help="`loop` brings its control")
    parser.add_argument("--out", type=Path, default=Path("runs/loop"))
    parser.add_argument("--quick", action="store_true", help="one seed, too short to learn: a smoke test")
    options = parser.parse_args(arguments)
    if options.arms[0] != "loop":
        parser.error("the other arms are compared with `loop`: name it first")
    if options.quick:
        options.seeds = 1
    return options


if __name__ == "__main__":
    sys.exit(main())
