"""Rows whose text a step changed: new ids, with the old ones as parents.

One row in -> out: ``{"id": "09ab…", "text": "cafÃ©"}`` with the text ``café`` -> ``{"id": "6f1c…", "parents":
["09ab…"], "text": "café"}``; its source document stays the same, so no split takes the two apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from filters.removal import frame_of
from mashbill.errors import BillError
from mashbill.records import RECORD_TYPES, Record, from_table, schema_of, to_table
from mashbill.step import PartOutput, reject_table


def kind_of(table: pa.Table) -> type[Record]:
    """The record type whose columns a table has.

    Raises:
        BillError: where there is none.
    """
    for kind in RECORD_TYPES.values():
        if schema_of(kind).names == table.schema.names:
            return kind
    names = set(table.schema.names)
    near = max(RECORD_TYPES.values(), key=lambda kind: len(names & set(schema_of(kind).names)))
    missing = [name for name in schema_of(near).names if name not in names]
    extra = [name for name in table.schema.names if name not in schema_of(near).names]
    found = [f"has no {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(extra)} besides"] * bool(extra)
    raise BillError(
        f"a table is of no record type: the nearest is {near.__name__}, but it "
        f"{' and '.join(found) or 'has its columns in another order'}; run the step that wrote it again"
    )


def column_of(table: pa.Table, column: str, step: str) -> pl.Series:
    """A text column, with nothing in place of a null.

    Raises:
        BillError: where the table has no such column, or it holds no text.
    """
    if column not in table.schema.names or table.schema.field(column).type not in (pa.string(), pa.large_string()):
        kind = kind_of(table)
        texts = [field.name for field in schema_of(kind) if field.type in (pa.string(), pa.large_string())]
        raise BillError(f"{step}: {kind.__name__} has no text column {column!r}; it has {', '.join(texts)}")
    return frame_of(table.select([column]))[column].fill_null("")


def rewritten(
    table: pa.Table, changed: Mapping[str, Sequence[str]], gone: Mapping[str, Sequence[bool]], step: str
) -> PartOutput:
    """The part with its new texts; rows that are marked in `gone` (reason -> row by row) are rejects as they were."""
    kind = kind_of(table)
    why = np.full(table.num_rows, None, dtype=object)
    for reason in reversed(list(gone)):
        why[np.asarray(gone[reason], dtype=np.bool_)] = reason
    stays = np.array([reason is None for reason in why], dtype=np.bool_)
    old = {column: column_of(table, column, step).to_list() for column in changed}
    new = [
        row
        for row in range(table.num_rows)
        if stays[row] and any(changed[column][row] != old[column][row] for column in changed)
    ]
    records = dict[int, Record]()
    for row, record in zip(new, from_table(table.take(pa.array(new, pa.int64())), kind), strict=True):
        fields: dict[str, Any] = {column: changed[column][row] for column in changed}
        records[row] = dataclasses.replace(record, parents=(record.id,), **fields).identified()
    kept = _with_rows(table, records, kind).filter(pa.array(stays))
    rows = frame_of(table.filter(pa.array(~stays))).with_columns(_why=pl.Series(why[~stays].tolist(), dtype=pl.String))
    return PartOutput(kept, reject_table(rows, step=step, kind=kind, reason=pl.col("_why")))


def _with_rows(table: pa.Table, records: Mapping[int, Record], kind: type[Record]) -> pa.Table:
    """The table with some rows in place of its own."""
    if not records:
        return table
    order = np.arange(table.num_rows)
    order[list(records)] = table.num_rows + np.arange(len(records))
    return pa.concat_tables([table, to_table(list(records.values()), kind)]).take(pa.array(order)).combine_chunks()
