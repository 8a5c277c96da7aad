"""Which rows share a band key, and which of those are near-duplicates of a row that is kept.

One row in -> out: rows ranked 0, 1, 2 of which 1 shares 92 % of its shingles with 0 -> ``Removal(1, 0, 0.92, False)``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.hashing import Hashes
from filters.shingles import jaccard

Buckets = npt.NDArray[np.int64]
ALONE = -1


class Removal(NamedTuple):
    """A row that goes, the kept row it is too like, and how like."""

    row: int
    kept: int
    similarity: float
    same_source: bool


def shared_buckets(keys: Hashes) -> Buckets:
    """For each row and band the number of the bucket it shares with other rows, or `ALONE`."""
    buckets = np.full(keys.shape, ALONE, dtype=np.int64)
    used = 0
    for band in range(keys.shape[1]):
        _, inverse, counts = np.unique(keys[:, band], return_inverse=True, return_counts=True)
        numbers = np.full(len(counts), ALONE, dtype=np.int64)
        shared = counts > 1
        numbers[shared] = used + np.arange(int(shared.sum()))
        used += int(shared.sum())
        buckets[:, band] = numbers[inverse]
    return buckets


def near_duplicates(
    ranked: Sequence[int],
    buckets: Buckets,
    sets: Mapping[int, Hashes],
    sources: Mapping[int, str],
    *,
    threshold: float,
    within_source_threshold: float,
) -> list[Removal]:
    """The rows that go: taken best first, each that is similar enough to a row already kept.

    `ranked` has the rows best first. A row is held against the kept rows of its buckets only, and when several are
    similar enough the most similar is named, the best ranked of equals.
    """
    kept_in: defaultdict[int, list[int]] = defaultdict(list)
    rank = {row: place for place, row in enumerate(ranked)}
    removals = []
    for row in ranked:
        mine = [int(bucket) for bucket in buckets[row] if bucket != ALONE]
        rivals = sorted({rival for bucket in mine for rival in kept_in[bucket]}, key=rank.__getitem__)
        best: Removal | None = None
        for rival in rivals:
            same = sources[row] == sources[rival] != ""
            least = within_source_threshold if same else threshold
            least = least if best is None else max(least, best.similarity)
            found = _similarity(sets[row], sets[rival], least)
            if found >= least and (best is None or found > best.similarity):
                best = Removal(row, rival, found, same)
        if best is None:
            for bucket in mine:
                kept_in[bucket].append(row)
        else:
            removals.append(best)
    return removals


def _similarity(one: Hashes, other: Hashes, least: float) -> float:
    """The Jaccard similarity, or 0 where the sizes alone show that it is below `least`."""
    small, large = sorted((len(one), len(other)))
    return 0.0 if small < least * large else jaccard(one, other)
