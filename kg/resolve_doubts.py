"""From pairs of keys to pairs of things worth a question, as arrays: there may be hundreds of pairs for each name.

``mercury``, a planet and a god, and ``mercuri``, a planet -> the two planets; and of all its pairs each thing keeps
its likest few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kg.resolve_candidates import Floats, Ints, Pairs

    Bools = NDArray[np.bool_]


def pairs_of_things(
    homes: Sequence[str], keys: Sequence[str], pairs: Pairs, kinds: Sequence[str] | None
) -> tuple[Ints, Ints, Floats]:
    """The things behind pairs of keys, the first the smaller, and their cosines.

    `homes` has the key of each thing, in order, and `keys` each key once. With `kinds`, things of two different kinds
    are no pair; without, things of one key and several kinds are pairs too.
    """
    numbers = {key: at for at, key in enumerate(keys)}
    home = np.array([numbers[key] for key in homes], dtype=np.int64)
    count = np.bincount(home, minlength=len(keys))
    first = np.cumsum(count) - count
    every = count[pairs.left] * count[pairs.right]
    which = np.repeat(np.arange(len(pairs), dtype=np.int64), every)
    inside = np.arange(len(which), dtype=np.int64) - np.repeat(np.cumsum(every) - every, every)
    wide = count[pairs.right][which]
    left = first[pairs.left][which] + inside // wide
    right = first[pairs.right][which] + inside % wide
    cosine = pairs.cosine[which]
    if kinds is None:
        one, other = _of_one_key(first, count)
        alike = np.ones(len(one), dtype=np.float32)
        return np.append(left, one), np.append(right, other), np.append(cosine, alike)
    known = {"": 0}
    kind = np.array([known.setdefault(one, len(known)) for one in kinds], dtype=np.int64)
    fit = (kind[left] == 0) | (kind[right] == 0) | (kind[left] == kind[right])
    return left[fit], right[fit], cosine[fit]


def _of_one_key(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    several = np.flatnonzero(count > 1)
    blocks = [np.stack(np.triu_indices(int(count[at]), 1)) + first[at] for at in several]
    both = np.concatenate(blocks, axis=1) if blocks else np.zeros((2, 0), dtype=np.int64)
    return both[0], both[1]


def likest(left: Ints, right: Ints, cosine: Floats, sure: Bools, most: int) -> tuple[Ints, Bools]:
    """The order of pairs, the likest first, and which of them in that order are among the first few of either thing."""
    order = np.lexsort((right, left, -cosine))
    ends = np.concatenate([left[order], right[order]])
    places = np.tile(np.arange(len(order), dtype=np.int64), 2)
    by_thing = np.lexsort((places, ends))
    begin = np.concatenate([[True], ends[by_thing][1:] != ends[by_thing][:-1]]) if len(ends) else np.zeros(0, bool)
    runs = np.flatnonzero(begin)
    ranks = np.empty(len(ends), dtype=np.int64)
    ranks[by_thing] = np.arange(len(ends)) - np.repeat(runs, np.diff(np.append(runs, len(ends))))
    one, other = ranks[: len(order)], ranks[len(order) :]
    return order, sure[order] | (np.minimum(one, other) < most)
