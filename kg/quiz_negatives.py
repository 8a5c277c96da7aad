"""Wrong answers that are wrong: nodes for which the graph does not state the fact, chosen in one of three ways.

``salt`` as the answer to what the guild taxes -> ``type``: other goods that are taxed somewhere; ``similar``: things
whose names are most like ``salt``; ``random``: any node. How wrong answers are drawn changes a quiz's score a lot
(KGQuiz, arXiv 2310.09725), so each row says which way its own were.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from kg.facts import Facts
from mashbill.embedding import load_embedder
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.qa_text import spoken

Way = Literal["type", "similar", "random"]

MOST_COMPARED = 20_000
"""Names that are compared with one another for likeness: 20 MB of vectors; of more, so many are drawn."""


class Negatives:
    """Draws wrong answers from a graph."""

    def __init__(self, facts: Facts, way: Way, embedder: str, seed: int) -> None:
        self.facts, self.way, self.embedder, self.seed = facts, way, embedder, seed
        self._vectors: tuple[list[int], npt.NDArray[np.float32]] | None = None

    def draw(self, head: int, relation: int, answer: int, count: int, key: object) -> list[int]:
        """So many nodes that the relation does not lead to from the head, different in name from all it leads to.

        Raises:
            BadReply: ``too_few_negatives`` when the graph has not so many of the kind asked for.
        """
        true = {*self.facts.tails(head, relation), head, answer}
        return self.other_than(true, self.pool(relation, answer), answer, count, key)

    def pool(self, relation: int, answer: int) -> Sequence[int]:
        """Where wrong answers come from, before what is true is taken out."""
        if self.way == "type":
            tag = self.facts.graph.tag(answer)
            return self.facts.tagged(tag) if tag else self.facts.at_tail(relation)
        return range(self.facts.graph.nodes)

    def other_than(self, true: Collection[int], pool: Sequence[int], answer: int, count: int, key: object) -> list[int]:
        """So many nodes of the pool that are not true, each with a name of its own.

        Raises:
            BadReply: ``too_few_negatives``.
        """
        names = {spoken(self.facts.name(node)).casefold() for node in true}
        found = list[int]()
        for node in self._ranked(pool, answer, key):
            name = spoken(self.facts.name(node)).casefold()
            if node not in true and name not in names:
                names.add(name)
                found.append(node)
                if len(found) == count:
                    return found
        raise BadReply("too_few_negatives", f"{len(found)} wrong answers of the way {self.way!r}, {count} wanted")

    def _ranked(self, pool: Sequence[int], answer: int, key: object) -> Sequence[int]:
        if self.way == "similar":
            return self._nearest(answer)
        # A permutation from the key alone; drawn whole, since how many are true is not known beforehand.
        order = np.random.Generator(np.random.PCG64(seed_of(self.seed, "negatives", key))).permutation(len(pool))
        return [pool[at] for at in order.tolist()]

    def _nearest(self, answer: int) -> list[int]:
        if self._vectors is None:
            graph = self.facts.graph
            nodes = list(range(graph.nodes))
            if len(nodes) > MOST_COMPARED:
                drawn = np.random.Generator(np.random.PCG64(seed_of(self.seed, "compared"))).permutation(graph.nodes)
                nodes = sorted(drawn[:MOST_COMPARED].tolist())
            names = [spoken(self.facts.name(node)) for node in nodes]
            self._vectors = nodes, np.asarray(load_embedder(self.embedder).embed(names), np.float32)
        nodes, vectors = self._vectors
        own = np.asarray(load_embedder(self.embedder).embed([spoken(self.facts.name(answer))]), np.float32)[0]
        # Rounded, so that ties fall in the order of the nodes on any machine.
        order = np.argsort(-np.round(vectors @ own, 5), kind="stable")
        return [nodes[at] for at in order.tolist()]
