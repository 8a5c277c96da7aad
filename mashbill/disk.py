"""Files that are whole or not there: written beside, synced, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mashbill.errors import StoreError

_MACHINE = f"{zlib.crc32(platform.node().encode()):08x}"
"""Which machine is writing: several may share a root, and process ids mean nothing on another."""


_ASIDE = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})\.(?P<process>[0-9]+)-(?P<thread>[0-9]+)\.tmp")


ROW_GROUP = 16_384
"""Rows per Parquet row group: small enough to stream a part, large enough to compress."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole or absent: aside, synced, renamed, the directory synced.

    Raises:
        StoreError: when the disk is full or the place cannot be written.
    """
    with replacing(path) as aside:
        aside.write_bytes(data)


def write_json(path: Path, value: object) -> None:
    """Write canonical, readable JSON atomically."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def write_parquet(path: Path, table: pa.Table, metadata: Mapping[str, str] | None = None) -> None:
    """Write a table atomically, with fixed options; `metadata` goes into the file's key-value metadata."""
    if metadata is not None:
        kept = table.schema.metadata or {}
        table = table.replace_schema_metadata({**kept, **{k.encode(): v.encode() for k, v in metadata.items()}})
    with replacing(path) as aside:
        pq.write_table(table, aside, compression="zstd", compression_level=3, row_group_size=ROW_GROUP)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; renamed over it when the block ends well, removed otherwise.

    What a killed process left beside `path` is removed first.
    """
    # The thread too: a run stopped and started again in one process may still be writing the part it was at.
    aside = path.with_name(f".{path.name}.{_MACHINE}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for entry in os.scandir(path.parent):
            if entry.name.startswith(f".{path.name}.") and abandoned(entry.name):
                Path(entry.path).unlink(missing_ok=True)
        yield aside
        with aside.open("rb") as handle:
            os.fsync(handle.fileno())
        aside.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):  # the place that cannot be written may not be cleaned either
            aside.unlink(missing_ok=True)
        raise StoreError(
            f"{path}: cannot write: {error.strerror or error}; what was finished before is kept: "
            "free some space or mend the permissions, and run the same command again"
        ) from error
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def abandoned(name: str) -> bool:
    """Whether a file of this name was being written by a process or thread of this machine that lives no more."""
    found = _ASIDE.fullmatch(name)
    if found is None or found["machine"] != _MACHINE:  # of a process elsewhere nothing can be said
        return False
    process, thread = int(found["process"]), int(found["thread"])
    if process == os.getpid():  # after a kill in a container the next process often has the same number
        return thread not in sys._current_frames()
    return not lives(process)


def lives(process: int) -> bool:
    """Whether a process of this machine has that id."""
    if sys.platform == "win32":  # there `os.kill` with 0 is no question: it ends the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it belongs to somebody else
        return True
    return True


def sync_directory(path: Path) -> None:
    """Have what was made, renamed or removed in a folder on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_digest(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
