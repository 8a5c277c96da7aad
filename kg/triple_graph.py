"""A graph from stored triples, as dataset steps get them: parts of a table.

The rows ``alga isa entity`` and ``fish eats alga`` -> a `Graph` of three nodes and two edges, tagged with the kinds
that the triples give their ends (``head_type``, ``tail_type``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kg.graph import Graph, relations_of
from mashbill.step import Parts

COLUMNS = ("id", "head", "relation", "tail", "head_type", "tail_type")


@dataclass(frozen=True, kw_only=True, eq=False)
class TripleGraph:
    """A graph with the triples that it came from."""

    graph: Graph
    ids: pa.Array
    """Ids of all triples in their order; ``graph.rows`` are places in it."""
    parts: tuple[int, ...]
    """Triples in each part."""

    def part_of(self, row: int) -> int:
        """The part in which a triple stands."""
        return int(np.searchsorted(np.cumsum(self.parts), row, side="right"))

    def triple_id(self, edge: int) -> str:
        """The id of the first triple that says an edge."""
        assert self.graph.rows is not None
        return str(self.ids[int(self.graph.rows[edge])].as_py())


def triple_graph(parts: Parts, inverses: Mapping[str, str] | None = None) -> TripleGraph:
    """The graph of all parts; a node's tag is the first kind that a triple gives it, in the order of the rows.

    Raises:
        InputError: for an inverse label of a relation that is not there.
    """
    tables = [parts.table(index, COLUMNS) for index in range(len(parts))]
    whole = pa.concat_tables(tables) if tables else pa.table({name: pa.array([], pa.string()) for name in COLUMNS})
    columns = {name: whole.column(name).combine_chunks() for name in COLUMNS}
    names = _sorted_names(columns["head"], columns["tail"])
    relations = _sorted_names(columns["relation"])
    graph = Graph.build(
        names,
        relations_of(relations.to_pylist(), inverses),
        _places(columns["head"], names),
        _places(columns["relation"], relations),
        _places(columns["tail"], names),
        tags=_tags(columns, names),
    )
    return TripleGraph(graph=graph, ids=columns["id"], parts=tuple(table.num_rows for table in tables))


def _sorted_names(*columns: pa.Array) -> pa.Array:
    found = pc.unique(pa.concat_arrays([pa.array(column) for column in columns]))
    return found.take(pc.sort_indices(found))


def _places(column: pa.Array, names: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    places: np.ndarray[tuple[int], np.dtype[np.int32]] = pc.index_in(column, names).to_numpy(zero_copy_only=False)
    return places


def _tags(columns: Mapping[str, pa.Array], names: pa.Array) -> pa.Array | None:
    tags = [""] * len(names)
    given: Sequence[tuple[str, str]] = (("head", "head_type"), ("tail", "tail_type"))
    for end, kind in given:
        told = columns[kind]
        if len(told) and pc.any(pc.not_equal(told, "")).as_py():
            for place, tag in zip(_places(columns[end], names).tolist(), told.to_pylist(), strict=True):
                tags[place] = tags[place] or tag
    return pa.array(tags, pa.string()).dictionary_encode() if any(tags) else None
