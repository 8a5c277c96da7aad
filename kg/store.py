"""A graph on disk: Parquet tables of nodes, relations, edges and evidence, and a manifest that is written last.

    graph/nodes.parquet       node 0, name "Ora", tag "person"
    graph/relations.parquet   relation 0, name "made_by", inverse "inverse of made_by", taxonomic false, edges 1
    graph/edges.parquet       edge 0, head 1, relation 0, tail 0
    graph/evidence.parquet    edge 0, triple "6f1c…", source "salt.md", source_id "09ab…", evidence "Salt is made by …"
                              (of a file, which has no rows with ids: triple "", source "salt.tsv:3", source_id "")
    graph/manifest.json       counts, and the sha256 of each table

Numbers stand for rows of the other tables, so that any reader of Parquet can join them. A folder without a manifest is
unfinished and is refused. The same graph always gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from kg.graph import Graph, Relation, relations_of
from kg.load import READERS
from kg.load_columns import stripped
from kg.load_graph import TYPED, graph_of_tables, load_stated
from kg.load_parquet import as_text
from kg.load_rows import Columns
from mashbill.disk import file_digest, write_json, write_parquet
from mashbill.errors import InputError, StoreError
from mashbill.records import Triple, join_texts
from mashbill.store import MANIFEST, Stored

TABLES = ("nodes", "relations", "edges", "evidence")
_EVIDENCE = pa.schema(
    [
        ("edge", pa.int32()),
        ("triple", pa.string()),
        ("source", pa.string()),
        ("source_id", pa.string()),
        ("evidence", pa.string()),
    ]
)


class GraphManifest(BaseModel):
    """What a stored graph is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    kind: Literal["graph"] = "graph"
    rows: dict[str, int]
    """Table -> its rows."""
    sha256: dict[str, str]


def save_graph(graph: Graph, place: Path, triples: Sequence[pa.Table] = ()) -> GraphManifest:
    """Write a graph into a folder; each row of `triples`, tables of `Triple`, becomes the evidence of its edge.

    Raises:
        StoreError: when the place holds something else, or cannot be written.
        InputError: for a triple that is no edge of the graph.
    """
    if place.exists() and not place.is_dir():
        raise StoreError(f"{place}: is no folder; a graph is several files: name a folder to write them into")
    if (place / MANIFEST).exists() and not is_graph(place):
        raise StoreError(f"{place}: holds something else than a graph; choose another folder")
    try:
        (place / MANIFEST).unlink(missing_ok=True)  # from now on, and until all is there again, it is unfinished
    except OSError as error:
        raise StoreError(f"{place}: cannot be written: {error.strerror or error}; choose another folder") from error
    tables = {
        "nodes": _nodes(graph),
        "relations": _relations(graph),
        "edges": _edges(graph),
        "evidence": _evidence(graph, triples),
    }
    for name, table in tables.items():
        write_parquet(place / f"{name}.parquet", table)
    manifest = GraphManifest(
        rows={name: table.num_rows for name, table in tables.items()},
        sha256={name: file_digest(place / f"{name}.parquet") for name in TABLES},
    )
    write_json(place / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def open_graph(
    place: Path, inverses: Mapping[str, str] | None = None, taxonomic: frozenset[str] | None = None
) -> Graph:
    """A stored graph; what is said of inverse labels or taxonomic relations stands above what was stored.

    Raises:
        StoreError: when it is absent, unfinished, or not as it was written.
    """
    manifest = _manifest(place)
    tables = {name: _read(place / f"{name}.parquet", manifest, name) for name in TABLES[:3]}
    nodes, edges = tables["nodes"], tables["edges"]
    stored = [
        Relation(name=row["name"], inverse=row["inverse"], taxonomic=row["taxonomic"])
        for row in tables["relations"].to_pylist()
    ]
    # A label that nobody chose is chosen anew: it may be the other side of one that is said now.
    chosen = {one.name: one.inverse for one in stored if one.inverse != f"inverse of {one.name}"}
    sorting = frozenset(one.name for one in stored if one.taxonomic) if taxonomic is None else taxonomic
    relations = relations_of([one.name for one in stored], {**chosen, **(inverses or {})}, sorting)
    names = nodes.column("name").combine_chunks().cast(pa.large_string())
    head, relation, tail = (edges.column(name).to_numpy() for name in ("head", "relation", "tail"))
    tags = nodes.column("tag").combine_chunks().dictionary_encode()
    tagged = bool(pc.any(pc.not_equal(nodes.column("tag"), "")).as_py())
    return Graph.build(names, relations, head, relation, tail, tags=tags if tagged else None, keep_rows=False)


def evidence_of(place: Path, edge: int) -> list[dict[str, Any]]:
    """What states an edge of a stored graph: triple, source, its id and the words.

    Raises:
        StoreError: when the graph is absent, unfinished, or not as it was written.
    """
    _manifest(place)
    found = pl.scan_parquet(place / "evidence.parquet").filter(pl.col("edge") == edge).drop("edge").collect()
    return found.to_dicts()


def stated(place: Path, columns: Columns | None = None) -> tuple[Graph, list[pa.Table]]:
    """A graph, and the triples that state its edges with their places, as `save_graph` takes them.

    Of a file each line, of a stored step each row, and of a stored graph its evidence.

    Raises:
        InputError, StoreError: as `kg.load_graph.load_graph` does.
    """
    if not place.is_dir():
        return load_stated(place, columns)
    if not is_graph(place) and (place / MANIFEST).is_file():
        tables = _step_tables(place, ["id", *TYPED, "source", "source_id", "evidence"])
        return graph_of_tables(tables), tables
    graph = open_graph(place)
    evidence = _read(place / "evidence.parquet", _manifest(place), "evidence")
    edges = evidence.column("edge").to_numpy()
    relations = pa.array([one.name for one in graph.relations], pa.string())
    ends = {
        "head": graph.names.take(graph.head[edges]),
        "relation": relations.take(graph.relation[edges]),
        "tail": graph.names.take(graph.tail[edges]),
    }
    kept = {name: evidence.column(name) for name in ("source", "source_id", "evidence")}
    return graph, [pa.table({"id": evidence.column("triple"), **ends, **kept})]


def is_graph(place: Path) -> bool:
    """Whether a folder holds a finished graph."""
    try:
        GraphManifest.model_validate_json((place / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return False
    return True


def open_folder(place: Path, inverses: Mapping[str, str] | None, taxonomic: frozenset[str]) -> Graph:
    """The graph in a folder: a stored graph, or a stored step whose rows are triples.

    Raises:
        StoreError: when it is neither.
    """
    if is_graph(place) or not (place / MANIFEST).is_file():
        return open_graph(place, inverses)
    return graph_of_tables(_step_tables(place, TYPED), inverses, taxonomic)


def _step_tables(place: Path, columns: Sequence[str]) -> list[pa.Table]:
    stored = Stored.open(place)
    if stored.kind is not Triple:
        raise StoreError(f"{place}: holds {stored.manifest.kind} rows; a graph is made of Triple rows")
    return [stored.table(index, columns) for index in range(len(stored))]


def _manifest(place: Path) -> GraphManifest:
    file = place / MANIFEST
    if not file.is_file():
        if place.is_dir() and not any((place / f"{name}.parquet").exists() for name in TABLES):
            files = sorted(one.name for one in place.iterdir() if one.suffix.lower() in READERS)
            found = f"name one of its files: {join_texts(files, 5)}" if files else "nor a file of triples"
            raise StoreError(f"{place}: is a folder that holds no stored graph or step; {found}")
        raise StoreError(f"{place}: has no {MANIFEST}: it holds no graph, or writing it did not finish; store it again")
    try:
        return GraphManifest.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise StoreError(f"{file}: is not the manifest of a graph that this version can read: {error}") from error


def _read(path: Path, manifest: GraphManifest, name: str) -> pa.Table:
    try:
        if file_digest(path) != manifest.sha256.get(name):
            raise StoreError(f"{path}: its bytes are not the ones that were written; store the graph again")
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{path}: the manifest names it but it cannot be read ({error}); store the graph again"
        ) from error


def _nodes(graph: Graph) -> pa.Table:
    tags = pa.array([""] * graph.nodes) if graph.tags is None else graph.tags.cast(pa.string())
    return pa.table(
        {"node": np.arange(graph.nodes, dtype=np.int32), "name": graph.names.cast(pa.string()), "tag": tags}
    )


def _relations(graph: Graph) -> pa.Table:
    counts = np.bincount(graph.relation, minlength=len(graph.relations)).tolist()
    rows = [
        {"relation": code, "name": one.name, "inverse": one.inverse, "taxonomic": one.taxonomic, "edges": counts[code]}
        for code, one in enumerate(graph.relations)
    ]
    kinds = {"relation": pa.int32(), "name": pa.string(), "inverse": pa.string(), "taxonomic": pa.bool_()}
    return pa.Table.from_pylist(rows, pa.schema([*kinds.items(), ("edges", pa.int64())]))


def _edges(graph: Graph) -> pa.Table:
    numbers = {"edge": np.arange(graph.edges, dtype=np.int32), "head": graph.head}
    return pa.table({**numbers, "relation": graph.relation.astype(np.int32), "tail": graph.tail})


def _evidence(graph: Graph, triples: Sequence[pa.Table]) -> pa.Table:
    columns = [name for name in _EVIDENCE.names if name not in ("edge", "triple")]
    parts = [
        pa.table({"edge": edge_numbers(graph, one), "triple": one.column("id"), **{n: one.column(n) for n in columns}})
        for one in triples
    ]
    table = pa.concat_tables([part.cast(_EVIDENCE) for part in parts]) if parts else _EVIDENCE.empty_table()
    return table.sort_by([("edge", "ascending"), ("triple", "ascending")])


def edge_numbers(graph: Graph, triples: pa.Table) -> npt.NDArray[np.int32]:
    """The edge that each row of a table of triples states.

    Raises:
        InputError: for a triple that is no edge of the graph.
    """
    nodes = pl.Enum(pl.Series(graph.names, dtype=pl.String))
    relations = pl.Enum([one.name for one in graph.relations])
    kinds = {"head": nodes, "relation": relations, "tail": nodes}
    try:
        codes = {
            name: pl.Series(stripped(as_text(triples.column(name)).combine_chunks()))
            .cast(kind)
            .to_physical()
            .to_numpy()
            for name, kind in kinds.items()
        }
    except pl.exceptions.InvalidOperationError as error:
        raise InputError(f"a triple names what the graph does not have: {error}") from error
    asked, there = (
        pl.DataFrame({name: np.asarray(one[name], np.int64) for name in kinds})
        for one in (codes, {"head": graph.head, "relation": graph.relation, "tail": graph.tail})
    )
    found = asked.join(there.with_row_index("edge"), on=list(kinds), how="left", maintain_order="left")["edge"]
    if found.null_count():
        row = triples.slice(int(found.is_null().arg_max() or 0), 1).to_pylist()[0]
        raise InputError(f"{row['head']!r} {row['relation']!r} {row['tail']!r} is no edge of the graph")
    return found.to_numpy().astype(np.int32)
