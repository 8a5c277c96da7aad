"""The output head and a loss in one, some positions at a time: logits of all of them are never there at once.

Of 8,192 positions and a vocabulary of 49,152, logits in float32 take 1.6 GB, and their gradient and what lies between
as much again; 256 at a time take 50 MB. The gradient of a chunk is taken while its logits are there, on the way
forward, so the head is not computed a second time on the way back: that would cost a third of its share of the work,
16 % of a whole step for a small student with a large vocabulary.

    hidden (n, width), weight (vocabulary, width), kernel  ->  total, losses by position and part

A kernel gets the logits of some positions, in float32, which it may overwrite, and says what part of the positions they
are; it gives losses and their gradient.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

CHUNK = 256
"""Positions at once: large enough to keep a matrix product busy, small enough for 50 MB at 49,152 entries."""


@dataclass(frozen=True)
class ChunkLoss:
    """What a kernel makes of some positions."""

    losses: torch.Tensor
    """(n,), what is learned."""
    gradient: torch.Tensor
    """(n, vocabulary), of the sum of `losses`."""
    parts: torch.Tensor | None = None
    """(parts, n): what is measured besides."""


Kernel = Callable[[torch.Tensor, slice], ChunkLoss]


@dataclass(frozen=True)
class HeadLoss:
    """Of all positions."""

    total: torch.Tensor
    """The sum of the losses, with its graph."""
    losses: torch.Tensor
    parts: torch.Tensor | None


def head_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    kernel: Kernel,
    *,
    bias: torch.Tensor | None = None,
    weights: torch.Tensor | None = None,
    chunk: int = CHUNK,
) -> HeadLoss:
    """The loss of positions whose last hidden states are given; gradients flow into states, weight and bias.

    `weights` are those of the positions in the sum; the parts are left unweighted.
    """
    if torch.is_autocast_enabled(hidden.device.type):
        hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
    total, losses, parts = _HeadLoss.apply(hidden, weight, bias, weights, kernel, chunk)  # type: ignore[no-untyped-call]
    return HeadLoss(total, losses, parts)


class _HeadLoss(torch.autograd.Function):
    """Forward and gradient together."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        weights: torch.Tensor | None,
        kernel: Kernel,
        chunk: int,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        wanted = ctx.needs_input_grad
        # Logits in the precision of the hidden states, which is the one that the model computes in; losses in float32
        # or more: a log-sum-exp over 49,152 entries loses its small terms in bf16.
        table, kept = weight.to(hidden.dtype), torch.promote_types(hidden.dtype, torch.float32)
        given = torch.empty_like(hidden) if wanted[0] else None
        onto = torch.zeros_like(weight, dtype=kept) if wanted[1] else None
        onto_bias = torch.zeros_like(bias, dtype=kept) if bias is not None and wanted[2] else None
        losses, parts = hidden.new_zeros(len(hidden), dtype=kept), []
        for start in range(0, len(hidden), chunk):
            rows = slice(start, min(start + chunk, len(hidden)))
            logits = (hidden[rows] @ table.T).to(kept)
            found = weighed(kernel(logits if bias is None else logits.add_(bias), rows), weights, rows)
            losses[rows] = found.losses
            if found.parts is not None:
                parts.append(found.parts)
            gradient = found.gradient.to(hidden.dtype)
            if given is not None:
                torch.mm(gradient, table, out=given[rows])
            if onto is not None:
                _add_outer(onto, gradient, hidden[rows])
            if onto_bias is not None:
                onto_bias += found.gradient.sum(0)
        ctx.gradients = (given, onto, onto_bias)
        ctx.like = (weight.dtype, None if bias is None else bias.dtype)
        return losses.sum(), losses, torch.cat(parts, dim=1) if parts else None

    @staticmethod
    def backward(ctx: Any, *above: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        given, onto, onto_bias = ctx.gradients
        ctx.gradients = None  # they are scaled in place: a second pass must fail and not scale them twice
        scale = above[0]
        return (
            None if given is None else given.mul_(scale.to(given.dtype)),
            None if onto is None else onto.mul_(scale).to(ctx.like[0]),
            None if onto_bias is None else onto_bias.mul_(scale).to(ctx.like[1]),
            None,
            None,
            None,
        )


def _add_outer(total: torch.Tensor, gradient: torch.Tensor, hidden: torch.Tensor) -> None:
    if total.dtype == gradient.dtype:
        total.addmm_(gradient.T, hidden)
    else:  # summed over chunks in float32
        total += gradient.T @ hidden


def weighed(found: ChunkLoss, weights: torch.Tensor | None, rows: slice) -> ChunkLoss:
    """Losses and gradient times the positions' weights."""
    if weights is None:
        return found
    own = weights[rows]
    return ChunkLoss(found.losses * own, found.gradient.mul_(own[:, None]), found.parts)


def logit_loss(
    logits: torch.Tensor, kernel: Kernel, *, weights: torch.Tensor | None = None, chunk: int = CHUNK
) -> HeadLoss:
    """The same from logits that are there already, for models whose head does more than one product."""
    total, losses, parts = _LogitLoss.apply(logits, weights, kernel, chunk)  # type: ignore[no-untyped-call]
    return HeadLoss(total, losses, parts)


class _LogitLoss(torch.autograd.Function):
    """Forward and gradient together."""

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, weights: torch.Tensor | None, kernel: Kernel, chunk: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        kept = torch.promote_types(logits.dtype, torch.float32)
        gradient, losses = torch.empty_like(logits), logits.new_zeros(len(logits), dtype=kept)
        parts = []
        for start in range(0, len(logits), chunk):
            rows = slice(start, min(start + chunk, len(logits)))
            found = weighed(kernel(logits[rows].to(kept, copy=True), rows), weights, rows)
            losses[rows], gradient[rows] = found.losses, found.gradient
            if found.parts is not None:
                parts.append(found.parts)
        ctx.gradient = gradient
        return losses.sum(), losses, torch.cat(parts, dim=1) if parts else None

    @staticmethod
    def backward(ctx: Any, *above: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradient, ctx.gradient = ctx.gradient, None
        return gradient.mul_(above[0]), None, None, None


def head_of(model: PreTrainedModel) -> nn.Linear | None:
    """The output head, where the logits are nothing but its product with the last hidden states.

    None where a model does more (Gemma 2 caps its logits, Granite divides them, an adapter wraps the head): that is
    found out by running it on four tokens, not by a list of names.
    """
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear:
        return None
    ids = torch.arange(4, device=head.weight.device)[None] % head.weight.shape[0]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits
            with hidden_alone(head):
                hidden = model(input_ids=ids, use_cache=False).logits
            same = hidden.shape[-1] == head.in_features and torch.allclose(head(hidden), logits, rtol=1e-4, atol=1e-5)
    finally:
        model.train(training)
    return head if same else None


@contextlib.contextmanager
def hidden_alone(head: nn.Linear) -> Iterator[None]:
    """While it lasts the model's `logits` are its last hidden states.

    The model is still called as a whole, which is what gathers its weights when they are spread over processes.
    """
    head.__dict__["forward"] = _as_it_is
    try:
        yield
    finally:
        del head.__dict__["forward"]


def _as_it_is(hidden: torch.Tensor) -> torch.Tensor:
    return hidden
