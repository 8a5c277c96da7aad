"""A graph, or triples, as a networkx graph, for what networkx knows how to do.

>>> graph = to_networkx([Triple.new(head="salt", relation="made_by", tail="Ora", source="a.tsv:1")])
>>> graph.edges["salt", "Ora", "made_by"]["source"]
'a.tsv:1'
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kg.graph import Graph
from mashbill.errors import SettingsError
from mashbill.records import Triple

if TYPE_CHECKING:
    import networkx as nx


def to_networkx(triples: Iterable[Triple] | Graph) -> nx.MultiDiGraph:
    """A directed graph with one edge for each head, relation and tail; the relation is the edge's key.

    An edge carries its relation, and that of a record its id and source: of several that say the same, of the first.
    A node of a `Graph` that has a tag carries it. A `Graph` takes some 500 bytes an edge in this form, against 14.

    Raises:
        SettingsError: when networkx is not installed.
    """
    try:
        import networkx as nx
    except ImportError as error:
        raise SettingsError("networkx is not installed: `pip install 'mashbill[kg]'`") from error
    graph = nx.MultiDiGraph()
    if isinstance(triples, Graph):
        _fill(graph, triples)
        return graph
    for one in triples:
        if not graph.has_edge(one.head, one.tail, one.relation):
            graph.add_edge(one.head, one.tail, one.relation, relation=one.relation, id=one.id, source=one.source)
    return graph


def _fill(into: nx.MultiDiGraph, graph: Graph) -> None:
    names = graph.names.to_pylist()
    tags = [""] * graph.nodes if graph.tags is None else graph.tags.to_pylist()
    into.add_nodes_from((name, {"tag": tag} if tag else {}) for name, tag in zip(names, tags, strict=True))
    relations = [one.name for one in graph.relations]
    for head, relation, tail in zip(graph.head.tolist(), graph.relation.tolist(), graph.tail.tolist(), strict=True):
        into.add_edge(names[head], names[tail], relations[relation], relation=relations[relation])
