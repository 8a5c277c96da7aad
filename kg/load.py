"""Triples from files: tab-separated, comma-separated, N-Triples, GraphML or Parquet, by the file's suffix.

One line in, one triple out::

    alga<TAB>isa<TAB>entity

    Triple(head="alga", relation="isa", tail="entity", source="umls.tsv:3")

A line that is no triple stops with its file and line. A triple that stands twice is given once; a `Tally` counts both.
For a whole graph at once, `kg.load_graph.load_graph` is ten times faster and makes no record of each line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kg.load_csv import csv_rows
from kg.load_graphml import graphml_rows
from kg.load_ntriples import ntriples_rows
from kg.load_parquet import parquet_rows
from kg.load_rows import Columns, Flaw, Row
from kg.load_tsv import tsv_rows
from mashbill.errors import InputError
from mashbill.records import Triple

READERS: dict[str, Callable[[Path, Columns], Iterator[Row | Flaw]]] = {
    ".csv": csv_rows,
    ".graphml": graphml_rows,
    ".nt": ntriples_rows,
    ".parquet": parquet_rows,
    ".tab": tsv_rows,
    ".tsv": tsv_rows,
    ".txt": tsv_rows,
}
"""Suffix -> what reads such a file."""
PACKED = (".7z", ".bz2", ".gz", ".tar", ".tgz", ".xz", ".zip", ".zst")


@dataclass(slots=True)
class Tally:
    """What was read: ``lines == triples + duplicates + blank``."""

    lines: int = 0
    """Rows, with lines that hold nothing; a line of column names is none."""
    triples: int = 0
    duplicates: int = 0
    """Lines that say what an earlier line of the file said."""
    blank: int = 0
    first_duplicate: str = ""
    """Where the first of them stands."""


def read_triples(path: Path, tally: Tally | None = None, columns: Columns | None = None) -> Iterator[Triple]:
    """The distinct triples of a file, in its order; only what tells duplicates apart is kept in memory.

    Spaces around a name are not part of it. `tally`, when it is given, is filled in while the triples are read.

    Raises:
        InputError: with file and line, for what is no triple (not UTF-8, ragged, a name that is empty), an unknown
            column or kind of file, and for a file that is absent or has no triple at all.
    """
    tally = Tally() if tally is None else tally
    seen: set[tuple[str, ...]] = set()
    for piece in rows_of(path, columns):
        tally.lines += 1
        if isinstance(piece, Flaw):
            if piece.reason != "empty":
                raise InputError(piece.detail, path=path, line=piece.line)
            tally.blank += 1
        elif (said := piece[1:]) in seen:
            tally.duplicates += 1
            tally.first_duplicate = tally.first_duplicate or f"{path.name}:{piece.line}"
        else:
            seen.add(said)
            tally.triples += 1
            yield triple_of(piece, path.name)
    if not seen:
        raise InputError("has no triple; wanted rows of a head, a relation and a tail", path=path)


def rows_of(path: Path, columns: Columns | None = None) -> Iterator[Row | Flaw]:
    """Every piece of a file, in its order: rows, and flaws where there is none.

    Raises:
        InputError: for an unknown kind of file, one that is absent or cannot be read, or an unknown column.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None and not path.is_dir():
        kind = f"a {path.suffix} file" if path.suffix else "a file without a suffix"
        packed = "; unpack it first" if path.suffix.lower() in PACKED else ""
        raise InputError(f"is {kind}, which is not read; what is: {', '.join(READERS)}{packed}", path=path)
    return (reader or tsv_rows)(path, columns or Columns())


def triple_of(row: Row, name: str, **fields: str) -> Triple:
    """A row as a record; its source is the file's name and the line."""
    said = row._asdict()
    line = said.pop("line")
    return Triple.new(**said, **fields, source=f"{name}:{line}")
