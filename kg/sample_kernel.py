"""The inner loop of path sampling, in scalar code that numba compiles; without numba it runs as it stands, slower.

Both ways draw the same paths: the generator is SplitMix64 (Steele, Lea and Flood 2014), written out here, and draw
number k of a seed begins at a state made of both, whatever was drawn before.

Sources are drawn with weight 1 / (f + eps), exactly and in constant time. Nodes lie in one array, `order`, sorted into
groups by their count: f = 0, 1 to 2, 3 to 6, 7 to 14, … A group is drawn by the greatest weight its nodes can have, a
node of it uniformly, and the node is taken with its own weight over that greatest one, which is at least a half. When
a count changes by one the node moves at most to the next group: one swap. Nothing is summed up, so nothing drifts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

GROUPS = 33
"""Groups of counts: an int32 is in one of 32, and one more marks the end."""
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


class Pool(NamedTuple):
    """The nodes that can be drawn as sources, by how often each is counted."""

    count: Any
    """f of each node."""
    order: Any
    """Nodes sorted into groups of counts."""
    place: Any
    """Where each node stands in `order`; -1 for one that is never a source."""
    start: Any
    """Where each group begins in `order`."""


def pool(nodes: int, sources: Any) -> Pool:
    """All counts zero: every source in the first group."""
    place = np.full(nodes, -1, np.int32)
    place[sources] = np.arange(len(sources), dtype=np.int32)
    start = np.full(GROUPS + 1, len(sources), np.int32)
    start[0] = 0
    return Pool(np.zeros(nodes, np.int32), sources.astype(np.int32), place, start)


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
def group_of(count: int) -> int:
    """The group of a count: the bits of count + 1, less one."""
    bits = 0
    count = count + 1
    while count > 1:
        count >>= 1
        bits += 1
    return bits


@_compiled
def shift(node: int, by: int, count: Any, order: Any, place: Any, start: Any) -> None:
    """Count a node once more (`by` 1) or once less (-1), and move it to its group."""
    before = group_of(count[node])
    count[node] += by
    after = group_of(count[node])
    if before == after or place[node] < 0:
        return
    # The groups touch, so the node changes places with the one at the border, and the border moves over it.
    if by > 0:
        border = start[after] - 1
        start[after] = border
    else:
        border = start[before]
        start[before] = border + 1
    other, at = order[border], place[node]
    order[at], order[border] = other, node
    place[other], place[node] = at, border


@_compiled
def source(state: Any, eps: float, balanced: bool, count: Any, order: Any, start: Any) -> int:
    """A node with chance in proportion to 1 / (f + eps); with `balanced` off, any of them alike."""
    if not balanced:
        return int(order[below(state, len(order))])
    total = 0.0
    for group in range(GROUPS):
        total += (start[group + 1] - start[group]) / ((1 << group) - 1 + eps)
    while True:
        left = uniform(state) * total
        chosen = 0
        for group in range(GROUPS):
            size = start[group + 1] - start[group]
            if size > 0:
                chosen = group
                left -= size / ((1 << group) - 1 + eps)
                if left < 0.0:
                    break
        node = order[start[chosen] + below(state, start[chosen + 1] - start[chosen])]
        least = (1 << chosen) - 1 + eps
        if uniform(state) * (count[node] + eps) < least:
            return int(node)


@_compiled
def seen(nodes: Any, length: int, node: int) -> bool:
    """Whether a node is among the first `length` + 1 of a path."""
    found = False  # a loop: numba compiles no generator in `any`
    for at in range(length + 1):
        found |= nodes[at] == node
    return found


@_compiled
def slot(node: int, at: int, out_start: Any, in_start: Any, head: Any, tail: Any, in_edge: Any) -> Any:
    """The edge, its direction and its far end, at a place among the edges of a node."""
    edge = out_start[node] + at
    if edge < out_start[node + 1]:
        return edge, False, tail[edge]
    edge = np.int64(in_edge[in_start[node] + edge - out_start[node + 1]])
    return edge, True, head[edge]


@_compiled
def step(
    state: Any, nodes: Any, edges: Any, inverse: Any, length: int, out_start: Any, in_start: Any, head: Any, tail: Any,
    in_edge: Any, both: bool,
) -> bool:  # fmt: skip
    """Walk one edge on, uniformly among those to a node not visited; False at a dead end."""
    node = nodes[length]
    degree = out_start[node + 1] - out_start[node]
    if both:
        degree += in_start[node + 1] - in_start[node]
    if degree > SCANNED:
        for _ in range(REJECTIONS):
            edge, back, end = slot(node, below(state, degree), out_start, in_start, head, tail, in_edge)
            if not seen(nodes, length, end):
                nodes[length + 1], edges[length], inverse[length] = end, edge, back
                return True
    # Looking through is exact whatever was drawn in vain: it, too, is uniform over what is allowed.
    allowed = 0
    for at in range(degree):
        edge, back, end = slot(node, at, out_start, in_start, head, tail, in_edge)
        if not seen(nodes, length, end):
            allowed += 1
    if allowed == 0:
        return False
    wanted = below(state, allowed)
    for at in range(degree):
        edge, back, end = slot(node, at, out_start, in_start, head, tail, in_edge)
        if not seen(nodes, length, end):
            if wanted == 0:
                nodes[length + 1], edges[length], inverse[length] = end, edge, back
                return True
            wanted -= 1
    return False


@_compiled
def draw(
    nodes: Any, edges: Any, inverse: Any, number: int, seed: Any, chances: Any, eps: float, balanced: bool,
    max_tries: int, count: Any, order: Any, place: Any, start: Any, out_start: Any, in_start: Any, head: Any,
    tail: Any, in_edge: Any, both: bool,
) -> Any:  # fmt: skip
    """Draw path `number`, count its nodes, and return its hops and how many tries it took; minus the hops if none."""
    state = np.empty(1, np.uint64)
    state[0] = mixed(seed ^ mixed(np.uint64(number) + np.uint64(0x9E3779B97F4A7C15)))
    chance, hops = uniform(state), 1
    while hops < len(chances) and chance >= chances[hops - 1]:
        hops += 1
    # The length is kept while it is tried again: long paths fail oftener, and must not become rare for that.
    for tried in range(max_tries):
        nodes[0] = source(state, eps, balanced, count, order, start)
        length = 0
        while length < hops and step(
            state, nodes, edges, inverse, length, out_start, in_start, head, tail, in_edge, both
        ):
            length += 1
        if length == hops:
            for at in range(hops + 1):
                shift(nodes[at], 1, count, order, place, start)
            return hops, tried + 1
    return -hops, max_tries


@_compiled
def draw_many(
    nodes: Any, edges: Any, inverse: Any, hops: Any, first: int, seed: Any, chances: Any, eps: float, balanced: bool,
    max_tries: int, count: Any, order: Any, place: Any, start: Any, out_start: Any, in_start: Any, head: Any,
    tail: Any, in_edge: Any, both: bool,
) -> Any:  # fmt: skip
    """Draw a row of paths, each counted before the next; return the tries, and the length that was in vain or 0."""
    tries = 0
    for at in range(len(hops)):
        got, tried = draw(
            nodes[at], edges[at], inverse[at], first + at, seed, chances, eps, balanced, max_tries, count, order,
            place, start, out_start, in_start, head, tail, in_edge, both,
        )  # fmt: skip
        tries += tried
        if got < 0:
            return tries, -got
        hops[at] = got
    return tries, 0
