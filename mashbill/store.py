"""Stored steps: Parquet parts written aside and renamed, the manifest last.

A step's rows lie in ``{root}/{step}/{fingerprint}/part-00000.parquet``, its rejects in ``…/rejects/``, and
``manifest.json`` is written when all parts are there: a directory without one is unfinished, and is refused.
The same rows always give the same bytes: writer options are fixed here and nothing that varies between runs is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from mashbill.counts import Counts
from mashbill.disk import file_digest
from mashbill.errors import StoreError
from mashbill.records import RECORD_TYPES, Record

MANIFEST = "manifest.json"


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
