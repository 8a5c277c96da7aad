"""How often each stage of a curriculum goes over its items, so that all stages cost the same.

Items of one, two and three hops, 8,000 each, and 24 passes over the first stage ->

    one to 1 hop     8,000 items   24 epochs
    one to 2 hops   16,000 items   12 epochs
    one to 3 hops   24,000 items    8 epochs

These are the three students of arXiv 2507.13966, compared at equal FLOPs. A bill does the same by itself: arms are
trained on equally many `tokens`, so give each arm the streams of its hops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: everything up to a number of hops."""

    hops: int
    tokens: int
    """In one epoch."""
    epochs: float

    @property
    def trained_tokens(self) -> float:
        """Over all its epochs: the same for all stages, and with it the FLOPs of one student."""
        return self.tokens * self.epochs


def equal_stages(tokens_by_hops: Sequence[int], epochs: float) -> list[Stage]:
    """The stages of 1, 1 to 2, … hops with the epochs that make them cost what `epochs` over the first do.

    >>> [(stage.hops, stage.tokens, stage.epochs) for stage in equal_stages([8000, 8000, 8000], 24)]
    [(1, 8000, 24.0), (2, 16000, 12.0), (3, 24000, 8.0)]

    Raises:
        ValueError: for a stage without tokens, or no epochs.
    """
    if not tokens_by_hops or min(tokens_by_hops) < 1 or epochs <= 0:
        raise ValueError(f"tokens are {list(tokens_by_hops)} and epochs {epochs}; each must be above 0")
    budget = tokens_by_hops[0] * epochs
    stages, total = [], 0
    for hops, tokens in enumerate(tokens_by_hops, 1):
        total += tokens
        stages.append(Stage(hops, total, budget / total))
    return stages
