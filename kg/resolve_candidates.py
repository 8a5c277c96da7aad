"""Which names are worth comparing, out of many, without comparing all with all.

``["salt guild", "salt gild", "lamp oil", "venn", "ora venn"]`` -> ``(salt guild, salt gild, 0.74)`` and
``(venn, ora venn, 0.76)``

Three nets, each near-linear in the number of names n (d dimensions, T trees of leaves of size s, window w):

* Trees of random hyperplanes over the vectors, split at the median until a leaf holds s names; names in one leaf are
  compared. T sorts of n and T n s d multiplications: O(T n (log n + s d)).
* Sorted neighbourhoods: names that share a word, in order, each compared with the next w. O(n w d).
* Joins by form: a name that is the beginning, the end or the initials of another. O(n).

Vectors are rounded to 1/2048 first. Then every product and partial sum is a whole number below 2^24, which float32
holds exactly: the same pairs come out on every machine and with any number of threads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kg.resolve_names import SMALL_WORDS, initials, numbers_in
from mashbill.fingerprint import seed_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

SCALE = 2048
LEAF = 32
TREES = 24
"""Of pairs at cosine 0.9, a tree of 12 levels keeps 16 % and 24 trees 98 %: a hyperplane parts 0.14 of them."""
WINDOW = 8
AMBIGUOUS = 8
"""A short form with more long forms than this (Tesk, with nine called Tesk) says nothing of any of them."""
CHUNK = 1 << 15
"""Pairs, or names in leaves, multiplied at once: 32,768 x 256 x 4 bytes are 32 MB."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Candidate pairs: two places in the list of names, the first the smaller, and their cosine."""

    left: Ints
    right: Ints
    cosine: Floats
    form: NDArray[np.bool_]
    """Whether the form of the names alone makes them a pair."""

    def __len__(self) -> int:
        return len(self.left)


def rounded(vectors: Floats) -> Floats:
    """Unit vectors as whole numbers, 2048 to one."""
    whole: Floats = np.rint(vectors * np.float32(SCALE)).astype(np.float32)
    return whole


def cosines(vectors: Floats, left: Ints, right: Ints) -> Floats:
    """The cosine of each pair of `rounded` vectors."""
    result = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), CHUNK):
        stop = start + CHUNK
        result[start:stop] = np.einsum("ij,ij->i", vectors[left[start:stop]], vectors[right[start:stop]])
    return result / np.float32(SCALE * SCALE)


def candidate_pairs(keys: Sequence[str], vectors: Floats, least: float) -> Pairs:
    """Pairs at a cosine of `least` or more that the nets caught, and pairs by form, each once and in order.

    `keys` are distinct, and `vectors` their unit vectors. Keys whose numbers differ are no pair: of ten thousand
    called ``record 17`` all are alike.
    """
    whole = rounded(vectors)
    count = len(keys)
    numbers = _numbers(keys)
    codes: list[Ints] = []
    for tree in range(TREES if count > LEAF else 1):
        codes += [one for one in _leaf_pairs(whole, numbers, tree, least)]
    for left, right in _neighbours(keys):
        near = _agree(numbers[left], numbers[right])
        left, right = left[near], right[near]
        near = cosines(whole, left, right) >= least
        codes.append(_coded(left[near], right[near], count))
    alike = np.unique(np.concatenate(codes)) if codes else np.zeros(0, dtype=np.int64)
    formed = _form_pairs(keys)
    formed = formed[_agree(numbers[formed // max(1, count)], numbers[formed % max(1, count)])]
    every = np.union1d(alike, formed)
    left, right = every // max(1, count), every % max(1, count)
    return Pairs(left, right, cosines(whole, left, right), np.isin(every, formed))


def _numbers(keys: Sequence[str]) -> Ints:
    """What numbers each key holds, as one number: the same for the same, 0 for none."""
    known: dict[tuple[str, ...], int] = {(): 0}
    return np.array([known.setdefault(numbers_in(key), len(known)) for key in keys], dtype=np.int64)


def _agree(one: Ints, other: Ints) -> NDArray[np.bool_]:
    """Where they do not `kg.resolve_names.clearly_differ`."""
    same: NDArray[np.bool_] = (one == other) | (one == 0) | (other == 0)
    return same


def _coded(left: Ints, right: Ints, count: int) -> Ints:
    low, high = np.minimum(left, right), np.maximum(left, right)
    return low * count + high


def _leaf_pairs(whole: Floats, numbers: Ints, tree: int, least: float) -> Iterator[Ints]:
    """Coded pairs of one tree's leaves."""
    count = len(whole)
    for leaves in _leaves(whole, tree):
        inside = whole[leaves]
        dots = np.matmul(inside, inside.transpose(0, 2, 1)) / np.float32(SCALE * SCALE)
        held = numbers[leaves]
        near = (dots >= least) & _agree(held[:, :, None], held[:, None, :])
        leaf, one, other = np.nonzero(np.triu(near, k=1))
        left, right = leaves[leaf, one], leaves[leaf, other]
        apart = left != right  # the last leaf is filled up with names it has
        yield np.unique(_coded(left[apart], right[apart], count))


def _leaves(whole: Floats, tree: int) -> Iterator[Ints]:
    """The leaves of one tree: arrays of places, a row for each leaf of one size."""
    count, dimensions = whole.shape
    depth = max(0, int(np.ceil(np.log2(max(1, count) / LEAF))))
    random = np.random.default_rng(seed_of("resolve_candidates", tree))
    planes = random.integers(0, 2, size=(dimensions, max(1, depth))).astype(np.float32) * 2 - 1
    sides = whole @ planes
    order = np.arange(count, dtype=np.int64)
    bounds = np.array([0, count], dtype=np.int64)
    for level in range(depth):
        group = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        order = order[np.lexsort((order, sides[order, level], group))]
        middles = (bounds[:-1] + bounds[1:]) // 2
        bounds = np.sort(np.concatenate([bounds, middles]))
    sizes = np.diff(bounds)
    for size in np.unique(sizes[sizes > 1]):
        starts = bounds[:-1][sizes == size]
        step = max(1, CHUNK // int(size))
        for at in range(0, len(starts), step):
            yield order[starts[at : at + step, None] + np.arange(size)]


def _neighbours(keys: Sequence[str]) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of names next to each other among those that share a word, read forwards and backwards."""
    count = len(keys)
    blocks: dict[str, int] = {}
    block, place = list[int](), list[int]()
    for at, key in enumerate(keys):
        for word in dict.fromkeys(key.split()):
            block.append(blocks.setdefault(word, len(blocks)))
            place.append(at)
    whole = np.zeros(count, dtype=np.int64)
    everybody = np.arange(count, dtype=np.int64)
    forwards, backwards = _ranks(keys), _ranks([key[::-1] for key in keys])
    words = np.array(block, dtype=np.int64), np.array(place, dtype=np.int64)
    for ranks, (group, member) in ((forwards, words), (forwards, (whole, everybody)), (backwards, (whole, everybody))):
        order = np.lexsort((ranks[member], group))
        group, member = group[order], member[order]
        for offset in range(1, min(WINDOW, len(member) - 1) + 1):
            same = group[offset:] == group[:-offset]
            yield member[:-offset][same], member[offset:][same]


def _ranks(keys: Sequence[str]) -> Ints:
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
    return ranks


def _form_pairs(keys: Sequence[str]) -> Ints:
    """Coded pairs of a short form and its long forms: Venn, Ora Venn; diabetes, diabetes mellitus; WHO."""
    place = {key: at for at, key in enumerate(keys)}
    longer: defaultdict[int, set[int]] = defaultdict(set)
    for at, key in enumerate(keys):
        words = key.split()
        shorter = {" ".join(words[:size]) for size in range(1, len(words))}
        shorter |= {" ".join(words[size:]) for size in range(1, len(words))}
        short = initials(words)
        shorter |= short | {form.upper() for form in short}
        for form in shorter:
            if form in place and worth_joining(form):
                longer[place[form]].add(at)
    pairs = [(short, at) for short, long in longer.items() if len(long) <= AMBIGUOUS for at in long]
    found = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return np.unique(_coded(found[:, 0], found[:, 1], len(keys)))


def worth_joining(form: str) -> bool:
    """Whether a short form is a name at all, and no ``of``, ``the`` or single letter.

    >>> worth_joining("venn"), worth_joining("of"), worth_joining("x")
    (True, False, False)
    """
    return len(form) > 1 and not set(form.split()) <= SMALL_WORDS
