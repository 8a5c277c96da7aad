"""Which pairs and triples of entities to write about.

Five entities, at most two triples -> ``(0, 1), (0, 2), … (3, 4)``, all ten pairs, then two of the ten triples.

EntiGraph (arXiv 2409.07431, section 2.2) writes about every pair and a subset of the triples. The authors' code walks
shuffled triples until it is stopped by hand; here a number or a token budget ends it, and the shuffle depends on the
seed alone: a larger limit takes the same subsets and more, so replies already paid for are used again.
"""

from __future__ import annotations

import random
from math import comb

Subset = tuple[int, ...]


def plan_subsets(
    entities: int, *, seed: int, max_pairs: int | None = None, max_triples: int = 0, texts: int | None = None
) -> list[Subset]:
    """Pairs first, then triples, by index; no more than `texts` of both together.

    >>> plan_subsets(3, seed=1, max_triples=5)
    [(0, 1), (0, 2), (1, 2), (0, 1, 2)]
    """
    limit = comb(entities, 2) + comb(entities, 3) if texts is None else texts
    pairs = min(comb(entities, 2), limit if max_pairs is None else min(max_pairs, limit))
    triples = min(comb(entities, 3), max_triples, limit - pairs)
    return [*_some(entities, 2, pairs, seed), *_some(entities, 3, triples, seed)]


def _some(entities: int, size: int, wanted: int, seed: int) -> list[Subset]:
    ranks = shuffled(comb(entities, size), wanted, seed)
    return sorted(subset_at(rank, size) for rank in ranks)


def shuffled(count: int, wanted: int, seed: int) -> list[int]:
    """The first `wanted` of a seeded shuffle of ``range(count)``, without laying out the rest.

    >>> shuffled(10**12, 3, seed=7) == shuffled(10**12, 5, seed=7)[:3]
    True
    """
    # Only `random()` itself is promised to stay the same between Python versions, so Fisher-Yates is written out.
    draw = random.Random(seed).random
    moved: dict[int, int] = {}
    chosen = []
    for at in range(wanted):
        other = at + int(draw() * (count - at))
        chosen.append(moved.get(other, other))
        moved[other] = moved.get(at, at)
    return chosen


def subset_at(rank: int, size: int) -> Subset:
    """The subset of that rank in the combinatorial number system.

    >>> [subset_at(rank, 2) for rank in range(4)]
    [(0, 1), (0, 2), (1, 2), (0, 3)]
    """
    members = []
    for left in range(size, 0, -1):
        member = left - 1
        while comb(member + 1, left) <= rank:
            member += 1
        rank -= comb(member, left)
        members.append(member)
    return tuple(reversed(members))
