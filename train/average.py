"""An exponential moving average of the weights that are trained, kept beside them (EMA).

After each optimiser step ``average = d * average + (1 - d) * weights``, with ``d = min(decay, (1 + n) / (10 + n))``
after n steps, so that the first steps do not hold on to where training began (the warm-up of TensorFlow's
`ExponentialMovingAverage`). At a decay of 0.999 the average reaches back over some thousand steps. With it, the student
that is written is the averaged one: what the loop trains on is unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from mashbill.errors import StoreError

_STEPS = "steps taken"


class Average:
    """The averaged weights of a model, in float32 and spread over processes as the weights are."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._average = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._steps = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an optimiser step."""
        self._steps += 1
        steps = int(self._steps)
        decay = min(self.decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(list(self._average.values()), list(self._weights.values()), 1 - decay)

    def state(self) -> dict[str, torch.Tensor]:
        """The averaged weights by name, and after how many steps."""
        return {**self._average, _STEPS: self._steps}

    @torch.no_grad()
    def load(self, state: Mapping[str, torch.Tensor] | None, where: Path) -> None:
        """Bring back what a checkpoint kept.

        Raises:
            StoreError: when it kept none.
        """
        if state is None:
            raise StoreError(f"{where}: has no averaged weights; it is of a run without `ema`")
        for name, mine in self.state().items():
            kept = state[name]
            if mine is kept:  # shards were read in place
                continue
            if isinstance(mine, DTensor):
                kept = distribute_tensor(kept.to(mine.device), mine.device_mesh, mine.placements)
            mine.copy_(kept)

    @torch.no_grad()
    def put_in(self) -> None:
        """Make the averaged weights the model's: once training is over."""
        for name, weight in self._weights.items():
            weight.copy_(self._average[name])
