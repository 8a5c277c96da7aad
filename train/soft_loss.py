"""Cross-entropy against a few entries of a distribution: hard labels, a teacher's top entries, or its drawn counts.

One row of a student over five tokens, whose teacher gave 0.6 to token 2, 0.3 to token 0 and 0.1 to all others::

    z = [1, 0, 2, 0, -1]   ids = [2, 0]   shares = [0.6, 0.3]   tail = 0.1
    loss = 0.6 (log 0.6 - log q_2) + 0.3 (log 0.3 - log q_0) + 0.1 (log 0.1 - log(q_1 + q_3 + q_4)) = 0.010

Three cases of one function: a hard label is one id with share 1, whose loss is cross-entropy; counts drawn from the
teacher are shares without a tail, and unbiased (Sparse Logit Sampling, 2503.16870); top entries keep the mass of all
others as one more bin, without which the student learns to put it on the top (there, section 3). What is measured is
always a divergence: its least value is 0, where the student says the same, drawn counts apart.

The loss and its gradient are computed together, by hand: the gradient of a dense cross-entropy costs as much, since
only the gathers are new. Everything sums over the vocabulary; nothing here divides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

LEAST = -1e30
"""Stands for the logarithm of nothing, where an infinity would make 0 * inf."""


@dataclass(frozen=True)
class SparseTarget:
    """What a teacher said of n positions."""

    ids: torch.Tensor
    """(n, k) int64: entries of the vocabulary. With a tail no id stands twice in a row."""
    shares: torch.Tensor
    """(n, k): their probabilities; 0 for an entry that only fills a place (and then without a tail)."""
    tail: torch.Tensor | None
    """(n,): the probability of all other entries together; None where the shares are all there is."""

    def __getitem__(self, rows: slice) -> SparseTarget:
        """Some of the positions."""
        return SparseTarget(self.ids[rows], self.shares[rows], None if self.tail is None else self.tail[rows])


@dataclass(frozen=True)
class RowLoss:
    """The loss of each position, and its gradient with respect to the logits."""

    losses: torch.Tensor
    """(n,)."""
    gradient: torch.Tensor
    """(n, vocabulary); it may lie in the memory of the logits."""


def hard_loss(logits: torch.Tensor, labels: torch.Tensor) -> RowLoss:
    """Cross-entropy with a label for each row; `logits` are overwritten.

    >>> found = hard_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    >>> found.losses.item(), found.gradient.tolist()
    (0.6931471824645996, [[0.5, -0.5]])
    """
    picked = labels[:, None]
    whole = torch.logsumexp(logits, dim=1, keepdim=True)
    losses = (whole - logits.gather(1, picked)).squeeze(1)
    gradient = logits.sub_(whole).exp_()
    return RowLoss(losses, gradient.scatter_add_(1, picked, gradient.new_full(picked.shape, -1.0)))


def soft_loss(logits: torch.Tensor, target: SparseTarget) -> RowLoss:
    """The divergence from a target alone; `logits`, at the target's temperature, are overwritten."""
    none = target.ids.new_zeros(len(target.ids))
    gradient, _, losses = _mixed(logits, none, target, torch.ones_like(target.shares[:, 0]))
    return RowLoss(losses, gradient)


def mixed_loss(
    logits: torch.Tensor, labels: torch.Tensor, target: SparseTarget, share: torch.Tensor, temperature: float = 1.0
) -> tuple[RowLoss, torch.Tensor, torch.Tensor]:
    """`1 - share` of the labels' cross-entropy and `share` of the teacher's divergence, row by row.

    The divergence of softened distributions is multiplied with the temperature's square, so that its gradient keeps its
    size (Hinton et al., 1503.02531, section 2). `logits` are overwritten.

    Returns:
        The loss with its gradient, and both parts' losses before they are mixed: cross-entropy, divergence.
    """
    if temperature == 1:
        gradient, hard, soft = _mixed(logits, labels, target, share)
    else:
        plain = hard_loss(logits.clone(), labels)
        softened = soft_loss(logits.div_(temperature), target)
        hard, soft = plain.losses, softened.losses * temperature**2
        gradient = softened.gradient.mul_(share[:, None] * temperature)
        gradient.addcmul_(plain.gradient, (1 - share)[:, None])
    return RowLoss((1 - share) * hard + share * soft, gradient), hard, soft


Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _mixed(logits: torch.Tensor, labels: torch.Tensor, target: SparseTarget, share: torch.Tensor) -> Parts:
    """Gradient, cross-entropy and divergence at one temperature: one pass over the vocabulary for both."""
    picked, keep = labels[:, None], (1 - share)[:, None]
    at_label = logits.gather(1, picked)
    if target.tail is not None:
        return _with_tail(logits, at_label, picked, target, share)
    own = logits.gather(1, target.ids)
    whole = torch.logsumexp(logits, dim=1, keepdim=True)
    soft = (torch.xlogy(target.shares, target.shares) - target.shares * (own - whole)).sum(1)
    mass = keep + share[:, None] * target.shares.sum(1, keepdim=True)
    gradient = logits.sub_(whole).exp_().mul_(mass)
    gradient.scatter_add_(1, target.ids, -share[:, None] * target.shares).scatter_add_(1, picked, -keep)
    return gradient, (whole - at_label).squeeze(1), soft


def _with_tail(
    logits: torch.Tensor, at_label: torch.Tensor, picked: torch.Tensor, target: SparseTarget, share: torch.Tensor
) -> Parts:
    assert target.tail is not None
    tail, own = target.tail[:, None], logits.gather(1, target.ids)
    # The others alone, and not one minus the top: of a sure student that difference is nothing but rounding.
    others = logits.scatter_(1, target.ids, -torch.inf)
    rest = torch.logsumexp(others, dim=1, keepdim=True).clamp_min(LEAST)
    whole = torch.logaddexp(torch.logsumexp(own, dim=1, keepdim=True), rest)
    given = own - whole
    soft = (torch.xlogy(target.shares, target.shares) - target.shares * given).sum(1, keepdim=True)
    soft += torch.xlogy(tail, tail) - tail * (rest - whole)
    # d/dz of an entry outside: q - tail * q / q_rest, which is its share of the others times (q_rest - tail).
    gradient = others.sub_(rest).exp_().mul_((rest - whole).exp() - share[:, None] * tail)
    gradient.scatter_(1, target.ids, given.exp() - share[:, None] * target.shares)
    gradient.scatter_add_(1, picked, (share - 1)[:, None])
    return gradient, (whole - at_label).squeeze(1), soft.squeeze(1)
