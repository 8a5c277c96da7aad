"""An in-memory `Parts`, a small runner of filters, and Documents by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from mashbill.records import Document, Score, from_rows, to_table
from mashbill.step import DatasetStep, Filter


@dataclass
class MemoryParts:
    """Stored parts without a store; counts how often parts are read."""

    tables: list[pa.Table]
    reads: int = 0

    @classmethod
    def of(cls, parts: Sequence[Sequence[Document]]) -> MemoryParts:
        return cls([to_table(part, Document) for part in parts])

    def __len__(self) -> int:
        return len(self.tables)

    def table(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        self.reads += 1
        return self.tables[index] if columns is None else self.tables[index].select(list(columns))

    def __iter__(self) -> Iterator[pa.Table]:
        return (self.table(index) for index in range(len(self)))


def doc(text: str, *, source: str = "", **fields: object) -> Document:
    """A document; `source` is its source id."""
    return Document.new(text=text, source_id=source, **fields)


def scored(document: Document, **scores: float) -> Document:
    from dataclasses import replace

    return replace(document, scores=tuple(Score(name=name, value=value) for name, value in scores.items()))


def judge(step: Filter[Any], texts: Sequence[str]) -> list[str]:
    """The reason of each text, "" where it is kept; all reasons and scores in one query, as the runtime does it."""
    frame = pl.DataFrame({"text": list(texts)}, schema={"text": pl.String})
    reasons = step.reasons()
    found = frame.lazy().with_columns(
        **{f"reason {name}": hit.fill_null(False) for name, hit in reasons.items()},
        **{f"score {name}": score.cast(pl.Float64) for name, score in step.scores().items()},
    )
    first = pl.coalesce(
        *[pl.when(pl.col(f"reason {name}")).then(pl.lit(name)) for name in reasons],
        pl.lit(""),
    )
    return found.select(first.alias("first")).collect()["first"].to_list()


def numbers(step: Filter[Any], texts: Sequence[str]) -> dict[str, list[float]]:
    """Every score of every text."""
    frame = pl.DataFrame({"text": list(texts)}, schema={"text": pl.String})
    return frame.lazy().select(**step.scores()).collect().to_dict(as_series=False)


def run(
    step: DatasetStep[Any, Any], parts: Sequence[Sequence[Document]]
) -> tuple[list[list[Document]], list[dict[str, object]]]:
    """Kept documents by part, and all reject rows; checks that no row is lost."""
    outputs = list(step.run(MemoryParts.of(parts)))
    assert len(outputs) == len(parts)
    for part, output in zip(parts, outputs, strict=True):
        assert output.kept.num_rows + output.rejects.num_rows == len(part)
        assert output.kept.schema == to_table([], Document).schema
    kept = [from_rows(output.kept.to_pylist(), Document) for output in outputs]
    return kept, [row for output in outputs for row in output.rejects.to_pylist()]


def flat(parts: Sequence[Sequence[Document]]) -> list[Document]:
    """The rows of all parts."""
    return [row for part in parts for row in part]
