"""Losses as pure functions of logits and labels.

The loss of a step is `sum of token losses / valid tokens of the whole batch`, or, where labels have weights, `weighted
sum / sum of weights`. The division stands in one place (the loop), with a number known from the plan, so micro-batches,
accumulation and devices cannot change it.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from train.batches import IGNORED


def token_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each position's next token, (rows, length - 1); 0 where the label is ignored.

    In float32 whatever the logits are: a log-sum-exp over 49,152 entries loses its small terms in bf16.
    """
    targets = labels[:, 1:].reshape(-1)
    flat = logits[:, :-1].reshape(len(targets), -1).float()
    losses = functional.cross_entropy(flat, targets, ignore_index=IGNORED, reduction="none")
    return losses.view(labels.shape[0], -1)


def weighted(losses: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Token losses times the weights of their labels, (rows, length - 1); as they are where there are none."""
    return losses if weights is None else losses * weights[:, 1:]


def sums_by_group(
    losses: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor, count: int, weights: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed loss and sum of weights of each group (stream, domain or view), both of length `count`.

    `losses` are weighted already; without weights each label weighs 1.
    """
    valid = labels[:, 1:] != IGNORED
    codes = groups[:, 1:][valid]
    totals = torch.zeros(count, device=losses.device, dtype=torch.float32)
    numbers = torch.zeros_like(totals)
    picked = losses.detach()[valid].float()
    return totals.index_add(0, codes, picked), numbers.index_add(0, codes, _weights(picked, weights, valid))


def _weights(picked: torch.Tensor, weights: torch.Tensor | None, valid: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(picked) if weights is None else weights[:, 1:][valid]
