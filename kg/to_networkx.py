"""Triples as a networkx graph, for what networkx knows how to do.

>>> graph = to_networkx([Triple.new(head="salt", relation="made_by", tail="Ora", source="a.tsv:1")])
>>> graph.edges["salt", "Ora", "made_by"]["source"]
'a.tsv:1'
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mashbill.errors import SettingsError
from mashbill.records import Triple

if TYPE_CHECKING:
    import networkx as nx


def to_networkx(triples: Iterable[Triple]) -> nx.MultiDiGraph:
    """A directed graph with one edge for each head, relation and tail; the relation is the edge's key.

    An edge carries its relation and the id and source of its triple: of several that say the same, of the first.

    Raises:
        SettingsError: when networkx is not installed.
    """
    try:
        import networkx as nx
    except ImportError as error:
        raise SettingsError("networkx is not installed: `pip install 'mashbill[kg]'`") from error
    graph = nx.MultiDiGraph()
    for one in triples:
        if not graph.has_edge(one.head, one.tail, one.relation):
            graph.add_edge(one.head, one.tail, one.relation, relation=one.relation, id=one.id, source=one.source)
    return graph
