"""Do instructions around one task teach a student constraints that it was never trained on, more than the baselines?

Three arms at equal tokens (`benchmarks/tcia_task.py`: minutes of small notes in a language where every constraint can
be checked), one student of 0.7M weights from scratch each, a fifth of the tokens general tasks as replay:

    fixed      the seed prompt for every input (`fixed_instruction`)
    evolved    the seed prompt rewritten hop by hop (`evolve_instruction`), in depth and in breadth
    tcia       sets of constraints back to instructions (`tcia`)

The rows come through the real steps; what is scripted is the model, which does all that it is asked without a fault. So
this measures what the rows are, and nothing of how well a model writes them. That rewriting drifts is no assumption
about the model either: one of Evol-Instruct's five operations asks for another instruction, and the script obeys it.

Asked are instructions with one constraint that stood in no row (a number, a word in a role) and up to two that did.
``kept`` is the share of answers that keep every constraint by code, ``done`` the share that are the teacher's word for
word, so that an answer of nothing but the first word asked for counts as no success. A seed takes some eight minutes
of one core; finished arms are in ``results.json``, and the same command goes on where it stopped::

    OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.tcia_benefit --seeds 3 --out runs/tcia_benefit
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.benefit_report import Interval
from benchmarks.tcia_run import ARMS, Arm, ArmResult, run
from mashbill.disk import write_bytes, write_json

INSTRUCTIONS, EACH, TOKENS, QUESTIONS = 400, 12, 600_000, 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and report; 0 when `tcia` lies clearly above both baselines on unseen constraints, else 1."""
    options = _options(arguments)
    path = options.out / "results.json"
    found = {key: ArmResult.model_validate(value) for key, value in _read(path).items()}
    wanted = [
        Arm(name, seed, options.instructions, EACH, options.tokens, options.out)
        for seed in range(options.seeds)
        for name in ARMS
    ]
    for arm in wanted:
        if arm.key in found:
            continue
        result = run(arm, options.questions)
        found[arm.key] = result
        write_json(path, {key: value.model_dump(mode="json") for key, value in found.items()})
        print(f"{arm.name} seed {arm.seed}: kept {result.kept}, done {result.done}, {result.seconds:.0f} s", flush=True)
    results = [found[arm.key] for arm in wanted]
    holds, said = verdict(results)
    report = f"{table(results)}\n\n{said}\n"
    write_bytes(options.out / "report.md", report.encode())
    print(f"\n{report}")
    return 0 if holds else 1


def table(results: Sequence[ArmResult]) -> str:
    """One line an arm: means over seeds with the 95 % interval of Student's t."""
    heads = ("arm", "tokens", "rows", "texts", "on task", "seen: kept", "unseen: kept", "unseen: done", "general: done")
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name in ARMS:
        own = [one for one in results if one.name == name]
        cells = [
            name,
            *(f"{sum(getattr(one, field) for one in own) / len(own):,.0f}" for field in ("tokens", "rows", "texts")),
            f"{sum(one.on_task for one in own) / len(own):.2f}",
            str(Interval.of([one.kept["seen"] for one in own])),
            str(Interval.of([one.kept["unseen"] for one in own])),
            str(Interval.of([one.done["unseen"] for one in own])),
            str(Interval.of([one.done["general"] for one in own])),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    sorts = sorted({sort for one in results for sort in one.by_sort})
    lines += ["", f"| unseen constraint kept | {' | '.join(sorts)} |", f"|{'---|' * (len(sorts) + 1)}"]
    for name in ARMS:
        own = [one for one in results if one.name == name]
        means = [Interval.of([one.by_sort.get(sort, 0.0) for one in own]) for sort in sorts]
        lines.append(f"| {name} | {' | '.join(map(str, means))} |")
    seeds = len({one.seed for one in results})
    return "\n".join([*lines, "", f"{seeds} seeds, {sum(one.seconds for one in results):.0f} s of training."])


def verdict(results: Sequence[ArmResult]) -> tuple[bool, str]:
    """Whether the interval of `tcia` on unseen constraints lies above those of both baselines, kept and done."""
    if len({one.seed for one in results}) < 2:
        return False, "One seed says nothing of how sure this is: run three or more."
    arms = {
        measure: {
            name: Interval.of([getattr(one, measure)["unseen"] for one in results if one.name == name]) for name in ARMS
        }
        for measure in ("kept", "done")
    }
    holds = all(own[name].below(own["tcia"]) for own in arms.values() for name in ARMS if name != "tcia")
    listed = "; ".join(
        f"{measure}: {', '.join(f'{name} {one}' for name, one in own.items())}" for measure, own in arms.items()
    )
    return holds, f"tcia {'lies above' if holds else 'does not lie clearly above'} both. {listed}."


def _read(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_bytes()) if path.is_file() else {}
    return found


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="each has notes, words kept back and a student of its own")
    parser.add_argument("--instructions", type=int, default=INSTRUCTIONS, help="of each arm")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of training, replay included")
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="of each kind, that the students are asked")
    parser.add_argument("--out", type=Path, default=Path("runs/tcia_benefit"))
    parser.add_argument("--quick", action="store_true", help="one seed, too short to learn: a smoke test")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.instructions, options.tokens, options.questions = 1, 9, 4_000, 6
    return options


if __name__ == "__main__":
    sys.exit(main())
