"""The records of a source that no earlier release of a series took.

``news.jsonl`` grew from two lines to three -> its first two records are rejected, ``seen_before``, the third is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from mashbill.records import Record, from_table
from mashbill.seen import SeenSource, text_of
from mashbill.step import DatasetStep, PartOutput, Parts, reject_table


@dataclass(frozen=True, kw_only=True)
class Unseen(DatasetStep[Record, Record]):
    """Keeps the records that are new to a series; each is as it was read, but for what it goes back to.

    A repeat of a record that was seen counts as seen, though it has an id of its own (`mashbill.ingest`).
    """

    source: str
    """The source's name in the bill."""
    before: str
    """The seal of the last release of the series, which decides all that was seen."""
    kind: type[Record] = field(metadata={"identity": False})
    """The record type that the source gives."""
    seen: SeenSource = field(metadata={"identity": False}, compare=False, repr=False)

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        for table in parts:
            records = from_table(table, self.kind)
            new = [self._is_new(record) for record in records]
            kept = table.filter(pa.array(new, pa.bool_()))
            origins = [self._origin(record) for record, one in zip(records, new, strict=True) if one]
            at = kept.schema.get_field_index("source_id")
            kept = kept.set_column(at, kept.schema.field(at), pa.array(origins, pa.string()))
            gone = pl.DataFrame(table).filter(~pl.Series(new, dtype=pl.Boolean))
            yield PartOutput(kept, reject_table(gone, step=self.name, kind=self.kind, reason=pl.lit("seen_before")))

    def _is_new(self, record: Record) -> bool:
        return record.id not in self.seen.ids and record.identified().id not in self.seen.ids

    def _origin(self, record: Record) -> str:
        if record.source_id != record.id:  # a source that groups its records itself has said what they go back to
            return self.seen.texts.get(text_of(record), record.source_id)
        return self.seen.texts.get(text_of(record)) or self.seen.alone.get(record.source) or record.id
