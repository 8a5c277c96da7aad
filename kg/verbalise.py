"""A graph as text to pretrain on, made without a model: single facts, then facts put together, then only what follows.

Triples -> documents in three lessons, after KICP (arXiv 2403.09712)::

    {"kind": "lesson_1", "text": "One product of the northern pans is salt."}
    {"kind": "lesson_2", "text": "Ora Venn leads the Salt Guild. The Salt Guild taxes salt. So Ora Venn leads something
                                  that taxes salt."}
    {"kind": "lesson_3", "text": "Ora Venn leads something that taxes salt."}

The second lesson writes evidence and conclusion out, over two or three hops (half of them) or over several objects of
one relation; the third has the same conclusions alone, so that the evidence must come from memory. Aliases are drawn
for each document, and within one a thing keeps its name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kg.facts import Facts, aliases_of
from kg.triple_graph import TripleGraph, triple_graph
from kg.verbalise_wording import Wording, finished, joined
from mashbill.errors import InputError
from mashbill.fingerprint import seed_of
from mashbill.qa_text import spoken
from mashbill.records import Document, Edge, Reject, Triple, from_table, to_table
from mashbill.step import DatasetStep, PartOutput, Parts

Lesson = Literal[1, 2, 3]
WORDING = Wording()
ALIASES = ("alias", "also_known_as", "altLabel", "skos:altLabel", "http://www.w3.org/2004/02/skos/core#altLabel")


@dataclass(frozen=True, kw_only=True)
class Verbalise(DatasetStep[Triple, Document]):
    """Writes the triples of a graph as text, in three lessons."""

    accounts_for_rows = False

    lessons: tuple[Lesson, ...] = (1, 2, 3)
    """Which lessons to write; a student reads them in order (``docs/kg-tasks.md``)."""
    wording: Wording = WORDING
    """``{templates: {taxes: ["{head} taxes {tail}", "{tail} is taxed by {head}"]}}``; labels without one are put into
    words by their form."""
    variants: int = 1
    """Sentences for each fact in the first lesson, each in another wording as far as there are so many."""
    conclusions: int = 1000
    """Documents in the second lesson, and in the third."""
    multi_hop: float = 0.5
    """Share of the conclusions that go over two or three hops; the others name several objects. The paper's."""
    most_objects: int = 5
    """Objects in one conclusion at most."""
    alias_relations: tuple[str, ...] = ALIASES
    """Relations whose tail is another name of the head. They are not told as facts."""
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        if not self.lessons or len(set(self.lessons)) < len(self.lessons):
            raise ValueError(f"lessons is {list(self.lessons)}; name each of 1, 2 and 3 once at most")
        for name, least in (("variants", 1), ("conclusions", 0), ("most_objects", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if not 0 <= self.multi_hop <= 1:
            raise ValueError(f"multi_hop is {self.multi_hop}; it is a share, from 0 to 1")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """The facts of each part, then its share of the conclusions."""
        whole = triple_graph(parts)
        names = _Names(aliases_of(parts, self.alias_relations), self.seed)
        plain = [name for name in self.alias_relations if any(one.name == name for one in whole.graph.relations)]
        conclusions = self._conclusions(whole, plain, names) if {2, 3} & set(self.lessons) else []
        told = set[tuple[str, str, str]]()
        for index in range(len(parts)):
            rows = self._facts(from_table(parts.table(index), Triple), told, names) if 1 in self.lessons else []
            for at in range(index, len(conclusions), len(parts)):
                rows += conclusions[at]
            yield PartOutput(to_table(rows, Document), to_table([], Reject))

    def _facts(self, triples: Sequence[Triple], told: set[tuple[str, str, str]], names: _Names) -> list[Document]:
        rows = []
        for triple in triples:
            fact = (triple.head, triple.relation, triple.tail)
            if fact in told or triple.relation in self.alias_relations:
                continue
            told.add(fact)
            for variant in range(min(self.variants, len(self.wording.phrase(triple.relation).sentences))):
                first = seed_of(self.seed, "variant", *fact) if self.variants == 1 else 0
                key = (*fact, variant)
                head, tail = names.of(triple.head, key), names.of(triple.tail, key)
                text = self.wording.sentence(head, triple.relation, tail, first + variant)
                rows.append(triple.child(Document, kind="lesson_1", text=text, subjects=(triple.head, triple.tail)))
        return rows

    def _conclusions(self, whole: TripleGraph, plain: Sequence[str], names: _Names) -> list[list[Document]]:
        """Each conclusion as one document for every lesson that has it."""
        facts = Facts(whole.graph.without(plain))
        if not facts.graph.edges:
            raise InputError("the graph has no edge to draw conclusions from; take lessons 2 and 3 out")
        several = facts.with_several_tails()
        hop_share = self.multi_hop if several else 1.0
        draws = [seed_of(self.seed, "kind", at) < hop_share * (1 << 31) for at in range(self.conclusions)]
        chains = self._chains(whole, plain, sum(draws)) if any(draws) else []
        if sum(draws) > len(chains):  # a graph without two edges in a row has no chains
            draws = [False] * self.conclusions
        made, at_chain = [], 0
        for at, is_chain in enumerate(draws):
            if is_chain:
                edges, at_chain = chains[at_chain], at_chain + 1
                made.append(self._documents(whole, facts, edges, self._chained(edges, names, at), names, at))
            elif several:
                edges = self._objects(facts, several, at)
                made.append(self._documents(whole, facts, edges, self._listed(edges, names, at), names, at))
        return made

    def _chains(self, whole: TripleGraph, plain: Sequence[str], count: int) -> list[tuple[Edge, ...]]:
        """Chains of two and three edges in turn; a graph may have no chain of three, or none at all."""
        long = self._walked(whole, plain, 3, count // 2)
        short = self._walked(whole, plain, 2, count - len(long))
        mixed = [chain for pair in itertools.zip_longest(short, long) for chain in pair if chain is not None]
        return mixed[:count]

    def _walked(self, whole: TripleGraph, plain: Sequence[str], hops: int, count: int) -> list[tuple[Edge, ...]]:
        from kg.sample import PathSampler

        sampler = PathSampler(
            graph=whole.graph,
            seed=self.seed,
            hops=hops,
            hop_weights=(*[0.0] * (hops - 1), 1.0),
            exclude=plain,
            exclude_taxonomic=False,
            way="forwards",
            max_tries=10_000,
        )
        try:
            walks = sampler.walks(count)
        except InputError:  # there is none of this length
            return []
        return [sampler.path(walks, at).edges for at in range(count)]

    def _objects(self, facts: Facts, several: Sequence[tuple[int, int]], at: int) -> tuple[Edge, ...]:
        head, relation = several[seed_of(self.seed, "objects", at) % len(several)]
        tails = sorted(facts.tails(head, relation), key=lambda tail: seed_of(self.seed, "object", at, tail))
        count = 2 + seed_of(self.seed, "count", at) % (min(self.most_objects, len(tails)) - 1)
        name = facts.relation_name(relation)
        return tuple(
            Edge(head=facts.graph.name(head), relation=name, tail=facts.graph.name(tail)) for tail in tails[:count]
        )

    def _chained(self, edges: Sequence[Edge], names: _Names, at: int) -> str:
        said = self.wording.predicate(edges[-1].relation, names.of(edges[-1].tail, at))
        for edge in reversed(edges[:-1]):
            said = self.wording.predicate(edge.relation, f"something that {said}")
        return f"{names.of(edges[0].head, at)} {said}"

    def _listed(self, edges: Sequence[Edge], names: _Names, at: int) -> str:
        tails = joined([names.of(edge.tail, at) for edge in edges])
        return f"{names.of(edges[0].head, at)} {self.wording.predicate(edges[0].relation, tails)}"

    def _documents(
        self, whole: TripleGraph, facts: Facts, edges: Sequence[Edge], said: str, names: _Names, at: int
    ) -> list[Document]:
        triples = [facts.number(edge) for edge in edges]
        first = whole.triple(triples[0], facts.graph)
        given = {edge.head: names.of(edge.head, at) for edge in edges} | {
            edge.tail: names.of(edge.tail, at) for edge in edges
        }
        evidence = " ".join(
            self.wording.told(edge, given, seed_of(self.seed, "variant", at, place)) for place, edge in enumerate(edges)
        )
        texts = {2: f"{evidence} So {said.rstrip('.')}.", 3: finished(said)}
        parents = tuple(whole.triple_id(number, facts.graph) for number in triples)
        subjects = tuple(dict.fromkeys(name for edge in edges for name in (edge.head, edge.tail)))
        return [
            first.child(Document, kind=f"lesson_{lesson}", text=texts[lesson], subjects=subjects, parents=parents)
            for lesson in (2, 3)
            if lesson in self.lessons
        ]


class _Names:
    """Which name of a thing a text uses: its own, or an alias, drawn for the text."""

    def __init__(self, aliases: Mapping[str, Sequence[str]], seed: int) -> None:
        self.aliases, self.seed = aliases, seed

    def of(self, node: str, text: object) -> str:
        """The name of a node in a text; the same wherever it stands in it."""
        known = [spoken(node), *self.aliases.get(node, ())]
        return known[seed_of(self.seed, "alias", node, text) % len(known)]
