"""The rows of a release as parts, as a step reads them: a shard a part, without the column of the stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mashbill.records import RECORD_TYPES, schema_of
from mashbill.release_manifest import ReleaseManifest, Shard, opened_shard


@dataclass(frozen=True)
class ReleaseParts:
    """All shards of all splits, in order."""

    folder: Path
    shards: tuple[Shard, ...]
    names: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path) -> ReleaseParts:
        """The shards of a finished release.

        Raises:
            StoreError: when it is unfinished.
        """
        manifest = ReleaseManifest.read(folder)
        shards = tuple(shard for split in manifest.splits.values() for shard in split.shards)
        return cls(folder, shards, tuple(schema_of(RECORD_TYPES[manifest.kind]).names))

    def __len__(self) -> int:
        return len(self.shards)

    def table(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One shard, or some of its columns."""
        with opened_shard(self.folder, self.shards[index]) as file:
            return file.read(columns=list(self.names if columns is None else columns))

    def __iter__(self) -> Iterator[pa.Table]:
        return (self.table(index) for index in range(len(self)))
