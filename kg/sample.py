"""Paths from a graph, drawn so that all of it is asked about and not its hubs alone.

One draw, on a graph of salt and those who make it::

    Path(edges=(Edge(head="Ora", relation="inverse of made_by", tail="salt", inverse=True, stated="made_by"),
                Edge(head="salt", relation="sold_in", tail="Veylund")))

A source is drawn with chance in proportion to 1 / (f + eps), f being how many accepted paths a node stands on, with
eps = 1; a length uniformly from 1 to N, with N = 3; then each step uniformly over the (relation, neighbour) pairs that
lead to a node not on the path. A dead end is tried again at the same length. These are Algorithm 1 and the numbers of
the curriculum that trained QwQ-Med-3: longer paths become chains of weak meaning, and four or five hops are kept for
evaluation.

Counts change with what is accepted, so drawing is one after another. To have several in work at once, a path that is
drawn is counted at once, for the time being; `commit` lets the counts stand and `release` takes them back. For one
path at a time that is the paper's algorithm. Commit and release in the order of drawing, not in that of finishing, and
the same seed gives the same paths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kg import sample_kernel as kernel
from kg.coverage import Coverage
from kg.graph import Graph
from mashbill.errors import InputError
from mashbill.fingerprint import content_id
from mashbill.records import Path

Way = Literal["both", "forwards"]
Start = Literal["balanced", "uniform"]
MAX_HOPS = 32
"""Longer paths are random walks, not questions."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Walks:
    """Many paths as arrays, a row each; places beyond a path's length are -1."""

    nodes: npt.NDArray[np.int32]
    edges: npt.NDArray[np.int32]
    inverse: npt.NDArray[np.bool_]
    hops: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.hops)


@dataclass(eq=False)
class PathSampler:
    """Draws paths from a graph; what it draws is decided by the graph, these fields, and what was committed before."""

    graph: Graph
    seed: int = 0
    hops: int = 3
    """The longest path, N."""
    hop_weights: Sequence[float] = ()
    """A weight for each length from 1 to N; empty: all alike. ``(0, 0, 1)`` gives paths of three hops alone."""
    eps: float = 1.0
    """How much less often a node is drawn for each path that it stands on; large: hardly."""
    exclude: Sequence[str] = ()
    """Relations that are never walked; one goes with its inverse."""
    exclude_taxonomic: bool = True
    """Whether relations that sort things into kinds (`kg.graph.TAXONOMIC`) are not walked either."""
    way: Way = "both"
    """``both``: edges are walked backwards too, and then said by their inverse label. ``forwards``: never."""
    start: Start = "balanced"
    """``uniform`` draws sources without regard to counts, to compare with."""
    max_tries: int = 100_000
    """Sources tried for one path before it is said that there is none of its length."""
    triple_ids: pa.Array | None = None
    """Ids of the triples that the graph was built from, in their order: they become the parents of a path."""

    drawn: int = field(default=0, init=False)
    """Paths drawn so far; the number of the next."""
    tries: int = field(default=0, init=False)
    """Sources tried so far: those beyond `drawn` were dead ends."""

    def __post_init__(self) -> None:
        """Refuse what means nothing, and leave out the relations that are not walked.

        Raises:
            ValueError: for a number out of its range.
            InputError: for an unknown relation to exclude, or a graph that has no edge left.
        """
        check_numbers(self.hops, self.hop_weights, self.eps)
        if self.max_tries < 1:
            raise ValueError(f"max_tries is {self.max_tries}; it is 1 or more")
        self.walked = self.graph.without(self.exclude, taxonomic=self.exclude_taxonomic)
        if not self.walked.edges:
            left = f"{self.graph.edges:,} edges, all of excluded relations" if self.graph.edges else "no edges"
            raise InputError(f"the graph has {left}; there is nothing to walk: load more triples or exclude less")
        both = self.way == "both"
        if both:
            self.walked = self.walked.said_once()
        graph = self.walked
        degrees = graph.degrees if both else np.diff(graph.out_start)
        self._pool = kernel.pool(graph.nodes, np.flatnonzero(degrees), self.eps)
        self._walkable = kernel.Walkable(graph.out_start, graph.in_start, graph.head, graph.tail, graph.in_edge, both)
        weights = np.array(self.hop_weights or [1.0] * self.hops, float)
        self._chances = np.cumsum(weights / weights.sum())
        self._last = int(np.flatnonzero(weights)[-1]) + 1
        self._chances[self._last - 1 :] = 1.0  # the sum of shares may fall short of 1 by rounding
        self._seed = np.uint64(int(content_id("path_sampler", self.seed)[:16], 16))
        self._pending: dict[str, npt.NDArray[np.int32]] = {}
        self._accepted: list[npt.NDArray[np.int32]] = []
        self._before: Counter[bytes] = Counter()

    def sample(self) -> Path:
        """The next path, counted until it is committed or released.

        Raises:
            InputError: when no path of the length drawn is found in `max_tries` sources.
        """
        walks = self._draw(1)
        return self._reserved(walks, 0)

    def batch(self, size: int) -> list[Path]:
        """The next paths, each counted before the one after it is drawn."""
        walks = self._draw(size)
        return [self._reserved(walks, at) for at in range(size)]

    def commit(self, path: Path) -> None:
        """Let a path's counts stand: it was accepted.

        Raises:
            ValueError: for a path that was not drawn here, or is committed or released already.
        """
        self._accepted.append(self._taken(path))

    def release(self, path: Path) -> None:
        """Take a path's counts back: it was rejected.

        Raises:
            ValueError: for a path that was not drawn here, or is committed or released already.
        """
        for node in self._taken(path)[0].tolist():
            kernel.shift(node, -1, self._pool)

    def walks(self, count: int) -> Walks:
        """The next paths as arrays, all of them committed: for many at a time."""
        walks = self._draw(count)
        self._accepted.append(walks.nodes)
        return walks

    def path(self, walks: Walks, at: int) -> Path:
        """One of `walks` as a record."""
        hops = int(walks.hops[at])
        nodes, edges, inverse = walks.nodes[at, : hops + 1], walks.edges[at, :hops], walks.inverse[at, :hops]
        key = edges.tobytes() + inverse.tobytes() + nodes[:1].tobytes()
        repeat, self._before[key] = self._before[key], self._before[key] + 1
        steps = tuple(self.walked.edge(edge, back) for edge, back in zip(edges.tolist(), inverse.tolist(), strict=True))
        # Paths between the same two nodes are one source: a split must not train on the answer of what it holds out.
        ends = sorted((steps[0].head, steps[-1].tail))
        return Path.new(edges=steps, repeat=repeat, parents=self._parents(edges), source_id=content_id("ends", *ends))

    def _parents(self, edges: npt.NDArray[np.int32]) -> tuple[str, ...]:
        if self.triple_ids is None or self.walked.rows is None:
            return ()
        return tuple(str(self.triple_ids[row].as_py()) for row in self.walked.rows[edges].tolist())

    @property
    def counts(self) -> npt.NDArray[np.int32]:
        """How often each node is counted, f, by its number: what is drawn and not yet released included."""
        return np.array(self._pool.count, np.int32)

    @property
    def coverage(self) -> Coverage:
        """What the committed paths cover, as they were committed."""
        return Coverage.of(self._accepted, self.walked.nodes, self._reachable())

    def _reachable(self) -> int:
        return int(np.count_nonzero(self.walked.degrees))

    def _reserved(self, walks: Walks, at: int) -> Path:
        path = self.path(walks, at)
        self._pending[path.id] = walks.nodes[at : at + 1, : int(walks.hops[at]) + 1]
        return path

    def _taken(self, path: Path) -> npt.NDArray[np.int32]:
        nodes = self._pending.pop(path.id, None)
        if nodes is None:
            raise ValueError(f"path {path.id} is not waiting here: commit or release each drawn path once")
        return nodes

    def _draw(self, count: int) -> Walks:
        walks = Walks(
            nodes=np.full((count, self.hops + 1), -1, np.int32),
            edges=np.full((count, self.hops), -1, np.int32),
            inverse=np.zeros((count, self.hops), np.bool_),
            hops=np.zeros(count, np.int8),
        )
        how = kernel.How(self._seed, self._chances, self.start == "balanced", self.max_tries)
        with np.errstate(over="ignore"):  # without numba: numbers of 64 bits wrap round, as they must
            tries, failed = kernel.draw_many(
                walks.nodes, walks.edges, walks.inverse, walks.hops, self.drawn, how, self._pool, self._walkable
            )
        if failed:
            raise InputError(
                f"no path of {failed} hops was found from {self.max_tries:,} sources (a path comes to no node twice): "
                "the graph may have none; lower `hops`, exclude fewer relations, or raise `max_tries`"
            )
        self.drawn += count
        self.tries += tries
        _blank(walks)
        return walks


def _blank(walks: Walks) -> None:
    # A try that failed may have left nodes beyond the path that was found.
    beyond = np.arange(walks.edges.shape[1]) >= walks.hops[:, None]
    walks.nodes[:, 1:][beyond] = -1
    walks.edges[beyond] = -1
    walks.inverse[beyond] = False


def check_numbers(hops: int, hop_weights: Sequence[float], eps: float) -> None:
    """Refuse settings of a sampler that mean nothing.

    Raises:
        ValueError: saying which, and what it may be.
    """
    if not 1 <= hops <= MAX_HOPS:
        raise ValueError(f"hops is {hops}; the longest path has 1 to {MAX_HOPS}")
    if hop_weights and len(hop_weights) != hops:
        raise ValueError(f"hop_weights has {len(hop_weights)} numbers; wanted one for each of {hops} hops")
    if any(not 0 <= one < float("inf") for one in hop_weights) or (hop_weights and not sum(hop_weights)):
        raise ValueError(f"hop_weights is {list(hop_weights)}; weights are 0 or more and not all 0")
    if not 0 < eps < float("inf"):
        raise ValueError(f"eps is {eps}; it is more than 0, and 1 in the paper")
