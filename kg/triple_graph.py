"""A graph from stored triples, as dataset steps get them: parts of a table, and which of them says which edge.

The rows ``alga isa entity`` and ``fish eats alga`` -> a `Graph` of three nodes and two edges, and the ids of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kg.graph import Graph
from kg.load_graph import graph_of_tables
from mashbill.records import Triple, from_table
from mashbill.step import Parts


@dataclass(frozen=True, kw_only=True, eq=False)
class TripleGraph:
    """A graph with the triples that it came from."""

    graph: Graph
    ids: pa.Array
    """Ids of all triples in their order; ``graph.rows`` are places in it."""
    parts: tuple[int, ...]
    """Triples in each part."""

    table: pa.Table
    """All triples as rows, for those that become parents."""

    def row(self, edge: int, graph: Graph | None = None) -> int:
        """The first triple that says an edge, by its place among all; `graph` is this one or has fewer edges."""
        rows = (graph or self.graph).rows
        assert rows is not None
        return int(rows[edge])

    def part_of(self, edge: int, graph: Graph | None = None) -> int:
        """The part in which the first triple stands that says an edge."""
        return int(np.searchsorted(np.cumsum(self.parts), self.row(edge, graph), side="right"))

    def triple_id(self, edge: int, graph: Graph | None = None) -> str:
        """The id of the first triple that says an edge."""
        return str(self.ids[self.row(edge, graph)].as_py())

    def triple(self, edge: int, graph: Graph | None = None) -> Triple:
        """The first triple that says an edge."""
        return from_table(self.table.slice(self.row(edge, graph), 1), Triple)[0]


def triple_graph(parts: Parts, inverses: Mapping[str, str] | None = None) -> TripleGraph:
    """The graph of all parts, tagged with the kinds that the triples give their ends.

    Raises:
        InputError: for a triple with an empty name, or an inverse label of a relation that is not there.
    """
    tables = [parts.table(index) for index in range(len(parts))]
    chunks = [chunk for table in tables for chunk in table.column("id").chunks]
    return TripleGraph(
        graph=graph_of_tables(tables, inverses),
        ids=pa.chunked_array(chunks, pa.string()).combine_chunks(),
        parts=tuple(table.num_rows for table in tables),
        table=pa.concat_tables(tables),
    )
