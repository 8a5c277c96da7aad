"""A knowledge graph in memory: who is joined to whom, walkable in both directions, in 14 bytes an edge.

    alga  isa  entity          edge 0: head 0, relation 0, tail 1
    fish  eats  alga           edge 1: head 2, relation 1, tail 0

    graph.neighbours("alga")   (edge 0, forwards, entity), (edge 1, backwards, fish)

Nodes, relations and edges are numbers in sorted order (nodes by name; edges by head, relation, tail), so the same
triples are the same graph whatever file or order they came in. An edge is a head, a relation and a tail: what is said
twice is one edge, and edges that differ in their relation alone are parallel and all there.

Bytes an edge: head 4, tail 4, relation 1 or 2 (4 beyond 65,536 relations), and 4 for its place among the edges of its
tail. Two offsets of 8 bytes a node come on top: 14 + 16 N / E bytes, 15.6 for a million nodes and ten million edges.
Names lie apart, each once, as Arrow strings; so does `rows`, 4 bytes an edge where it is kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kg.mirrors import labels, mirrors, said_once
from kg.names import find_name, no_such, not_called
from mashbill.errors import InputError
from mashbill.records import Edge, join_texts

Ints = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]
Codes = npt.NDArray[Any]
"""Relation numbers, in the narrowest unsigned type that holds them."""

TAXONOMIC = frozenset(
    {
        "belongs_to",
        "belongs_to_the_category_of",
        "broader",
        "category",
        "hypernym",
        "hyponym",
        "instance_of",
        "is_a",
        "is_a_category",
        "is_a_subtype_of",
        "isa",
        "kind_of",
        "member_of_category",
        "narrower",
        "rdf:type",
        "rdfs:subClassOf",
        "skos:broader",
        "skos:narrower",
        "subclass_of",
        "subtype_of",
        "type",
        "type_of",
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#type",
        "http://www.w3.org/2000/01/rdf-schema#subClassOf",
        "http://www.w3.org/2004/02/skos/core#broader",
        "http://www.w3.org/2004/02/skos/core#narrower",
    }
)
"""Relations that sort things into kinds. A question made of one asks for the taxonomy, not for what is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A relation by its name, and how it is said from the tail to the head."""

    name: str
    inverse: str
    taxonomic: bool = False


def relations_of(
    names: Sequence[str], inverses: Mapping[str, str] | None = None, taxonomic: frozenset[str] = TAXONOMIC
) -> tuple[Relation, ...]:
    """Each relation with its inverse label: the one given, or ``inverse of`` it.

    A label that is itself a relation of the graph makes the two each other's inverses (`kg.mirrors`), and the inverse
    of a taxonomic relation is taxonomic.

    >>> relations_of(["part_of", "treats"], {"part_of": "has_part"})[1].inverse
    'inverse of treats'
    >>> [one.inverse for one in relations_of(["has_part", "part_of"], {"part_of": "has_part"})]
    ['part_of', 'has_part']

    Raises:
        InputError: for an inverse given to a relation that is not there, with the nearest that is, one that is empty,
            or labels by which a relation would have two inverses.
    """
    inverses = inverses or {}
    for name, label in inverses.items():
        if name not in names:
            raise InputError(no_such("relation", name, names) + "; mend the inverse labels")
        if not label.strip():
            raise InputError(f"the inverse label of {name!r} is empty; it says how the relation reads backwards")
    label_of = labels(names, inverses)
    return tuple(
        Relation(name=name, inverse=label_of[name], taxonomic=name in taxonomic or label_of[name] in taxonomic)
        for name in names
    )


@dataclass(frozen=True, slots=True)
class Hop:
    """One edge as it is seen from a node: its number, whether it is walked backwards, and the node it leads to."""

    edge: int
    inverse: bool
    node: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Nodes, relations and edges by number; make one with `Graph.build` or `kg.load_graph.load_graph`."""

    names: pa.Array
    """Node names in order of their bytes, which is that of their code points."""
    relations: tuple[Relation, ...]
    head: Ints = field(repr=False)
    relation: Codes = field(repr=False)
    tail: Ints = field(repr=False)
    out_start: Offsets = field(repr=False)
    """Edges of head v are ``out_start[v]`` to ``out_start[v + 1]``."""
    in_start: Offsets = field(repr=False)
    in_edge: Ints = field(repr=False)
    """Edges of tail v are ``in_edge[in_start[v]:in_start[v + 1]]``."""
    tags: pa.Array | None = None
    """A tag for each node, its discipline or kind, empty where there is none."""
    rows: Ints | None = field(default=None, repr=False)
    """For each edge, the first row that says it of the table the graph was built from."""

    @classmethod
    def build(
        cls,
        names: pa.Array,
        relations: Sequence[Relation],
        head: npt.NDArray[Any],
        relation: npt.NDArray[Any],
        tail: npt.NDArray[Any],
        *,
        tags: pa.Array | None = None,
        keep_rows: bool = True,
    ) -> Graph:
        """A graph of numbered triples in any order, repeated ones made one; `names` must be sorted."""
        first = _distinct(head, relation, tail, len(names), len(relations))
        head = head[first].astype(np.int32, copy=False)
        tail = tail[first].astype(np.int32, copy=False)
        return cls(
            names=names,
            relations=tuple(relations),
            head=head,
            relation=relation[first].astype(_code_type(len(relations)), copy=False),
            tail=tail,
            out_start=_starts(head, len(names)),
            in_start=_starts(tail, len(names)),
            in_edge=np.argsort(tail, kind="stable").astype(np.int32),
            tags=tags,
            rows=first.astype(np.int32, copy=False) if keep_rows else None,
        )

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self.names)

    @property
    def edges(self) -> int:
        """How many distinct edges there are."""
        return len(self.head)

    @cached_property
    def degrees(self) -> Offsets:
        """Edges at each node; a self-loop counts twice, once for each of its ends."""
        return np.diff(self.out_start) + np.diff(self.in_start)

    def name(self, node: int) -> str:
        """A node's name by its number."""
        return str(self.names[node].as_py())

    def node(self, name: str) -> int:
        """A node's number by its name.

        Raises:
            InputError: when no node has it, with the names most like it.
        """
        found = find_name(self.names, name)
        if found is None:
            raise InputError(not_called(name, self.names))
        return found

    def tag(self, node: int) -> str:
        """A node's tag by its number, empty where it has none."""
        return "" if self.tags is None else str(self.tags[node].as_py() or "")

    def edge(self, number: int, inverse: bool = False) -> Edge:
        """An edge as a path shows it, forwards or backwards."""
        relation = self.relations[int(self.relation[number])]
        head, tail = self.name(int(self.head[number])), self.name(int(self.tail[number]))
        if inverse:
            return Edge(head=tail, relation=relation.inverse, tail=head, inverse=True, stated=relation.name)
        return Edge(head=head, relation=relation.name, tail=tail)

    def edge_number(self, head: str, relation: str, tail: str) -> int | None:
        """The number of the edge that states a triple, or None when there is none."""
        first, last = find_name(self.names, head), find_name(self.names, tail)
        codes = [code for code, one in enumerate(self.relations) if one.name == relation]
        if first is None or last is None or not codes:
            return None
        start, end = self.out_start[first], self.out_start[first + 1]
        found = (self.relation[start:end] == codes[0]) & (self.tail[start:end] == last)
        return int(start + np.argmax(found)) if found.any() else None

    def hops(self, node: int) -> Iterator[Hop]:
        """Every edge at a node: those that start there, then those that end there; a self-loop is both."""
        for edge in range(int(self.out_start[node]), int(self.out_start[node + 1])):
            yield Hop(edge, False, int(self.tail[edge]))
        for edge in self.in_edge[self.in_start[node] : self.in_start[node + 1]].tolist():
            yield Hop(edge, True, int(self.head[edge]))

    def without(self, relations: Sequence[str], *, taxonomic: bool = False) -> Graph:
        """The same nodes without the edges of some relations, and of every taxonomic one where that is said.

        A relation goes with its inverse: what is said by one, read backwards, is said by the other.

        Raises:
            InputError: for a relation that the graph does not have, with the nearest that it has.
        """
        known = [one.name for one in self.relations]
        for name in relations:
            if name not in known:
                raise InputError(no_such("relation", name, known))
        named = set(relations)
        gone = [
            code
            for code, one in enumerate(self.relations)
            if one.name in named or one.inverse in named or (taxonomic and one.taxonomic)
        ]
        return self if not gone else self.only(~np.isin(self.relation, gone))

    def said_once(self) -> Graph:
        """The same nodes without the edges that are another edge read backwards (`kg.mirrors`).

        For walks in both directions, which would else meet ``a part_of b`` twice: as it stands, and as the way back
        along ``b has_part a``.
        """
        mirror = mirrors([one.name for one in self.relations], [one.inverse for one in self.relations])
        if not (mirror >= 0).any():
            return self
        return self.only(said_once(self.head, self.relation, self.tail, mirror))

    def only(self, keep: npt.NDArray[np.bool_]) -> Graph:
        """The same nodes with some of the edges, in their order."""
        head, tail = self.head[keep], self.tail[keep]
        # Filtered, not sorted again: edges keep their order, and so do those of each tail.
        renumbered = np.cumsum(keep, dtype=np.int32) - np.int32(1)
        return dataclasses.replace(
            self,
            head=head,
            relation=self.relation[keep],
            tail=tail,
            out_start=_starts(head, self.nodes),
            in_start=_starts(tail, self.nodes),
            in_edge=renumbered[self.in_edge[keep[self.in_edge]]],
            rows=None if self.rows is None else self.rows[keep],
        )

    def with_tags(self, tags: Mapping[str, str]) -> Graph:
        """The same graph with these tags, by node name; those it has stay where none is given.

        Raises:
            InputError: for a tag of a node that is not there.
        """
        merged = [""] * self.nodes if self.tags is None else [str(tag or "") for tag in self.tags.to_pylist()]
        for name, tag in tags.items():
            merged[self.node(name)] = tag
        return dataclasses.replace(self, tags=pa.array(merged, pa.string()).dictionary_encode())

    @property
    def bytes_per_edge(self) -> float:
        """What walking needs, names and tags apart: both directions of every edge and the offsets of the nodes."""
        arrays = (self.head, self.relation, self.tail, self.out_start, self.in_start, self.in_edge)
        return sum(one.nbytes for one in arrays) / max(self.edges, 1)

    def __repr__(self) -> str:
        relations = join_texts([one.name for one in self.relations], 3)
        return f"Graph({self.nodes:,} nodes, {self.edges:,} edges; {len(self.relations)} relations: {relations})"


def _code_type(count: int) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if count <= 1 << 8 else np.uint16 if count <= 1 << 16 else np.uint32


def _starts(nodes: Ints, count: int) -> Offsets:
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(nodes, minlength=count), out=starts[1:])
    return starts


def _distinct(
    head: npt.NDArray[Any], relation: npt.NDArray[Any], tail: npt.NDArray[Any], nodes: int, relations: int
) -> npt.NDArray[np.int64]:
    """The first row of each distinct triple, in order of head, relation and tail."""
    if nodes * nodes * relations < 1 << 63:  # one sort of one number in place of three
        key = (head.astype(np.int64) * relations + relation) * nodes + tail
        order = np.argsort(key, kind="stable")
        key = key[order]
        new = key[1:] != key[:-1]
    else:
        order = np.lexsort((tail, relation, head))
        h, r, t = head[order], relation[order], tail[order]
        new = (h[1:] != h[:-1]) | (r[1:] != r[:-1]) | (t[1:] != t[:-1])
    return order if not len(order) else order[np.concatenate([[True], new])]
