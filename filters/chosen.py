"""From which rows are chosen to the kept and reject rows of each part, with a score and a reason.

Row 3 of a part, not chosen, score 0.31 -> a reject row, ``far_from_shots``, value 0.31, and not in the kept table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from filters.removal import frame_of
from filters.rewrite import kind_of
from mashbill.filter_stack import with_scores
from mashbill.step import PartOutput, conform, reject_table

if TYPE_CHECKING:
    from numpy.typing import NDArray


def chosen_output(
    table: pa.Table,
    reasons: Sequence[str],
    *,
    step: str,
    scores: Mapping[str, NDArray[Any]] | None = None,
    value: NDArray[Any] | None = None,
    noted: Mapping[str, int] | None = None,
) -> PartOutput:
    """One part's output: rows whose reason is empty are kept; NaN among scores and values is none."""
    kind = kind_of(table)
    columns = {name: pl.Series(np.asarray(one, np.float64), nan_to_null=True) for name, one in (scores or {}).items()}
    number = np.full(table.num_rows, np.nan) if value is None else np.asarray(value, dtype=np.float64)
    why = pl.DataFrame(
        {"why": pl.Series(list(reasons), dtype=pl.String), "number": pl.Series(number, nan_to_null=True)}
    )
    frame = pl.concat([with_scores(frame_of(table), columns), why], how="horizontal")
    gone = frame.filter(pl.col("why") != "")
    rejects = reject_table(gone, step=step, kind=kind, reason=pl.col("why"), value=pl.col("number"))
    return PartOutput(conform(frame.filter(pl.col("why") == ""), kind), rejects, dict(noted or {}))
