"""The five formats of a quiz about one fact, each a function from facts to a question, in growing difficulty.

``Ora Venn leads the Salt Guild`` ->

    true_false  "Is this true? Ora Venn leads the Lamp Guild."                      False
    choice      "What completes the sentence? Ora Venn leads ____."                 four options
    blank       "Ora Venn leads ____."                                              every right answer accepted
    edit        "One name in these sentences is wrong. …"                           the sentences as they should be
    open        "What is known of Ora Venn? …"                                      every fact, scored by kg.quiz_score

After KGQuiz (arXiv 2310.09725). Nothing here asks a model; what the graph states is taken for all that is true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kg.facts import Facts
from kg.quiz_negatives import Negatives
from kg.truth import Truth
from kg.verbalise_wording import Wording, finished
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.qa_text import spoken
from mashbill.records import Edge

Format = Literal["true_false", "choice", "blank", "edit", "open"]
FORMATS: tuple[Format, ...] = ("true_false", "choice", "blank", "edit", "open")
GAP = "____"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question before it is a row."""

    text: str
    answer: str
    edges: tuple[Edge, ...]
    """The true facts that it is about."""
    context: str = ""
    options: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    drawn: bool = False
    """Whether wrong answers were drawn for it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Maker:
    """What all formats need."""

    facts: Facts
    negatives: Negatives
    wording: Wording
    seed: int
    options: int = 4
    most_facts: int = 20

    def make(self, kind: Format, edge: int) -> Question:
        """A question of a format about an edge.

        Raises:
            BadReply: with the reason why there can be none: ``too_few_negatives``, ``no_chain``, ``ambiguous_edit``,
                ``too_many_answers``, ``answer_in_question``.
        """
        makers = {
            "true_false": self._true_false,
            "choice": self._choice,
            "blank": self._blank,
            "edit": self._edit,
            "open": self._open,
        }
        head, _, tail = self._parts(edge)
        if head == tail and kind in ("choice", "blank"):
            raise BadReply("answer_in_question", f"{self._named(head)!r} is both ends of the fact")
        return makers[kind](edge)

    def _parts(self, edge: int) -> tuple[int, int, int]:
        graph = self.facts.graph
        return int(graph.head[edge]), int(graph.relation[edge]), int(graph.tail[edge])

    def _named(self, node: int) -> str:
        return spoken(self.facts.name(node))

    def _sentence(self, head: int, relation: int, tail: int) -> str:
        return self.wording.sentence(self._named(head), self.facts.relation_name(relation), self._named(tail))

    def _gapped(self, edge: int) -> str:
        head, relation, _ = self._parts(edge)
        return finished(f"{self._named(head)} {self.wording.predicate(self.facts.relation_name(relation), GAP)}")

    def _true_false(self, edge: int) -> Question:
        head, relation, tail = self._parts(edge)
        # Drawn for true ones too: were only the false ones given up for want of a wrong answer, most would be true.
        (wrong,) = self.negatives.draw(head, relation, tail, 1, ("true_false", edge))
        shown, answer = (wrong, "False") if self._draw("false", edge) % 2 else (tail, "True")
        text = f"Is this true? {self._sentence(head, relation, shown)}"
        edges = (self.facts.graph.edge(edge),)
        return Question(text=text, answer=answer, options=("True", "False"), edges=edges, drawn=shown != tail)

    def _choice(self, edge: int) -> Question:
        head, relation, tail = self._parts(edge)
        wrong = self.negatives.draw(head, relation, tail, self.options - 1, ("choice", edge))
        shown = sorted([tail, *wrong], key=lambda node: self._draw("letter", edge, node))
        options = tuple(self._named(node) for node in shown)
        text = f"What completes the sentence? {self._gapped(edge)}"
        edges = (self.facts.graph.edge(edge),)
        return Question(text=text, answer=self._named(tail), options=options, edges=edges, drawn=True)

    def _blank(self, edge: int) -> Question:
        head, relation, tail = self._parts(edge)
        right = self.negatives.truth.tails(head, relation)
        if len(right) > self.most_facts:
            raise BadReply("too_many_answers", f"{len(right)} answers are right, {self.most_facts} may be")
        accepted = tuple(self._named(node) for node in sorted(right))
        text = f"Fill in the blank: {self._gapped(edge)}"
        edges = (self.facts.graph.edge(edge),)
        return Question(text=text, answer=self._named(tail), accepted=accepted, edges=edges)

    def _edit(self, edge: int) -> Question:
        chain = self._chain(edge)
        place = self._draw("place", edge) % (len(chain.nodes))
        wrong, fixes = self._corrupted(chain, place, edge)
        sentences = chain.sentences(self, chain.nodes)
        broken = chain.sentences(self, wrong)
        accepted = tuple(
            " ".join(chain.sentences(self, (*chain.nodes[:place], fix, *chain.nodes[place + 1 :]))) for fix in fixes
        )
        text = "One name in these sentences is wrong, wherever it stands. Write them as they should be."
        edges = tuple(self.facts.graph.edge(one) for one in chain.edges)
        return Question(
            text=text,
            context=" ".join(broken),
            answer=" ".join(sentences),
            accepted=accepted,
            edges=edges,
            drawn=True,
        )

    def _chain(self, edge: int) -> _Chain:
        """The edge and one that goes on from it to a third node."""
        head, _, tail = self._parts(edge)
        graph = self.facts.graph
        onward = [
            one
            for one in range(int(graph.out_start[tail]), int(graph.out_start[tail + 1]))
            if int(graph.tail[one]) not in (head, tail)
        ]
        if head == tail or not onward:
            raise BadReply("no_chain", f"nothing leads on from {self._named(tail)!r}")
        after = onward[self._draw("onward", edge) % len(onward)]
        return _Chain((edge, after), (head, tail, int(graph.tail[after])), self._relations((edge, after)))

    def _relations(self, edges: Sequence[int]) -> tuple[int, ...]:
        return tuple(int(self.facts.graph.relation[one]) for one in edges)

    def _corrupted(self, chain: _Chain, place: int, edge: int) -> tuple[tuple[int, ...], list[int]]:
        """The chain's nodes with a wrong one at a place, such that only putting another there can mend it."""
        right = chain.nodes[place]
        relation = chain.relations[max(place - 1, 0)]
        fixes = chain.fixes(self.negatives.truth, chain.nodes, place)
        pool = self.negatives.pool(relation, right)
        many = self.negatives.other_than({*chain.nodes, *fixes}, pool, right, 1, ("edit", edge))
        wrong = (*chain.nodes[:place], many[0], *chain.nodes[place + 1 :])
        truth = self.negatives.truth
        if any(not chain.wrong_at(truth, wrong, at) for at in chain.touching(place)):
            raise BadReply("ambiguous_edit", "with the wrong name one of the sentences about it is still true")
        if any(chain.fixes(truth, wrong, other) for other in range(len(wrong)) if other != place):
            raise BadReply("ambiguous_edit", "changing another name would mend the sentences too")
        if len(fixes) > self.most_facts:
            raise BadReply("too_many_answers", f"{len(fixes)} names would mend it, {self.most_facts} may")
        return wrong, fixes

    def _open(self, edge: int) -> Question:
        head, _, _ = self._parts(edge)
        graph = self.facts.graph
        start, end = int(graph.out_start[head]), int(graph.out_start[head + 1])
        if end - start > self.most_facts:
            raise BadReply("too_many_answers", f"{end - start} facts begin with it, {self.most_facts} may")
        facts = tuple(self._sentence(*self._parts(one)) for one in range(start, end))
        text = (
            f"What is known of {self._named(head)}? Write one fact a line, each a sentence that begins with its name."
        )
        edges = tuple(graph.edge(one) for one in range(start, end))
        return Question(text=text, answer="\n".join(facts), accepted=facts, edges=edges)

    def _draw(self, *what: object) -> int:
        return seed_of(self.seed, *what)


@dataclass(frozen=True, slots=True)
class _Chain:
    edges: tuple[int, ...]
    nodes: tuple[int, ...]
    relations: tuple[int, ...]

    def sentences(self, maker: Maker, nodes: Sequence[int]) -> list[str]:
        """The chain told with these nodes."""
        return [maker._sentence(nodes[at], relation, nodes[at + 1]) for at, relation in enumerate(self.relations)]

    def touching(self, place: int) -> list[int]:
        """The sentences in which a node stands."""
        return [at for at in (place - 1, place) if 0 <= at < len(self.relations)]

    def wrong_at(self, truth: Truth, nodes: Sequence[int], at: int) -> bool:
        """Whether a sentence with these nodes is not true in the graph."""
        return not truth.holds(nodes[at], self.relations[at], nodes[at + 1])

    def fixes(self, truth: Truth, nodes: Sequence[int], place: int) -> list[int]:
        """Every node which, put at a place, makes all sentences true."""
        if any(self.wrong_at(truth, nodes, at) for at in range(len(self.relations)) if at not in self.touching(place)):
            return []
        found: frozenset[int] | None = None
        for at in self.touching(place):
            if at == place:  # it is this sentence's head
                ends = truth.heads(self.relations[at], nodes[at + 1])
            else:
                ends = truth.tails(nodes[at], self.relations[at])
            found = ends if found is None else found & ends
        return sorted(found or ())
