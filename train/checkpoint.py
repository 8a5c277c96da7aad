"""Checkpoints: one file, whole or absent, that a killed run goes on from to the same losses, bit for bit.

`checkpoints/step-00000200.pt` holds the model, the optimiser, the number of steps done and what run it belongs to.
There is no state of the data, since the order is in the plan and the place in it is the step; and none of a random
generator, since each step seeds its own from the recipe's seed and the step's number. The names of the weights are
the model's own, so a checkpoint written by two processes is read by one or by eight. Weights that are not trained are
not in it: with LoRA a checkpoint is as small as the adapter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from transformers import PreTrainedModel

from mashbill.errors import StoreError
from mashbill.store import replacing
from train.identity import differing
from train.world import World

FORMAT = 1
_NAME = re.compile(r"step-(\d{8})\.pt")


def frozen(model: PreTrainedModel) -> bool:
    """Whether some weights are not trained."""
    return not all(weight.requires_grad for weight in model.parameters())


def trained(model: PreTrainedModel, state: dict[str, Any]) -> dict[str, Any]:
    """Of a model's state what training changes; all of it where no weight is frozen."""
    if not frozen(model):
        return state
    names = {name for name, weight in model.named_parameters() if weight.requires_grad}
    return {name: value for name, value in state.items() if name in names}


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run."""

    path: Path
    identity: Mapping[str, str]
    """Plan, student and recipe; a checkpoint of others is refused."""
    keep: int = 2

    def steps(self) -> list[int]:
        """Steps there is a checkpoint of, oldest first."""
        if not self.path.is_dir():
            return []
        return sorted(int(found[1]) for file in self.path.iterdir() if (found := _NAME.fullmatch(file.name)))

    def file(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.path / f"step-{step:08d}.pt"

    def save(self, step: int, model: PreTrainedModel, optimiser: torch.optim.Optimizer, world: World) -> None:
        """Write the state after `step` steps, then remove what is older than the last `keep`.

        Every process calls it; the first one writes.
        """
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        state = {
            "format": FORMAT,
            "step": step,
            "identity": dict(self.identity),
            "model": trained(model, get_model_state_dict(model, options=options)),
            "optimiser": get_optimizer_state_dict(model, optimiser, options=options),
        }
        if not world.first:
            return
        with replacing(self.file(step)) as aside:
            torch.save(state, aside)
        for old in self.steps()[: -self.keep]:
            self.file(old).unlink()
        # What a process killed while writing left behind; at 12 bytes a weight that is worth removing.
        for stale in self.path.glob(".step-*.tmp"):
            stale.unlink()

    def restore(self, model: PreTrainedModel, optimiser: torch.optim.Optimizer) -> int:
        """Bring back the newest checkpoint; the number of steps done, 0 where there is none.

        Raises:
            StoreError: when it belongs to another run or cannot be read.
        """
        steps = self.steps()
        if not steps:
            return 0
        file = self.file(steps[-1])
        state = self._read(file)
        options = StateDictOptions(full_state_dict=True, strict=not frozen(model))
        set_model_state_dict(model, state["model"], options=options)
        set_optimizer_state_dict(model, optimiser, state["optimiser"], options=options)
        return int(state["step"])

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            # weights_only: a checkpoint from elsewhere may hold tensors, never code.
            state = torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
            raise StoreError(f"{file}: cannot be read ({error}); remove it to go on from the one before") from error
        if state.get("format") != FORMAT:
            raise StoreError(f"{file}: has format {state.get('format')}, this version reads {FORMAT}; train anew")
        other = differing(self.identity, state["identity"])
        if other:
            raise StoreError(
                f"{file}: belongs to another run, not the same in: {', '.join(other)}; "
                f"give another output directory, or remove {self.path}"
            )
        return dict(state)
