"""What a release says of itself: files with digests, splits, and the counts of each stream's steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from mashbill.counts import Counts
from mashbill.disk import file_digest
from mashbill.errors import StoreError
from mashbill.refreshed import Refreshed
from mashbill.store import MANIFEST


class Shard(BaseModel):
    """One Parquet file of a release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    rows: int
    sha256: str


class SplitCounts(BaseModel):
    """One split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    sources: int
    text_bytes: int
    shards: tuple[Shard, ...]


class StepCounts(BaseModel):
    """One stored step on a stream's way, from the source on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    fingerprint: str
    engine: str
    counts: Counts
    identity: dict[str, Any]
    said: tuple[str, ...] = ()
    """What the step reports for the card: the ``card`` of its notes, a sentence each."""


class StreamCounts(BaseModel):
    """One stream: its way, and how many of its curated rows were released."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[StepCounts, ...]
    share_asked: float
    """0 when the stream was taken whole."""
    released: int
    text_bytes: int
    over_share: int
    size: int | None = None
    """What was released in what shares are counted in; None in releases from before that could be said."""


class ReleaseManifest(BaseModel):
    """What a release is and how its counts add up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    name: str
    version: str
    description: str
    license: str
    language: str
    kind: str
    fingerprint: str
    seed: int
    shares_by: str = "bytes"
    """What shares are counted in: ``bytes`` of text, or ``tokens``."""
    tokenizer: str = ""
    """Which tokenizer counted, as a hash of all that decides its ids; empty for bytes."""
    streams: dict[str, StreamCounts]
    splits: dict[str, SplitCounts]
    refreshed: Refreshed | None = None
    """Its place in a series, for a dated release."""

    def plain(self) -> dict[str, Any]:
        """Itself as plain JSON values; a release that has no date says nothing of one."""
        return self.model_dump(mode="json", exclude={"refreshed"} if self.refreshed is None else None)

    @property
    def rows(self) -> int:
        """Released rows over all splits."""
        return sum(split.rows for split in self.splits.values())

    def series_sentences(self) -> Iterator[str]:
        """What the card says of its place in a series; nothing for a release that has no date."""
        if self.refreshed is not None:
            yield from self.refreshed.sentences()
            yield from self.left_by_shares()

    def left_by_shares(self) -> Iterator[str]:
        """What its shares left out, for a dated release: such rows are in no later one either."""
        over = {name: stream.over_share for name, stream in self.streams.items() if stream.over_share}
        if self.refreshed is not None and over:
            told = ", ".join(f"{name} {count:,}" for name, count in over.items())
            rows = "1 row" if sum(over.values()) == 1 else f"{sum(over.values()):,} rows"
            yield (
                f"Shares are met in this release by itself, and left out {rows} ({told}): later releases do not take "
                "them up."
            )

    @classmethod
    def read(cls, folder: Path) -> ReleaseManifest:
        """The manifest of a finished release.

        Raises:
            StoreError: when there is none.
        """
        file = folder / MANIFEST
        if not file.is_file():
            raise StoreError(f"{folder}: has no {MANIFEST}: the release did not finish; run the bill again")
        try:
            return cls.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise StoreError(f"{file}: is not a release's manifest this version can read: {error}") from error


@contextlib.contextmanager
def opened_shard(folder: Path, shard: Shard, *, verify: bool = False) -> Iterator[pq.ParquetFile]:
    """One Parquet file of a release, to read from; `verify` compares all its bytes with what was released.

    Raises:
        StoreError: when it is gone, has other rows than were written, or cannot be read, in the block too.
    """
    path = folder / shard.file
    advice = f"remove {folder} and run the bill again"
    try:
        if verify and file_digest(path) != shard.sha256:
            raise StoreError(f"{path}: its bytes are not the ones that were released; {advice}")
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows != shard.rows:
                raise StoreError(f"{path}: has {file.metadata.num_rows} rows and {shard.rows} were released; {advice}")
            yield file
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{path}: the release's manifest names it but it cannot be read ({error}); {advice}"
        ) from error


def is_whole(folder: Path) -> bool:
    """Whether a release is finished and still has all its rows."""
    if not (folder / MANIFEST).is_file():
        return False
    try:
        for split in ReleaseManifest.read(folder).splits.values():
            for shard in split.shards:
                with opened_shard(folder, shard):
                    pass
    except StoreError:
        return False
    return True
