"""What a series of dated releases has seen of its sources: files by name and bytes, records by id and text.

Each release keeps its own part in two tables, which are read together in the order of the series::

    seen/files.parquet    source   reader  file     sha256  state        new, changed, again, moved or gone
    seen/records.parquet  source   place   id  source_id  text  split    one row for each record that was taken

A record counts as seen when it was taken, whatever became of it: one that was rejected is not tried again. One whose
text was seen under another title, or that stands in a file where one other record stood, goes back to the record that
came first (`source_id`): the two are one document, so they lie in one split over all dates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from mashbill.disk import write_parquet
from mashbill.fingerprint import DIGEST_BYTES, fingerprint, step_identity
from mashbill.records import Record, from_table
from mashbill.step import Source

FILES = "seen/files.parquet"
RECORDS = "seen/records.parquet"
FILE_COLUMNS = ("source", "reader", "file", "sha256", "state")
RECORD_COLUMNS = ("source", "place", "id", "source_id", "text", "split")


def reader_of(source: Source[Any]) -> str:
    """What decides which records a source makes of a file."""
    return fingerprint((source.name, source.version, step_identity(source)))


def text_of(record: Record) -> str:
    """The digest by which two records have the same text; of a record without one, its id as its content asks for."""
    text = getattr(record, "text", "") or record.identified().id
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()


@dataclass
class SeenSource:
    """What was seen of one source."""

    reader: str = ""
    files: dict[str, str] = field(default_factory=dict)
    """Name -> sha256 of the files that were there at the last release."""
    read: set[str] = field(default_factory=set)
    """The sha256 of every file that this reader has read."""
    ids: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    """Digest of a text -> source id of the first record that had it."""
    alone: dict[str, str] = field(default_factory=dict)
    """File -> source id of the one record that was taken from it last."""

    def add_file(self, row: Mapping[str, str]) -> None:
        """Enter one row of the table of files."""
        if row["reader"] != self.reader:
            self.reader, self.read = row["reader"], set()
        if row["state"] == "gone":
            self.files.pop(row["file"], None)
            return
        self.files[row["file"]] = row["sha256"]
        self.read.add(row["sha256"])

    def add_records(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Enter what one release took."""
        places: dict[str, list[str]] = {}
        for row in rows:
            self.ids.add(row["id"])
            self.texts.setdefault(row["text"], row["source_id"])
            places.setdefault(row["place"], []).append(row["source_id"])
        self.alone |= {place: ids[0] for place, ids in places.items() if len(ids) == 1 and place in self.files}


@dataclass
class Seen:
    """What a series has seen."""

    sources: dict[str, SeenSource] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    """Source id -> the split it fell into: it stays there."""

    def of(self, name: str) -> SeenSource:
        """What was seen of a source."""
        return self.sources.setdefault(name, SeenSource())

    def add(self, folder: Path) -> None:
        """Enter what one release saw, after those before it."""
        for row in pl.read_parquet(folder / FILES).iter_rows(named=True):
            self.of(row["source"]).add_file(row)
        records = pl.read_parquet(folder / RECORDS)
        for (name,), rows in records.group_by("source", maintain_order=True):
            self.of(str(name)).add_records(rows.to_dicts())
        for source_id, split in records.select("source_id", "split").iter_rows():
            self.splits.setdefault(source_id, split)


def write_table(path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> None:
    """Write one of the two tables; all columns are text."""
    schema = pa.schema([(name, pa.string()) for name in columns])
    write_parquet(path, pa.Table.from_pylist([dict(row) for row in rows], schema))


def record_rows(name: str, table: pa.Table, kind: type[Record]) -> Iterator[dict[str, str]]:
    """Rows of the table of records for the records of a source that are taken; their split is not known yet."""
    for record in from_table(table, kind):
        yield {
            "source": name,
            "place": record.source,
            "id": record.id,
            "source_id": record.source_id,
            "text": text_of(record),
        }
