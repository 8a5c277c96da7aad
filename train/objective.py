"""What a step learns from a batch: the one thing the loop is given besides the model and the data.

The loop knows nothing of labels, teachers or logits. It calls its objective with each micro-batch, goes backward from
`total`, and adds up the rest for the metrics::

    NextToken()(model, batch, step=41)  ->  BatchLoss(total=tensor(812.4), losses=<(rows, length - 1)>, parts=None)

`total` is a sum, never a mean: the loop divides once, by the weights of the whole batch over all devices, which are
known from the plan. An objective that divides by itself would make the gradient depend on the micro-batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from transformers import PreTrainedModel

from train.batches import IGNORED, Batch
from train.chunked_head import ChunkLoss, HeadLoss, Kernel, head_loss, head_of, hidden_alone, logit_loss
from train.soft_loss import hard_loss


@dataclass(frozen=True)
class BatchLoss:
    """The loss of one micro-batch."""

    total: torch.Tensor
    """To go backward from: the sum over labels of their losses, each times its weight; one number with its graph."""
    losses: torch.Tensor
    """The same by label, (rows, length - 1), weighted, without a graph, 0 where nothing is learned: for the loss by
    stream, by domain and by view."""
    parts: torch.Tensor | None = None
    """Of an objective with several parts: (2, parts), the sum of each over the labels it is about, and their weights,
    without a graph."""
    right: torch.Tensor | None = None
    """(rows, length - 1), 1 where the likeliest next token is the label and 0 elsewhere; None where no token was
    foretold."""


class Objective(Protocol):
    """A loss over a batch; pure but for the model it is given."""

    @property
    def parts(self) -> Sequence[str]:
        """Names of the parts that are measured besides, such as ``ce`` and ``kd``; none for a loss of one part."""
        ...

    def attach(self, model: PreTrainedModel) -> None:
        """Add to the model, before it is placed, what is trained with it and is no part of it afterwards."""
        ...

    def detach(self, model: PreTrainedModel) -> None:
        """Take that away again, before the model is saved."""
        ...

    def __call__(self, model: PreTrainedModel, batch: Batch, step: int) -> BatchLoss:
        """The loss of a micro-batch of optimiser step `step`."""
        ...


@dataclass(frozen=True)
class Learned:
    """What a model has at the positions of a batch whose next token is learned, row after row."""

    values: torch.Tensor
    """(n, width), the last hidden states; (n, vocabulary), the logits, where the head does more than one product."""
    labels: torch.Tensor
    """(n,): the next token."""
    weights: torch.Tensor | None
    """(n,); None where all weigh 1."""
    places: torch.Tensor
    """(rows, length - 1), true at these positions."""

    def spread(self, numbers: torch.Tensor) -> torch.Tensor:
        """Numbers by position as (rows, length - 1), 0 elsewhere."""
        whole = numbers.new_zeros(self.places.shape)
        whole[self.places] = numbers
        return whole


class NextToken:
    """Cross-entropy of the next token, of whole texts or, with weights, of completions.

    Learning from the text that a teacher wrote (sequence distillation) is this objective too: the teacher's hand is in
    the data.
    """

    parts: Sequence[str] = ()
    head: nn.Linear | None = None

    def attach(self, model: PreTrainedModel) -> None:
        """Find out how the model's head is; nothing is added to it."""
        self.head = head_of(model)

    def detach(self, model: PreTrainedModel) -> None:
        """Nothing was added."""

    def learned(self, model: PreTrainedModel, batch: Batch) -> Learned:
        """The model's hidden states, or logits, where something is learned."""
        with contextlib.nullcontext() if self.head is None else hidden_alone(self.head):
            values = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits
        places = batch.labels[:, 1:] != IGNORED
        weights = None if batch.weights is None else batch.weights[:, 1:][places]
        return Learned(values[:, :-1][places], batch.labels[:, 1:][places], weights, places)

    def loss_of(self, learned: Learned, kernel: Kernel) -> tuple[HeadLoss, torch.Tensor]:
        """The loss that a kernel makes of logits, and (rows, length - 1) where they foretell the label."""
        right = torch.zeros(len(learned.labels), device=learned.values.device)

        def seen(logits: torch.Tensor, rows: slice) -> ChunkLoss:
            # Before the kernel, which may overwrite them.
            own = logits.gather(1, learned.labels[rows][:, None]).squeeze(1)
            right[rows] = (own >= logits.amax(dim=1)).to(right.dtype)
            return kernel(logits, rows)

        if self.head is None:
            found = logit_loss(learned.values, seen, weights=learned.weights)
        else:
            bias = self.head.bias
            found = head_loss(learned.values, self.head.weight, seen, bias=bias, weights=learned.weights)
        return found, learned.spread(right)

    def __call__(self, model: PreTrainedModel, batch: Batch, step: int) -> BatchLoss:
        """The loss of a micro-batch; the same at any step."""
        learned = self.learned(model, batch)

        def kernel(logits: torch.Tensor, rows: slice) -> ChunkLoss:
            found = hard_loss(logits, learned.labels[rows])
            return ChunkLoss(found.losses, found.gradient)

        found, right = self.loss_of(learned, kernel)
        return BatchLoss(found.total, learned.spread(found.losses), right=right)
