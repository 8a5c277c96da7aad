"""What is true in a graph, asked by number: for quizzes, hardening and all that must not call a true thing false.

>>> from kg.load_graph import graph_of
>>> from mashbill.records import Triple
>>> facts = Facts(graph_of([Triple.new(head="salt", relation="made_by", tail=name) for name in ("Ora", "Venn")]))
>>> salt = facts.graph.node("salt")
>>> [facts.graph.name(tail) for tail in facts.tails(salt, 0)], facts.holds(salt, 0, salt)
(['Ora', 'Venn'], False)
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from kg.graph import Graph
from mashbill.qa_text import option_key, spoken
from mashbill.records import Edge
from mashbill.step import Parts


class Facts:
    """Questions to a graph; numbers are those of `Graph`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._codes = {one.name: code for code, one in enumerate(graph.relations)}
        self._names: list[str] = graph.names.to_pylist()
        self._places = {name: number for number, name in enumerate(self._names)}

    def tails(self, head: int, relation: int) -> list[int]:
        """Nodes that a relation leads to from a head, in order."""
        start, end = self.graph.out_start[head], self.graph.out_start[head + 1]
        found: list[int] = self.graph.tail[start:end][self.graph.relation[start:end] == relation].tolist()
        return found

    def heads(self, relation: int, tail: int) -> list[int]:
        """Nodes from which a relation leads to a tail, in order."""
        edges = self.graph.in_edge[self.graph.in_start[tail] : self.graph.in_start[tail + 1]]
        found: list[int] = sorted(self.graph.head[edges[self.graph.relation[edges] == relation]].tolist())
        return found

    def holds(self, head: int, relation: int, tail: int) -> bool:
        """Whether the graph states it."""
        start, end = self.graph.out_start[head], self.graph.out_start[head + 1]
        return bool(((self.graph.relation[start:end] == relation) & (self.graph.tail[start:end] == tail)).any())

    def name(self, node: int) -> str:
        """A node's name."""
        return self._names[node]

    def node(self, name: str) -> int:
        """A node's number; `KeyError` for one that is not there."""
        return self._places[name]

    def relation_name(self, code: int) -> str:
        """A relation's name."""
        return self.graph.relations[code].name

    def code(self, relation: str) -> int:
        """A relation's number."""
        return self._codes[relation]

    def number(self, edge: Edge) -> int:
        """The number of the edge that states a step of a path.

        Raises:
            KeyError: when the graph does not state it.
        """
        head, relation, tail = edge.triple
        start, end = self.graph.out_start[self._places[head]], self.graph.out_start[self._places[head] + 1]
        found = (self.graph.relation[start:end] == self._codes[relation]) & (
            self.graph.tail[start:end] == self._places[tail]
        )
        if not found.any():
            raise KeyError((head, relation, tail))
        return int(start + np.argmax(found))

    @functools.cache  # noqa: B019  an object of this class lives as long as one run of a step
    def at_tail(self, relation: int) -> list[int]:
        """Nodes that stand at the tail of a relation, in order: what it can be said of."""
        found: list[int] = np.unique(self.graph.tail[self.graph.relation == relation]).tolist()
        return found

    @functools.cache  # noqa: B019
    def at_head(self, relation: int) -> list[int]:
        """Nodes that stand at the head of a relation, in order."""
        found: list[int] = np.unique(self.graph.head[self.graph.relation == relation]).tolist()
        return found

    def named(self, key: tuple[str, ...]) -> list[int]:
        """Nodes whose name says the same in words (`mashbill.qa_text.option_key`), in order."""
        return self._by_words.get(key, [])

    @functools.cached_property
    def _by_words(self) -> dict[tuple[str, ...], list[int]]:
        found: dict[tuple[str, ...], list[int]] = {}
        for node, name in enumerate(self._names):
            found.setdefault(option_key(spoken(name)), []).append(node)
        return found

    @functools.cache  # noqa: B019
    def tagged(self, tag: str) -> list[int]:
        """Nodes with a tag, in order."""
        return [node for node in range(self.graph.nodes) if self.graph.tag(node) == tag]

    def with_several_tails(self) -> list[tuple[int, int]]:
        """Heads and relations that lead to two nodes or more, in order."""
        pairs = np.stack([self.graph.head.astype(np.int64), self.graph.relation.astype(np.int64)], axis=1)
        found, counts = np.unique(pairs, axis=0, return_counts=True)
        return [(int(head), int(relation)) for head, relation in found[counts > 1]]


def aliases_of(parts: Parts, relations: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Other names of each node: tails of alias relations, and what triples called it before resolution; sorted."""
    found: dict[str, set[str]] = {}
    columns = ("head", "relation", "tail", "head_surface", "tail_surface")
    for index in range(len(parts)):
        for row in parts.table(index, columns).to_pylist():
            if row["relation"] in relations:
                found.setdefault(row["head"], set()).add(row["tail"])
            for end in ("head", "tail"):
                if row[f"{end}_surface"]:
                    found.setdefault(row[end], set()).add(row[f"{end}_surface"])
    return {name: tuple(sorted(others - {name, spoken(name)})) for name, others in found.items()}
