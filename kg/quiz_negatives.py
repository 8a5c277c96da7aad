"""Wrong answers that are wrong: nodes of which the fact is not true in the graph, chosen in one of three ways.

``salt`` as the answer to what the guild taxes -> ``type``: other goods that are taxed somewhere; ``similar``: things
whose names are most like ``salt``; ``random``: any node. How wrong answers are drawn changes a quiz's score a lot
(KGQuiz, arXiv 2310.09725), so each row says which way its own were. What is true is not only what is stated: a
symmetric edge the other way, an inverse or a parallel one make a node no wrong answer either (`kg.truth`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from kg.facts import Facts
from kg.truth import Truth
from mashbill.embedding import load_embedder
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.qa_text import option_key, spoken

Way = Literal["type", "similar", "random"]

MOST_COMPARED = 20_000
"""Names that are compared with one another for likeness: 20 MB of vectors; of more, so many are drawn."""
_PICKS = 64
"""Nodes picked one by one before the whole pool is put into an order: of a large pool few are wanted."""


class Negatives:
    """Draws wrong answers from a graph."""

    def __init__(self, facts: Facts, way: Way, embedder: str, seed: int) -> None:
        self.facts, self.way, self.embedder, self.seed = facts, way, embedder, seed
        self.truth = Truth(facts)
        self._vectors: tuple[list[int], npt.NDArray[np.float32]] | None = None
        self._dry: dict[tuple[int, int, str], BadReply] = {}

    def draw(self, head: int, relation: int, answer: int, count: int, key: object) -> list[int]:
        """So many nodes of which the relation is not true from the head, different in name from all it is true of.

        Raises:
            BadReply: ``too_few_negatives`` when the graph has not so many of the kind asked for.
        """
        asked = (head, relation, self.facts.graph.tag(answer))
        if asked in self._dry:  # a hub that leads to all there is would be searched for each of its edges
            raise self._dry[asked]
        true = self.truth.never_wrong(head, relation) | {head, answer}
        try:
            return self.other_than(true, self.pool(relation, answer), answer, count, key)
        except BadReply as bad:
            self._dry[asked] = bad
            raise

    def pool(self, relation: int, answer: int, *, at_head: bool = False) -> Sequence[int]:
        """Where wrong answers come from, before what is true is taken out."""
        if self.way == "type":
            tag = self.facts.graph.tag(answer)
            if tag:
                return self.facts.tagged(tag)
            return self.facts.at_head(relation) if at_head else self.facts.at_tail(relation)
        return range(self.facts.graph.nodes)

    def other_than(self, true: Collection[int], pool: Sequence[int], answer: int, count: int, key: object) -> list[int]:
        """So many nodes of the pool that are not true, each with a name of its own.

        Raises:
            BadReply: ``too_few_negatives``.
        """
        found, names = list[int](), {self._name(answer)}
        for node in self._ranked(pool, answer, key):
            if node in true or (name := self._name(node)) in names or self._named_true(name, true):
                continue
            names.add(name)
            found.append(node)
            if len(found) == count:
                return found
        raise BadReply("too_few_negatives", f"{len(found)} wrong answers of the way {self.way!r}, {count} wanted")

    def _name(self, node: int) -> tuple[str, ...]:
        return option_key(spoken(self.facts.name(node)))

    def _named_true(self, name: tuple[str, ...], true: Collection[int]) -> bool:
        """Whether a true node has that name too: ``Salt Guild`` beside ``salt_guild``."""
        return any(other in true for other in self.facts.named(name))

    def _ranked(self, pool: Sequence[int], answer: int, key: object) -> Iterator[int]:
        if self.way == "similar":
            yield from self._nearest(answer)
            return
        # From the key alone. A few picks first, then the whole in an order: how many are true is not known beforehand.
        drawn = np.random.Generator(np.random.PCG64(seed_of(self.seed, "negatives", key)))
        if len(pool) > _PICKS:
            yield from (pool[at] for at in drawn.integers(len(pool), size=_PICKS).tolist())
        yield from (pool[at] for at in drawn.permutation(len(pool)).tolist())

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
