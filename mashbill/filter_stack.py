"""A stack of filters as one polars query over a table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from mashbill.errors import StepFailed
from mashbill.records import Record, schema_of
from mashbill.step import Filter, PartOutput, Step, conform, reject_table


@dataclass(frozen=True, kw_only=True)
class FilterStack(Step):
    """Filters that run as one query over each part."""

    filters: tuple[Filter[Any], ...]

    @property
    def label(self) -> str:
        """The directory name of the stack."""
        return "filters" if len(self.filters) > 1 else self.filters[0].name


def label_of(step: Step) -> str:
    """The directory name of a step's rows."""
    return step.label if isinstance(step, FilterStack) else step.name


def apply_filters(filters: Sequence[Filter[Any]], table: pa.Table, kind: type[Record]) -> PartOutput:
    """A stack of filters over one table, as one query: each row keeps the first reason that hit, and every score."""
    with _named_failures(filters):
        reasons = [(one.name, reason, hit) for one in filters for reason, hit in one.reasons().items()]
        scores = [(name, score) for one in filters for name, score in one.scores().items()]
        judged = (
            pl.LazyFrame(pl.from_arrow(table.cast(schema_of(kind))))
            .with_columns(
                *[_number(hit, i) for i, (_, _, hit) in enumerate(reasons)],
                *[score.cast(pl.Float64).alias(f"_score{i}") for i, (_, score) in enumerate(scores)],
            )
            .with_columns(
                _first=pl.coalesce([f"_hit{i}" for i in range(len(reasons))]) if reasons else pl.lit(None, pl.Int32),
            )
            .collect()
        )
        judged = with_scores(judged, {name: judged[f"_score{i}"] for i, (name, _) in enumerate(scores)})
    names = pl.Series([f"{reason}" for _, reason, _ in reasons], dtype=pl.String)
    steps = pl.Series([step for step, _, _ in reasons], dtype=pl.String)
    gone = judged.filter(pl.col("_first").is_not_null())
    gone = gone.with_columns(_reason=names.gather(gone["_first"]), _step=steps.gather(gone["_first"]))
    rejects = reject_table(gone, step="", kind=kind, reason=pl.col("_reason"), by=pl.col("_step"))
    return PartOutput(conform(judged.filter(pl.col("_first").is_null()), kind), rejects)


def _number(hit: pl.Expr, index: int) -> pl.Expr:
    return pl.when(hit.fill_null(False)).then(pl.lit(index, pl.Int32)).alias(f"_hit{index}")


def with_scores(rows: pl.DataFrame, found: Mapping[str, pl.Series]) -> pl.DataFrame:
    """The rows with what was measured, by name, added to their scores; a null is no score."""
    if not found or rows.is_empty():
        return rows
    measured = pl.DataFrame({str(at): series for at, series in enumerate(found.values())})
    # Row by row in one array: a list expression over as many structs as there are scores takes five times as long.
    values = measured.to_numpy(order="c").ravel()
    present = ~measured.select(pl.all().is_null()).to_numpy(order="c").ravel()
    which = np.tile(np.arange(len(found), dtype=np.int32), rows.height)[present]
    name = pa.DictionaryArray.from_arrays(which, pa.array(list(found), pa.string())).cast(pa.string())
    offsets = np.concatenate(([0], np.cumsum(present.reshape(rows.height, -1).sum(axis=1)))).astype(np.int32)
    score = pa.StructArray.from_arrays([name, pa.array(values[present])], ["name", "value"])
    added = pl.Series("added", pa.ListArray.from_arrays(offsets, score))
    old = rows["scores"]
    return rows.with_columns(scores=added if not old.list.len().sum() else pl.concat_list(old, added))


@contextlib.contextmanager
def _named_failures(filters: Sequence[Filter[Any]]) -> Iterator[None]:
    try:
        yield
    except (Exception, pl.exceptions.PanicException) as error:  # a panic of polars is a BaseException
        names = ", ".join(one.name for one in filters)
        raise StepFailed(f"a filter among {names} cannot be evaluated: {error}") from error
