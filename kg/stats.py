"""What a graph is like, in numbers: how large, how joined, what its relations are.

135 nodes, 6,529 edges, 46 relations, 1 component, 5,216 pairs of nodes joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kg.graph import Graph, Relation


@dataclass(frozen=True, kw_only=True)
class GraphStats:
    """The numbers of one graph."""

    nodes: int
    edges: int
    isolated: int
    """Nodes with no edge but to themselves."""
    loops: int
    """Edges from a node to itself; no path walks them."""
    parallel: int
    """Edges beyond the first between a head and a tail."""
    components: int
    """Parts that no edge joins, isolated nodes included."""
    largest: int
    """Nodes of the largest part."""
    degree_median: float
    degree_largest: int
    hubs: tuple[tuple[str, int], ...]
    """The nodes with most edges."""
    relations: tuple[tuple[Relation, int], ...]
    """Relation and its edges, the commonest first."""
    tags: tuple[tuple[str, int], ...]
    """Tag and its nodes, the commonest first; those without have none."""

    @classmethod
    def of(cls, graph: Graph, hubs: int = 5) -> GraphStats:
        """The numbers of a graph."""
        loops = graph.head == graph.tail
        # Not `np.unique`: it hashes, which takes many times as long as sorting what is nearly in order.
        pairs = np.sort(graph.head.astype(np.int64) * graph.nodes + graph.tail, kind="stable")
        sizes = np.bincount(components(graph)) if graph.nodes else np.zeros(0, int)
        degrees = graph.degrees
        # A stable sort of what is negated: of two as large, the first by name.
        largest = np.argsort(-degrees, kind="stable")[:hubs].tolist()
        counts = np.bincount(graph.relation, minlength=len(graph.relations)).tolist()
        return cls(
            nodes=graph.nodes,
            edges=graph.edges,
            isolated=int(np.count_nonzero(degrees - 2 * np.bincount(graph.head[loops], minlength=graph.nodes) == 0)),
            loops=int(loops.sum()),
            parallel=int(np.count_nonzero(pairs[1:] == pairs[:-1])),
            components=len(sizes),
            largest=int(sizes.max(initial=0)),
            degree_median=float(np.median(degrees)) if graph.nodes else 0.0,
            degree_largest=int(degrees.max(initial=0)),
            hubs=tuple((graph.name(node), int(degrees[node])) for node in largest),
            relations=tuple(
                sorted(zip(graph.relations, counts, strict=True), key=lambda one: (-one[1], one[0].name)),
            ),
            tags=_tags(graph),
        )


def components(graph: Graph) -> npt.NDArray[Any]:
    """For each node the number of its part, from 0: nodes of one part are joined, whatever the direction."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    # The arrays of the graph are rows of a sparse matrix as they stand.
    ones = np.ones(graph.edges, np.int8)
    matrix = csr_array((ones, graph.tail, graph.out_start), shape=(graph.nodes, graph.nodes))
    _, parts = connected_components(matrix, directed=True, connection="weak")
    return np.asarray(parts)


def _tags(graph: Graph) -> tuple[tuple[str, int], ...]:
    if graph.tags is None:
        return ()
    counts = [
        (str(one["values"]), int(one["counts"])) for one in graph.tags.value_counts().to_pylist() if one["values"]
    ]
    return tuple(sorted(counts, key=lambda one: (-one[1], one[0])))
