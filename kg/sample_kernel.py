"""The inner loop of path sampling, in scalar code that numba compiles; without numba it runs as it stands, slower.

Both ways draw the same paths: the generator is SplitMix64 (Steele, Lea and Flood 2014), written out here, and draw
number k of a seed begins at a state made of both, whatever was drawn before.

Sources are drawn with weight 1 / (f + eps) from a tree of sums: each sum is that of 64 below it, and the lowest are of
64 nodes, whose weights are worked out as they are read. So a draw reads 64 numbers a level (four levels for ten million
nodes), and a count that changes touches one number a level. Weights are whole numbers, for a million nodes right to
(f + 1) parts in 2^42: sums of them are exact whatever order they were changed in, so a draw depends on the counts and
not on how they came to be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

FAN = 6
"""Bits of a node's number that a level of the tree takes: 64 nodes or sums are added up in one."""
REJECTIONS = 32
"""Draws at a node before its edges are looked through: most neighbours of a hub have not been visited."""
SCANNED = 32
"""Nodes of fewer edges are looked through at once: it is cheaper than drawing again."""


def _compiled(function: F) -> F:
    try:
        import numba
    except ImportError:
        return function
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))


class Walkable(NamedTuple):
    """The arrays of a graph that walking reads; see `kg.graph.Graph`."""

    out_start: Any
    in_start: Any
    head: Any
    tail: Any
    in_edge: Any
    both: bool
    """Whether edges are walked backwards too."""


class How(NamedTuple):
    """What a draw is told."""

    seed: Any
    chances: Any
    """The chance that a path has at most 1, 2, … hops."""
    balanced: bool
    max_tries: int


class Pool(NamedTuple):
    """The nodes that can be drawn as sources, and how often each is counted."""

    count: Any
    """f of each node."""
    sources: Any
    """The nodes that can be drawn, in order."""
    place: Any
    """Where each node stands in `sources`; -1 for one that does not."""
    sums: Any
    """The sums of all levels, those of the nodes themselves first."""
    start: Any
    """Where each level begins in `sums`, and where the last ends."""
    scale: float
    """A node's weight is this over f + eps."""
    eps: float


def pool(nodes: int, sources: Any, eps: float) -> Pool:
    """All counts zero."""
    sources = np.asarray(sources, np.int32)
    place = np.full(nodes, -1, np.int32)
    place[sources] = np.arange(len(sources), dtype=np.int32)
    scale = float(1 << (62 - len(sources).bit_length())) * eps
    level = np.full(len(sources), weight(0, scale, eps), np.int64)
    levels: list[Any] = []
    while not levels or len(level) > 1 << FAN:
        level = np.add.reduceat(level, np.arange(0, len(level), 1 << FAN))
        levels.append(level)
    start = np.cumsum([0, *map(len, levels)])
    return Pool(np.zeros(nodes, np.int32), sources, place, np.concatenate(levels), start, scale, eps)


@_compiled
def weight(count: int, scale: float, eps: float) -> int:
    """The weight of a node that is counted so often; at least 1, so that none is ever lost."""
    return max(1, int(scale / (count + eps)))


@_compiled
def mixed(value: Any) -> Any:
    """SplitMix64's finaliser."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@_compiled
def uniform(state: Any) -> float:
    """The next number in [0, 1), of 53 bits."""
    state[0] = state[0] + np.uint64(0x9E3779B97F4A7C15)
    return float(mixed(state[0]) >> np.uint64(11)) * 1.1102230246251565e-16


@_compiled
def below(state: Any, count: int) -> int:
    """The next whole number in [0, count), uniform but for one part in 2^53 / count."""
    return int(uniform(state) * count)


@_compiled
def shift(node: int, by: int, pool: Pool) -> None:
    """Count a node once more (`by` 1) or once less (-1)."""
    before = weight(pool.count[node], pool.scale, pool.eps)
    pool.count[node] += by
    change = weight(pool.count[node], pool.scale, pool.eps) - before
    at = pool.place[node]
    if at >= 0:
        for level in range(len(pool.start) - 1):
            at >>= FAN
            pool.sums[pool.start[level] + at] += change


@_compiled
def source(state: Any, balanced: bool, pool: Pool) -> int:
    """A node with chance in proportion to 1 / (f + eps); with `balanced` off, any of them alike."""
    if not balanced:
        return int(pool.sources[below(state, len(pool.sources))])
    top = len(pool.start) - 2
    total = pool.sums[pool.start[top] :].sum()
    left = np.int64(uniform(state) * total)
    if left >= total:  # the product may be rounded up
        left = total - 1
    at = 0
    for level in range(top, -1, -1):
        first = pool.start[level]
        while left >= pool.sums[first + at]:
            left -= pool.sums[first + at]
            at += 1
        at <<= FAN
    while True:
        node = pool.sources[at]
        left -= weight(pool.count[node], pool.scale, pool.eps)
        if left < 0:
            return int(node)
        at += 1


@_compiled
def seen(nodes: Any, length: int, node: int) -> bool:
    """Whether a node is among the first `length` + 1 of a path."""
    found = False  # a loop: numba compiles no generator in `any`
    for at in range(length + 1):
        found |= nodes[at] == node
    return found


@_compiled
def slot(node: int, at: int, graph: Walkable) -> Any:
    """The edge, its direction and its far end, at a place among the edges of a node."""
    edge = graph.out_start[node] + at
    if edge < graph.out_start[node + 1]:
        return edge, False, graph.tail[edge]
    edge = np.int64(graph.in_edge[graph.in_start[node] + edge - graph.out_start[node + 1]])
    return edge, True, graph.head[edge]


@_compiled
def step(state: Any, nodes: Any, edges: Any, inverse: Any, length: int, graph: Walkable) -> bool:
    """Walk one edge on, uniformly among those to a node not visited; False at a dead end."""
    node = nodes[length]
    degree = graph.out_start[node + 1] - graph.out_start[node]
    if graph.both:
        degree += graph.in_start[node + 1] - graph.in_start[node]
    if degree > SCANNED:
        for _ in range(REJECTIONS):
            edge, back, end = slot(node, below(state, degree), graph)
            if not seen(nodes, length, end):
                nodes[length + 1], edges[length], inverse[length] = end, edge, back
                return True
    # Looking through is exact whatever was drawn in vain: it, too, is uniform over what is allowed.
    allowed = 0
    for at in range(degree):
        edge, back, end = slot(node, at, graph)
        if not seen(nodes, length, end):
            allowed += 1
    if allowed == 0:
        return False
    wanted = below(state, allowed)
    for at in range(degree):
        edge, back, end = slot(node, at, graph)
        if not seen(nodes, length, end):
            if wanted == 0:
                nodes[length + 1], edges[length], inverse[length] = end, edge, back
                return True
            wanted -= 1
    return False


@_compiled
def draw(nodes: Any, edges: Any, inverse: Any, number: int, how: How, pool: Pool, graph: Walkable) -> Any:
    """Draw path `number`, count its nodes, and return its hops and how many tries it took; minus the hops if none."""
    state = np.empty(1, np.uint64)
    state[0] = mixed(how.seed ^ mixed(np.uint64(number) + np.uint64(0x9E3779B97F4A7C15)))
    chance, hops = uniform(state), 1
    while hops < len(how.chances) and chance >= how.chances[hops - 1]:
        hops += 1
    # The length is kept while it is tried again: long paths fail oftener, and must not become rare for that.
    for tried in range(how.max_tries):
        nodes[0] = source(state, how.balanced, pool)
        length = 0
        while length < hops and step(state, nodes, edges, inverse, length, graph):
            length += 1
        if length == hops:
            for at in range(hops + 1):
                shift(nodes[at], 1, pool)
            return hops, tried + 1
    return -hops, how.max_tries


@_compiled
def draw_many(
    nodes: Any, edges: Any, inverse: Any, hops: Any, first: int, how: How, pool: Pool, graph: Walkable
) -> Any:
    """Draw a row of paths, each counted before the next; return the tries, and the length that was in vain or 0."""
    tries = 0
    for at in range(len(hops)):
        got, tried = draw(nodes[at], edges[at], inverse[at], first + at, how, pool, graph)
        tries += tried
        if got < 0:
            return tries, -got
        hops[at] = got
    return tries, 0
