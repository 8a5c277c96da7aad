"""The learning rate of a step: a line up, then the schedule's way down.

>>> recipe = TrainRecipe(learning_rate=1.0, warmup_share=0.2, final_lr_share=0.1)
>>> [round(learning_rate(step, 10, recipe), 2) for step in range(10)]
[0.5, 1.0, 0.97, 0.87, 0.72, 0.55, 0.38, 0.23, 0.13, 0.1]
>>> recipe = TrainRecipe(learning_rate=1.0, warmup_share=0.2, schedule="wsd", decay_share=0.4)
>>> [round(learning_rate(step, 10, recipe), 2) for step in range(10)]
[0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.29, 0.13, 0.0]
"""

from __future__ import annotations

import math

from train.recipe import TrainRecipe


def learning_rate(step: int, steps: int, recipe: TrainRecipe) -> float:
    """The rate of optimiser step `step` of `steps`, counted from 0.

    The first step has a rate above 0, or it would be wasted, and the last one has the final rate.
    """
    if recipe.schedule == "decay":
        return _between(recipe, 1 - math.sqrt((step + 1) / steps))
    warmup = math.ceil(recipe.warmup_share * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "wsd":
        down = decay_steps(steps, recipe)
        going = step + 1 - (steps - down)
        return recipe.learning_rate if going <= 0 else _between(recipe, 1 - math.sqrt(going / down))
    done = (step - warmup + 1) / max(steps - warmup, 1)
    return _between(recipe, 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def decay_steps(steps: int, recipe: TrainRecipe) -> int:
    """How many of the steps of a ``wsd`` schedule go down: at least one, and none of the warm-up's.

    >>> decay_steps(10, TrainRecipe(schedule="wsd", decay_share=0.25))
    3
    """
    warmup = math.ceil(recipe.warmup_share * steps)
    return min(max(1, round(recipe.decay_share * steps + 1e-9)), max(steps - warmup, 1))


def _between(recipe: TrainRecipe, share: float) -> float:
    """From the final rate at 0 to the full one at 1."""
    return recipe.learning_rate * (recipe.final_lr_share + (1 - recipe.final_lr_share) * share)
