"""From a list of rows that go to the kept table and the reject rows of each part.

One row in -> out: ``{part: 0, row: 3, kept_id: "09ab…", value: 0.92, detail: "…"}`` -> row 3 of part 0 is a reject
row with that ``kept_id``, and not in the kept table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
import pyarrow as pa

from mashbill.records import Record
from mashbill.step import PartOutput, Parts, reject_table

SCHEMA = {"part": pl.UInt32, "row": pl.UInt32, "kept_id": pl.String, "value": pl.Float64, "detail": pl.String}
"""The columns of a removal list; `value` may be null."""
CLUSTERED = {**SCHEMA, "cluster": pl.String, "reason": pl.String}
"""The same with the cluster of each row, and a reason row by row."""


def outputs(
    parts: Parts,
    removed: pl.DataFrame,
    *,
    step: str,
    kind: type[Record],
    reason: str = "",
    noted: Mapping[str, int] | None = None,
) -> Iterator[PartOutput]:
    """One output for each part; only one part's rows are in memory at a time.

    `reason` is every row's where the list has no such column; `noted` goes with the first part.
    """
    if "reason" not in removed.columns:
        removed = removed.with_columns(cluster=pl.lit(""), reason=pl.lit(reason))
    by_part = {key[0]: rows for key, rows in removed.sort("part", "row").partition_by("part", as_dict=True).items()}
    nothing = pl.DataFrame(schema=CLUSTERED)
    for index in range(len(parts)):
        gone = by_part.get(index, nothing)
        table = parts.table(index)
        stays = np.ones(table.num_rows, dtype=np.bool_)
        stays[gone["row"].to_numpy()] = False
        rows = frame_of(table.filter(pa.array(~stays)))
        why = gone.select(pl.col("kept_id", "value", "detail", "cluster", "reason").name.prefix("removal "))
        rejects = reject_table(
            pl.concat([rows, why], how="horizontal"),
            step=step,
            kind=kind,
            reason=pl.col("removal reason"),
            detail=pl.col("removal detail"),
            kept_id=pl.col("removal kept_id"),
            value=pl.col("removal value"),
            cluster=pl.col("removal cluster"),
        )
        yield PartOutput(table.filter(pa.array(stays)), rejects, noted or {} if index == 0 else {})


def frame_of(table: pa.Table) -> pl.DataFrame:
    """An Arrow table as a polars frame."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame
