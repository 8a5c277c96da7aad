"""Task types that mean the same, put together: DBSCAN over the vectors of their names.

``meeting summary``, ``summary of meetings``, ``poem`` -> two clusters; the first is called by the type that most tasks
have.

DBSCAN (Ester et al. 1996) with cosine distances, as TCIA clusters the task types of Tulu-3 into 9,728 (arXiv
2508.20374; it does not say with what radius). A point with `min_samples` points within `eps`, itself counted, is a
core; cores within `eps` of each other are one cluster; a point that is near a core and is none goes with the nearest
one. What DBSCAN calls noise is a cluster of its own here: a rare kind of task is still a kind of task. Clusters are
chains, so a wide radius joins everything: the notes of a database tell the size of its largest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from synth.near_pairs import exact_pairs, probed_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pairs = Callable[[], Iterator[tuple["NDArray[np.intp]", "NDArray[np.intp]"]]]


@dataclass(frozen=True, slots=True)
class Clusters:
    """A label for each vector, from 0 in the order of their first members."""

    labels: NDArray[np.intp]
    count: int
    noise: int
    """Points near no core: each is a cluster of its own."""
    exact: bool
    """Whether all pairs were compared."""


def cluster(
    rows: NDArray[np.float32], *, eps: float, min_samples: int = 1, exact_up_to: int = 50_000, probes: int = 32
) -> Clusters:
    """DBSCAN over unit rows.

    >>> cluster(np.array([[1, 0], [0.99, 0.14], [0, 1]], dtype=np.float32), eps=0.2).labels.tolist()
    [0, 0, 1]

    Raises:
        SettingsError: above `exact_up_to` rows, when faiss is not installed.
    """
    exact = len(rows) <= exact_up_to
    # The cosine of rounded vectors is off by about 0.0005: what lies on the edge counts as within it.
    least = 1.0 - eps - 1e-6
    pairs: Pairs = (lambda: exact_pairs(rows, least)) if exact else (lambda: probed_pairs(rows, least, probes))
    core = _cores(pairs, len(rows), min_samples, once=exact)
    labels, near = _joined(pairs, rows, core)
    labels[near >= 0] = labels[near[near >= 0]]
    _, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    # With two for a core, whoever is near anybody is one: noise is what is alone.
    noise = np.count_nonzero(sizes == 1) if min_samples == 2 else np.count_nonzero(~core & (near < 0))
    order = np.argsort(np.argsort(first))
    return Clusters(order[inverse], len(first), int(noise), exact)


def _cores(pairs: Pairs, count: int, min_samples: int, *, once: bool) -> NDArray[np.bool_]:
    """Which rows have so many about them; `once` where a pair comes once, and not from each of its sides."""
    if min_samples <= 2:  # any pair makes a core of both, so nothing has to be counted
        return np.ones(count, dtype=bool)
    degrees = np.ones(count, dtype=np.int64)
    for first, second in pairs():
        degrees += np.bincount(first, minlength=count)
        if once:
            degrees += np.bincount(second, minlength=count)
    return degrees >= min_samples


def _joined(
    pairs: Pairs, rows: NDArray[np.float32], core: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The components of the cores, and for each other row the nearest core or -1.

    Block by block: of a block's pairs only what they join is kept, so that a million pairs of one large cluster take no
    memory.
    """
    count = len(rows)
    labels, near, best = np.arange(count), np.full(count, -1), np.full(count, -np.inf)
    for first, second in pairs():
        both = core[first] & core[second]
        if both.any():
            labels = _merged(labels, first[both], second[both])
        for one, other in ((first, second), (second, first)):
            edge = ~core[one] & core[other]
            if edge.any():
                _nearest(rows, one[edge], other[edge], near, best)
    return labels, near


def _merged(labels: NDArray[np.intp], first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.intp]:
    ends = np.unique(np.stack([labels[first], labels[second]]), axis=1)
    count = len(labels)
    graph = coo_array((np.ones(ends.shape[1], dtype=bool), (ends[0], ends[1])), shape=(count, count))
    _, components = connected_components(graph, directed=False)
    # The smallest label of each component stands for it, so that labels stay places of rows.
    smallest = np.full(components.max() + 1, count)
    np.minimum.at(smallest, components, np.arange(count))
    merged: NDArray[np.intp] = smallest[components][labels]
    return merged


def _nearest(
    rows: NDArray[np.float32],
    one: NDArray[np.intp],
    core: NDArray[np.intp],
    near: NDArray[np.intp],
    best: NDArray[np.float64],
) -> None:
    """Note for each row of `one` the nearest of its cores; of two equally near the first."""
    similarity = np.einsum("ij,ij->i", rows[one], rows[core], dtype=np.float64)
    for at in np.lexsort((core, -similarity)):
        row = one[at]
        if (similarity[at], -core[at]) > (best[row], -near[row]):
            best[row], near[row] = similarity[at], core[at]
