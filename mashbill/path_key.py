"""What two walks through a graph have in common that ask for the same: their nodes, in words, whichever way round.

``Ora Venn -made-> salt -sold_by-> salt_guild`` and ``Salt Guild -sells-> salt -made_by-> Ora Venn`` ->
``("ora venn", "salt", "salt guild")``

A path is told by its nodes (arXiv 2507.13966): the same way over a parallel edge, or over an inverse that a file calls
by a name of its own, has the same answer. Paths that only overlap are different ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mashbill.qa_text import spoken
from mashbill.records import Edge
from mashbill.words import words

PathKey = tuple[str, ...]


def nodes_key(edges: Sequence[Edge]) -> PathKey:
    """What a path has in common with its reverse, and with one over parallel edges or their inverses.

    >>> there = Edge(head="a", relation="part_of", tail="b")
    >>> back = Edge(head="b", relation="has_part", tail="a")
    >>> nodes_key([there]) == nodes_key([back])
    True
    """
    nodes = (*(edge.head for edge in edges), *(edge.tail for edge in edges[-1:]))
    return min(nodes, nodes[::-1])


def spoken_key(edges: Sequence[Edge]) -> PathKey:
    """The same however the names are written.

    >>> spoken_key([Edge(head="Salt Guild", relation="sells", tail="oak")])
    ('oak', 'salt guild')
    """
    nodes = tuple(" ".join(words(spoken(name))) or name for name in nodes_key(edges))
    return min(nodes, nodes[::-1])


def edges_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Edge, ...]:
    """Edges from rows as a file has them; only what tells them apart must be there."""
    return tuple(
        Edge(
            head=str(one["head"]),
            relation=str(one.get("relation") or ""),
            tail=str(one["tail"]),
            inverse=bool(one.get("inverse", False)),
            stated=str(one.get("stated") or ""),
        )
        for one in rows
    )
