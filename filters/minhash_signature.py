"""MinHash signatures of many texts at once, and the bands they are looked up by.

The permutations are datasketch's (2.0, scheme ``affine32``: Murmur-mixed 32-bit hashes times an odd number plus an
offset, modulo 2^32), so a signature equals ``datasketch.MinHash(num_perm, seed, hashfunc=...)`` bit for bit and can be
stored, compared and indexed with it. They are applied to whole chunks by numpy, one permutation at a time over hashes
that stay in the cache, instead of one text at a time.

One row in -> out: the shingle hashes of a text -> 128 numbers of 32 bits; two texts agree in a share of them that
estimates the Jaccard similarity of their shingle sets (Broder 1997).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from filters.hashing import Hashes, gram_hashes
from filters.shingles import Shingles
from filters.text_buffer import Ints

Signatures = npt.NDArray[np.uint32]
EMPTY = np.uint32(0xFFFFFFFF)
BLOCK = 1 << 15
"""Hashes permuted at a time: 128 KiB, which stays in a core's own cache."""


def permutations(num_perm: int, seed: int) -> tuple[Signatures, Signatures]:
    """Multipliers and offsets, as datasketch 2 draws them."""
    draw = np.random.RandomState(seed)
    multipliers = draw.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return multipliers, draw.randint(0, 1 << 32, num_perm, dtype=np.uint32)


def hash32(hashes: Hashes) -> Signatures:
    """Shingle hashes as the 32-bit numbers that datasketch would be given."""
    return (hashes >> np.uint64(32)).astype(np.uint32)


def signatures(shingles: Shingles, num_perm: int = 128, seed: int = 1) -> Signatures:
    """One row of `num_perm` numbers for each text; all ones for a text without shingles."""
    multipliers, offsets = permutations(num_perm, seed)
    mixed = _mix32(hash32(shingles.hashes))
    made = np.full((len(shingles), num_perm), EMPTY, dtype=np.uint32)
    for first, last in _blocks(shingles.bounds):
        bounds = shingles.bounds[first : last + 1]
        some = np.flatnonzero(np.diff(bounds) > 0)
        if len(some) == 0:
            continue
        block, starts = mixed[bounds[0] : bounds[-1]], bounds[:-1][some] - bounds[0]
        permuted = np.empty_like(block)
        for column in range(num_perm):
            np.multiply(block, multipliers[column], out=permuted)
            permuted += offsets[column]
            made[first + some, column] = np.minimum.reduceat(permuted, starts)
    return made


def _blocks(bounds: Ints) -> list[tuple[int, int]]:
    """Runs of texts of about `BLOCK` hashes."""
    blocks, first = [], 0
    while first < len(bounds) - 1:
        last = int(np.searchsorted(bounds, bounds[first] + BLOCK, side="right")) - 1
        last = min(max(last, first + 1), len(bounds) - 1)
        blocks.append((first, last))
        first = last
    return blocks


def _mix32(values: Signatures) -> Signatures:
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))


def bands_for(threshold: float, num_perm: int = 128, recall: float = 0.95) -> tuple[int, int]:
    """Bands and rows: the most rows, so the fewest false candidates, that still find pairs at the threshold.

    A pair of similarity s shares a band with probability ``1 - (1 - s**rows)**bands``.

    >>> bands_for(0.75), round(found_probability(0.75, *bands_for(0.75)), 3)
    ((21, 6), 0.984)
    """
    for rows in range(num_perm, 0, -1):
        bands = num_perm // rows
        if found_probability(threshold, bands, rows) >= recall:
            return bands, rows
    raise ValueError(
        f"{num_perm} permutations cannot find pairs of similarity {threshold} with recall {recall}; "
        "raise num_perm or the threshold, or ask for less recall"
    )


def found_probability(similarity: float, bands: int, rows: int) -> float:
    """How likely a pair of that similarity is to become a candidate (the S-curve)."""
    return float(1.0 - (1.0 - similarity**rows) ** bands)


def band_keys(made: Signatures, bands: int, rows: int) -> Hashes:
    """One 64-bit key for each text and band; equal keys make candidates, and candidates are verified."""
    keys = np.empty((len(made), bands), dtype=np.uint64)
    for band in range(bands):
        part = made[:, band * rows : (band + 1) * rows].astype(np.uint64)
        keys[:, band] = gram_hashes(part.reshape(-1), rows, np.arange(len(made), dtype=np.int64) * rows)
    return keys
