"""MinHash signatures of many texts at once, and the bands they are looked up by.

The permutations are datasketch's (2.0, scheme ``affine32``: Murmur-mixed 32-bit hashes times an odd number plus an
offset, modulo 2^32), so a signature equals ``datasketch.MinHash(num_perm, seed, hashfunc=...)`` bit for bit and can be
stored, compared and indexed with it (`filters.lean_minhash` writes its bytes). A compiled kernel applies them, four
shingles a pass over the permutations, which is what the compiler makes vector instructions of.

One row in -> out: the shingle hashes of a text -> 128 numbers of 32 bits; two texts agree in a share of them that
estimates the Jaccard similarity of their shingle sets (Broder 1997).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from filters.hashing import WORD_BASE, Hashes, powers
from filters.shingles import Shingles

Signatures = npt.NDArray[np.uint32]
EMPTY = np.uint32(0xFFFFFFFF)


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
    from filters.shingle_kernel import sign

    made = np.full((len(shingles), num_perm), EMPTY, dtype=np.uint32)
    sign(shingles.hashes, shingles.bounds, *permutations(num_perm, seed), made)
    return made


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
    from filters.shingle_kernel import fold

    keys = np.empty((len(made), bands), dtype=np.uint64)
    fold(made, bands, rows, powers(WORD_BASE, rows), keys)
    return keys
