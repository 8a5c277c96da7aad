"""Shingle sets of many rows, kept batch by batch, in memory where there is one batch and on disk where there are more.

One row in -> out: the sets of rows 0 and 2, put under batch 0 -> ``sets(0)``: the hashes of both, one after the other,
and where each row's begin and end, in the order they came.
"""

from __future__ import annotations

import numpy as np

from filters.hashing import Hashes
from filters.shingles import Shingles
from filters.spool import Spool
from filters.text_buffer import Ints


def sorted_sets(shingles: Shingles) -> tuple[Hashes, Ints]:
    """The set of each text, sorted, in the place of its shingles, and how many hashes each has."""
    from filters.near_kernel import distinct

    hashes = shingles.hashes
    # numpy sorts a few hundred numbers with vector instructions in 2 microseconds; a compiled loop takes ten.
    for start, end in zip(shingles.bounds[:-1].tolist(), shingles.bounds[1:].tolist(), strict=True):
        hashes[start:end].sort()
    count = np.empty(len(shingles), np.int64)
    distinct(hashes, shingles.bounds, count)
    return hashes, count


class SetSpool:
    """The sets of rows that are judged together, under the number of their batch."""

    def __init__(self, batches: int) -> None:
        memory = 0 if batches > 1 else 1 << 62
        self._hashes = [Spool(1, np.uint64, memory) for _ in range(batches)]
        self._counts: list[list[Ints]] = [[] for _ in range(batches)]

    def put(self, shingles: Shingles, batch: Ints) -> None:
        """Add the sets of some texts, each under its own batch."""
        hashes, count = sorted_sets(shingles)
        start = shingles.bounds[:-1]
        for number in np.unique(batch).tolist():
            mine = np.flatnonzero(batch == number)
            sizes = count[mine]
            at = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(start[mine], sizes)
            self._hashes[number].append(hashes[at])
            self._counts[number].append(sizes)

    def take(self, batch: int) -> tuple[Hashes, Ints, Ints]:
        """Hashes of a batch, and where each row's begin and end; they are given away."""
        counts = np.concatenate([np.empty(0, np.int64), *self._counts[batch]])
        with self._hashes[batch] as spool:
            hashes = spool.column(0)
        ends = np.cumsum(counts)
        return hashes, ends - counts, ends
