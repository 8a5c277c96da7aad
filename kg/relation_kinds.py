"""What kinds of relations a graph has, guessed from its edges, for a person to confirm.

``isa`` of UMLS -> ``RelationKind(name="isa", edges=…, taxonomic=True, why=("its name", "no circles", …), …)``

Guesses are reported and never used unless a field says so: a graph with few edges looks functional by chance, and one
in which a thing has two mothers is wrong, not a counterexample.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kg.graph import TAXONOMIC

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUPPORT = 10
"""Fewer edges say nothing: of ten that might fall either way all fall one way once in a thousand times."""
SHARE = 0.9
"""What must hold of nine edges in ten: extracted graphs have errors, so all would be too much."""
MOST_PATHS = 50_000_000
"""Two-step paths looked at for one relation; of more, those of every second, third, … head."""
BLOCK_PATHS = 2_000_000
CLOSED = 0.9
"""The share of two-step paths whose ends are joined too, from which on a relation may be a taxonomy written out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationKind:
    """What the edges of one relation look like."""

    name: str
    edges: int
    one_tail: float
    """The share of heads with one tail."""
    one_head: float
    """The share of tails with one head."""
    both_ways: float
    """The share of edges that also run backwards."""
    closed: float
    """The share of two-step paths a, b, c in which a and c are joined too; 0 without such paths."""
    circles: bool
    """Whether following its edges can lead back."""
    inverse: str = ""
    """The relation that most often runs the other way between the same two, when it does so nine times in ten."""

    @property
    def functional(self) -> bool:
        """Whether each head seems to have one tail (born_in)."""
        return self.edges >= SUPPORT and self.one_tail >= SHARE

    @property
    def inverse_functional(self) -> bool:
        """Whether each tail seems to have one head (mother_of, of an only child)."""
        return self.edges >= SUPPORT and self.one_head >= SHARE

    @property
    def symmetric(self) -> bool:
        """Whether it seems to hold both ways (married_to)."""
        return self.edges >= SUPPORT and self.both_ways >= SHARE

    @property
    def asymmetric(self) -> bool:
        """Whether it seems never to hold both ways (older_than)."""
        return self.edges >= SUPPORT and self.both_ways <= 1 - SHARE

    @property
    def taxonomic(self) -> bool:
        """Whether it seems to order kinds and members: by its name, or without circles and closed over two steps."""
        if self.name in TAXONOMIC:
            return True
        return self.edges >= SUPPORT and not self.circles and self.closed >= CLOSED

    def guesses(self) -> tuple[str, ...]:
        """The kinds that fit, as a report lists them."""
        names = ("functional", "inverse_functional", "symmetric", "taxonomic")
        return tuple(name for name in names if getattr(self, name))


def relation_kinds(triples: Iterable[tuple[str, str, str]]) -> list[RelationKind]:
    """Each relation of a graph, by name; an edge that stands there twice counts once.

    >>> [one] = relation_kinds([(f"p{at}", "born_in", f"town{at % 3}") for at in range(12)])
    >>> one.guesses(), one.one_tail, one.one_head, one.circles
    (('functional',), 1.0, 0.0, False)
    """
    rows = sorted(set(triples))
    frame = pl.DataFrame(rows, schema=["head", "relation", "tail"], orient="row")
    inverses = _inverses(frame)
    return [
        _kind(str(name), group, inverses.get(str(name), ""))
        for (name,), group in sorted(frame.group_by("relation"), key=lambda item: str(item[0][0]))
    ]


def _kind(name: str, group: pl.DataFrame, inverse: str) -> RelationKind:
    names = pl.concat([group["head"], group["tail"]]).unique().sort()
    place = {one: at for at, one in enumerate(names.to_list())}
    head = np.array([place[one] for one in group["head"].to_list()], dtype=np.int64)
    tail = np.array([place[one] for one in group["tail"].to_list()], dtype=np.int64)
    edges, back = head * len(place) + tail, tail * len(place) + head
    apart = head != tail
    both = float(np.isin(back[apart], edges).mean()) if apart.any() else 0.0
    return RelationKind(
        name=name,
        edges=len(group),
        one_tail=_alone(head),
        one_head=_alone(tail),
        both_ways=both,
        closed=_closed(head, tail, len(place)),
        circles=_circles(head, tail, len(place)),
        inverse=inverse,
    )


def _alone(ends: NDArray[np.int64]) -> float:
    _, counts = np.unique(ends, return_counts=True)
    return float((counts == 1).mean())


def _closed(head: NDArray[np.int64], tail: NDArray[np.int64], count: int) -> float:
    from scipy import sparse

    step = sparse.csr_matrix((np.ones(len(head), dtype=np.int64), (head, tail)), shape=(count, count))
    # What two steps from each head cost; a hub that many lead to costs their number times its own.
    costs = step @ np.bincount(head, minlength=count)
    heads = np.flatnonzero(costs)
    every = max(1, -(-int(costs.sum()) // MOST_PATHS))
    if every > 1:
        heads = heads[costs[heads] <= MOST_PATHS][::every]
    paths = closed = 0
    for block in _blocks(heads, costs):
        one = step[block]
        two = (one @ step).tocsr()
        own = np.asarray(two[np.arange(len(block)), block]).sum()
        joined = two.multiply(one > 0)
        paths += two.sum() - own
        closed += joined.sum() - np.asarray(joined.tocsr()[np.arange(len(block)), block]).sum()
    return float(closed / paths) if paths else 0.0


def _blocks(heads: NDArray[np.int64], costs: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Heads whose two-step paths fit in memory together."""
    if not len(heads):
        return []
    number = np.cumsum(costs[heads]) // BLOCK_PATHS
    return np.split(heads, np.flatnonzero(np.diff(number)) + 1)


def _circles(head: NDArray[np.int64], tail: NDArray[np.int64], count: int) -> bool:
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    if (head == tail).any():
        return True
    step = sparse.csr_matrix((np.ones(len(head), dtype=np.int8), (head, tail)), shape=(count, count))
    groups, _ = connected_components(step, directed=True, connection="strong")
    return bool(groups < count)


def _inverses(frame: pl.DataFrame) -> dict[str, str]:
    """For each relation the other one that runs backwards between the same things nine times in ten."""
    back = frame.select(head="tail", other="relation", tail="head")
    shared = frame.join(back, on=["head", "tail"]).filter(pl.col("relation") != pl.col("other"))
    counted = shared.group_by("relation", "other").len().sort("relation", "other")
    sizes = dict(frame.group_by("relation").len().iter_rows())
    found: dict[str, tuple[int, str]] = {}
    for name, other, both in counted.iter_rows():
        enough = both >= SUPPORT and both >= SHARE * sizes[name] and both >= SHARE * sizes[other]
        if enough and both > found.get(name, (0, ""))[0]:
            found[name] = (both, other)
    return {name: other for name, (_, other) in found.items()}


def kinds_table(kinds: Sequence[RelationKind]) -> dict[str, list[str]]:
    """The guesses for a report: a kind, and the relations that look like it."""
    table: dict[str, list[str]] = {}
    for one in kinds:
        for guess in one.guesses():
            table.setdefault(guess, []).append(one.name)
    pairs = sorted({" / ".join(sorted((one.name, one.inverse))) for one in kinds if one.inverse})
    return {**table, "inverse": pairs} if pairs else table
