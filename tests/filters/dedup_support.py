"""Steps run over records of any type, in memory, with the accounting checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from mashbill.records import Record, from_table, to_table
from mashbill.step import DatasetStep
from tests.filters.support import MemoryParts


def run_any(
    step: DatasetStep[Any, Any], parts: Sequence[Sequence[Record]], kind: type[Record]
) -> tuple[list[Any], list[dict[str, Any]]]:
    """Kept records of all parts, and reject rows."""
    made = list(step.run(MemoryParts([to_table(part, kind) for part in parts])))
    assert [output.kept.num_rows + output.rejects.num_rows for output in made] == [len(part) for part in parts]
    kept = [row for output in made for row in from_table(output.kept, kind)]
    return kept, [row for output in made for row in output.rejects.to_pylist()]


def broken_text(kind: type[Record], rows: Sequence[Record], column: str, data: bytes) -> pa.Table:
    """A table whose last text is no UTF-8, as a careless writer's Parquet can hold it."""
    table = to_table(rows, kind)
    good = [text.encode() for text in table.column(column).to_pylist()]
    texts = pa.array([*good[:-1], data], pa.binary())
    column_of = pa.Array.from_buffers(pa.string(), len(texts), texts.buffers())
    return table.set_column(table.schema.get_field_index(column), table.schema.field(column), column_of)
