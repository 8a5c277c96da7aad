"""Which rows share a band key: the candidates, in groups that have nothing to do with each other.

One row in -> out: three rows whose keys are ``[7, 1]``, ``[7, 2]`` and ``[8, 2]`` -> bucket 0 of rows 0 and 1, bucket 1
of rows 1 and 2, and one group of all three.

A band is worked on at a time, by sorting its keys: 16 bytes a row, whatever the number of bands. Near copies share many
bands, so the same few rows make the same bucket again and again; a bucket of the same rows as one before is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.hashing import Hashes, mix
from filters.spool import Spool
from filters.text_buffer import Ints

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
MOST_BATCHES = 200


@dataclass(frozen=True)
class Candidates:
    """Rows that share a bucket with another, ascending, and the buckets of each."""

    rows: Rows
    bounds: Ints
    """Candidate i has the buckets ``numbers[bounds[i]:bounds[i + 1]]``."""
    numbers: Rows
    buckets: int
    """How many there are."""
    group: Rows
    """For each candidate the first candidate of its group: those that buckets connect, however far."""

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, some: Rows) -> Candidates:
        """Some of them, whole groups, with buckets numbered anew."""
        counts = np.diff(self.bounds)[some]
        bounds = np.concatenate(([0], np.cumsum(counts)))
        at = np.arange(bounds[-1]) - np.repeat(bounds[:-1], counts) + np.repeat(self.bounds[some], counts)
        used, numbers = np.unique(self.numbers[at], return_inverse=True)
        return Candidates(self.rows[some], bounds, numbers, len(used), np.searchsorted(some, self.group[some]))


def shared_buckets(keys: Spool, alone: Bools) -> Candidates:
    """The candidates among rows whose band keys are the columns of a spool; rows marked `alone` are none."""
    return united(buckets_of_band(keys.column(band), alone) for band in range(keys.columns))


def united(bands: Iterable[tuple[Rows, Ints]]) -> Candidates:
    """The candidates of all bands, each band's buckets as `buckets_of_band` gives them."""
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    seen, used = np.empty(0, np.uint64), 0
    for band in bands:
        rows, numbers, marks = _new(*band, seen)
        found.append((rows, numbers + used))
        used += len(marks)
        seen = np.union1d(seen, marks)
    return candidates_of(np.concatenate([rows for rows, _ in found]), np.concatenate([ones for _, ones in found]), used)


def candidates_of(rows: Rows, buckets: Rows, count: int) -> Candidates:
    """The candidates of all pairs of a row and a bucket that it is in."""
    from filters.near_kernel import group_by_bucket

    order = np.argsort(rows, kind="stable")
    rows, buckets = rows[order], buckets[order]
    some, compact, sizes = np.unique(rows, return_inverse=True, return_counts=True)
    group = np.arange(len(some), dtype=np.int64)
    group_by_bucket(compact, buckets, np.full(count, -1, np.int64), group)
    return Candidates(some, np.concatenate(([0], np.cumsum(sizes))), buckets, count, group)


def buckets_of_band(keys: Hashes, alone: Bools) -> tuple[Rows, Ints]:
    """The rows of the buckets of one band, bucket after bucket, and where each bucket begins."""
    some = np.flatnonzero(~alone)
    keys = keys[some] if len(some) < len(keys) else keys
    order = np.argsort(keys)
    ordered = keys[order]
    again = np.zeros(len(keys) + 1, dtype=np.bool_)
    np.equal(ordered[1:], ordered[:-1], out=again[1:-1])
    inside = again[:-1] | again[1:]
    return some[order[inside]], np.flatnonzero(~again[:-1][inside])


def _new(rows: Rows, starts: Ints, seen: Hashes) -> tuple[Rows, Rows, Hashes]:
    """Rows and bucket numbers, from 0, of buckets whose rows made none before, with a mark of each bucket's rows.

    A mark is the sum of the mixed numbers of its rows: two buckets of other rows share one with probability 2^-64.
    """
    if not len(starts):
        return rows, np.empty(0, np.int64), np.empty(0, np.uint64)
    marks = np.add.reduceat(mix(rows.astype(np.uint64) + np.uint64(1)), starts)
    sizes = np.diff(np.append(starts, len(rows)))
    new = np.zeros(len(marks), dtype=np.bool_)
    new[np.unique(marks, return_index=True)[1]] = True
    new &= ~np.isin(marks, seen, assume_unique=False)
    stays = np.repeat(new, sizes)
    return rows[stays], np.repeat(np.arange(int(new.sum())), sizes[new]), marks[new]


def batches(candidates: Candidates, sizes: Ints, most: int) -> Iterator[Rows]:
    """Candidates in batches of whole groups, of about `most` shingles together; a larger group is alone.

    `sizes` has the shingles of each candidate. There are at most `MOST_BATCHES`, since each may be a file.
    """
    most = max(most, int(sizes.sum()) // MOST_BATCHES)
    order = np.argsort(candidates.group, kind="stable")
    group = candidates.group[order]
    ends = np.flatnonzero(np.append(group[1:] != group[:-1], np.ones(min(len(group), 1), dtype=np.bool_))) + 1
    total = np.cumsum(sizes[order])
    first = 0
    while first < len(order):
        before = total[first - 1] if first else 0
        fits = ends[(ends > first) & (total[ends - 1] - before <= most)]
        last = int(fits[-1]) if fits.size else int(ends[np.searchsorted(ends, first, side="right")])
        yield np.sort(order[first:last])
        first = last
