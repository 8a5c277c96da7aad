"""What should a student learn from worked answers: the answer, either part by prefix, or the reasons and the answer?

The three targets of `train.supervision` on one task (`benchmarks/rationale_task.py`: chains of six small sums) with a
student of 0.4M weights from scratch. A teacher that errs on one question in ten works the questions out, and
`TeacherRationale` keeps what is right; all arms learn from the same rows, and write answers to 300 questions they have
not seen. Two comparisons, both reported:

    at equal examples   every question once: `full_cot` reads 2.6 times as many tokens as `answer_only`
    at equal tokens     the optimiser steps that `full_cot` takes for that: `answer_only` sees each question 2.7 times

The moment at which a student of `full_cot` gets the facts right differs by seed, so its accuracy spreads widely where
the tokens are scarce: with 14,000 questions it was 0.95 and 0.51 on two seeds, where `answer_only` had 0.05 on both.

Finished arms are written to ``results.json``; running the same command again goes on where it stopped. A seed takes
some fifteen minutes on one idle core::

    OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.rationale_targets --seeds 3 --out runs/rationale_targets
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import get_args

from benchmarks.benefit_report import Interval
from benchmarks.rationale_run import Arm, ArmResult, run
from mashbill.disk import write_bytes, write_json
from train.supervision import Target

QUESTIONS, HELD_OUT = 20_000, 300
QUICK_QUESTIONS, QUICK_HELD_OUT = 60, 10

ARMS: tuple[tuple[Target, str], ...] = (
    ("answer_only", "examples"),
    ("answer_only", "tokens"),
    ("multitask", "examples"),
    ("multitask", "tokens"),
    ("full_cot", "examples"),
)
"""`full_cot` is in both comparisons: its one pass is what gives the others their tokens."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and report; 0 when `full_cot` lies clearly above `answer_only`, 1 when not."""
    options = _options(arguments)
    path = options.out / "results.json"
    found = {key: ArmResult.model_validate(value) for key, value in _read(path).items()}
    wanted = [
        Arm(target, budget, seed, options.questions, options.out)
        for seed in range(options.seeds)
        for target, budget in ARMS
    ]
    for arm, result in _run([arm for arm in wanted if arm.key not in found], options.held_out, options.workers):
        found[arm.key] = result
        write_json(path, {key: value.model_dump(mode="json") for key, value in found.items()})
        print(f"{arm.name} seed {arm.seed}: {result.accuracy:.3f} in {result.seconds:.0f} s", flush=True)
    results = [found[arm.key] for arm in wanted]
    holds, said = verdict(results)
    report = f"{table(results)}\n\n{said}\n"
    write_bytes(options.out / "report.md", report.encode())
    print(f"\n{report}")
    return 0 if holds else 1


def table(results: Sequence[ArmResult]) -> str:
    """One line an arm: means over seeds with the 95 % interval of Student's t."""
    heads = ("arm", "tokens", "learned", "examples", "accuracy", "pass@8", "majority@8", "tokens an answer", "seconds")
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for own in _by_arm(results).values():
        means = (sum(one.tokens for one in own), sum(one.learned for one in own), sum(one.examples for one in own))
        cells = [
            own[0].name,
            *(f"{mean / len(own):,.0f}" for mean in means),
            *(
                str(Interval.of([getattr(one, name) for one in own]))
                for name in ("accuracy", "pass_at_8", "majority_at_8")
            ),
            f"{sum(one.tokens_per_answer for one in own) / len(own):.1f}",
            f"{sum(one.seconds for one in own) / len(own):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    first = results[0]
    lines += ["", f"{len({one.seed for one in results})} seeds; {first.accepted:,} of {first.asked:,} rationales held."]
    return "\n".join(lines)


def verdict(results: Sequence[ArmResult]) -> tuple[bool, str]:
    """Whether `full_cot` lies above `answer_only` in both comparisons, interval above interval."""
    arms = {key: Interval.of([one.accuracy for one in own]) for key, own in _by_arm(results).items()}
    cot = arms["full_cot at equal examples"]
    others = {name: one for name, one in arms.items() if name.startswith("answer_only")}
    if any(len(own) < 2 for own in _by_arm(results).values()):
        return False, "One seed says nothing of how sure this is: run three or more."
    holds = all(one.below(cot) for one in others.values())
    listed = "; ".join(f"{name} {one}" for name, one in others.items())
    return holds, f"full_cot {cot} {'lies above' if holds else 'does not lie clearly above'} {listed}."


def _by_arm(results: Sequence[ArmResult]) -> dict[str, list[ArmResult]]:
    groups: dict[str, list[ArmResult]] = {}
    for one in results:
        groups.setdefault(one.name, []).append(one)
    return groups


def _run(arms: Sequence[Arm], held_out: int, workers: int) -> Iterator[tuple[Arm, ArmResult]]:
    if workers == 1:
        for arm in arms:
            yield arm, run(arm, held_out)
        return
    # A seed a worker: its arms share the teacher's rows, which one process makes.
    seeds = sorted({arm.seed for arm in arms})
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(_run_all, [arm for arm in arms if arm.seed == seed], held_out) for seed in seeds]
        for job in as_completed(jobs):
            yield from job.result()


def _run_all(arms: Sequence[Arm], held_out: int) -> list[tuple[Arm, ArmResult]]:
    return [(arm, run(arm, held_out)) for arm in arms]


def _read(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_bytes()) if path.is_file() else {}
    return found


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="each has questions and a student of its own")
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="that the teacher works out")
    parser.add_argument("--held-out", type=int, default=HELD_OUT, help="that the students are asked")
    parser.add_argument("--workers", type=int, default=1, help="seeds at once, one core each")
    parser.add_argument("--out", type=Path, default=Path("runs/rationale_targets"))
    parser.add_argument("--quick", action="store_true", help="one seed, too short to learn: a smoke test")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.questions, options.held_out = 1, QUICK_QUESTIONS, QUICK_HELD_OUT
    return options


assert {target for target, _ in ARMS} == set(get_args(Target))

if __name__ == "__main__":
    sys.exit(main())
