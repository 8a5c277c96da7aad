"""Learning from a teacher's probabilities: from stored columns, or from a teacher that runs beside the student.

The loss of a token is ``(1 - weight) * cross-entropy + weight * divergence``, summed over the vocabulary, and as any
other it is summed over tokens and divided once by those of the whole batch. The metrics have both parts: ``ce`` over
all tokens, ``kd`` over those that a teacher has judged.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from train.batches import Batch
from train.chunked_head import ChunkLoss
from train.distill_spec import Distill
from train.divergence import DIVERGENCES, MIXES
from train.frozen_teacher import FrozenTeacher
from train.objective import BatchLoss, Learned, NextToken
from train.soft_loss import SparseTarget, hard_loss, mixed_loss


class Distillation(NextToken):
    """From stored columns."""

    parts: Sequence[str] = ("ce", "kd")

    def __init__(self, spec: Distill) -> None:
        self.spec = spec

    def __call__(self, model: PreTrainedModel, batch: Batch, step: int) -> BatchLoss:
        """The loss of a micro-batch; the same at any step."""
        assert batch.teacher is not None
        learned, given = self.learned(model, batch), batch.teacher
        share = given.scored * self.spec.weight
        target = SparseTarget(given.ids, given.shares, given.tail)

        def kernel(logits: torch.Tensor, rows: slice) -> ChunkLoss:
            own, part = share[rows].to(logits.dtype), _typed(target[rows], logits)
            found, hard, soft = mixed_loss(logits, learned.labels[rows], part, own, self.spec.temperature)
            return ChunkLoss(found.losses, found.gradient, torch.stack([hard, soft]))

        found, right = self.loss_of(learned, kernel)
        return BatchLoss(found.total, learned.spread(found.losses), _parts(found.parts, learned, given.scored), right)


class LiveDistillation(NextToken):
    """From a teacher that reads each batch with the student; its logits too are there some positions at a time."""

    parts: Sequence[str] = ("ce", "kd")

    def __init__(self, spec: Distill, teacher: FrozenTeacher, streams: torch.Tensor | None = None) -> None:
        """`streams` has the codes of those that are learned from the teacher; None takes all."""
        self.spec, self.teacher, self.streams = spec, teacher, streams
        self.divergence = DIVERGENCES[spec.divergence]
        self.mix = spec.mix if spec.mix is not None else MIXES.get(spec.divergence, 0.0)

    def __call__(self, model: PreTrainedModel, batch: Batch, step: int) -> BatchLoss:
        """The loss of a micro-batch; the same at any step."""
        learned = self.learned(model, batch)
        theirs = self.teacher.hidden(batch.input_ids, batch.position_ids)[:, :-1][learned.places]
        scored = scored_in(self.streams, batch, learned)
        share = scored * self.spec.weight

        def kernel(logits: torch.Tensor, rows: slice) -> ChunkLoss:
            own = share[rows].to(logits.dtype)
            soft, gradient = self._divergence(logits, self.teacher.log_probs(theirs[rows], self.spec.temperature))
            hard = hard_loss(logits, learned.labels[rows])
            whole = hard.gradient.mul_((1 - own)[:, None])
            whole[:, : gradient.shape[1]].addcmul_(gradient, own[:, None])
            return ChunkLoss((1 - own) * hard.losses + own * soft, whole, torch.stack([hard.losses, soft]))

        found, right = self.loss_of(learned, kernel)
        return BatchLoss(found.total, learned.spread(found.losses), _parts(found.parts, learned, scored), right)

    def _divergence(self, logits: torch.Tensor, log_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The divergence of each position and its gradient, by autograd over these positions alone.

        Over the tokens alone: what a padded table has beyond them is no token of either.
        """
        temperature = self.spec.temperature
        with torch.enable_grad():
            own = logits[:, : log_p.shape[1]].detach().requires_grad_()
            losses = self.divergence(log_p.to(own.dtype), (own / temperature).log_softmax(1), self.mix)
            losses = losses * temperature**2
            (gradient,) = torch.autograd.grad(losses.sum(), own)
        return losses.detach(), gradient


def scored_in(streams: torch.Tensor | None, batch: Batch, learned: Learned) -> torch.Tensor:
    """Whether each position is of one of these streams, (n,)."""
    codes = batch.stream[:, 1:][learned.places]
    return torch.ones_like(codes, dtype=torch.bool) if streams is None else torch.isin(codes, streams.to(codes.device))


def _typed(target: SparseTarget, logits: torch.Tensor) -> SparseTarget:
    tail = None if target.tail is None else target.tail.to(logits.dtype)
    return SparseTarget(target.ids, target.shares.to(logits.dtype), tail)


def _parts(parts: torch.Tensor | None, learned: Learned, scored: torch.Tensor) -> torch.Tensor | None:
    """Sums and weights of cross-entropy over all positions, and of the divergence over those that were scored."""
    if parts is None:  # a micro-batch of padding
        return None
    weights = torch.ones_like(parts[0]) if learned.weights is None else learned.weights
    both = torch.stack([weights, weights * scored])
    return torch.stack([torch.where(both > 0, parts * both, 0.0).sum(1), both.sum(1)])
