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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel

from mashbill.errors import BillError, UserError
from mashbill.fingerprint import seed_of
from train.batches import PlanReader
from train.checkpoint import Checkpoints
from train.flops import FlopCount, mean_segment
from train.hardware import Hardware
from train.losses import sums_by_group, token_losses, weighted
from train.metrics import MetricsFile
from train.recipe import TrainRecipe
from train.schedule import learning_rate
from train.shard import decoder_layers, shard, summed
from train.world import World, slice_rows

Line = dict[str, object]


@dataclass(frozen=True)
class StepLoss:
    """What one optimiser step measured."""

    loss: float
    grad_norm: float
    streams: Mapping[str, float]
    domains: Mapping[str, float]
    views: Mapping[str, float] = field(default_factory=dict)
    """Of a supervised plan whose examples have several views."""


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
    ) -> None:
        vocabulary = model.get_input_embeddings().num_embeddings
        if reader.manifest.vocabulary > vocabulary:
            raise BillError(
                f"the plan has token {reader.manifest.vocabulary - 1} and the student's vocabulary ends at "
                f"{vocabulary - 1}; plan again with this student's tokenizer"
            )
        self.model, self.reader, self.recipe, self.hardware = model, reader, recipe, hardware
        self.world = world or World()
        self.device = pick_device(hardware, self.world)
        self.flops = FlopCount.of(model)
        self.bf16 = hardware.precision == "bf16" or (hardware.precision == "auto" and self.device.type == "cuda")
        self._place()
        self.optimiser = _adamw(model, recipe, fused=self.device.type == "cuda")

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
        sums = self._gradients(step)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip or math.inf)
        self.optimiser.step()
        return self._measured(step, sums, norm)

    def _gradients(self, step: int) -> list[torch.Tensor]:
        """Accumulate the gradients of a step; (sums, weights) of the loss by stream, by domain and by view."""
        # FSDP averages over processes, and the division here is already by the tokens of all of them.
        scale = self.world.size / (self.reader.divisor(step) or 1)
        sizes = [len(names) for names in self._groups]
        sums = [torch.zeros(2, size, device=self.device) for size in sizes]
        for rows in slice_rows(self.reader.rows_of(step), self.world, self.hardware.micro_batch):
            batch = self.reader.batch(rows).to(self.device)
            with self._autocast():
                logits = self.model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits
            losses = weighted(token_losses(logits, batch.labels), batch.weights)
            torch.autograd.backward(losses.sum() * scale)
            for total, codes in zip(sums, (batch.stream, batch.domain, batch.view), strict=False):
                if codes is not None:
                    total += torch.stack(sums_by_group(losses, batch.labels, codes, total.shape[1], batch.weights))
        return sums

    @property
    def _groups(self) -> list[list[str]]:
        """The names that the loss is told apart by; views only where there are several."""
        several = [self.reader.views] if len(self.reader.views) > 1 else []
        return [self.reader.streams, self.reader.domains, *several]

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        if not self.bf16 or self.world.size > 1:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _measured(self, step: int, sums: list[torch.Tensor], norm: torch.Tensor) -> StepLoss:
        # One transfer from the device for all numbers of a step.
        flat = summed(torch.cat([one.flatten() for one in sums]), self.world)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        *numbers, grad_norm = torch.cat([flat, norm.reshape(1)]).tolist()
        halves = []
        for one in sums:
            halves.append(_halves(numbers[: one.numel()]))
            numbers = numbers[one.numel() :]
        loss = sum(halves[0][0]) / (self.reader.divisor(step) or 1)
        means = [_means(names, *both) for names, both in zip(self._groups, halves, strict=True)]
        return StepLoss(loss, grad_norm, *means)


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


def _means(names: list[str], sums: list[float], counts: list[float]) -> dict[str, float]:
    return {name: total / count for name, total, count in zip(names, sums, counts, strict=True) if count}


def run_loop(
    loop: Loop,
    checkpoints: Checkpoints,
    metrics: MetricsFile | None,
    *,
    first: int,
    progress: Callable[[Line], None] | None = None,
) -> None:
    """Take every step of the plan from `first` on; the first process alone has metrics to write."""
    steps = loop.reader.steps
    every = loop.hardware.checkpoint_every
    for step in range(first, steps):
        started = time.perf_counter()
        measured = loop.step(step)
        seconds = time.perf_counter() - started
        _check(loop, step, measured)
        if metrics:
            line = _line(loop, step, measured, seconds)
            metrics.write(line)
            if progress:
                progress({**line, "steps": steps})
        if (step + 1) % every == 0 or step + 1 == steps:
            if metrics:
                metrics.sync()
            checkpoints.save(step + 1, loop.model, loop.optimiser, loop.world)


def _check(loop: Loop, step: int, measured: StepLoss) -> None:
    """Stop before the checkpoint: the weights that such a step made are of no use."""
    if not math.isfinite(measured.loss + measured.grad_norm):
        raise UserError(
            f"the loss is {measured.loss} and the gradient norm {measured.grad_norm} at step {step + 1} of "
            f"{loop.reader.steps}; lower learning_rate ({loop.recipe.learning_rate}) or lengthen the warm-up, and "
            "start in a new directory"
        )


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
        "grad_norm": measured.grad_norm,
        "tokens_per_second": round(per_second, 1),
        "mfu": None if peak is None else round(flops / (peak * loop.world.size), 4),
        "peak_tflops": None if peak is None else peak / 1e12,
        "peak_memory_gb": round(_peak_memory(loop.device) / 1e9, 3),
    }
    if measured.views:
        line["view_loss"] = dict(measured.views)
    return line | ({"mfu_formula": loop.flops.formula, "device": _device_name(loop.device)} if step == 0 else {})


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    # getrusage counts kilobytes on Linux and bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
