"""64-bit hashes of words, lines and word n-grams, vectorised, and the same in plain Python for reference.

A span's hash is a polynomial of its bytes in a fixed odd base modulo 2^64, mixed by the MurmurHash3 finaliser; an
n-gram's is a polynomial of its words' hashes, mixed again. They depend on the text alone: no seed of the process, no
library version. Two different spans among 10^9 share a hash with probability about 3 in 100 (birthday bound over
2^64); within one text, or between two texts compared, it does not happen.

One row in -> out: the words ``salt guild`` -> ``gram_hash([span_hash(b"salt"), span_hash(b"guild")])``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from filters.text_buffer import Bytes, Ints

Hashes = npt.NDArray[np.uint64]

BYTE_BASE = 0x9E3779B97F4A7C15
WORD_BASE = 0xD6E8FEB86659FD93
"""Odd, so that no power of them is 0 modulo 2^64; otherwise arbitrary."""
MIX_1, MIX_2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
MASK = (1 << 64) - 1


def mix(values: Hashes) -> Hashes:
    """The 64-bit finaliser of MurmurHash3: every input bit reaches every output bit."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(MIX_1)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(MIX_2)
    return values ^ (values >> np.uint64(33))


def powers(base: int, count: int) -> Hashes:
    """The first powers of a base, modulo 2^64."""
    factors = np.full(max(count, 1), base, dtype=np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


def span_hashes(data: Bytes, start: Ints, end: Ints) -> Hashes:
    """A hash of each span of bytes; spans are in order, apart and not empty."""
    if len(start) == 0:
        return np.zeros(0, dtype=np.uint64)
    lengths = end - start
    first = np.cumsum(lengths) - lengths
    within = np.arange(int(lengths.sum()), dtype=np.int64)
    bytes_of = data[within + np.repeat(start - first, lengths)]
    within -= np.repeat(first, lengths)
    terms = (bytes_of.astype(np.uint64) + np.uint64(1)) * powers(BYTE_BASE, int(lengths.max()))[within]
    return mix(np.add.reduceat(terms, first))


def gram_hashes(words: Hashes, n: int, at: Ints | None = None) -> Hashes:
    """A hash of the `n` words from each place on, or from the places given; places must leave room for `n` words."""
    places = np.arange(max(len(words) - n + 1, 0), dtype=np.int64) if at is None else at
    total = np.zeros(len(places), dtype=np.uint64)
    for step, power in enumerate(powers(WORD_BASE, n)):
        total += words[places + step] * power
    return mix(total)


def span_hash(text: bytes) -> int:
    """`span_hashes` of one span, in plain Python.

    >>> span_hash(b"salt") == int(span_hashes(np.frombuffer(b"salt", np.uint8), np.array([0]), np.array([4]))[0])
    True
    """
    total, power = 0, 1
    for byte in text:
        total = (total + (byte + 1) * power) & MASK
        power = power * BYTE_BASE & MASK
    return _mix_one(total)


def gram_hash(words: Sequence[int]) -> int:
    """`gram_hashes` of one n-gram, in plain Python."""
    total, power = 0, 1
    for word in words:
        total = (total + word * power) & MASK
        power = power * WORD_BASE & MASK
    return _mix_one(total)


def _mix_one(value: int) -> int:
    value = (value ^ (value >> 33)) * MIX_1 & MASK
    value = (value ^ (value >> 33)) * MIX_2 & MASK
    return value ^ (value >> 33)
