"""One of two things that are compared: its rows, a few columns at a time, and the steps that led to it.

``tolvarey/5f0c…`` -> rows with ``id`` and whatever columns are asked for, and ``read_documents``, ``length``, …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from flows.stored import Thing
from mashbill.errors import StoreError
from mashbill.records import RECORD_TYPES, Record
from mashbill.release import way_of
from mashbill.release_manifest import ReleaseManifest, opened_shard
from mashbill.store import Stored

REJECTED = {"id": pl.String, "reason": pl.String, "step": pl.String}
"""What is read of reject rows."""


@dataclass(frozen=True)
class Side:
    """A release or a stored step."""

    thing: Thing
    root: Path

    def __str__(self) -> str:
        return str(self.thing)

    @cached_property
    def _release(self) -> ReleaseManifest | None:
        return ReleaseManifest.read(self.thing.path) if self.thing.sort == "release" else None

    @cached_property
    def _stored(self) -> Stored:
        return Stored.open(self.thing.path)

    @property
    def kind(self) -> type[Record]:
        """The record type of its rows."""
        return RECORD_TYPES[self._release.kind] if self._release else self._stored.kind

    def frame(self, columns: Sequence[str]) -> pl.DataFrame:
        """Some columns of all its rows, with ``split`` and ``nth``, which tells rows of one id apart."""
        frames = [
            pl.DataFrame(pl.from_arrow(table)).with_columns(split=pl.lit(split))
            for split, table in self._tables(columns)
        ]
        if not frames:
            raise StoreError(f"{self}: has no rows to compare")
        return pl.concat(frames).with_columns(nth=pl.int_range(pl.len()).over("id"))

    def _tables(self, columns: Sequence[str]) -> Iterator[tuple[str, Any]]:
        if self._release is None:
            for index in range(len(self._stored)):
                yield "", self._stored.table(index, columns)
            return
        for name, split in self._release.splits.items():
            for shard in split.shards:
                with opened_shard(self.thing.path, shard) as file:
                    yield name, file.read(columns=list(columns))

    @cached_property
    def way(self) -> list[Stored]:
        """The stored steps that led to it, sources first, as far as they lie under the root; none stands twice."""
        if self._release is None:
            ends = [self._stored]
        else:
            lasts = [stream.steps[-1] for stream in self._release.streams.values()]
            places = [self.root / last.step / last.fingerprint for last in lasts]
            ends = [Stored.open(place) for place in places if Stored.finished(place)]
        found: list[Stored] = []
        for end in ends:
            found += [one for one in self._way_of(end) if one.path not in {other.path for other in found}]
        return found

    def _way_of(self, end: Stored) -> list[Stored]:
        try:
            return way_of(end, self.root)
        except StoreError:
            return [end]  # what it was made from is gone, or lies under another root

    @property
    def whole(self) -> bool:
        """Whether all steps that led to it are there to be asked."""
        if not self.way or any(
            not Stored.finished(self.root / place) for one in self.way for place in one.manifest.inputs
        ):
            return False
        return self._release is None or len({one.manifest.fingerprint for one in self.way} & self._last) == len(
            self._last
        )

    @property
    def _last(self) -> set[str]:
        return {stream.steps[-1].fingerprint for stream in self._release.streams.values()} if self._release else set()

    def steps(self) -> dict[str, Mapping[str, Any]]:
        """What each step on the way is, by name; the n-th of one name has its number."""
        found: dict[str, Mapping[str, Any]] = {}
        for identity in self._identities():
            for one in identity.get("steps", []):
                name, number = one["name"], 1
                while (label := name if number == 1 else f"{name} ({number})") in found:
                    number += 1
                extra = {key: identity[key] for key in ("files", "engine") if identity.get(key)}
                found[label] = {**one["fields"], **extra, "version": one["version"]}
        return found

    def _identities(self) -> Iterator[Mapping[str, Any]]:
        if self._release is None:
            yield from (one.manifest.identity for one in self.way)
            return
        seen = set[str]()
        for stream in self._release.streams.values():
            for step in stream.steps:
                if step.fingerprint not in seen:
                    seen.add(step.fingerprint)
                    yield step.identity


def ids_of(stored: Stored) -> pl.DataFrame:
    """The ids of a step's rows."""
    parts = [pl.DataFrame(pl.from_arrow(stored.table(at, ["id"]))) for at in range(len(stored))]
    return pl.concat([pl.DataFrame(schema={"id": pl.String}), *parts])


def heirs_of(stored: Stored) -> pl.DataFrame:
    """Rows that a step which asks nobody made of one row each: ``id``, and the row it was as ``of``."""
    schema = {"id": pl.String, "of": pl.String}
    if stored.manifest.engine or not stored.manifest.inputs:
        return pl.DataFrame(schema=schema)
    parts = [pl.DataFrame(pl.from_arrow(stored.table(at, ["id", "parents"]))) for at in range(len(stored))]
    single = (one.filter(pl.col("parents").list.len() == 1) for one in parts)
    return pl.concat(
        [pl.DataFrame(schema=schema), *(one.select("id", of=pl.col("parents").list.first()) for one in single)]
    )


def rejects_of(stored: Stored) -> pl.DataFrame:
    """Id, reason and step of each reject row."""
    paths = [stored.path / "rejects" / part.name for part in stored.manifest.parts if part.counts.rejects]
    frames = [
        pl.DataFrame(pl.from_arrow(pq.read_table(path, columns=list(REJECTED), partitioning=None))) for path in paths
    ]
    return pl.concat([pl.DataFrame(schema=REJECTED), *frames])
