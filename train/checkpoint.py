"""Checkpoints: whole or absent, that a killed run goes on from to the same losses, bit for bit.

One process writes one file, `checkpoints/step-00000200.pt`. Several, whose weights are spread over them, write a
folder, `checkpoints/step-00000200/`, each process its own shards (torch's distributed checkpoint), so that nobody has
to hold them all; `checkpoint.json`, written last, says what belongs to it. Either holds the model, the optimiser, the
averaged weights where there are any, the number of steps done and what run it belongs to, and either is read by any
number of processes, since the names of the weights are the model's own.

There is no state of the data, since the order is in the plan and the place in it is the step; and none of a random
generator, since each step seeds its own from the recipe's seed and the step's number. Weights that are not trained are
not in it: with LoRA a checkpoint is as small as the adapter.

The one file is read as tensors alone and never as code. The index of a folder is a pickle, which torch's reader opens:
go on only from folders that your own runs wrote.
"""

from __future__ import annotations

import re
import shutil
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

from mashbill.disk import replacing
from mashbill.errors import StoreError
from train.average import Average
from train.checkpoint_shards import read_shards, shards_identity, write_shards
from train.identity import differing
from train.world import World

FORMAT = 2
_NAME = re.compile(r"step-(\d{8})(?:\.pt)?")


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
        found = (_NAME.fullmatch(entry.name) for entry in self.path.iterdir())
        return sorted({int(name[1]) for name in found if name})

    def file(self, step: int) -> Path:
        """Where the checkpoint of a step lies: a file, or the folder that several processes wrote."""
        folder = self.path / f"step-{step:08d}"
        return folder if folder.is_dir() else folder.with_suffix(".pt")

    def save(
        self,
        step: int,
        model: PreTrainedModel,
        optimiser: torch.optim.Optimizer,
        world: World,
        average: Average | None = None,
    ) -> None:
        """Write the state after `step` steps, then remove what is older than the last `keep`; every process calls it.

        Raises:
            StoreError: when it cannot be written; the checkpoints before it stay.
        """
        state = _state(model, optimiser, average)
        about = {"format": FORMAT, "step": step, "identity": dict(self.identity)}
        if world.size > 1:
            write_shards(self.path / f"step-{step:08d}", state, about, first=world.first)
        else:
            self._write({**about, **state})
        if world.first:
            self._tidy()

    def _write(self, state: Mapping[str, Any]) -> None:
        file = self.path / f"step-{state['step']:08d}.pt"
        with replacing(file) as aside:
            try:
                torch.save(dict(state), aside)
            except RuntimeError as error:  # what torch's writer makes of a full disk
                free = shutil.disk_usage(self.path).free / 1e9
                raise StoreError(
                    f"{file}: cannot be written ({str(error).splitlines()[0]}); {free:.1f} GB are free there. The "
                    "checkpoints before it are kept: free some space, or lower keep_checkpoints under [hardware], and "
                    "run the same command again"
                ) from error

    def _tidy(self) -> None:
        for old in self.steps()[: -self.keep]:
            entry = self.file(old)
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        # What a process killed while writing left behind; at 12 bytes a weight that is worth removing.
        for stale in self.path.glob(".step-*.tmp"):
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()

    def restore(self, model: PreTrainedModel, optimiser: torch.optim.Optimizer, average: Average | None = None) -> int:
        """Bring back the newest checkpoint; the number of steps done, 0 where there is none.

        Raises:
            StoreError: when it belongs to another run or cannot be read.
        """
        steps = self.steps()
        if not steps:
            return 0
        load_into(self.file(steps[-1]), model, optimiser, average, identity=self.identity)
        return steps[-1]


def load_into(
    entry: Path,
    model: PreTrainedModel,
    optimiser: torch.optim.Optimizer,
    average: Average | None = None,
    *,
    identity: Mapping[str, str] | None = None,
) -> None:
    """Bring a checkpoint's state into a model, its optimiser and its average; `identity` is what it must belong to.

    Raises:
        StoreError: when it belongs to another run, has no average although one is wanted, or cannot be read.
    """
    if entry.is_dir():
        _check(entry, shards_identity(entry, FORMAT), identity)
        state = _state(model, optimiser, average)
        read_shards(entry, state)
    else:
        state = _read(entry)
        _check(entry, state["identity"], identity)
    options = StateDictOptions(full_state_dict=not entry.is_dir(), strict=not frozen(model))
    set_model_state_dict(model, state["model"], options=options)
    set_optimizer_state_dict(model, optimiser, state["optimiser"], options=options)
    if average is not None:
        average.load(state.get("average"), entry)


def _state(model: PreTrainedModel, optimiser: torch.optim.Optimizer, average: Average | None) -> dict[str, Any]:
    """What is kept: of spread weights each process has its own shards."""
    state = {
        "model": trained(model, get_model_state_dict(model)),
        "optimiser": get_optimizer_state_dict(model, optimiser),
    }
    return state if average is None else {**state, "average": average.state()}


def _check(entry: Path, found: Mapping[str, str], wanted: Mapping[str, str] | None) -> None:
    other = [] if wanted is None else differing(wanted, found)
    if other:
        raise StoreError(
            f"{entry}: belongs to another run, not the same in: {', '.join(other)}; "
            f"give another output directory, or remove {entry.parent}"
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        # weights_only: a checkpoint from elsewhere may hold tensors, never code.
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise StoreError(f"{file}: cannot be read ({error}); remove it to go on from the one before") from error
    if state.get("format") != FORMAT:
        raise StoreError(f"{file}: has format {state.get('format')}, this version reads {FORMAT}; train anew")
    return dict(state)
