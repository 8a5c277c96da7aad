"""Log-probabilities of a teacher to what is stored of them: its top entries with their tail, or entries drawn.

Over four tokens with probabilities (0.5, 0.3, 0.15, 0.05)::

    top_k, k = 2         ids [0, 1], log_probs [-0.69, -1.2], log_tail -1.6
    sampled, 10 draws    ids [0, 1, 2], counts [5, 3, 2]: each count / 10 is its probability on average
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

Columns = dict[str, npt.NDArray[np.generic]]
FAINT = -60_000.0
"""The least log-probability that float16 holds, about: no entry is stored as minus infinity."""


def top_entries(log_probs: torch.Tensor, k: int) -> Columns:
    """The `k` likeliest entries of each position, likeliest first, and the logarithm of the mass of all others."""
    values, ids = log_probs.topk(min(k, log_probs.shape[1]), dim=1)
    # The others alone: one minus the top would be rounding where the teacher is sure.
    tail = log_probs.scatter(1, ids, -torch.inf).logsumexp(1)
    return {
        "ids": ids.to(torch.int32).flatten().cpu().numpy(),
        "log_probs": values.clamp_min(FAINT).to(torch.float16).flatten().cpu().numpy(),
        "log_tail": tail.clamp_min(FAINT).to(torch.float16).cpu().numpy(),
    }


def uniforms(key: bytes, first: int, positions: int, draws: int) -> npt.NDArray[np.float64]:
    """`draws` numbers in [0, 1) for each position, rising, one in each of `draws` equal parts.

    From the text's tokens and the position alone: a signal computed again, in other parts, is the same.
    """
    seed = int.from_bytes(hashlib.blake2b(key, digest_size=16, person=b"teacher draws").digest(), "little")
    made = np.random.Philox(key=seed)
    # A position takes a whole number of the generator's blocks of four, so that any of them can be reached by itself.
    blocks = -(-draws // 4)
    made.advance(first * blocks)
    drawn = np.random.Generator(made).random((positions, 4 * blocks))[:, :draws]
    return np.asarray((np.arange(draws) + drawn) / draws, np.float64)


def drawn_entries(log_probs: torch.Tensor, numbers: npt.NDArray[np.float64]) -> Columns:
    """Entries drawn from each position's distribution, and how often.

    A count has the expectation `draws * p`, so counts over draws are unbiased (2503.16870). One draw falls in each of
    `draws` equal parts of the distribution, which keeps that and makes counts vary less than independent draws do.
    """
    # Summed in float64: over 49,152 entries float32 would round away what the rare ones have.
    ladder = log_probs.double().exp().cumsum(1)
    ladder /= ladder[:, -1:].clone()
    wanted = torch.from_numpy(numbers).to(ladder.device)
    picks = torch.searchsorted(ladder, wanted, right=True).clamp_max(log_probs.shape[1] - 1).cpu().numpy()
    # The numbers rise, so equal picks stand together.
    new = np.ones(picks.shape, bool)
    new[:, 1:] = picks[:, 1:] != picks[:, :-1]
    starts = np.flatnonzero(new.ravel())
    counts = np.diff(np.append(starts, picks.size))
    return {
        "ids": picks.ravel()[starts].astype(np.int32),
        "counts": counts.astype(np.uint8),
        "sizes": new.sum(1).astype(np.uint8),
    }


def joined(pieces: list[Columns]) -> Mapping[str, npt.NDArray[np.generic]]:
    """The columns of chunks of positions, one after another."""
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
