"""A check of several columns as polars expressions, run once for each row however many reasons it has.

One row in -> out: ``judged(check, ["answer", "gold"], ["wrong_answer", "no_gold"])`` is two expressions, of which at
most one is True for a row: that of the reason which ``check({"answer": "71", "gold": "72"})`` gives.

The columns go to the check as one JSON text a row, so that the memory of `filters.measured` does for them too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa

from filters.measured import Remembered, texts_of

Check = Callable[[Mapping[str, Any]], tuple[str, Mapping[str, float]]]
"""From some columns of a row to its reason ("" where it stays) and its scores."""


def judging(check: Check, reasons: Sequence[str], scores: Sequence[str] = ()) -> Remembered:
    """A check as a measurement: ``reason`` is the place of the reason in the list from 1, 0 where the row stays."""
    places = {reason: place for place, reason in enumerate(reasons, start=1)} | {"": 0}

    def measure(rows: pa.LargeStringArray) -> Mapping[str, np.ndarray]:
        found = [check(orjson.loads(row)) for row in rows.to_pylist()]
        columns = {"reason": [float(places[reason]) for reason, _ in found]}
        columns.update({name: [one[name] for _, one in found] for name in scores})
        return {name: np.array(column, dtype=np.float64) for name, column in columns.items()}

    return Remembered(measure)


def judged(remembered: Remembered, columns: Sequence[str], reasons: Sequence[str]) -> dict[str, pl.Expr]:
    """Reason -> True where the check gave it."""
    place = judged_score(remembered, columns, "reason")
    return {reason: place == float(number) for number, reason in enumerate(reasons, start=1)}


def judged_score(remembered: Remembered, columns: Sequence[str], name: str) -> pl.Expr:
    """One number of the check."""

    def one(series: pl.Series) -> pl.Series:
        return pl.Series(series.name, remembered(texts_of(series))[name], dtype=pl.Float64)

    row = pl.struct(columns).struct.json_encode()
    return row.map_batches(one, return_dtype=pl.Float64, is_elementwise=True)
