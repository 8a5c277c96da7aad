"""Which paths and edges are kept from training, decided by each one's content alone.

``HeldOut(share=0.1)`` keeps back one path in ten, the same ones whoever asks: the step that makes the training set
leaves them, the step that makes the evaluation set takes them, and neither needs to have seen what the other made.

A path and the same path walked back are one. Partial overlap is allowed: to put known facts together in a new way is
what is measured (arXiv 2507.13966). With `edges`, some facts are kept back altogether, and a held-out path must have
one: then it cannot be answered by putting known facts together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kg.graph import Graph
from mashbill.fingerprint import seed_of
from mashbill.path_key import nodes_key
from mashbill.records import Edge

_SEEDS = 1 << 31


def path_key(edges: Sequence[Edge]) -> tuple[tuple[str, str, str], ...]:
    """What a path and its reverse have in common.

    >>> there = Edge(head="a", relation="r", tail="b")
    >>> back = Edge(head="b", relation="inverse of r", tail="a", inverse=True, stated="r")
    >>> path_key([there]) == path_key([back])
    True
    """
    triples = tuple(edge.triple for edge in edges)
    return min(triples, triples[::-1])


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The rule; a field of the steps on both sides, which must be given the same one."""

    share: float = 0.0
    """Share of the paths that are held out; 0 holds out none."""
    edges: float = 0.0
    """Share of the pairs of neighbours whose edges, all of them, are held out."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing on a side."""
        for name in ("share", "edges"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share, from 0 to below 1")

    def holds_path(self, edges: Sequence[Edge]) -> bool:
        """Whether a path is held out: by the draw of its nodes and, with `edges`, only if it has one that is.

        The nodes decide and not the relations: the same way over a parallel edge, or over a relation that says the same
        from the other end, has the same answer.
        """
        return self.draws_path(nodes_key(edges)) and (not self.edges or self._has_edge(edges))

    def draws_path(self, nodes: tuple[str, ...]) -> bool:
        """Whether the draw falls on a path with these nodes (`nodes_key`)."""
        return bool(self.share) and seed_of("held out path", self.seed, nodes) < self.share * _SEEDS

    def keeps_path(self, edges: Sequence[Edge]) -> bool:
        """Whether a path may be trained on: it is not held out, and has no edge that is."""
        return not self.holds_path(edges) and not self._has_edge(edges)

    def holds_edge(self, head: str, tail: str) -> bool:
        """Whether what joins two nodes is held out: all of it, since a parallel edge would tell of the one."""
        return bool(self.edges) and bool(self._drawn(self._codes([head]), self._codes([tail]))[0])

    def _has_edge(self, edges: Sequence[Edge]) -> bool:
        return any(self.holds_edge(edge.head, edge.tail) for edge in edges)

    def held_edges(self, graph: Graph) -> npt.NDArray[np.bool_]:
        """For each edge of a graph whether it is held out; each name is digested once."""
        if not self.edges:
            return np.zeros(graph.edges, np.bool_)
        codes = self._codes(graph.names.to_pylist())
        return self._drawn(codes[graph.head], codes[graph.tail])

    def trained_on(self, graph: Graph) -> Graph:
        """The graph without the edges that are held out."""
        return graph.only(~self.held_edges(graph)) if self.edges else graph

    def _codes(self, names: Sequence[str]) -> npt.NDArray[np.uint64]:
        key = f"held out edge {self.seed}".encode()
        digests = (hashlib.blake2b(name.encode(), digest_size=8, key=key).digest() for name in names)
        return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)

    def _drawn(self, heads: npt.NDArray[np.uint64], tails: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Whether the draw falls on pairs, either way round: the sum of both names' digests, mixed by splitmix64."""
        mixed = heads + tails  # numbers of 64 bits wrap round, as they must
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
        return (mixed >> np.uint64(33)) < np.uint64(int(self.edges * _SEEDS))
