"""Items of paths written without a model: stem and options from the graph, so that a small teacher has only to think.

A path of two hops -> an item without its thinking::

    {"kind": "chain", "question": "Ora Venn leads thing 1. Thing 1 taxes thing 2. Which of these is thing 2?",
     "options": ["tar", "salt", "oak", "wool"], "answer": "salt", "negatives": "type", "path": [two edges], …}

Each fact is told in the direction in which the graph states it, also where the path walks it backwards, and what lies
between the ends has a number for a name, so that it must be found. A wrong option is none that any walk along these
relations leads to, through an inverse, symmetric or parallel edge neither (`kg.truth`). Paths are drawn as by
`path_curriculum`; `path_trace` then asks a model for the thinking alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kg.facts import Facts
from kg.held_out import HeldOut, path_key
from kg.path_report import curriculum_report
from kg.path_source import sampler_of
from kg.quiz_negatives import Negatives, Way
from kg.triple_graph import TripleGraph, triple_graph
from kg.verbalise_wording import Wording
from mashbill.embedding import DEFAULT
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.generator_run import reject_of
from mashbill.qa_text import spoken
from mashbill.records import QA, Path, Reject, Score, Triple, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored
from mashbill.words import folded_track, singular, track, words

WORDING, OPEN = Wording(), HeldOut()


@dataclass(frozen=True, kw_only=True)
class PathDraft(DatasetStep[Triple, QA]):
    """Draws paths evenly from a graph and makes a question with options of each, without a model."""

    accounts_for_rows = False

    count: int = 1000
    """Items wanted."""
    hops: int = 3
    """The longest path."""
    hop_weights: tuple[float, ...] = ()
    """A weight for each length; empty: all alike."""
    eps: float = 1.0
    exclude: tuple[str, ...] = ()
    """Relations that are never walked."""
    exclude_taxonomic: bool = True
    way: Literal["both", "forwards"] = "both"
    inverses: Mapping[str, str] = field(default_factory=dict)
    """Relation -> how it reads from its tail to its head."""
    negatives: Way = "type"
    """How wrong options are drawn, as by `quiz`."""
    embedder: str = DEFAULT
    options: int = 4
    held_out: HeldOut = OPEN
    """What is kept for evaluation; give `bench_paths` the same."""
    unique: bool = True
    """Whether a path, walked either way, is asked about once."""
    give_up: int = 200
    """Ends when so many paths one after another gave no item."""
    wording: Wording = WORDING
    discipline: str = ""
    """Put on every row; empty takes the triple's domain."""
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        for name, least in (("count", 1), ("options", 2), ("give_up", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """The items, each with the part in which the first fact of its path stands."""
        whole = triple_graph(parts, self.inverses)
        facts, sampler = Facts(whole.graph), sampler_of(self, whole)
        negatives = Negatives(facts, self.negatives, self.embedder, self.seed)
        rows: list[list[QA]] = [[] for _ in range(len(parts))]
        rejects: list[list[Reject]] = [[] for _ in range(len(parts))]
        seen, accepted, failures = set[Any](), 0, 0
        while accepted < self.count and failures < self.give_up:
            path = sampler.sample()
            part = whole.part_of(facts.number(path.edges[0]))
            try:
                rows[part].append(self._item(path, negatives, whole, seen))
            except BadReply as bad:
                rejects[part].append(reject_of(bad, path, self.name))
                sampler.release(path)
                failures += 1
                continue
            sampler.commit(path)
            seen.add(path_key(path.edges))
            accepted, failures = accepted + 1, 0
        for index in range(len(parts)):
            yield PartOutput(to_table(rows[index], QA), to_table(rejects[index], Reject))

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """Whether it came to its count, and what the items cover, for the manifest."""
        return curriculum_report(source, made, self.count, self.give_up)

    def _item(self, path: Path, negatives: Negatives, whole: TripleGraph, seen: set[Any]) -> QA:
        if not self.held_out.keeps_path(path.edges):
            raise BadReply("held_out_path", "the path is kept for evaluation")
        if self.unique and path_key(path.edges) in seen:
            raise BadReply("repeated_path", "an item of this path, walked one way or the other, was made before")
        facts = negatives.facts
        stem, answer = stem_of(path, self.wording), facts.node(path.nodes[-1])
        check_told(stem, path)
        walk = [facts.node(name) for name in path.nodes]
        true = {*negatives.truth.ends_of(path.edges), *walk}
        pool = negatives.pool(facts.code(path.edges[-1].triple[1]), answer, at_head=path.edges[-1].inverse)
        wrong = negatives.other_than(true, pool, answer, self.options - 1, ("draft", path.id))
        # The answer's place is drawn from the path's id, so no row depends on another.
        shown = sorted([answer, *wrong], key=lambda node: seed_of(self.seed, path.id, "letter", facts.name(node)))
        first = whole.triple(facts.number(path.edges[0]))
        return path.child(
            QA,
            kind="chain",
            parents=path.parents,
            domain=first.domain,
            license=first.license,
            question=stem,
            options=tuple(spoken(facts.name(node)) for node in shown),
            answer=spoken(facts.name(answer)),
            category=whole.graph.tag(answer),
            discipline=self.discipline or first.domain,
            path=path.edges,
            negatives=self.negatives,
            scores=(Score(name="hops", value=float(path.hops)),),
        )


def stem_of(path: Path, wording: Wording) -> str:
    """A path as sentences whose unknowns have numbers, and the question for the last of them.

    >>> from mashbill.records import Edge
    >>> back = Edge(head="salt", relation="taxed by", tail="Salt Guild", inverse=True, stated="taxes")
    >>> stem_of(Path.new(edges=(back,)), Wording())
    'Thing 1 taxes salt. Which of these is thing 1?'
    """
    called = {name: f"thing {at}" if at else spoken(name) for at, name in enumerate(path.nodes)}
    told = " ".join(wording.told(edge, called) for edge in path.edges)
    return f"{told} Which of these is thing {path.hops}?"


def check_told(stem: str, path: Path) -> None:
    """Refuse a stem that names what is to be found, as one does whose first node has the answer in its name.

    Raises:
        BadReply: ``answer_in_stem`` or ``bridge_in_stem``.
    """
    folded = folded_track(stem)
    for name in reversed(path.nodes[1:]):
        key = [singular(word) for word in words(spoken(name))]
        if key and track(key) in folded:
            reason = "answer_in_stem" if name == path.nodes[-1] else "bridge_in_stem"
            raise BadReply(reason, f"the stem names {spoken(name)!r}: {stem!r}")
