"""The learning rate of a step: a line up, then a cosine down.

>>> recipe = TrainRecipe(learning_rate=1.0, warmup_share=0.2, final_lr_share=0.1)
>>> [round(learning_rate(step, 10, recipe), 2) for step in range(10)]
[0.5, 1.0, 0.97, 0.87, 0.72, 0.55, 0.38, 0.23, 0.13, 0.1]
"""

from __future__ import annotations

import math

from train.recipe import TrainRecipe


def learning_rate(step: int, steps: int, recipe: TrainRecipe) -> float:
    """The rate of optimiser step `step` of `steps`, counted from 0.

    The first step has a rate above 0, or it would be wasted, and the last one has the final rate.
    """
    warmup = math.ceil(recipe.warmup_share * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    done = (step - warmup + 1) / max(steps - warmup, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return recipe.learning_rate * (recipe.final_lr_share + (1 - recipe.final_lr_share) * cosine)
