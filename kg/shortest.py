"""The shortest ways between two nodes, over edges walked in both directions.

From ``Ora`` to ``Veylund``: ``Ora inverse of made_by salt``, ``salt sold_in Veylund``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from kg.graph import Graph, Hop, Ints
from mashbill.records import Edge


def shortest_paths(graph: Graph, source: str, target: str, most: int = 5) -> list[tuple[Edge, ...]]:
    """Up to `most` of the shortest ways, in the order of their edges; empty when there is none.

    A node is reached from itself by the way of no edge.

    Raises:
        InputError: when a node is not there, with the nearest names.
    """
    graph = graph.said_once()  # else one step that is said from both ends would be two ways
    first, last = graph.node(source), graph.node(target)
    distance = _distances(graph, last, first)
    if distance[first] < 0:
        return []
    ways = islice(_ways(graph, first, distance), most)
    return [tuple(graph.edge(hop.edge, hop.inverse) for hop in way) for way in ways]


def _distances(graph: Graph, start: int, stop: int) -> Ints:
    """Edges to `start` from each node, -1 where it was not reached before `stop` was."""
    distance = np.full(graph.nodes, -1, np.int32)
    distance[start] = 0
    level, frontier = 0, np.array([start])
    while len(frontier) and distance[stop] < 0:
        level += 1
        ends = np.unique(np.concatenate([_ahead(graph, frontier), _behind(graph, frontier)]))
        frontier = ends[distance[ends] < 0]
        distance[frontier] = level
    return distance


def _ahead(graph: Graph, nodes: npt.NDArray[Any]) -> Ints:
    return graph.tail[_ranges(graph.out_start[nodes], graph.out_start[nodes + 1])]


def _behind(graph: Graph, nodes: npt.NDArray[Any]) -> Ints:
    return graph.head[graph.in_edge[_ranges(graph.in_start[nodes], graph.in_start[nodes + 1])]]


def _ranges(starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """All numbers of some ranges, one range after another."""
    lengths = stops - starts
    return np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


def _ways(graph: Graph, node: int, distance: Ints) -> Iterator[tuple[Hop, ...]]:
    """Every way down the distances, depth first and without recursion: a chain may be longer than Python's stack."""
    if not distance[node]:
        yield ()
        return

    def down(at: int) -> Iterator[Hop]:
        return (hop for hop in graph.hops(at) if distance[hop.node] == distance[at] - 1)

    way: list[Hop] = []
    levels = [down(node)]
    while levels:
        hop = next(levels[-1], None)
        if hop is None:
            levels.pop()
            del way[-1:]
        elif not distance[hop.node]:
            yield (*way, hop)
        else:
            way.append(hop)
            levels.append(down(hop.node))
