"""What a set of paths covers of a graph: how much, how evenly, how fast.

>>> walks = [np.array([[0, 1, -1], [1, 2, 3]])]
>>> one = Coverage.of(walks, nodes=5, reachable=4)
>>> one.paths, one.covered, one.share, one.hops, one.curve
(2, 4, 1.0, {1: 1, 2: 1}, ((1, 0.5), (2, 1.0)))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

POINTS = 100
"""Points of a curve: enough for a picture."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Counts over the paths of one run, and over all nodes that a path can come to."""

    paths: int
    nodes: int
    reachable: int
    """Nodes with an edge that is walked."""
    covered: int
    """Nodes that stand on a path."""
    hops: dict[int, int]
    """Length -> paths."""
    distinct: int
    """Paths that differ in their nodes, taken in order."""
    gini: float
    """Inequality of how often each reachable node stands on a path: 0 all alike, near 1 a few have all."""
    curve: tuple[tuple[int, float], ...]
    """After so many paths, this share of the reachable nodes was covered."""
    lorenz: tuple[tuple[float, float], ...]
    """This share of the reachable nodes, the rarest first, has this share of the places on paths."""

    @property
    def share(self) -> float:
        """The share of the reachable nodes that is covered."""
        return self.covered / self.reachable if self.reachable else 0.0

    @property
    def distinct_share(self) -> float:
        """The share of the paths that are the first of their kind."""
        return self.distinct / self.paths if self.paths else 1.0

    @classmethod
    def of(cls, walks: Sequence[npt.NDArray[Any]], nodes: int, reachable: int) -> Coverage:
        """The coverage of paths given as rows of node numbers, -1 beyond a path's end."""
        width = max((one.shape[1] for one in walks), default=1)
        rows = np.concatenate([_widened(one, width) for one in walks]) if walks else np.empty((0, width), np.int32)
        lengths = (rows >= 0).sum(axis=1) - 1
        flat = rows.ravel()
        counts = np.bincount(flat[flat >= 0], minlength=nodes)
        found, first = np.unique(flat, return_index=True)
        firsts = np.sort(first[found >= 0] // width)
        seen = counts[counts > 0]
        counts = np.sort(np.concatenate([np.zeros(max(reachable - len(seen), 0), np.int64), seen]))
        return cls(
            paths=len(rows),
            nodes=nodes,
            reachable=reachable,
            covered=len(seen),
            hops={
                int(length): int(count) for length, count in zip(*np.unique(lengths, return_counts=True), strict=True)
            },
            distinct=len(np.unique(rows, axis=0)) if len(rows) else 0,
            gini=gini(counts),
            curve=_curve(firsts, len(rows), reachable),
            lorenz=_lorenz(counts),
        )

    def paths_until(self, share: float) -> int | None:
        """After how many paths so much of the reachable nodes was covered, to a point of the curve; None: never."""
        return next((paths for paths, covered in self.curve if covered >= share), None)

    def as_notes(self) -> dict[str, Any]:
        """Plain values for a manifest."""
        return {
            "paths": self.paths,
            "nodes": self.nodes,
            "reachable": self.reachable,
            "covered": self.covered,
            "gini": round(self.gini, 6),
            "distinct": self.distinct,
            "hops": {str(length): count for length, count in self.hops.items()},
            "paths_until": {f"{share:.0%}": self.paths_until(share) for share in (0.5, 0.9, 0.99, 1.0)},
        }


def gini(counts: npt.NDArray[Any]) -> float:
    """The Gini coefficient of some counts.

    >>> gini(np.array([2, 2, 2])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    total = int(counts.sum())
    if not total:
        return 0.0
    ordered = np.sort(counts).astype(float)
    ranks = np.arange(1, len(ordered) + 1)
    return float(2 * (ranks * ordered).sum() / (len(ordered) * total) - (len(ordered) + 1) / len(ordered))


def _curve(firsts: npt.NDArray[Any], paths: int, reachable: int) -> tuple[tuple[int, float], ...]:
    if not paths or not reachable:
        return ()
    at = np.unique(np.linspace(1, paths, min(POINTS, paths)).round().astype(np.int64))
    covered = np.searchsorted(firsts, at, side="left")  # path k of 0, 1, … is the (k + 1)-th
    return tuple(zip(at.tolist(), (covered / reachable).tolist(), strict=True))


def _lorenz(ordered: npt.NDArray[Any]) -> tuple[tuple[float, float], ...]:
    total = int(ordered.sum())
    if not total:
        return ()
    shares = np.concatenate([[0.0], np.cumsum(ordered) / total])
    at = np.unique(np.linspace(0, len(ordered), min(POINTS, len(ordered)) + 1).round().astype(np.int64))
    return tuple(zip((at / len(ordered)).tolist(), shares[at].tolist(), strict=True))


def _widened(rows: npt.NDArray[Any], width: int) -> npt.NDArray[Any]:
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=-1)
