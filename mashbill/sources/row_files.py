"""Rows of JSON lines, Parquet and Arrow files, each with its place; a broken one is named, not skipped.

``train.jsonl`` line 7, ``{"question": "…"}`` -> ``Row("train.jsonl:7", 7, {"question": "…"})``. A folder written by
``datasets.save_to_disk`` holds its rows in Arrow files of the stream format, so it is read without that library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from mashbill.step import BadInput

KINDS = (".jsonl", ".ndjson", ".parquet", ".arrow")
"""Suffixes of files that hold rows."""
ON_DISK = frozenset({"dataset_info.json", "state.json", "dataset_dict.json"})
"""What `datasets` writes beside the rows."""
BATCH = 1024
_LONG = re.compile(r"\d{19}")


@dataclass(frozen=True, slots=True)
class Row:
    """One row and where it stands."""

    where: str
    line: int
    """From 1: the line of a text file, the row of a table."""
    values: Mapping[str, Any]


def rows_of(path: Path, name: str, *, max_bytes: int) -> Iterator[Row | BadInput]:
    """The rows of one file in order; `max_bytes` bounds a line of JSON."""
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        yield from _json_lines(path, name, max_bytes)
    else:
        yield from _tables(path, name, _parquet if suffix == ".parquet" else _arrow)


def _json_lines(path: Path, name: str, max_bytes: int) -> Iterator[Row | BadInput]:
    with path.open("rb") as handle:
        number = 0
        # Bounded: a line without end must not fill the memory before anyone can say so.
        while line := handle.readline(max_bytes + 1):
            number += 1
            where, size = f"{name}:{number}", len(line)
            if size <= max_bytes:
                if line.strip(b" \t\r\n\xef\xbb\xbf"):
                    yield _json_line(line, where, number)
                continue
            while line and not line.endswith(b"\n"):
                line = handle.readline(max_bytes)
                size += len(line)
            found = f"{size:,} bytes in one line; the most is `max_bytes` ({max_bytes:,}): split it, or raise it"
            yield BadInput(where, "too_large", found, number)


def _json_line(line: bytes, where: str, number: int) -> Row | BadInput:
    text = decoded(line, where, number)
    if isinstance(text, BadInput):
        return text
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return BadInput(where, "broken_json", f"is not JSON: {error}", number)
    if not isinstance(values, dict):
        return BadInput(where, "broken_json", f"must be a JSON object; found {type(values).__name__}", number)
    if _LONG.search(text):  # orjson makes floats of whole numbers beyond 64 bits, which are then other numbers
        values = json.loads(text)
    return Row(where, number, values)


def decoded(data: bytes, where: str, line: int | None) -> str | BadInput:
    """Bytes as text, or why they are none."""
    if b"\0" in data[:4096]:
        return BadInput(where, "binary", "holds zero bytes, so it is not text", line)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return BadInput(where, "not_utf8", f"is not UTF-8 at byte {error.start}; convert it (`iconv -t utf-8`)", line)


def _tables(path: Path, name: str, batches: Any) -> Iterator[Row | BadInput]:
    number = 0
    try:
        for batch in batches(path):
            for values in batch.to_pylist():
                number += 1
                yield Row(f"{name}:{number}", number, values)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        kind = path.suffix.lower().lstrip(".").capitalize()
        yield BadInput(name, f"broken_{kind.lower()}", f"cannot be read as {kind} after row {number}: {error}")


def _parquet(path: Path) -> Iterator[pa.RecordBatch]:
    yield from pq.ParquetFile(path).iter_batches(BATCH)


def _arrow(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as mapped:
        try:
            reader = pa.ipc.open_stream(mapped)
        except pa.ArrowInvalid:
            mapped.seek(0)  # the file format, which other tools write
            file = pa.ipc.open_file(mapped)
            yield from (file.get_batch(index) for index in range(file.num_record_batches))
            return
        for batch in reader:
            yield from (batch.slice(start, BATCH) for start in range(0, batch.num_rows, BATCH))
