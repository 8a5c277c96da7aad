"""What a step learns from a batch: the one thing the loop is given besides the model and the data.

The loop knows nothing of labels, teachers or logits. It calls its objective with each micro-batch, goes backward from
`total`, and adds up the rest for the metrics::

    NextToken()(model, batch, step=41)  ->  BatchLoss(total=tensor(812.4), losses=<(rows, length - 1)>, parts=None)

`total` is a sum, never a mean: the loop divides once, by the weights of the whole batch over all devices, which are
known from the plan. An objective that divides by itself would make the gradient depend on the micro-batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers import PreTrainedModel

from train.batches import Batch
from train.losses import token_losses, weighted


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


class NextToken:
    """Cross-entropy of the next token, of whole texts or, with weights, of completions.

    Learning from the text that a teacher wrote (sequence distillation) is this objective too: the teacher's hand is in
    the data.
    """

    parts: Sequence[str] = ()

    def attach(self, model: PreTrainedModel) -> None:
        """Nothing is trained but the model."""

    def detach(self, model: PreTrainedModel) -> None:
        """Nothing was added."""

    def __call__(self, model: PreTrainedModel, batch: Batch, step: int) -> BatchLoss:
        """The loss of a micro-batch; the same at any step."""
        logits = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits
        losses = weighted(token_losses(logits, batch.labels), batch.weights)
        return BatchLoss(losses.sum(), losses.detach())
