"""Pairs of vectors that lie near each other: all of them, or those that an approximate index finds.

Exact is one blocked product of all with all: 50,000 vectors of 256 numbers take some ten seconds of one core and ever
more with the square of their number. Above that, faiss's inverted lists compare each vector with those of the nearest
lists alone. faiss, since of the well-kept libraries it is the one with a search by radius, which is what clusters are
made of, has wheels for all platforms, and gives the same lists for the same vectors (hnswlib has no wheels; usearch
searches for a fixed number of neighbours, and its graph depends on the order of threads).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mashbill.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELLS = 1 << 23
"""Similarities held at once: 32 MB, and 128 MB of places where all of them are near."""
TRAINED_ON = 64
"""Vectors for each list, at most, when lists are placed."""
LEAST_IN_LIST = 39
"""With fewer vectors for each list faiss warns that they are placed badly."""


def exact_pairs(rows: NDArray[np.float32], least: float) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Each pair of two rows with a cosine of `least` or more, once, the smaller place first; in blocks."""
    start = 0
    while start < len(rows):
        stop = min(len(rows), start + max(1, CELLS // (len(rows) - start)))
        near = rows[start:stop] @ rows[start:].T >= least
        first, second = np.nonzero(np.triu(near, 1))
        yield first + start, second + start
        start = stop


def probed_pairs(
    rows: NDArray[np.float32], least: float, probes: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For each row, first, the others near it, as far as they lie in one of the `probes` lists nearest to it.

    A pair comes from both of its sides, or from one alone.

    Raises:
        SettingsError: when faiss is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise SettingsError(
            f"{len(rows):,} task types are searched with faiss, which is not installed: pip install 'mashbill[ann]', "
            "or raise `exact_up_to`"
        ) from error
    lists = max(1, min(int(4 * len(rows) ** 0.5), len(rows) // LEAST_IN_LIST))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(rows.shape[1]), rows.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = TRAINED_ON
    index.train(rows)
    index.add(rows)
    index.nprobe = probes
    block = max(1, CELLS // len(rows))
    for start in range(0, len(rows), block):
        # The radius is exclusive: the float below `least`.
        limits, _, found = index.range_search(rows[start : start + block], float(np.nextafter(np.float32(least), -1)))
        ends = limits.astype(np.intp)
        counts = ends[1:] - ends[:-1]
        first = np.repeat(np.arange(start, start + len(counts)), counts)
        second = found.astype(np.intp)
        other = first != second
        yield first[other], second[other]
