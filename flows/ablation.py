"""Source ablation in one run: one trunk, then the way down of its learning rate forked with each source left out.

::

    train:
      schedule: wsd
      decay_share: 0.2
      ablation: {arm: all, seeds: 3}

Beside the students of the arms it trains, under ``students/``::

    tolvarey-all.trunk/…                    the flat part, once
    tolvarey-all.whole-0/…                  the way down with the whole mix, for each seed
    tolvarey-all.without-made-0/…           and with one source left out: the others stand in its place

With S sources, n seeds and a way down of a fifth that costs ``0.8 + 0.2 * n * (S + 1)`` runs, where full runs would
cost ``n * (S + 1)``. What the last fifth shows is what a source does there, on a student that has seen it in the trunk:
it ranks sources, and is no measure of what a student would be that never saw one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.ablation_section import Ablation
from flows.kitchen import Kitchen
from flows.training_section import Evaluation, Training
from mashbill.fingerprint import seed_of
from train.plan import PlanSpec
from train.schedule import decay_steps

if TYPE_CHECKING:
    from pathlib import Path

    from train.evaluate import EvalResult
    from train.source_gain import SourceGain

WHOLE = "whole"


@dataclass(frozen=True)
class Forks:
    """The trunk of an arm and what is forked from it, each a training of its own."""

    trunk: Training
    trunk_name: str
    forks: Mapping[str, Training]
    """Name -> training of one plan of that name."""


def forks_of(training: Training, ablation: Ablation) -> Forks:
    """The trainings of an ablation; pure."""
    plan, recipe = training.plans[ablation.arm], training.recipe
    rows = plan.sequence_length * plan.batch
    steps = math.ceil(plan.tokens / rows)
    down = decay_steps(steps, recipe)
    flat = steps - down
    warmup = min(recipe.warmup_share * steps / flat, math.nextafter(1.0, 0.0))
    trunk_name = f"{ablation.arm}.trunk"
    trunk = _one(
        training, trunk_name, dataclasses.replace(plan, tokens=flat * rows), schedule="constant", warmup_share=warmup
    )
    forks = {}
    for number in range(ablation.seeds):
        for left_out in ("", *plan.shares):
            name = fork_name(ablation, number, left_out)
            shares = {stream: share for stream, share in plan.shares.items() if stream != left_out}
            # One seed for the whole mix and for those without a source: their orders are paired.
            seed = seed_of("ablation", plan.seed, number)
            spec = dataclasses.replace(plan, tokens=down * rows, shares=shares, seed=seed)
            forks[name] = _one(training, name, spec, schedule="decay", warmup_share=0.0)
    return Forks(trunk, trunk_name, forks)


def fork_name(ablation: Ablation, number: int, left_out: str) -> str:
    """The name of a fork, which is its folder's.

    >>> fork_name(Ablation(arm="all", seeds=3), 2, "made"), fork_name(Ablation(arm="all", seeds=3), 0, "")
    ('all.without-made-2', 'all.whole-0')
    """
    which = f"without-{left_out}" if left_out else WHOLE
    return f"{ablation.arm}.{which}-{number}"


def _one(training: Training, name: str, spec: PlanSpec, **recipe: object) -> Training:
    changed = dataclasses.replace(training.recipe, **recipe)  # type: ignore[arg-type]
    arm = "" if training.ablation is None else training.ablation.arm
    taught = {name: training.distills[arm]} if arm in training.distills else {}
    return dataclasses.replace(training, recipe=changed, plans={name: spec}, distills=taught, ablation=None)


async def ablate(
    kitchen: Kitchen, release: Path, training: Training, evaluation: Evaluation, ablation: Ablation
) -> list[SourceGain]:
    """Train the trunk and the forks, ask them all the questions, and say what each source gave."""
    from flows.arms import evaluate_arm, train_arm
    from train.source_gain import source_gains

    forks = forks_of(training, ablation)
    trunk = await train_arm(kitchen, release, forks.trunk, forks.trunk_name)
    arms, results = {}, dict[str, "EvalResult"]()
    for name, one in forks.forks.items():
        arms[name] = await train_arm(kitchen, release, one, name, start=trunk.result)
        model = arms[name].result.model_dir
        results[name] = await evaluate_arm(kitchen, evaluation, name, model, training.supervision)
    found = []
    for stream in training.plans[ablation.arm].shares:
        found += source_gains(
            stream,
            _by_seed(results, ablation, ""),
            _by_seed(results, ablation, stream),
            tokens=arms[fork_name(ablation, 0, "")].plan.streams[stream].planned_tokens,
            asked_tokens=await asked_tokens(kitchen, stream),
        )
    return found


def _by_seed(results: Mapping[str, EvalResult], ablation: Ablation, left_out: str) -> list[EvalResult]:
    return [results[fork_name(ablation, number, left_out)] for number in range(ablation.seeds)]


async def asked_tokens(kitchen: Kitchen, stream: str) -> int:
    """Tokens that models read and wrote for the rows of a stream, over all its steps."""
    found = kitchen.bill.streams[stream]
    counts = [(await kitchen.step(found, index)).manifest.counts for index in range(len(found.steps))]
    return sum(one.prompt_tokens + one.completion_tokens for one in counts)


def gains_section(gains: Sequence[SourceGain], arm: str) -> str:
    """The gains as Markdown, for the report and the card."""
    from mashbill.card import table

    seeds = gains[0].seeds
    said = (
        f"What each source of the arm {arm} gave in the last part of its training: the student with the whole mix less "
        f"the one without the source, from one trunk, at equal tokens, over {seeds} seed{'s' if seeds > 1 else ''} for "
        "the order of the data. Intervals are of 95 %, over questions and seeds."
    )
    heads = ["source", "measure", "with it", "without it", "gain", "per million tokens", "per million tokens asked"]
    return f"{said}\n\n{table(heads, list(_rows(gains)))}"


def _rows(gains: Sequence[SourceGain]) -> Iterator[list[object]]:
    for one in gains:
        asked = one.per_million_asked
        yield [
            one.source,
            f"{one.measure} ({one.questions} questions)",
            f"{one.with_it:.3f}",
            f"{one.without_it:.3f}",
            f"{one.gain.value:+.3f} [{one.gain.low:+.3f}, {one.gain.high:+.3f}]",
            f"{one.per_million_tokens:+.3g}",
            "nothing was asked" if asked is None else f"{asked:+.3g}",
        ]
