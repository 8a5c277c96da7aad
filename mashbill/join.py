"""Rows of several stored inputs as one stored input, so that a step can read them together.

A stream of three questions and one of two, which share a question -> four rows, and one reject ``same_row`` with the id
that is kept. Rows keep their ids, their sources and their order: those of the first input, then those of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from mashbill.counts import Counts
from mashbill.disk import file_digest, write_json, write_parquet
from mashbill.errors import StoreError
from mashbill.fingerprint import fingerprint
from mashbill.records import Record, from_table, schema_of, to_table
from mashbill.runtime import Runtime
from mashbill.step import reject_table
from mashbill.store import Manifest, PartEntry, Stored, part_name

NAME = "join"
VERSION = 1


def join(inputs: Sequence[Stored], runtime: Runtime) -> Stored:
    """The rows of several stored inputs of one record type; made once, and opened when it is there already.

    Raises:
        StoreError: when their rows are of several types.
    """
    kinds = {one.kind.__name__: one.kind for one in inputs}
    if len(kinds) != 1:
        raise StoreError(f"rows of {', '.join(sorted(kinds))} cannot be read together; they must be of one type")
    ((name, kind),) = kinds.items()
    digests = [one.manifest.fingerprint for one in inputs]
    digest = fingerprint((NAME, VERSION, digests))
    place = runtime.root / NAME / digest
    if Stored.finished(place):
        stored = Stored.open(place)
        runtime.progress.end(NAME, stored, reused=True)
        return stored
    runtime.progress.begin(NAME, sum(one.manifest.counts.kept for one in inputs), 0)
    parts, seen = list[PartEntry](), set[str]()
    for one in inputs:
        for index in range(len(one)):
            parts.append(_part(place, len(parts), one.table(index), kind, seen))
    manifest = Manifest(
        step=NAME,
        kind=name,
        fingerprint=digest,
        identity={"steps": [], "inputs": digests},
        inputs={one.path.relative_to(runtime.root).as_posix(): one.manifest.fingerprint for one in inputs},
        parts=tuple(parts),
        counts=sum((part.counts for part in parts), Counts()),
    )
    write_json(place / "manifest.json", manifest.model_dump(mode="json"))
    stored = Stored.open(place)
    runtime.progress.end(NAME, stored, reused=False)
    return stored


def _part(place: Path, number: int, table: pa.Table, kind: type[Record], seen: set[str]) -> PartEntry:
    """Write one part without the rows that came before."""
    if table.schema != schema_of(kind):  # stored by an earlier version, with fewer columns
        table = to_table(from_table(table, kind), kind)
    again = pl.Series([not _first(seen, row) for row in table.column("id").to_pylist()], dtype=pl.Boolean)
    gone = pl.DataFrame(table).filter(again)
    rejects = reject_table(gone, step=NAME, kind=kind, reason=pl.lit("same_row"), kept_id=pl.col("id"))
    kept = table.filter((~again).to_arrow())
    kept_path, rejects_path = place / part_name(number), place / "rejects" / part_name(number)
    write_parquet(rejects_path, rejects)
    write_parquet(kept_path, kept)
    rejected = {"same_row": len(gone)} if len(gone) else {}
    counts = Counts(read=table.num_rows, attempts=table.num_rows, kept=kept.num_rows, rejected=rejected)
    return PartEntry(
        name=kept_path.name, sha256=file_digest(kept_path), rejects_sha256=file_digest(rejects_path), counts=counts
    )


def _first(seen: set[str], id_: str) -> bool:
    """Whether an id is seen for the first time; from then on it is not."""
    if id_ in seen:
        return False
    seen.add(id_)
    return True
