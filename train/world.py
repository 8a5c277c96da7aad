"""Which rows which process computes: a pure function of the plan, so any number of devices makes the same step.

Five rows on two processes with a micro-batch of two (None is a row of padding, which weighs nothing)::

    rank 0: [[0, 2], [4, None]]
    rank 1: [[1, 3], [None, None]]

All ranks run the same number of micro-batches, or a sharded model would wait for ever on a collective.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """The processes of a run, as torchrun tells them."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> World:
        """Read RANK, WORLD_SIZE and LOCAL_RANK; without them one process."""
        read = {name: int(os.environ.get(name, default)) for name, default in _DEFAULTS.items()}
        return cls(read["RANK"], read["WORLD_SIZE"], read["LOCAL_RANK"])

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0


_DEFAULTS = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}


def slice_rows(rows: Sequence[int], world: World, micro_batch: int) -> list[list[int | None]]:
    """The micro-batches of one process.

    >>> slice_rows(range(5), World(0, 2), 2), slice_rows(range(5), World(1, 2), 2)
    ([[0, 2], [4, None]], [[1, 3], [None, None]])
    """
    each = -(-len(rows) // world.size)
    count = -(-each // micro_batch)
    # Ten rows at a micro-batch of eight are two of five: all of one shape, and the least padding.
    size = -(-each // count)
    mine: list[int | None] = list(rows[world.rank :: world.size])
    padded = mine + [None] * (count * size - len(mine))
    return [padded[start : start + size] for start in range(0, len(padded), size)]
