"""The things that a graph's triples name: every spelling counted, spellings that are certainly one put together.

``the Salt Guilds`` twice and ``salt guild`` once -> one thing, ``salt guild``, with both spellings.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from kg.resolve_names import key_of

COLUMNS = ("head", "head_type", "tail", "tail_type", "evidence")


@dataclass(slots=True)
class Thing:
    """What stands behind one key and kind: its spellings and some sentences that name it."""

    key: str
    kind: str
    spellings: Counter[str] = field(default_factory=Counter)
    sentences: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The spelling used most; of several the longest, then the first by the alphabet."""
        return best_name(self.spellings)

    @property
    def shown(self) -> str:
        """The spelling read first, which documents added later do not change."""
        return next(iter(self.spellings))

    def weight(self) -> tuple[int, int, int, str]:
        """What a representative is chosen by: words, letters, uses, and the key itself.

        The fullest name stands for its group, not the one used most: Tesk is the same as Ammory Tesk and the same as
        Jorrane Tesk, so a group that Tesk stood for would take both in.
        """
        return len(self.key.split()), len(self.key), sum(self.spellings.values()), self.key


def best_name(spellings: Counter[str]) -> str:
    """The spelling used most; of several the longest, then the first by the alphabet.

    >>> best_name(Counter({"Venn": 2, "Ora Venn": 2, "O. Venn": 1}))
    'Ora Venn'
    """
    return min(spellings, key=lambda name: (-spellings[name], -len(name), name))


def things_of(tables: Iterable[pa.Table], sentences: int) -> list[Thing]:
    """Every thing named, in the order of key and kind, with its first `sentences` pieces of evidence.

    A name without a kind goes to the kind that the same key has most often.
    """
    found: dict[tuple[str, str], Thing] = {}
    for table in tables:
        columns = (table.column(name).to_pylist() for name in COLUMNS)
        for head, head_kind, tail, tail_kind, sentence in zip(*columns, strict=True):
            for name, kind in ((head, head_kind), (tail, tail_kind)):
                place = key_of(name), kind
                thing = found.get(place) or found.setdefault(place, Thing(*place))
                thing.spellings[name] += 1
                if sentence and len(thing.sentences) < sentences and sentence not in thing.sentences:
                    thing.sentences.append(sentence)
    return _with_kinds(found, sentences)


def _with_kinds(found: dict[tuple[str, str], Thing], sentences: int) -> list[Thing]:
    kinds: defaultdict[str, list[Thing]] = defaultdict(list)
    for (key, kind), thing in found.items():
        if kind:
            kinds[key].append(thing)
    for key in [key for key, kind in found if not kind and key in kinds]:
        bare = found.pop((key, ""))
        home = max(kinds[key], key=_size)
        home.spellings += bare.spellings
        home.sentences += [one for one in bare.sentences if one not in home.sentences]
        del home.sentences[sentences:]
    return [found[place] for place in sorted(found)]


def _size(thing: Thing) -> tuple[int, str]:
    return sum(thing.spellings.values()), thing.kind


class Names:
    """From a spelling and its kind, as a triple has them, to a place in the list of things."""

    def __init__(self, things: Sequence[Thing]) -> None:
        self._place = {(thing.key, thing.kind): at for at, thing in enumerate(things)}
        self._most: dict[str, int] = {}
        for at, thing in enumerate(things):
            most = self._most.setdefault(thing.key, at)
            if _size(thing) > _size(things[most]):
                self._most[thing.key] = at

    def place(self, name: str, kind: str) -> int:
        """Where a spelling's thing stands."""
        key = key_of(name)
        found = self._place.get((key, kind))
        return self._most[key] if found is None else found
