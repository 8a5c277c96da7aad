"""Stored steps: Parquet parts written aside and renamed, the manifest last.

A step's rows lie in ``{root}/{step}/{fingerprint}/part-00000.parquet``, its rejects in ``…/rejects/``, and
``manifest.json`` is written when all parts are there: a directory without one is unfinished, and is refused.
The same rows always give the same bytes: writer options are fixed here and nothing that varies between runs is stored.
"""

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from mashbill.errors import StoreError
from mashbill.records import RECORD_TYPES, Record

MANIFEST = "manifest.json"
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


class Counts(BaseModel):
    """The accounting of a part or of a whole step.

    ``attempts == kept + sum(rejected.values())`` always; for steps that judge rows, ``attempts == read``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    read: int = 0
    """Input records."""
    attempts: int = 0
    """Rows that were tried: for a generator one per text it set out to make."""
    kept: int = 0
    rejected: dict[str, int] = {}
    """Reason -> rows, in order of reason."""
    barren: int = 0
    """Input records that gave no kept row."""
    asks: int = 0
    """Model replies used, re-asks included."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    states: dict[str, int] = {}
    """State -> asks that ended in it; ``ok`` is left out (see `mashbill.ask_state`)."""
    noted: dict[str, int] = {}
    """What a step counted besides its rows, by name; see `mashbill.step.PartOutput`."""
    roles: dict[str, int] = {}
    """What of it engines besides the main one were asked: ``judge asks``, ``judge prompt``, ``judge completion``."""

    @model_serializer(mode="wrap")
    def _plain(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Left out where there is one engine: its steps have the bytes that they had before this was counted.
        plain: dict[str, Any] = handler(self)
        return {name: value for name, value in plain.items() if name != "roles" or value}

    @property
    def rejects(self) -> int:
        """All rejected attempts."""
        return sum(self.rejected.values())

    def __add__(self, other: Self) -> Self:
        """Counts of two parts together."""
        plain = {
            name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields if name not in _BY_NAME
        }
        named = {name: _summed(getattr(self, name), getattr(other, name)) for name in _BY_NAME}
        return type(self)(**{**plain, **named})


_BY_NAME = ("rejected", "states", "noted", "roles")


def _summed(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}


@dataclass(slots=True)
class Tally:
    """Counts that are still growing: to add to a `Counts`, which is checked and frozen, takes 9 microseconds."""

    read: int = 0
    attempts: int = 0
    kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    barren: int = 0
    asks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    rejects: int = 0
    """The sum of `rejected`."""
    states: dict[str, int] = field(default_factory=dict)
    roles: dict[str, int] = field(default_factory=dict)

    def add(self, more: Counts | Tally) -> None:
        """Add these."""
        self.read += more.read
        self.attempts += more.attempts
        self.kept += more.kept
        self.barren += more.barren
        self.asks += more.asks
        self.prompt_tokens += more.prompt_tokens
        self.completion_tokens += more.completion_tokens
        self.rejects += more.rejects
        for reason, count in more.rejected.items():
            self.rejected[reason] = self.rejected.get(reason, 0) + count
        for state, count in more.states.items():
            self.states[state] = self.states.get(state, 0) + count
        for name, count in more.roles.items():
            self.roles[name] = self.roles.get(name, 0) + count

    def counts(self) -> Counts:
        """What it comes to."""
        return Counts(
            read=self.read,
            attempts=self.attempts,
            kept=self.kept,
            rejected=dict(sorted(self.rejected.items())),
            barren=self.barren,
            asks=self.asks,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            states=dict(sorted(self.states.items())),
            roles=dict(sorted(self.roles.items())),
        )


class PartEntry(BaseModel):
    """One part in a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    rejects_sha256: str
    counts: Counts


class Manifest(BaseModel):
    """What a stored step is, and its accounting. It holds nothing that differs between two runs of the same bill."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    step: str
    kind: str
    """The record type of its rows."""
    fingerprint: str
    identity: dict[str, Any]
    """The step's fields and inputs, readable."""
    inputs: dict[str, str] = {}
    """Stored inputs: relative directory -> fingerprint."""
    engine: str = ""
    engines: dict[str, str] = {}
    """Role -> identity of the engines asked besides the main one."""
    parts: tuple[PartEntry, ...]
    counts: Counts
    notes: dict[str, Any] = {}
    """A step's own report, e.g. the coverage of entity pairs."""


@dataclass(frozen=True)
class Stored:
    """A finished stored step: readable part by part.

    >>> Stored.open(Path("runs/x/read_documents/09ab…"))  # doctest: +SKIP
    """

    path: Path
    manifest: Manifest = field(compare=False)

    @classmethod
    def open(cls, path: Path) -> Stored:
        """Open a finished step.

        Raises:
            StoreError: when it is absent, unfinished, or its manifest cannot be read.
        """
        file = path / MANIFEST
        if not path.is_dir():
            raise StoreError(f"{path}: no such stored step; run the bill that makes it first")
        if not file.is_file():
            raise StoreError(f"{path}: has no {MANIFEST}: the step that writes it did not finish; run the bill again")
        try:
            manifest = Manifest.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise StoreError(f"{file}: is not a manifest this version can read: {error}") from error
        return cls(path, manifest)

    @staticmethod
    def finished(path: Path) -> bool:
        """Whether a manifest is there."""
        return (path / MANIFEST).is_file()

    @property
    def kind(self) -> type[Record]:
        """The record type of the rows."""
        return RECORD_TYPES[self.manifest.kind]

    def __len__(self) -> int:
        return len(self.manifest.parts)

    def __iter__(self) -> Iterator[pa.Table]:
        return (self.table(index) for index in range(len(self)))

    def table(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of one part."""
        part = self.manifest.parts[index]
        return self._read(self.path / part.name, columns, part.counts.kept)

    def rejects(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The reject rows of one part."""
        part = self.manifest.parts[index]
        return self._read(self.path / "rejects" / part.name, columns, part.counts.rejects)

    def verify(self, index: int) -> None:
        """Compare the bytes of one part's rows with what was written: for what is final, since it reads all of them.

        Raises:
            StoreError: when they differ or cannot be read.
        """
        part = self.manifest.parts[index]
        path = self.path / part.name
        try:
            digest = file_digest(path)
        except OSError as error:
            raise self._unusable(path, f"the manifest names it but it cannot be read ({error})") from error
        if digest != part.sha256:
            raise self._unusable(path, "its bytes are not the ones that were written")

    def part_paths(self) -> list[Path]:
        """The Parquet files of its rows, in order."""
        return [self.path / part.name for part in self.manifest.parts]

    def _read(self, path: Path, columns: Sequence[str] | None, rows: int) -> pa.Table:
        try:
            # Not `read_table`: its dataset layer costs ten times the reading of a small part.
            with pq.ParquetFile(path) as file:
                if file.metadata.num_rows != rows:
                    raise self._unusable(path, f"it has {file.metadata.num_rows} rows and {rows} were written")
                return file.read(columns=None if columns is None else list(columns))
        except (OSError, pa.ArrowException) as error:
            raise self._unusable(path, f"the manifest names it but it cannot be read ({error})") from error

    def _unusable(self, path: Path, found: str) -> StoreError:
        return StoreError(
            f"{path}: {found}; remove {self.path} and run the bill again: replies already paid for are in the ledger"
        )


def part_name(index: int) -> str:
    """The file name of a part.

    >>> part_name(3)
    'part-00003.parquet'
    """
    return f"part-{index:05d}.parquet"
