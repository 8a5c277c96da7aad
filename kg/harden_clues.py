"""Questions as constraints on one unknown node, and how many nodes of the graph fit them.

``Which good? The Salt Guild taxes it. It preserves herring.`` is a `Query` of two clues; `solutions` are the nodes for
which the graph states both. A clue may be blurred: ``Something that Ora Venn leads taxes it.``
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from kg.facts import Facts
from kg.truth import Truth
from kg.verbalise_wording import Wording
from mashbill.qa_text import spoken
from mashbill.records import Edge

MOST_BLURS = 200
"""Facts that are tried in place of a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """One fact about the unknown node: the edge that states it, and how much of its other end is told."""

    edge: int
    relation: int
    other: int
    leads_out: bool
    """Whether the edge starts at the unknown node."""
    blur: int | None = None
    """The edge, from the other end to a third node, that is told in place of the other end's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Clues that must all hold of the unknown node, and its kind, where it is told."""

    clues: tuple[Clue, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A query made harder, and what was done."""

    query: Query
    done: str


class Clues:
    """Clues over one graph."""

    def __init__(self, facts: Facts, wording: Wording) -> None:
        self.facts, self.wording = facts, wording
        self.truth = Truth(facts)
        self._fits: dict[Clue, frozenset[int]] = {}

    def about(self, node: int) -> list[Clue]:
        """Every clue about a node: those that lead out, then those that lead in; edges to itself tell nothing."""
        graph = self.facts.graph
        out = [
            Clue(edge=edge, relation=int(graph.relation[edge]), other=int(graph.tail[edge]), leads_out=True)
            for edge in range(int(graph.out_start[node]), int(graph.out_start[node + 1]))
        ]
        into = [
            Clue(edge=edge, relation=int(graph.relation[edge]), other=int(graph.head[edge]), leads_out=False)
            for edge in graph.in_edge[graph.in_start[node] : graph.in_start[node + 1]].tolist()
        ]
        return [clue for clue in [*out, *into] if clue.other != node]

    def fits(self, clue: Clue) -> frozenset[int]:
        """The nodes of which a clue is true; each clue is looked up once."""
        if clue not in self._fits:
            self._fits[clue] = frozenset(self._looked_up(clue))
        return self._fits[clue]

    def _looked_up(self, clue: Clue) -> set[int]:
        others: Iterable[int] = (clue.other,)
        if clue.blur is not None:
            third = int(self.facts.graph.tail[clue.blur])
            others = self.truth.heads(int(self.facts.graph.relation[clue.blur]), third)
        # By what is true, not by what is stated: a node for which the reverse is stated fits what is told as well.
        if clue.leads_out:
            return {node for other in others for node in self.truth.heads(clue.relation, other)}
        return {node for other in others for node in self.truth.tails(other, clue.relation)}

    def solutions(self, query: Query) -> set[int]:
        """The nodes that all clues and the kind are true of."""
        found: frozenset[int] | None = None
        for clue in query.clues:
            fitting = self.fits(clue)
            found = fitting if found is None else found & fitting
        return {node for node in found or () if not query.kind or self.facts.graph.tag(node) == query.kind}

    def salience(self, clue: Clue) -> float:
        """How far a clue alone gives the node away: 1 where it fits no other."""
        return 1.0 / len(self.fits(clue))

    def harder(self, query: Query, target: int, least: int) -> Iterator[Change]:
        """Every way to tell less, the most salient clue first: blurred, and then left out."""
        ranked = sorted(query.clues, key=lambda clue: (-self.salience(clue), clue.edge))
        for clue in ranked:
            rest = tuple(one for one in query.clues if one is not clue)
            for blur in self._blurs(clue, target):
                told = replace(clue, blur=blur)
                if len(self.fits(told)) > len(self.fits(clue)):  # else it tells as much in more words
                    clues = tuple(told if one is clue else one for one in query.clues)
                    yield Change(replace(query, clues=self._distinct(clues)), f"blurred: {self.sentence(clue)}")
            if len(rest) >= least:
                yield Change(replace(query, clues=rest), f"left out: {self.sentence(clue)}")

    def _distinct(self, clues: Iterable[Clue]) -> tuple[Clue, ...]:
        """The clues without those that, blurred, say what an earlier one says."""
        return tuple({self.sentence(clue): clue for clue in reversed(tuple(clues))}.values())[::-1]

    def _blurs(self, clue: Clue, target: int) -> list[int]:
        """Edges that may stand for the other end's name: those that lead on from it, and not to the answer."""
        if clue.blur is not None:
            return []
        graph = self.facts.graph
        start, end = int(graph.out_start[clue.other]), int(graph.out_start[clue.other + 1])
        # Of a hub's million edges a few, evenly: each would be looked up.
        edges = range(start, end, max(1, -(-(end - start) // MOST_BLURS)))
        return [edge for edge in edges if int(graph.tail[edge]) not in (target, clue.other)]

    def sentence(self, clue: Clue) -> str:
        """A clue as a sentence about ``it``."""
        graph, name = self.facts.graph, spoken(self.facts.name(clue.other))
        if clue.blur is not None:
            relation = self.facts.relation_name(int(graph.relation[clue.blur]))
            third = spoken(self.facts.name(int(graph.tail[clue.blur])))
            name = f"something that {self.wording.predicate(relation, third)}"
        relation = self.facts.relation_name(clue.relation)
        return (
            self.wording.sentence("it", relation, name)
            if clue.leads_out
            else self.wording.sentence(name, relation, "it")
        )

    def text(self, query: Query) -> str:
        """The whole question."""
        asked = f"Which {spoken(query.kind)} is meant?" if query.kind else "What is meant?"
        return " ".join([*(self.sentence(clue) for clue in query.clues), asked])

    def edges(self, query: Query) -> tuple[Edge, ...]:
        """The facts that a question goes over, those of blurred clues too."""
        numbers = [one for clue in query.clues for one in (clue.edge, clue.blur) if one is not None]
        return tuple(self.facts.graph.edge(number) for number in dict.fromkeys(numbers))
