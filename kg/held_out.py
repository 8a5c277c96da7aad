"""Which paths and edges are kept from training, decided by each one's content alone.

``HeldOut(share=0.1)`` keeps back one path in ten, the same ones whoever asks: the step that makes the training set
leaves them, the step that makes the evaluation set takes them, and neither needs to have seen what the other made.

A path and the same path walked back are one. Partial overlap is allowed: to put known facts together in a new way is
what is measured (arXiv 2507.13966). With `edges`, some facts are kept back altogether, and a held-out path must have
one: then it cannot be answered by putting known facts together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kg.graph import Graph
from mashbill.fingerprint import seed_of
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
        """Whether a path is held out: by its own draw, or because it has an edge that is."""
        if self.share and seed_of("held out path", self.seed, path_key(edges)) < self.share * _SEEDS:
            return not self.edges or self._has_edge(edges)
        return False

    def keeps_path(self, edges: Sequence[Edge]) -> bool:
        """Whether a path may be trained on: it is not held out, and has no edge that is."""
        return not self.holds_path(edges) and not self._has_edge(edges)

    def holds_edge(self, head: str, tail: str) -> bool:
        """Whether what joins two nodes is held out: all of it, since a parallel edge would tell of the one."""
        return bool(self.edges) and seed_of("held out edge", self.seed, *sorted((head, tail))) < self.edges * _SEEDS

    def _has_edge(self, edges: Sequence[Edge]) -> bool:
        return any(self.holds_edge(edge.head, edge.tail) for edge in edges)

    def trained_on(self, graph: Graph) -> Graph:
        """The graph without the edges that are held out."""
        if not self.edges:
            return graph
        ends = zip(graph.head.tolist(), graph.tail.tolist(), strict=True)
        names = graph.names.to_pylist()
        return graph.only(np.array([not self.holds_edge(names[head], names[tail]) for head, tail in ends], np.bool_))
