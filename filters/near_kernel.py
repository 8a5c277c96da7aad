"""Rows that share buckets: which belong together, and which are too like a row that is kept.

`filters.lsh_buckets` calls these loops and says what each array holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from filters.compiled import compiled

KEPT = -1
"""In `kept`: the row itself stays."""


@compiled
def found_root(root: Any, row: Any) -> Any:
    """The row that stands for a row's group; the way there is shortened."""
    while root[row] != row:
        root[row] = root[root[row]]
        row = root[row]
    return row


@compiled
def joined(root: Any, one: Any, other: Any) -> None:
    """Make two groups one; the lower root stays, so that the order of joins does not matter."""
    one, other = found_root(root, one), found_root(root, other)
    if one < other:
        root[other] = one
    elif other < one:
        root[one] = other


@compiled
def group_by_bucket(rows: Any, buckets: Any, first: Any, root: Any) -> None:
    """Join all rows of each bucket, then point each row at its root; `first` is -1 for each bucket."""
    for entry in range(len(rows)):
        bucket = buckets[entry]
        if first[bucket] < 0:
            first[bucket] = rows[entry]
        else:
            joined(root, first[bucket], rows[entry])
    for row in range(len(root)):
        root[row] = found_root(root, row)


@compiled
def gather(data: Any, start: Any, size: Any, out: Any) -> None:
    """Copy some stretches, one after the other."""
    to = np.int64(0)
    for stretch in range(len(start)):
        for at in range(start[stretch], start[stretch] + size[stretch]):
            out[to] = data[at]
            to += 1


@compiled
def distinct(hashes: Any, bounds: Any, count: Any) -> None:
    """Move the different hashes of each sorted stretch to its beginning, and count them."""
    for text in range(len(bounds) - 1):
        at = bounds[text]
        for place in range(bounds[text], bounds[text + 1]):
            if place == bounds[text] or hashes[place] != hashes[place - 1]:
                value = hashes[place]
                hashes[at] = value
                at += 1
        count[text] = at - bounds[text]


@compiled
def similarity(hashes: Any, a: Any, a_end: Any, b: Any, b_end: Any, least: Any) -> Any:
    """The Jaccard similarity of two sorted sets, or 0 as soon as it is clear that it is below `least`."""
    size_a, size_b = a_end - a, b_end - b
    if size_a == 0 or size_b == 0 or min(size_a, size_b) / max(size_a, size_b) < least:
        return 0.0
    # shared / (a + b - shared) >= least needs this many shared; one less, since a float may be a digit off.
    wanted = np.int64(least * (size_a + size_b) / (1.0 + least)) - 1
    spare_a, spare_b = size_a - wanted, size_b - wanted
    shared = np.int64(0)
    while a < a_end and b < b_end:
        if hashes[a] == hashes[b]:
            shared += 1
            a += 1
            b += 1
        elif hashes[a] < hashes[b]:
            a += 1
            spare_a -= 1
            if spare_a < 0:
                return 0.0
        else:
            b += 1
            spare_b -= 1
            if spare_b < 0:
                return 0.0
    return shared / (size_a + size_b - shared)


@compiled
def judge(ranked: Any, places: Any, sets: Any, about: Any, limits: Any, found: Any) -> Any:
    """Take rows best first; one goes when a kept row of its buckets is similar enough. Return the pairs measured.

    `ranked` has the rows best first; `places` the bounds and numbers of each row's buckets and how many buckets there
    are; `sets` the hashes and bounds of the shingle sets; `about` source, answer (-1: none), and whether a row is kept
    in any case; `limits` the thresholds across and within sources. `found` is filled: the kept row in a row's place,
    or `KEPT`, its similarity, and the root of the row's cluster, which all pairs above the limit join.
    """
    bounds, numbers, buckets = places
    hashes, set_start, set_end = sets
    source, answer, fixed = about
    across, within = limits
    kept, value, root = found
    head = np.full(buckets, -1, np.int64)
    behind, member = np.empty(len(numbers), np.int64), np.empty(len(numbers), np.int64)
    seen, rank = np.full(len(ranked), -1, np.int64), np.empty(len(ranked), np.int64)
    for place in range(len(ranked)):
        rank[ranked[place]] = place
    measured = np.int64(0)
    for row in ranked:
        best = np.int64(KEPT)
        most = 0.0
        for entry in range(bounds[row], bounds[row + 1]):
            if fixed[row]:
                break
            at: Any = head[numbers[entry]]
            while at >= 0:
                rival = member[at]
                at = behind[at]
                if seen[rival] == row:
                    continue
                seen[rival] = row
                if answer[row] != answer[rival] and answer[row] >= 0 and answer[rival] >= 0:
                    continue
                least = within if source[row] >= 0 and source[row] == source[rival] else across
                like = similarity(hashes, set_start[row], set_end[row], set_start[rival], set_end[rival], least)
                measured += 1
                if like < least:
                    continue
                joined(root, row, rival)
                if like > most or (like == most and rank[rival] < rank[best]):
                    best, most = rival, like
        kept[row], value[row] = best, most
        if best == KEPT:
            for entry in range(bounds[row], bounds[row + 1]):
                behind[entry], member[entry] = head[numbers[entry]], row
                head[numbers[entry]] = entry
    for row in range(len(root)):
        root[row] = found_root(root, row)
    return measured
