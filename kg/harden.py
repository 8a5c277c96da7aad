"""Questions made harder by telling less, while the graph still has one answer.

A thing and all that gives it away -> a question that takes some search, its answer the same::

    "Salt Guild taxes it. It preserves herring. Which good is meant?"            salt, given away by either clue
    "Something that Ora Venn leads taxes it. Which good is meant?"               salt, after two rounds

In the manner of WebExplorer (arXiv 2509.06501), which has a model evolve its questions over five rounds from long to
short, removing what is salient, and found that a strong agent's share of right answers fell from 86.6 to 67.1. It
leaves it to the model that the answer stays the only one; here it is looked up after each round how many nodes fit what
is still told, and a step that lets in a second one is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kg.facts import Facts
from kg.harden_clues import Clue, Clues, Query
from kg.triple_graph import TripleGraph, triple_graph
from kg.verbalise_wording import Wording
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.generator_run import reject_of
from mashbill.qa_text import spoken
from mashbill.records import QA, Reject, Score, Triple, Verdict, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored
from mashbill.words import folded_track, singular, track, words

WORDING = Wording()


@dataclass(frozen=True, kw_only=True)
class Harden(DatasetStep[Triple, QA]):
    """Makes a question of what is known of a thing, and tells less and less of it while one answer fits."""

    version = 2
    accounts_for_rows = False

    count: int = 1000
    """Questions wanted."""
    clues: int = 4
    """Facts that a question begins with, at most; a node with fewer edges has fewer."""
    rounds: int = 5
    """The paper's."""
    least_rounds: int = 1
    """Questions that could not be made harder so often are rejected."""
    least_clues: int = 1
    """Facts that are left at least."""
    tell_kind: bool = True
    """Whether the question says what kind of thing is meant, where the graph has kinds."""
    exclude: tuple[str, ...] = ()
    """Relations that make no clues."""
    inverses: Mapping[str, str] = field(default_factory=dict)
    """Relation -> how it reads from its tail to its head, so that a node for which the reverse is stated fits too."""
    wording: Wording = WORDING
    discipline: str = ""
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        for name, least in (("count", 1), ("clues", 1), ("rounds", 1), ("least_rounds", 0), ("least_clues", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """The questions, each with the part in which its first fact stands."""
        whole = triple_graph(parts, self.inverses)
        gone = [name for name in self.exclude if any(one.name == name for one in whole.graph.relations)]
        graph = whole.graph.without(gone)
        clues = Clues(Facts(graph), self.wording)
        rows: list[list[QA]] = [[] for _ in range(len(parts))]
        rejects: list[list[Reject]] = [[] for _ in range(len(parts))]
        made = 0
        for node in sorted(range(graph.nodes), key=lambda one: (seed_of(self.seed, "target", graph.name(one)), one)):
            first = self._clues_of(clues, node)
            if made == self.count:
                break
            if not first:
                continue
            part, triple = whole.part_of(first[0].edge, graph), whole.triple(first[0].edge, graph)
            try:
                rows[part].append(self._row(clues, whole, node, first, triple))
                made += 1
            except BadReply as bad:
                rejects[part].append(reject_of(bad, triple, self.name))
        for index in range(len(parts)):
            yield PartOutput(to_table(rows[index], QA), to_table(rejects[index], Reject))

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """Questions by the rounds they went through, for the manifest."""
        rounds: dict[str, int] = {}
        for index in range(len(made)):
            for verdicts in made.table(index, ["verdicts"]).column("verdicts").to_pylist():
                went = str(_rounds(one["name"] for one in verdicts))
                rounds[went] = rounds.get(went, 0) + 1
        return {"questions_by_rounds": dict(sorted(rounds.items()))}

    def _clues_of(self, clues: Clues, node: int) -> list[Clue]:
        """The facts that a question begins with: a draw of what is known of the node."""
        known = sorted(clues.about(node), key=lambda clue: seed_of(self.seed, node, clue.edge, clue.leads_out))
        return sorted(known[: self.clues], key=lambda clue: clue.edge)

    def _row(self, clues: Clues, whole: TripleGraph, node: int, first: list[Clue], triple: Triple) -> QA:
        facts, graph = clues.facts, clues.facts.graph
        start = Query(clues=tuple(first), kind=graph.tag(node) if self.tell_kind else "")
        query, verdicts = self._hardened(clues, start, node)
        rounds = _rounds(one.name for one in verdicts)
        if rounds < self.least_rounds:
            raise BadReply("not_hardened", f"{rounds} rounds could be taken, {self.least_rounds} wanted")
        edges = clues.edges(query)
        known = " ".join(self.wording.told(edge) for edge in edges)
        return triple.child(
            QA,
            kind="hardened",
            question=clues.text(query),
            answer=spoken(facts.name(node)),
            rationale=f"{known} Nothing else fits all that is told.",
            category=graph.tag(node),
            discipline=self.discipline or triple.domain,
            path=edges,
            parents=tuple(dict.fromkeys(whole.triple_id(facts.number(edge), graph) for edge in edges)),
            verdicts=verdicts,
            scores=(
                Score(name="rounds", value=float(rounds)),
                Score(name="clues", value=float(len(query.clues))),
                Score(name="salience_before", value=max(clues.salience(clue) for clue in start.clues)),
                Score(name="salience_after", value=max(clues.salience(clue) for clue in query.clues)),
            ),
        )

    def _hardened(self, clues: Clues, query: Query, node: int) -> tuple[Query, tuple[Verdict, ...]]:
        """The last query that one node fits, and what was found at each round.

        Raises:
            BadReply: ``not_unique`` when several nodes fit all the clues from the beginning; ``answer_told`` when the
                question names its answer.
        """
        fitting, first = clues.solutions(query), query
        if fitting != {node}:
            raise BadReply("not_unique", f"{len(fitting)} nodes fit {clues.text(query)!r}")
        verdicts = [Verdict(name="unique:round_0", outcome="pass", detail=f"{len(query.clues)} clues")]
        for number in range(1, self.rounds + 1):
            change = next(
                (one for one in clues.harder(query, node, self.least_clues) if clues.solutions(one.query) == {node}),
                None,
            )
            if change is None:
                break
            query = change.query
            verdicts.append(Verdict(name=f"unique:round_{number}", outcome="pass", detail=change.done))
        answer, told = spoken(clues.facts.name(node)), folded_track(clues.text(query))
        if _named(answer, told):
            raise BadReply("answer_told", f"the question names {answer!r}: {clues.text(query)!r}")
        return query, (*verdicts, *_hidden(clues, first, told))


def _rounds(names: Iterable[str]) -> int:
    return sum(name.startswith("unique:") for name in names) - 1


def _named(name: str, told: str) -> bool:
    key = [singular(word) for word in words(name)]
    return bool(key) and track(key) in told


def _hidden(clues: Clues, first: Query, told: str) -> list[Verdict]:
    """One verdict for each name of the first question that the last one does not give: whoever rewords it must not."""
    names = dict.fromkeys(spoken(clues.facts.name(clue.other)) for clue in first.clues)
    return [Verdict(name="not_named", outcome="pass", detail=name) for name in names if not _named(name, told)]
