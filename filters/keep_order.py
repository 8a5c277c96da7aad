"""Which of several equal rows is kept: the best scored, then the one with the lowest id.

The order never depends on which row was read first, so the same rows in other parts give the same dataset. Rows with
one id have one content, but may differ in how they were made; those are told apart by a digest of the rest.

One row in -> out: two copies with ids ``b`` and ``a`` and equal scores -> ``a`` is kept.
"""

from __future__ import annotations

import hashlib

import polars as pl
import pyarrow as pa

from filters.removal import frame_of
from mashbill.records import Record, schema_of

ORDER = ("rank_score", "id", "tie")
DESCENDING = (True, False, False)
ORDER_SCHEMA = {
    "id": pl.String,
    "source_id": pl.String,
    "part": pl.UInt32,
    "row": pl.UInt32,
    "rank_score": pl.Float64,
    "tie": pl.Binary,
}
COLUMNS = ("id", "source_id", "source", "license", "made", "scores")


def columns_of(kind: type[Record]) -> tuple[str, ...]:
    """The columns that decide among equals: the id, and all that is not in it but vectors."""
    schema = schema_of(kind)
    more = [name for name in sorted(kind.not_content) if not pa.types.is_binary(schema.field(name).type)]
    return tuple(dict.fromkeys((*COLUMNS, *more)))


def order_columns(table: pa.Table, part: int, score: str) -> pl.DataFrame:
    """For each row: id, source_id, part, row, and what decides among equals; `table` has some kind's `columns_of`."""
    frame = frame_of(table)
    made = frame.select(pl.struct(pl.exclude("id")).struct.json_encode()).to_series()
    return frame.with_row_index("row").select(
        "id",
        "source_id",
        pl.lit(part, dtype=pl.UInt32).alias("part"),
        "row",
        rank_score=score_of(score),
        tie=pl.Series([_digest(text) for text in made], dtype=pl.Binary),
    )


def score_of(name: str) -> pl.Expr:
    """A named score of each row; a row without it, or with NaN, comes after all others."""
    lowest = pl.lit(float("-inf"))
    if not name:
        return lowest
    entry = pl.element()
    value = pl.col("scores").list.eval(
        pl.when(entry.struct.field("name") == name).then(entry.struct.field("value")).otherwise(None)
    )
    return value.list.drop_nulls().list.last().fill_nan(None).fill_null(lowest)


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, best first."""
    return rows.sort(list(ORDER), descending=list(DESCENDING), maintain_order=True)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
