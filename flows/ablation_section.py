"""The ``ablation`` of a bill's ``train`` section: which arm's sources are left out, one by one.

::

    train:
      schedule: wsd                       # flat, then down: the way down is what is forked
      ablation: {arm: all, seeds: 3}
      arms: {all: {made: 2, web: 1}}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mashbill.registry import nearest
from mashbill.section import Section
from train.plan import PlanSpec
from train.recipe import TrainRecipe
from train.schedule import decay_steps


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Which arm's sources are left out one by one in the last part of its training (`flows.ablation`)."""

    arm: str
    seeds: int = 3
    """Orders of the data that each fork is trained in."""


def read_ablation(
    section: Section, plans: Mapping[str, PlanSpec], recipe: TrainRecipe, *, asks: bool
) -> Ablation | None:
    """The ablation of a bill, checked; None where it has none.

    Raises:
        BillError: with file and line, where nothing could be forked, left out or measured.
    """
    if "ablation" not in section:
        return None
    own = section.at("ablation")
    own.only(("arm", "seeds"), required=("arm",))
    found = own.build(Ablation)
    if found.arm not in plans:
        own.at("arm").fail(f"no arm is called {found.arm!r}{nearest(found.arm, plans)}; there are: {', '.join(plans)}")
    plan = plans[found.arm]
    if found.seeds < 1:
        own.at("seeds").fail(
            f"is {found.seeds}; at least 1 is wanted, and 3 to see how much the order of the data does"
        )
    if len(plan.shares) < 2:
        own.at("arm").fail(
            f"arm {found.arm!r} has one stream; leaving it out would leave nothing, so name at least two"
        )
    if recipe.schedule != "wsd":
        own.fail(f"forks a training where its rate begins to fall; say `schedule: wsd` (it is {recipe.schedule})")
    if plan.curriculum is not None:
        own.fail("cannot be read with a `curriculum`: the forks would begin it anew")
    if not asks:
        own.fail("is judged by questions; add `evaluate`")
    steps = math.ceil(plan.tokens / (plan.sequence_length * plan.batch))
    if decay_steps(steps, recipe) >= steps:
        own.fail(f"has no flat part to fork from: {steps} steps, all of them on the way down; raise `tokens`")
    return found
