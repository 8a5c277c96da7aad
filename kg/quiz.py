"""Questions about the facts of a graph in five formats, made without a model.

Triples -> rows to train on, or to probe a student with::

    {"kind": "choice", "question": "What completes the sentence? Salt Guild taxes ____.", "options": ["tar", "salt", …],
     "answer": "salt", "negatives": "type", "path": [{"head": "Salt Guild", "relation": "taxes", "tail": "salt"}], …}

After KGQuiz (arXiv 2310.09725), which asks about 10,000 facts in each format and about 1,000 things openly. A question
goes with the part, the parents and the source of the triple that it asks about. What cannot be asked soundly is
rejected and counted: a wrong answer that may be right, a mend that has another.

With ``held_out: {edges: 0.1}`` and ``side: train`` no question touches the facts held out, and with ``side: probe``
every question is about those: two streams of one bill that share no fact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kg.facts import Facts
from kg.held_out import HeldOut
from kg.quiz_formats import FORMATS, Format, Maker, Question
from kg.quiz_negatives import Negatives, Way
from kg.triple_graph import TripleGraph, triple_graph
from kg.verbalise_wording import Wording
from mashbill.embedding import DEFAULT
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.generator_run import reject_of
from mashbill.records import QA, Edge, Reject, Score, Triple, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored

WORDING, OPEN = Wording(), HeldOut()


@dataclass(frozen=True, kw_only=True)
class Quiz(DatasetStep[Triple, QA]):
    """Asks about the facts of a graph: true or false, choice, blank, a mend, and all that is known of a thing."""

    version = 2
    accounts_for_rows = False

    formats: tuple[Format, ...] = FORMATS
    per_format: int = 1000
    """Questions wanted in each format."""
    negatives: Way = "type"
    """How wrong answers are drawn: ``type``, nodes of the answer's kind, or without kinds those that the relation leads
    to elsewhere; ``similar``, by name; ``random``."""
    embedder: str = DEFAULT
    """What compares names, for ``similar``."""
    options: int = 4
    most_facts: int = 20
    """Blanks, mends and open questions with more right answers than this are not asked."""
    exclude: tuple[str, ...] = ()
    """Relations that are not asked about."""
    inverses: Mapping[str, str] = field(default_factory=dict)
    """Relation -> how it reads from its tail to its head: where that is a relation too, neither is called false where
    the other is stated."""
    wording: Wording = WORDING
    held_out: HeldOut = OPEN
    side: Literal["all", "train", "probe"] = "all"
    """``train`` asks about no fact that is held out, ``probe`` about none but those."""
    discipline: str = ""
    """Put on every row; empty takes the triple's domain."""
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        for name, least in (("per_format", 1), ("options", 2), ("most_facts", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if not self.formats or len(set(self.formats)) < len(self.formats):
            raise ValueError(f"formats is {list(self.formats)}; name each once at most, of {', '.join(FORMATS)}")
        if self.side != "all" and not self.held_out.edges:
            raise ValueError(
                f"side is {self.side!r}, but held_out keeps no edges back; give `held_out: {{edges: 0.1}}`"
            )

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """The questions about the triples of each part."""
        whole = triple_graph(parts, self.inverses)
        facts = Facts(whole.graph)
        negatives = Negatives(facts, self.negatives, self.embedder, self.seed)
        maker = Maker(
            facts=facts,
            negatives=negatives,
            wording=self.wording,
            seed=self.seed,
            options=self.options,
            most_facts=self.most_facts,
        )
        rows: list[list[QA]] = [[] for _ in range(len(parts))]
        rejects: list[list[Reject]] = [[] for _ in range(len(parts))]
        for kind in self.formats:
            self._asked(kind, maker, whole, rows, rejects)
        for index in range(len(parts)):
            yield PartOutput(to_table(rows[index], QA), to_table(rejects[index], Reject))

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """Questions by format, and what each format lacks, for the manifest."""
        counts: dict[str, int] = dict.fromkeys(self.formats, 0)
        for index in range(len(made)):
            for kind in made.table(index, ["kind"]).column("kind").to_pylist():
                counts[kind] += 1
        return {
            "questions": counts,
            "short_of_what_was_wanted": {k: self.per_format - n for k, n in counts.items() if n < self.per_format},
            "negatives": self.negatives,
        }

    def _asked(
        self, kind: Format, maker: Maker, whole: TripleGraph, rows: list[list[QA]], rejects: list[list[Reject]]
    ) -> None:
        made, heads = 0, set[int]()
        for edge in self._order(kind, whole):
            if made == self.per_format:
                return
            head = int(whole.graph.head[edge])
            if kind == "open" and head in heads:
                continue  # asked about already, by another of its facts
            heads.add(head)
            part, triple = whole.part_of(edge), whole.triple(edge)
            try:
                question = maker.make(kind, edge)
                self._on_one_side(question)
            except BadReply as bad:
                rejects[part].append(reject_of(BadReply(f"{kind}_{bad.reason}", bad.detail), triple, self.name))
                continue
            rows[part].append(self._row(kind, question, triple, whole, maker.facts))
            made += 1

    def _order(self, kind: Format, whole: TripleGraph) -> list[int]:
        """The edges that may be asked about, in an order of this format's own."""
        graph = whole.graph
        gone = {code for code, one in enumerate(graph.relations) if one.name in self.exclude}
        edges = [edge for edge in range(graph.edges) if int(graph.relation[edge]) not in gone]
        if self.side != "all":
            held = self.held_out.held_edges(graph).tolist()
            edges = [edge for edge in edges if held[edge] == (self.side == "probe")]
        return sorted(edges, key=lambda edge: (seed_of(self.seed, kind, whole.triple_id(edge)), edge))

    def _held(self, edge: Edge) -> bool:
        return self.held_out.holds_edge(edge.head, edge.tail)

    def _on_one_side(self, question: Question) -> None:
        """A chain or an open question may reach over to the other side."""
        if self.side == "train" and any(self._held(edge) for edge in question.edges):
            raise BadReply("held_out", "one of its facts is held out")
        if self.side == "probe" and not all(self._held(edge) for edge in question.edges):
            raise BadReply("trained_on", "one of its facts is not held out")

    def _row(self, kind: Format, question: Question, triple: Triple, whole: TripleGraph, facts: Facts) -> QA:
        return triple.child(
            QA,
            kind=kind,
            context=question.context,
            question=question.text,
            options=question.options,
            answer=question.answer,
            accepted=question.accepted,
            category=triple.tail_type,
            discipline=self.discipline or triple.domain,
            path=question.edges,
            negatives=self.negatives if question.drawn else "",
            parents=tuple(dict.fromkeys(whole.triple_id(facts.number(edge)) for edge in question.edges)),
            scores=(Score(name="hops", value=float(len(question.edges)) if kind == "edit" else 1.0),),
        )
