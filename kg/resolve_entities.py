"""One name for each thing of a graph, and a question only where there is doubt.

Triples with ``Ora Venn``, ``ora venn`` and ``Venn`` -> the same triples with ``Ora Venn``::

    {"head": "Ora Venn", "head_surface": "Venn", "relation": "sold", "tail": "salt", "tail_surface": "salt", …}

Spellings that differ in case, accents, punctuation, article or plural alone are one name
(`kg.resolve_names.key_of`). Of the others, pairs are
looked for (`kg.resolve_candidates`, near-linear in the number of names) and go one of three ways by their cosine: those
turned round by ``of`` are merged, those below `ask_from` dropped, and each between is one question to the engine with a
sentence for each name. Pairs taken for the same do not chain: two groups are joined only when their representatives are
the same too, which is asked where nobody knows (`kg.resolve_merge`).

A question depends on its two names, their kinds and their first sentences, and not on what else is in the graph. So
when documents are added behind the others, all earlier questions are answered from the ledger, and only new pairs
cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kg.resolve_candidates import Pairs, candidate_pairs
from kg.resolve_court import Court, Doubt
from kg.resolve_doubts import likest, pairs_of_things
from kg.resolve_mentions import COLUMNS, Thing, things_of
from kg.resolve_names import turned_round
from kg.resolve_prompts import PROMPT, SYSTEM
from kg.resolve_rewrite import Rewriter
from mashbill.ask import Ask
from mashbill.embedding import load_embedder
from mashbill.engine import Sampling
from mashbill.errors import RegistryError
from mashbill.records import Record, Triple, from_table
from mashbill.registry import find
from mashbill.step import DatasetGenerator, PartOutput, Parts
from mashbill.store import Stored

SHORT = Sampling(max_tokens=32, temperature=0.0)


@dataclass(frozen=True, kw_only=True)
class ResolveEntities(DatasetGenerator[Triple, Triple]):
    """Gives each thing of a graph one name, asking about doubtful pairs."""

    embedder: str = "hashed_ngrams"
    """How names are compared: ``hashed_ngrams`` by spelling, ``minilm`` by meaning."""
    ask_from: float = 0.6
    """The least cosine of a pair in doubt. By spelling, one letter wrong in ten leaves about 0.8, in six 0.65."""
    merge_from: float = 0.9
    """From this cosine on, names turned round by ``of`` or ``and`` are merged unasked (University of Oxford, Oxford
    University); 1.1 asks. Other orders are other names: Martin Luther is not Luther Martin."""
    neighbours: int = 8
    """The most pairs in doubt of one name, the likest first."""
    max_asks: int = 10_000
    """The most questions, the likest pairs first; how many were left out is a reject, `pairs_not_asked`."""
    any_kind: bool = False
    """Whether things of different kinds may be one, for extractors whose kinds cannot be relied on: they are asked
    about, also where they have one name."""
    sentences: int = 1
    """Sentences shown for each name: the first in the graph's order that name it. With more than one a question
    changes, and is paid for again, when documents added later bring a name its second sentence."""
    system: str = SYSTEM
    pair_prompt: str = PROMPT
    """Goes before the two names; ends with an empty line."""
    tries: int = 2
    engine: str = ""
    """The role of the engine that is asked; none is the main one."""
    sampling: Sampling = field(default=SHORT)

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        for name, least in (("neighbours", 1), ("max_asks", 0), ("sentences", 0), ("tries", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if not 0 < self.ask_from <= 1:
            raise ValueError(f"ask_from is {self.ask_from}; it is a cosine above 0, up to 1")
        try:
            find("embedder", self.embedder)  # now, and not when all documents have been read and paid for
        except RegistryError as unknown:
            raise ValueError(str(unknown)) from unknown
        if self.merge_from < self.ask_from:
            raise ValueError(f"merge_from is {self.merge_from}, below the {self.ask_from} of ask_from")

    def engines(self) -> Sequence[str]:
        """The role it asks, if one is named."""
        return (self.engine,) if self.engine else ()

    async def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
        """The triples of each part with one name for each thing."""
        things, pairs = await asyncio.to_thread(self._found, parts)
        court = Court(self, things, ask)
        grouping = await court.groups(pairs)
        seen: dict[tuple[Any, ...], str] = {}
        rewritten = Rewriter(things, grouping, court.asks, seen, self.name)
        for index in range(len(parts)):
            # With the last part: many undecided pairs beside one part of the triples would stop the step.
            last = index == len(parts) - 1
            left: list[Record] = list(court.notes(grouping)) if last else []
            output = await asyncio.to_thread(rewritten.part, from_table(parts.table(index), Triple), left)
            yield replace(output, noted=court.counted(grouping)) if last else output

    def report(self, source: Stored, stored: Stored) -> dict[str, Any]:
        """Names before and after, the things with the most spellings, and what became of pairs, for the manifest."""
        del source
        before: set[tuple[str, str]] = set()
        after: dict[tuple[str, str], set[str]] = {}
        for table in stored:
            for side in ("head", "tail"):
                columns = (table.column(name).to_pylist() for name in (side, f"{side}_type", f"{side}_surface"))
                for name, kind, surface in zip(*columns, strict=True):
                    before.add((surface, kind))
                    after.setdefault((name, kind), set()).add(surface)
        most = sorted(after.items(), key=lambda item: (-len(item[1]), item[0]))[:10]
        groups = {f"{name} ({kind})" if kind else name: sorted(names) for (name, kind), names in most if len(names) > 1}
        pairs = {name: count for name, count in stored.manifest.counts.noted.items() if count}
        return {"names_read": len(before), "things": len(after), "most_spellings": groups, **pairs}

    def _found(self, parts: Parts) -> tuple[list[Thing], list[Doubt]]:
        things = things_of((parts.table(index, COLUMNS) for index in range(len(parts))), self.sentences)
        keys = sorted({thing.key for thing in things})
        if len(keys) < 2:
            return things, []
        vectors = load_embedder(self.embedder).embed(keys)
        return things, self._doubts(things, keys, candidate_pairs(keys, vectors, self.ask_from))

    def _doubts(self, things: Sequence[Thing], keys: Sequence[str], pairs: Pairs) -> list[Doubt]:
        """Pairs of things that may be one, the likest first."""
        kinds = None if self.any_kind else [thing.kind for thing in things]
        left, right, cosine = pairs_of_things([thing.key for thing in things], keys, pairs, kinds)
        sure = cosine >= self.merge_from
        sure[sure] = [
            turned_round(things[one].key, things[other].key)
            for one, other in zip(left[sure].tolist(), right[sure].tolist(), strict=True)
        ]
        order, kept = likest(left, right, cosine, sure, self.neighbours)
        rows = order[kept]
        columns = (left[rows].tolist(), right[rows].tolist(), cosine[rows].tolist(), sure[rows].tolist())
        return [Doubt((one, other), near, certain) for one, other, near, certain in zip(*columns, strict=True)]
