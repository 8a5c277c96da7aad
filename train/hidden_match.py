"""A first stage that matches the teacher's last hidden states, then a second that learns from text and probabilities.

Generic to specific is G2SD's order (2302.14771, for images): features first, over everything that the plan has early,
then the task. A plan's curriculum can put general text there. The student's states pass through one matrix of their
own, `PROJECTOR`, trained with it and gone afterwards, since teacher and student need not be equally wide.

    smooth L1 of (projected state - normalised state of the teacher), mean over the width, summed over positions
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from mashbill.errors import BillError
from train.batches import Batch
from train.distill_spec import Generic
from train.distillation import scored_in
from train.frozen_teacher import FrozenTeacher
from train.objective import BatchLoss, NextToken

PROJECTOR = "mashbill_projector"


class HiddenThen(NextToken):
    """Hidden states in the first steps, another objective in those after them."""

    def __init__(
        self, spec: Generic, teacher: FrozenTeacher, then: NextToken, *, until: int, streams: torch.Tensor | None
    ) -> None:
        """The steps before `until` are the first stage's."""
        self.spec, self.teacher, self.then, self.until, self.streams = spec, teacher, then, until, streams
        self.parts: Sequence[str] = ("hidden", *then.parts)

    def attach(self, model: PreTrainedModel) -> None:
        """Add the projector; what it starts from is the same in every run."""
        super().attach(model)
        if self.head is None:
            raise BillError(
                f"distill.generic: the student ({type(model).__name__}) does more to its logits than one product, and "
                "its last hidden states cannot be told apart from them; leave `generic` out"
            )
        self.then.attach(model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            projector = nn.Linear(self.head.in_features, self.teacher.head.in_features, bias=False)
        model.add_module(PROJECTOR, projector.to(self.head.weight.dtype))

    def detach(self, model: PreTrainedModel) -> None:
        """Take the projector away."""
        self.then.detach(model)
        delattr(model, PROJECTOR)

    def __call__(self, model: PreTrainedModel, batch: Batch, step: int) -> BatchLoss:
        """The loss of a micro-batch of the stage that the step is in."""
        if step >= self.until:
            return self._specific(model, batch, step)
        learned = self.learned(model, batch)
        theirs = self.teacher.hidden(batch.input_ids, batch.position_ids)[:, :-1][learned.places].float()
        # Their scale differs from model to model and from place to place; what is matched is their direction.
        wanted = functional.layer_norm(theirs, theirs.shape[-1:])
        projected = getattr(model, PROJECTOR)(learned.values).float()
        losses = functional.smooth_l1_loss(projected, wanted, beta=self.spec.beta, reduction="none").mean(1)
        scored = scored_in(self.streams, batch, learned)
        weights = scored.to(losses.dtype) if learned.weights is None else learned.weights * scored
        losses = losses * weights
        empty = losses.new_zeros(2, len(self.then.parts))
        parts = torch.cat([torch.stack([losses.detach().sum(), weights.sum()])[:, None], empty], dim=1)
        return BatchLoss(losses.sum(), learned.spread(losses.detach()), parts)

    def _specific(self, model: PreTrainedModel, batch: Batch, step: int) -> BatchLoss:
        found = self.then(model, batch, step)
        if found.parts is None:
            return found
        return BatchLoss(found.total, found.losses, functional.pad(found.parts, (1, 0)), found.right)
