"""A whole graph from a file, a stored graph, a stored step of triples, or tables in memory.

``mashbill kg stats umls.tsv`` begins with ``load_graph(Path("umls.tsv"))``: 135 nodes, 6,529 edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from kg.graph import TAXONOMIC, Graph, relations_of
from kg.load import read_triples, rows_of
from kg.load_columns import Numbered, file_columns, numbered
from kg.load_rows import Columns, Row
from mashbill.errors import InputError
from mashbill.records import Triple

TYPED = ("head", "relation", "tail", "head_type", "tail_type")
ROWS = 100_000
"""Rows of a file in one table."""


def load_graph(
    path: Path,
    *,
    columns: Columns | None = None,
    inverses: Mapping[str, str] | None = None,
    taxonomic: frozenset[str] = TAXONOMIC,
) -> Graph:
    """The graph of a file of triples, or of a folder that `kg.store` or a step wrote.

    Raises:
        InputError: with file and line, for what is no triple, an absent file, an unknown column, or no triple at all.
        StoreError: for a folder that is no finished graph or step.
    """
    columns = columns or Columns()
    if path.is_dir():
        from kg.store import open_folder

        return open_folder(path, inverses, taxonomic)
    if not path.exists():
        raise InputError("no such file of triples", path=path)
    found = file_columns(path, columns)
    graph = None if found is None else _of_columns(found, inverses, taxonomic)
    if graph is None:
        # Also where the columns have something wrong: it is raised here, with its line.
        graph = graph_of_tables(list(_row_tables(path, columns)), inverses, taxonomic)
    return _with_edges(graph, path)


def load_stated(path: Path, columns: Columns | None = None) -> tuple[Graph, list[pa.Table]]:
    """The graph of a file, and its rows as tables in which `source` is the file's name and the line.

    The columns are those of `Triple` that evidence has; `id` and `source_id` are empty, since no row is stored. Every
    line is read by itself, which takes six times as long as `load_graph`.

    Raises:
        InputError: as `load_graph` does.
    """
    tables = []
    for table in _row_tables(path, columns or Columns()):
        lines = pc.binary_join_element_wise(path.name, table.column("line").cast(pa.string()), ":")
        empty = pa.array([""] * len(table), pa.string())
        for name, column in (("source", lines), ("id", empty), ("source_id", empty)):
            table = table.append_column(name, column)
        tables.append(table)
    return _with_edges(graph_of_tables(tables), path), tables


def _with_edges(graph: Graph, path: Path) -> Graph:
    if not graph.edges:
        raise InputError("has no triple; wanted rows of a head, a relation and a tail", path=path)
    return graph


def graph_of(
    triples: Iterable[Triple], inverses: Mapping[str, str] | None = None, taxonomic: frozenset[str] = TAXONOMIC
) -> Graph:
    """The graph of some records; the types of their ends are its tags."""
    rows = [{name: getattr(one, name) for name in TYPED} for one in triples]
    table = pa.Table.from_pylist(rows, pa.schema([(name, pa.large_string()) for name in TYPED]))
    return graph_of_tables([table], inverses, taxonomic)


def graph_of_tables(
    tables: Sequence[pa.Table], inverses: Mapping[str, str] | None = None, taxonomic: frozenset[str] = TAXONOMIC
) -> Graph:
    """The graph of tables with the columns of `Triple`, of which the types may be absent.

    ``graph.rows`` counts over all tables, in their order.

    Raises:
        InputError: for a triple with an empty name, or an inverse label of a relation that is not there.
    """
    columns = [_column(tables, name) for name in TYPED[:3]]
    found = numbered(*columns)
    if found is None:
        raise InputError("a triple has an empty head, relation or tail; every triple needs all three")
    graph = _built(found, inverses, taxonomic, keep_rows=True)
    typed = all("head_type" in table.column_names for table in tables)
    types = [_column(tables, name) for name in TYPED[3:]] if typed else []
    tags = _tags(found, types) if types else {}
    return graph.with_tags(tags) if tags else graph


def read_tags(path: Path) -> dict[str, str]:
    """Tags of nodes from a tab-separated file: a node and its tag on a line.

    Raises:
        InputError: with file and line, for a line that is not two names, or a node with two tags.
    """
    from kg.load_rows import lines_of

    if not path.is_file():
        raise InputError("no such file of tags: lines of a node, a tab and its tag", path=path)
    tags = dict[str, str]()
    for number, line in lines_of(path):
        try:
            fields = [field.strip() for field in line.decode().split("\t")]
        except UnicodeDecodeError:
            raise InputError("is not UTF-8; convert it (`iconv -t utf-8`)", path=path, line=number) from None
        if fields == [""]:
            continue
        if len(fields) != 2 or not all(fields):
            raise InputError("wanted a node, a tab and its tag", path=path, line=number)
        if tags.setdefault(fields[0], fields[1]) != fields[1]:
            found = f"gives {fields[0]!r} the tag {fields[1]!r}; an earlier line gave it {tags[fields[0]]!r}"
            raise InputError(f"{found}: a node has one tag", path=path, line=number)
    return tags


def _row_tables(path: Path, columns: Columns) -> Iterator[pa.Table]:
    """The rows of a file, so many to a table: rows of Python take ten times the memory."""
    rows = list[Row]()
    for piece in rows_of(path, columns):
        if isinstance(piece, Row):
            rows.append(piece)
        elif piece.reason != "empty":
            raise InputError(piece.detail, path=path, line=piece.line)
        if len(rows) == ROWS:
            yield _table(rows)
            rows = []
    if rows:
        yield _table(rows)


def _table(rows: Sequence[Row]) -> pa.Table:
    line, *texts = zip(*rows, strict=True)
    return pa.table(
        [pa.array(line, pa.int64()), *(pa.array(one, pa.large_string()) for one in texts)], list(Row._fields)
    )


def _of_columns(
    columns: tuple[pa.ChunkedArray, ...], inverses: Mapping[str, str] | None, taxonomic: frozenset[str]
) -> Graph | None:
    found = numbered(*columns)
    return None if found is None else _built(found, inverses, taxonomic, keep_rows=False)


def _built(found: Numbered, inverses: Mapping[str, str] | None, taxonomic: frozenset[str], *, keep_rows: bool) -> Graph:
    relations = relations_of(found.relations, inverses, taxonomic)
    return Graph.build(found.names, relations, found.head, found.relation, found.tail, keep_rows=keep_rows)


def _column(tables: Sequence[pa.Table], name: str) -> pa.ChunkedArray:
    chunks = [chunk.cast(pa.large_string()) for table in tables for chunk in table.column(name).chunks]
    return pa.chunked_array(chunks, pa.large_string())


def _tags(found: Numbered, types: Sequence[pa.ChunkedArray]) -> dict[str, str]:
    """The commonest type of each node that has one; of two as common, the first by name."""
    ends = [found.head, found.tail]
    frame = pl.DataFrame(
        {"node": np.concatenate(ends).astype(np.int64), "tag": pl.concat([pl.Series(one) for one in types])}
    ).filter(pl.col("tag") != "")
    best = (
        frame.group_by("node", "tag")
        .len()
        .sort(["node", "len", "tag"], descending=[False, True, False])
        .unique("node", keep="first")
    )
    return {str(found.names[node].as_py()): tag for node, tag in best.select("node", "tag").iter_rows()}


__all__ = ["Columns", "graph_of", "graph_of_tables", "load_graph", "load_stated", "read_tags", "read_triples"]
