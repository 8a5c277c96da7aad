"""The groups that questions and records belong to, so that what is weak can be found in what can be written from.

Four groupings have names; any other is a column, or several, of the questions::

    cells         {"discipline": "mathematics/algebra", "difficulty": 4}            -> mathematics/4
    entities      {"entities": ["Ora Venn", "salt"]}                                -> Ora Venn, salt
    relations     {"path": [{"relation": "seat of", …}]}                            -> seat of
    constraints   {"constraints": [{"category": "language", …}, {"category": …}]}   -> language, …
    document      {"document": "lamps"}                                             -> lamps

A record is in a group by the same columns, or by others that are named for it; of entities it is in those whose name
stands in its words. A question may be in several groups and a record too; one in none is in no group's count.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mashbill.words import folded_track

CELLS, ENTITIES, RELATIONS, CONSTRAINTS = "cells", "entities", "relations", "constraints"
NAMED = (CELLS, ENTITIES, RELATIONS, CONSTRAINTS)
SPOKEN = ("title", "text", "question", "answer", "context", "rationale", "subjects", "head", "tail")
"""Columns of records whose words may name an entity; nodes of paths are looked at too."""
_WALKS = ("path", "edges")
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """What makes two questions of one group."""

    by: tuple[str, ...]
    """One of `NAMED`, or columns of the questions."""
    source: tuple[str, ...] = ()
    """The columns of records to write from that say the same, in the same order; empty takes those of the questions."""

    def __post_init__(self) -> None:
        """Refuse what groups nothing."""
        named = [one for one in self.by if one in NAMED]
        if not self.by or (named and len(self.by) > 1):
            raise ValueError(f"by is {list(self.by)}; wanted is one of {', '.join(NAMED)}, or columns of the questions")
        if self.source and (named or len(self.source) != len(self.by)):
            raise ValueError(
                f"source is {list(self.source)}; wanted is one column for each of {list(self.by)}"
                if not named
                else f"source means nothing by {named[0]}, whose columns are known; leave it out"
            )

    def of_question(self, row: Row) -> tuple[str, ...]:
        """The groups of a question, from its line as it was read.

        >>> Grouping(by=("cells",)).of_question({"discipline": "mathematics/algebra", "difficulty": 4})
        ('mathematics/4',)
        >>> Grouping(by=("kind", "hops")).of_question({"kind": "choice", "hops": 2})
        ('choice/2',)
        """
        return _of_columns(row, self.by) if self.by[0] not in NAMED else _NAMED_GROUPS[self.by[0]](row)

    def of_records(self, known: Collection[str]) -> Callable[[Row], tuple[str, ...]]:
        """What gives the groups of a record, in a fixed order; `known` are the groups that questions are in.

        >>> groups = Grouping(by=("entities",)).of_records(["Salt Guild", "lamps"])
        >>> groups({"title": "The salt guilds", "text": "They light no lamp."})
        ('Salt Guild', 'lamps')
        """
        if self.by[0] == ENTITIES:
            return functools.partial(_named_in, tuple((one, folded_track(one)) for one in sorted(known)))
        if self.by[0] in NAMED:
            return _NAMED_GROUPS[self.by[0]]
        return lambda row: _of_columns(row, self.source or self.by)

    def columns(self, names: Sequence[str]) -> list[str]:
        """Those of a record type's columns that decide its groups.

        Raises:
            ValueError: when the type lacks them.
        """
        wanted = {
            CELLS: ("discipline", "difficulty"),
            ENTITIES: (*SPOKEN, *_WALKS),
            RELATIONS: ("relation", *_WALKS),
            CONSTRAINTS: (CONSTRAINTS,),
        }.get(self.by[0], self.source or self.by)
        found = [one for one in wanted if one in names]
        whole = self.by[0] == CELLS or self.by[0] not in NAMED
        if not found or (whole and len(found) < len(wanted)):
            lacking = [one for one in wanted if one not in found]
            raise ValueError(f"lack the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}")
        return found


def _of_columns(row: Row, columns: Iterable[str]) -> tuple[str, ...]:
    """Each value of a list is a group; several columns make one name of all their values."""
    names = [""]
    for column in columns:
        values = [one for one in _values(row.get(column)) if one]
        names = [f"{name}/{value}" if name else value for name in names for value in values]
    return tuple(dict.fromkeys(names))


def _values(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [text for one in value for text in _values(one)]
    return [str(value).strip()]


def _cell(row: Row) -> tuple[str, ...]:
    upper = str(row.get("discipline") or "").partition("/")[0].strip()
    difficulty = row.get("difficulty")
    return () if not upper or difficulty is None else (f"{upper}/{difficulty}",)


def _entities(row: Row) -> tuple[str, ...]:
    nodes = [edge[end] for name in _WALKS for edge in row.get(name) or () for end in ("head", "tail")]
    return tuple(dict.fromkeys([*_values(row.get(ENTITIES)), *nodes]))


def _relations(row: Row) -> tuple[str, ...]:
    walked = [edge.get("stated") or edge["relation"] for name in _WALKS for edge in row.get(name) or ()]
    own = [*_values(row.get(RELATIONS)), *_values(row.get("relation"))]
    return tuple(dict.fromkeys([*own, *walked]))


def _constraints(row: Row) -> tuple[str, ...]:
    found = [one["category"] if isinstance(one, Mapping) else str(one) for one in row.get(CONSTRAINTS) or ()]
    return tuple(dict.fromkeys(one for one in found if one))


_NAMED_GROUPS: Mapping[str, Callable[[Row], tuple[str, ...]]] = {
    CELLS: _cell,
    ENTITIES: _entities,
    RELATIONS: _relations,
    CONSTRAINTS: _constraints,
}


def _named_in(known: tuple[tuple[str, str], ...], row: Row) -> tuple[str, ...]:
    """The known entities whose names stand in a record, by whole words, singular or plural."""
    spoken = [text for name in SPOKEN for text in _values(row.get(name))]
    words = " ".join(folded_track(text) for text in [*spoken, *_entities(row)])
    return tuple(name for name, track in known if track and track in words)
