"""Triples under the names of their things, and those that turn out to be doubles or loops."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kg.resolve_mentions import Names, Thing, best_name
from kg.resolve_merge import Grouping
from mashbill.records import Made, Record, Reject, Triple, to_table
from mashbill.step import PartOutput


class Rewriter:
    """Triples under their things' names."""

    def __init__(
        self,
        things: Sequence[Thing],
        grouping: Grouping,
        asks: Mapping[int, Sequence[str]],
        seen: dict[tuple[Any, ...], str],
        step: str,
    ) -> None:
        self.names, self.group, self.asks, self.seen, self.step = Names(things), grouping.group, asks, seen, step
        spellings: dict[int, Counter[str]] = {}
        self.kinds: dict[int, str] = {}
        for place, thing in enumerate(things):
            home = self.group[place]
            spellings.setdefault(home, Counter()).update(thing.spellings)
            self.kinds[home] = things[home].kind or self.kinds.get(home) or thing.kind
        self.canonical = _apart(spellings, self.kinds)

    def part(self, triples: Iterable[Triple], notes: Sequence[Record]) -> PartOutput:
        """One part's triples, and those that turned out to be doubles or loops."""
        kept, rejects = list[Triple](), list(notes)
        for old in triples:
            new = self._renamed(old)
            # Two sentences that say one thing are two pieces of evidence for one edge; without evidence, one is enough.
            where = (old.source_id, old.evidence_start, old.evidence) if old.evidence else ()
            first = self.seen.setdefault((new.head, new.relation, new.tail, *where), new.id)
            if new.head == new.tail:
                detail = f"{new.head_surface!r} and {new.tail_surface!r} are one thing, {new.head!r}"
                rejects.append(self._reject(new, "self_loop", detail))
            elif first != new.id:
                rejects.append(self._reject(new, "duplicate", "an earlier triple says the same", first))
            else:
                kept.append(new)
        return PartOutput(kept=to_table(kept, Triple), rejects=to_table(rejects, Reject))

    def _renamed(self, old: Triple) -> Triple:
        ends = [self.names.place(name, kind) for name, kind in ((old.head, old.head_type), (old.tail, old.tail_type))]
        homes = [self.group[place] for place in ends]
        asks = dict.fromkeys(key for place in ends for key in self.asks.get(place, ()))
        return old.child(
            Triple,
            head=self.canonical[homes[0]],
            relation=old.relation,
            tail=self.canonical[homes[1]],
            head_type=self.kinds[homes[0]],
            tail_type=self.kinds[homes[1]],
            evidence=old.evidence,
            evidence_start=old.evidence_start,
            evidence_end=old.evidence_end,
            head_surface=old.head_surface or old.head,
            tail_surface=old.tail_surface or old.tail,
            made=Made(step=self.step, asks=tuple(asks)),
            scores=old.scores,
        )

    def _reject(self, triple: Triple, reason: str, detail: str, kept_id: str = "") -> Reject:
        return triple.child(
            Reject,
            kind="Triple",
            step=self.step,
            reason=reason,
            detail=detail,
            kept_id=kept_id,
            text=f"{triple.head_surface} | {triple.relation} | {triple.tail_surface}",
            subjects=(triple.head_surface, triple.tail_surface),
            made=triple.made,
        )


def _apart(spellings: Mapping[int, Counter[str]], kinds: Mapping[int, str]) -> dict[int, str]:
    """A name for each thing that no other has: of several called Mercury all but the commonest say what they are."""
    called: defaultdict[str, list[int]] = defaultdict(list)
    for home, counted in spellings.items():
        called[best_name(counted)].append(home)
    names: dict[int, str] = {}
    second = list[tuple[int, str]]()
    for name, homes in called.items():
        first, *others = sorted(homes, key=lambda home: (-sum(spellings[home].values()), kinds[home]))
        names[first] = name
        second += [(home, name) for home in others]
    taken = set(called)
    for home, name in second:
        numbers = itertools.chain([""], (f", {number}" for number in itertools.count(2)))
        told = (f"{name} ({kinds[home]}{number})" for number in numbers)
        names[home] = next(one for one in told if one not in taken)
        taken.add(names[home])
    return names
