"""What follows from a graph besides what it states: so that nothing true is called wrong, and no second answer missed.

``Ora adjacent_to Venn`` -> Ora is also a right answer to ``Venn is adjacent to ____``; with ``part_of`` read backwards
as ``has_part``, ``salt part_of brine`` makes salt a right answer to ``Brine has part ____``; of ``alga isa plant`` and
``plant isa thing``, both are right for ``Alga is a kind of ____``.

Five things are known: relations that read alike in words (``part_of``, ``partOf``) say the same; a relation whose
inverse label is another relation's name runs the other way; so does a pair of relations that are each other's reverse
nine times in ten (`kg.relation_kinds`); symmetric relations run both ways, by their name or nine times in ten; and
taxonomic ones go on (`kg.graph.TAXONOMIC`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from kg.facts import Facts
from kg.graph import Graph
from kg.relation_kinds import SHARE, SUPPORT
from mashbill.qa_text import spoken
from mashbill.records import Edge

SYMMETRIC = frozenset(
    [
        "adjacent to",
        "borders",
        "connected to",
        "interconnects",
        "co-occurs with",
        "cooccurs with",
        "interacts with",
        "equivalent to",
        "same as",
        "sibling",
        "sibling of",
        "spouse",
        "spouse of",
        "married to",
        "similar to",
        "synonym",
        "synonym of",
        "different from",
        "near",
        "is near",
    ]
)
"""Relations that hold both ways by what they mean, in words."""
_KEPT = 4096
"""Answers that are remembered, so that a hub's are not gathered for each of its edges."""


class Truth:
    """What is true of a graph's nodes; numbers are those of `Graph`."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._alike, self._back = _relations(facts.graph)
        self._known: dict[tuple[str, int, int], frozenset[int]] = {}

    def tails(self, head: int, relation: int) -> frozenset[int]:
        """Nodes of which it is true that the relation leads to them from the head."""
        return self._remembered("tails", head, relation)

    def heads(self, relation: int, tail: int) -> frozenset[int]:
        """Nodes of which it is true that the relation leads from them to the tail."""
        return self._remembered("heads", tail, relation)

    def never_wrong(self, head: int, relation: int) -> frozenset[int]:
        """Nodes that may not be offered as wrong tails: the true ones, and those that the relation leads from.

        A relation that nobody called symmetric may be so all the same: what stands on its other side is left alone.
        """
        return self._remembered("never", head, relation)

    def holds(self, head: int, relation: int, tail: int) -> bool:
        """Whether it is true."""
        return tail in self.tails(head, relation)

    def ends(self, source: int, steps: Iterable[tuple[int, bool]]) -> frozenset[int]:
        """Every node that steps of these relations, each forwards or backwards, may lead to from a source."""
        reached = frozenset({source})
        for relation, inverse in steps:
            reached = frozenset(
                one
                for node in reached
                for one in (self.heads(relation, node) if inverse else self.tails(node, relation))
            )
        return reached

    def ends_of(self, edges: Sequence[Edge]) -> frozenset[int]:
        """Every node that a path's steps may lead to from where it begins: the right answers to it.

        Raises:
            KeyError: for a node or a relation that is not in the graph.
        """
        steps = [(self.facts.code(edge.triple[1]), edge.inverse) for edge in edges]
        return self.ends(self.facts.node(edges[0].head), steps)

    def _remembered(self, what: str, node: int, relation: int) -> frozenset[int]:
        key = (what, node, relation)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[key] = self._looked_up(what, node, relation)
        return found

    def _looked_up(self, what: str, node: int, relation: int) -> frozenset[int]:
        if what == "never":
            other_way = (one for code in self._alike[relation] for one in self.facts.heads(code, node))
            return self.tails(node, relation) | frozenset(other_way)
        found = self._next(what, node, relation)
        if self.facts.graph.relations[relation].taxonomic:
            frontier = set(found)
            while frontier:
                frontier = {far for one in frontier for far in self._next(what, one, relation)} - found
                found |= frontier
            found -= {node}
        return frozenset(found)

    def _next(self, what: str, node: int, relation: int) -> set[int]:
        facts, alike, back = self.facts, self._alike[relation], self._back[relation]
        if what == "tails":
            there = (one for code in alike for one in facts.tails(node, code))
            return {*there, *(one for code in back for one in facts.heads(code, node))}
        there = (one for code in alike for one in facts.heads(code, node))
        return {*there, *(one for code in back for one in facts.tails(node, code))}


def _relations(graph: Graph) -> tuple[list[list[int]], list[list[int]]]:
    """For each relation those that say the same, and those that say it from the other end."""
    names = [spoken(one.name).casefold() for one in graph.relations]
    labels = [spoken(one.inverse).casefold() for one in graph.relations]
    codes = range(len(names))
    by_name: dict[str, list[int]] = {}
    for code in codes:
        by_name.setdefault(names[code], []).append(code)
    alike = [by_name[names[code]] for code in codes]
    back: list[set[int]] = [{code} if names[code] in SYMMETRIC else set() for code in codes]
    named = {(one, two) for one in codes for two in by_name.get(labels[one], ())}
    for one, two in named | _mirrored(graph):
        back[one].add(two)
        back[two].add(one)
    return alike, [
        sorted({two for one in alike[code] for other in back[one] for two in alike[other]}) for code in codes
    ]


def _mirrored(graph: Graph) -> set[tuple[int, int]]:
    """Pairs of relations, a relation and itself too, whose edges run against one another nine times in ten."""
    if not graph.edges:
        return set()
    head, tail, code = graph.head.astype(np.int64), graph.tail.astype(np.int64), graph.relation.astype(np.int64)
    apart = head != tail  # a loop is its own reverse and says nothing
    head, tail, code = head[apart], tail[apart], code[apart]
    there = pl.DataFrame({"pair": head * graph.nodes + tail, "one": code}).lazy()
    back = pl.DataFrame({"pair": tail * graph.nodes + head, "two": code}).lazy()
    counts = there.join(back, on="pair").group_by("one", "two").len().collect()
    sizes = np.bincount(code, minlength=len(graph.relations))
    return {
        (one, two)
        for one, two, both in counts.iter_rows()
        if both >= SUPPORT and both >= SHARE * sizes[one] and both >= SHARE * sizes[two]
    }
