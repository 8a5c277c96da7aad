"""Triples from Parquet: a row each, from columns of text or whole numbers.

``{"head": "salt", "relation": "made_by", "tail": "Ora"}`` in row 1 -> ``Row(1, "salt", "made_by", "Ora")``
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kg.load_rows import Columns, Flaw, Row, row_of, unreadable
from mashbill.errors import InputError


def parquet_rows(path: Path, columns: Columns) -> Iterator[Row | Flaw]:
    """The rows of a file, numbered from 1.

    Raises:
        InputError: for a file that is no Parquet, a column that is not there, or one that is not text.
    """
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            checked(file.schema_arrow, columns, path)
            for batch in file.iter_batches(columns=list(dict.fromkeys(columns.named.values()))):
                values = {field: as_text(batch.column(column)).to_pylist() for field, column in columns.named.items()}
                for cells in zip(*values.values(), strict=True):
                    number += 1
                    yield row_of(number, {name: cell or "" for name, cell in zip(values, cells, strict=True)})
    except pa.ArrowException as error:
        raise InputError(f"cannot be read as Parquet: {error}", path=path) from error
    except OSError as error:
        raise unreadable(path, error) from error


def checked(schema: pa.Schema, columns: Columns, path: Path) -> None:
    """Refuse a file without the columns, or with others than text in them."""
    columns.places(schema.names, path, None)
    for column in columns.named.values():
        kind = schema.field(column).type
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (is_text(value) or pa.types.is_integer(value)):
            raise InputError(f"the column {column!r} is {kind}; wanted text or whole numbers", path=path)


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is text."""
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def as_text(array: pa.Array) -> pa.Array:
    """An array of text, of numbers or of a dictionary of them, as text."""
    return array.cast(pa.large_string())
