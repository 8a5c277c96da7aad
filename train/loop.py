"""The training loop: plan in, student out. Plain torch over any causal language model of transformers.

An optimiser step reads its rows from the plan, runs them in micro-batches, divides the summed loss once by the number
of valid tokens of the whole batch (or by the sum of their weights), clips, and steps. So a micro-batch of 1 or 8, and
one process or four, give the same gradients to rounding, and a run killed at any step goes on to the same losses.
"""

from __future__ import annotations

import contextlib
import math
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel

from mashbill.errors import BillError, Interrupted
from mashbill.fingerprint import seed_of
from train.average import Average
from train.batches import PlanReader
from train.checkpoint import Checkpoints
from train.flops import FlopCount, mean_segment
from train.hardware import Hardware
from train.losses import sums_by_group
from train.metrics import MetricsFile
from train.objective import NextToken, Objective
from train.recipe import TrainRecipe
from train.schedule import learning_rate
from train.shard import agreed, decoder_layers, shard, summed
from train.troubles import lost_rows, out_of_memory
from train.world import World, slice_rows

Line = dict[str, object]


@dataclass(frozen=True)
class StepLoss:
    """What one optimiser step measured."""

    loss: float
    grad_norm: float
    streams: Mapping[str, float]
    domains: Mapping[str, float]
    accuracies: Mapping[str, float] = field(default_factory=dict)
    """By stream: the share of learned tokens that were the likeliest, before the step changed the weights."""
    views: Mapping[str, float] = field(default_factory=dict)
    """Of a supervised plan whose examples have several views."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Of an objective with several parts."""


def pick_device(hardware: Hardware, world: World) -> torch.device:
    """The device of this process."""
    name = hardware.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        torch.cuda.set_device(world.local_rank)
        return torch.device("cuda", world.local_rank)
    return torch.device(name)


class Loop:
    """A model on a device with its optimiser, ready to take the steps of a plan."""

    def __init__(
        self,
        model: PreTrainedModel,
        reader: PlanReader,
        recipe: TrainRecipe,
        hardware: Hardware,
        world: World | None = None,
        objective: Objective | None = None,
    ) -> None:
        vocabulary = model.get_input_embeddings().num_embeddings
        if reader.manifest.vocabulary > vocabulary:
            raise BillError(
                f"the plan has token {reader.manifest.vocabulary - 1} and the student's vocabulary ends at "
                f"{vocabulary - 1}; plan again with this student's tokenizer"
            )
        self.model, self.reader, self.recipe, self.hardware = model, reader, recipe, hardware
        self.world, self.objective = world or World(), objective or NextToken()
        self.device = pick_device(hardware, self.world)
        self.flops = FlopCount.of(model)
        self.objective.attach(model)
        self.bf16 = hardware.precision == "bf16" or (hardware.precision == "auto" and self.device.type == "cuda")
        self._place()
        self.optimiser = _adamw(model, recipe, fused=self.device.type == "cuda")
        self.average = Average(model, recipe.ema) if recipe.ema else None
        self.row_losses: list[tuple[list[int | None], torch.Tensor]] = []
        """Of the last step, to name the rows of a loss that is no number; left on the device."""
        self.penalty: Callable[[], torch.Tensor] | None = None
        """Added to the mean loss of each step, such as a penalty on the weights; not in what is measured."""

    def _place(self) -> None:
        self.model.to(self.device).train()
        if self.hardware.gradient_checkpointing:
            # transformers 5 renames it, and warns at the old name.
            renamed = getattr(self.model, "activation_checkpointing_enable", None)
            (renamed or self.model.gradient_checkpointing_enable)({"use_reentrant": False})
        if self.hardware.compile:
            for layer in decoder_layers(self.model):
                layer.compile()
        if self.world.size > 1:
            shard(self.model, self.world, self.device, bf16=self.bf16)

    def step(self, step: int) -> StepLoss:
        """Take optimiser step `step`, counted from 0."""
        # Dropout comes from content, not from what ran before: resuming needs no generator's state.
        torch.manual_seed(seed_of("train", self.recipe.seed, step, self.world.rank))
        rate = learning_rate(step, self.reader.steps, self.recipe)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        self.row_losses.clear()
        with out_of_memory(self.hardware, self.reader.manifest.sequence_length):
            sums = self._gradients(step)
            if self.penalty is not None:
                torch.autograd.backward(self.penalty())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip or math.inf)
        self.optimiser.step()
        if self.average is not None:
            self.average.update()
        return self._measured(step, sums, norm)

    def _gradients(self, step: int) -> dict[str, torch.Tensor]:
        """Accumulate the gradients of a step; (sums, weights) of the loss by stream, domain, view and part."""
        # FSDP averages over processes, and the division here is already by the tokens of all of them.
        scale = self.world.size / (self.reader.divisor(step) or 1)
        sums = {kind: torch.zeros(2, len(names), device=self.device) for kind, names in self._groups.items()}
        for rows in slice_rows(self.reader.rows_of(step), self.world, self.hardware.micro_batch):
            batch = self.reader.batch(rows).to(self.device)
            with self._autocast():
                found = self.objective(self.model, batch, step)
            torch.autograd.backward(found.total * scale)
            self.row_losses.append((rows, found.losses.detach().sum(dim=1)))
            for kind, codes in (("streams", batch.stream), ("domains", batch.domain), ("views", batch.view)):
                if kind in sums and codes is not None:
                    count = sums[kind].shape[1]
                    sums[kind] += torch.stack(sums_by_group(found.losses, batch.labels, codes, count, batch.weights))
            if found.right is not None:
                count = len(self.reader.streams)
                sums["accuracies"] += torch.stack(sums_by_group(found.right, batch.labels, batch.stream, count))
            if found.parts is not None:
                sums["parts"] += found.parts
        return sums

    @property
    def _groups(self) -> dict[str, Sequence[str]]:
        """The names that the loss is told apart by; views where there are several, parts where there are any."""
        streams = self.reader.streams
        groups: dict[str, Sequence[str]] = {"streams": streams, "domains": self.reader.domains, "accuracies": streams}
        views = {"views": self.reader.views} if len(self.reader.views) > 1 else {}
        return groups | views | ({"parts": self.objective.parts} if self.objective.parts else {})

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        if not self.bf16 or self.world.size > 1:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _measured(self, step: int, sums: dict[str, torch.Tensor], norm: torch.Tensor) -> StepLoss:
        # One transfer from the device for all numbers of a step.
        flat = summed(torch.cat([one.flatten() for one in sums.values()]), self.world)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        *numbers, grad_norm = torch.cat([flat, norm.reshape(1)]).tolist()
        halves = {}
        for kind, one in sums.items():
            halves[kind] = _halves(numbers[: one.numel()])
            numbers = numbers[one.numel() :]
        loss = sum(halves["streams"][0]) / (self.reader.divisor(step) or 1)
        means = {kind: _means(self._groups[kind], *both) for kind, both in halves.items()}
        return StepLoss(loss, grad_norm, **means)


def _adamw(model: PreTrainedModel, recipe: TrainRecipe, *, fused: bool) -> torch.optim.AdamW:
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.ndim >= 2], "weight_decay": recipe.weight_decay},
        # Norms and biases are not shrunk: they have no scale to trade against.
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        eps=recipe.epsilon,
        fused=fused,
    )


def _halves(numbers: list[float]) -> tuple[list[float], list[float]]:
    middle = len(numbers) // 2
    return numbers[:middle], numbers[middle:]


def _means(names: Sequence[str], sums: list[float], counts: list[float]) -> dict[str, float]:
    return {name: total / count for name, total, count in zip(names, sums, counts, strict=True) if count}


def run_loop(
    loop: Loop,
    checkpoints: Checkpoints,
    metrics: MetricsFile | None,
    *,
    first: int,
    progress: Callable[[Line], None] | None = None,
    stopping: Callable[[], bool] | None = None,
) -> None:
    """Take every step of the plan from `first` on; the first process alone has metrics to write.

    Raises:
        Interrupted: when `stopping` said so in any process; the step it was at is finished and in a checkpoint.
        UserError: when a loss is no number; the checkpoints before it are kept.
    """
    steps = loop.reader.steps
    every = loop.hardware.checkpoint_every
    for step in range(first, steps):
        started = time.perf_counter()
        measured = loop.step(step)
        seconds = time.perf_counter() - started
        if not math.isfinite(measured.loss + measured.grad_norm):
            # Before the checkpoint: the weights that such a step made are of no use.
            raise lost_rows(loop, step, measured.loss, measured.grad_norm)
        if metrics:
            line = _line(loop, step, measured, seconds)
            metrics.write(line)
            if progress:
                progress({**line, "steps": steps})
        stop = agreed(stopping is not None and stopping(), loop.device, loop.world)
        if stop or (step + 1) % every == 0 or step + 1 == steps:
            if metrics:
                metrics.sync()
            checkpoints.save(step + 1, loop.model, loop.optimiser, loop.world, loop.average)
        if stop and step + 1 < steps:
            raise Interrupted(f"stopped after step {step + 1} of {steps}, which is in a checkpoint")


def _line(loop: Loop, step: int, measured: StepLoss, seconds: float) -> Line:
    lengths = loop.reader.lengths(step)
    tokens = int(lengths.sum())
    per_second = tokens / seconds
    peak = loop.hardware.peak(_device_name(loop.device))
    flops = per_second * loop.flops.per_token(mean_segment(lengths))
    line: Line = {
        "step": step + 1,
        "loss": measured.loss,
        "lr": learning_rate(step, loop.reader.steps, loop.recipe),
        "tokens": loop.reader.tokens_until(step + 1),
        "stream_loss": dict(measured.streams),
        "domain_loss": dict(measured.domains),
        "stream_accuracy": dict(measured.accuracies),
        "grad_norm": measured.grad_norm,
        "seconds": round(seconds, 4),
        "tokens_per_second": round(per_second, 1),
        "mfu": None if peak is None else round(flops / (peak * loop.world.size), 4),
        "peak_tflops": None if peak is None else peak / 1e12,
        "peak_memory_gb": round(_peak_memory(loop.device) / 1e9, 3),
    }
    if measured.views:
        line["view_loss"] = dict(measured.views)
    if measured.parts:
        line["part_loss"] = dict(measured.parts)
    return line | ({"mfu_formula": loop.flops.formula, "device": _device_name(loop.device)} if step == 0 else {})


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    # getrusage counts kilobytes on Linux and bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
