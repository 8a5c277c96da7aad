"""Whole columns of triples as numbered names, for graphs of millions of edges.

``["salt", "salt", "Ora"]`` -> names ``["Ora", "salt"]`` and codes ``[1, 1, 0]``

pyarrow reads and numbers a column at a time, ten times faster than a line at a time. Where a file has anything on
which the two could differ (a lone carriage return, quotation marks in CSV, other columns), or anything wrong, it is
left to the reader of lines, whose word on it is the right one and names the line.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from kg.load_parquet import as_text, checked, is_text
from kg.load_rows import FIELDS, Columns, lines_of, unreadable
from mashbill.errors import InputError

BLOCK = 1 << 24
_SPACE = r"[\s\x0b\x1c-\x1f\x{85}\p{Z}]"
"""What `str.strip` takes off, for RE2."""
_PADDED = rf"^{_SPACE}|{_SPACE}$"


@dataclass(frozen=True, kw_only=True, eq=False)
class Numbered:
    """A table of triples as numbers: one for each name, in order of the names."""

    names: pa.Array
    relations: tuple[str, ...]
    head: npt.NDArray[Any]
    relation: npt.NDArray[Any]
    tail: npt.NDArray[Any]


def numbered(head: pa.ChunkedArray, relation: pa.ChunkedArray, tail: pa.ChunkedArray) -> Numbered | None:
    """Three columns of text as numbers, spaces around names taken off; None when a name is empty."""
    parts = [_encoded(one) for one in (head, relation, tail)]
    labels = [stripped(one.dictionary) for one in parts]
    if any(pc.any(pc.equal(one, "")).as_py() for one in labels):
        return None
    codes = [np.asarray(one.indices) for one in parts]
    (head_codes, tail_codes), names = _merged([labels[0], labels[2]], [codes[0], codes[2]])
    (relation_codes,), relations = _merged([labels[1]], [codes[1]])
    return Numbered(
        names=names,
        relations=tuple(relations.to_pylist()),
        head=head_codes,
        relation=relation_codes,
        tail=tail_codes,
    )


def file_columns(path: Path, columns: Columns) -> tuple[pa.ChunkedArray, ...] | None:
    """Head, relation and tail of a file as columns, or None where the lines have to be read one by one.

    Raises:
        InputError: for a file that cannot be read, or a column that is not there.
    """
    if columns.evidence or columns.head_type or columns.tail_type:
        return None
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return _parquet_columns(path, columns)
        if suffix in (".tsv", ".tab", ".txt"):
            return _text_columns(path, columns, delimiter="\t", header=bool(columns.header), unquoted=b"")
        if suffix == ".csv":
            return _text_columns(path, columns, delimiter=",", header=columns.header is not False, unquoted=b'"')
    except OSError as error:
        raise unreadable(path, error) from error
    return None


def _parquet_columns(path: Path, columns: Columns) -> tuple[pa.ChunkedArray, ...] | None:
    wanted = [columns.head, columns.relation, columns.tail]
    try:
        schema = pq.read_schema(path)
        checked(schema, columns, path)
        text = [name for name in wanted if is_text(schema.field(name).type)]
        table = pq.read_table(path, columns=wanted, read_dictionary=text)
    except pa.ArrowException as error:
        raise InputError(f"cannot be read as Parquet: {error}", path=path) from error
    found = tuple(table.column(name) for name in wanted)
    return None if any(one.null_count for one in found) else found


def _text_columns(
    path: Path, columns: Columns, *, delimiter: str, header: bool, unquoted: bytes
) -> tuple[pa.ChunkedArray, ...] | None:
    if not _plain(path, unquoted):
        return None
    names = list(FIELDS)
    if header:
        first = next((line for _, line in lines_of(path) if line.strip()), b"").decode(errors="replace")
        names = [name.strip() for name in next(csv.reader([first.rstrip("\r\n")], delimiter=delimiter), [])]
        places = columns.places(names, path)
        if len(names) != len(FIELDS):
            return None
        names = [next(field for field, at in places.items() if at == place) for place in range(len(names))]
    numbers = pa.dictionary(pa.int32(), pa.string())
    try:
        table = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(column_names=names, skip_rows=int(header), block_size=BLOCK),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, quote_char=False),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(FIELDS, numbers), strings_can_be_null=False, include_columns=list(FIELDS)
            ),
        )
    except pa.ArrowException:
        return None  # the reader of lines says which line is wrong, and how
    return tuple(table.column(name) for name in FIELDS)


def _plain(path: Path, unquoted: bytes) -> bool:
    """Whether every carriage return ends a line, and `unquoted` is nowhere."""
    last = b""
    with path.open("rb") as handle:
        while piece := handle.read(BLOCK):
            if unquoted and unquoted in piece:
                return False
            if last == b"\r" and not piece.startswith(b"\n"):
                return False
            if (returns := piece.count(b"\r")) and returns != piece.count(b"\r\n") + piece.endswith(b"\r"):
                return False
            last = piece[-1:]
    return last != b"\r"


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """A column of text, of whole numbers, or of either as a dictionary, as one dictionary of text."""
    if not pa.types.is_dictionary(column.type):
        column = as_text(column).dictionary_encode()
    column = column.unify_dictionaries()
    one = column.combine_chunks()
    if isinstance(one, pa.ChunkedArray):  # what combining gives for no chunk at all, in some versions
        one = pa.concat_arrays(one.chunks) if one.num_chunks else pa.array([], column.type)
    return pa.DictionaryArray.from_arrays(one.indices.cast(pa.int32()), as_text(one.dictionary))


def stripped(labels: pa.Array) -> pa.Array:
    """Names without the spaces around them, as `str.strip` takes them off."""
    if not pc.any(pc.match_substring_regex(labels, _PADDED)).as_py():
        return labels
    return pa.array([label.strip() for label in labels.to_pylist()], pa.large_string())


def _merged(labels: list[pa.Array], codes: list[npt.NDArray[Any]]) -> tuple[list[npt.NDArray[Any]], pa.Array]:
    """The codes of several dictionaries as those of one that is sorted."""
    series = [pl.Series(one, dtype=pl.String) for one in labels]
    names = pl.concat(series).unique().sort()
    order = pl.Enum(names)
    found = [one.cast(order).to_physical().to_numpy() for one in series]
    return [one[code] for one, code in zip(found, codes, strict=True)], names.to_arrow().cast(pa.large_string())
