"""A dated release: what a refresh made, published in one rename, with what it saw and where it stands in its series.

::

    releases/tolvarey@2026-12-01/
        README.md                            the data card
        data/train-00000-of-00001.parquet    only rows of what is new since the release before
        seen/files.parquet                   see `mashbill.seen`
        seen/records.parquet
        manifest.json

It is built in a hidden folder beside the others and renamed when it is whole and on disk, so it is there or it is not.
A source document is given a split by its own hash, against limits that stay: it falls into the same one whenever its
rows are made, and once it has one it keeps it though the bill's splits change.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mashbill.card import render_card
from mashbill.disk import file_digest, sync_directory, write_bytes, write_json
from mashbill.errors import StoreError
from mashbill.fingerprint import content_id, fingerprint
from mashbill.records import Record
from mashbill.refreshed import Refreshed, SourceNews, seal_of
from mashbill.release import ReleasePlan, index_of, stream_counts, within_shares, write_split
from mashbill.release_manifest import ReleaseManifest
from mashbill.row_size import BYTES, Measure
from mashbill.seen import FILE_COLUMNS, FILES, RECORD_COLUMNS, RECORDS, write_table
from mashbill.series import Dated, dated_name
from mashbill.store import MANIFEST, Stored


@dataclass(frozen=True, kw_only=True)
class DatedPlan:
    """What a refresh is about to publish."""

    release: ReleasePlan
    kind: type[Record]
    date: str
    number: int
    series: Sequence[Dated]
    """The releases before it; none for the first of a series."""
    sources: Mapping[str, SourceNews]
    sections: Mapping[str, str]
    files: Sequence[Mapping[str, str]]
    """Rows of the table of files."""
    records: Sequence[Mapping[str, str]]
    """Rows of the table of records, without their split."""
    splits: Mapping[str, str]
    """Source id -> the split that the series gave it."""
    measure: Measure = BYTES
    """What shares are counted in."""

    @property
    def name(self) -> str:
        """What it will be called."""
        return dated_name(self.release.name, self.date, self.number)

    def fingerprint(self, streams: Mapping[str, Stored]) -> str:
        """What decides its rows."""
        before = self.series[-1].refreshed.seal if self.series else ""
        fingerprints = {name: stored.manifest.fingerprint for name, stored in sorted(streams.items())}
        identity = (self.release, fingerprints, before)
        return fingerprint(identity if self.measure == BYTES else (*identity, self.measure))


def split_by_hash(source_id: str, splits: Mapping[str, float], seed: int) -> str:
    """The split of a source document, from its id alone: the share of a split is the chance to fall into it.

    >>> split_by_hash("a", {}, 0), split_by_hash("a", {"test": 0.999999}, 0)
    ('train', 'test')
    """
    at, limit = int(content_id("split", seed, source_id)[:13], 16) / 16**13, 0.0
    for name in sorted(splits):
        limit += splits[name]
        if at < limit:
            return name
    return "train"


def publish_dated(plan: DatedPlan, streams: Mapping[str, Stored], root: Path) -> Path:
    """Write a dated release; streams that came to nothing are in its counts, and it may hold no row at all.

    Raises:
        StoreError: when the rows are of several types, or a release of that name is there.
    """
    folder, aside = root / "releases" / plan.name, root / "releases" / f".{plan.name}.building"
    if folder.exists():
        raise StoreError(f"{folder}: is there already; wait for the run that made it, or give another --date")
    if aside.exists():  # of a run that was killed
        shutil.rmtree(aside)
    streams = dict(sorted(streams.items()))
    full = {name: stored for name, stored in streams.items() if stored.manifest.counts.kept}
    kinds = {stored.kind.__name__ for stored in full.values()} | {plan.kind.__name__}
    if len(kinds) != 1:
        raise StoreError(f"release {plan.name}: its streams hold {sorted(kinds)}; release one type of record")
    index = index_of(full, plan.measure)
    shares = {name: share for name, share in plan.release.shares.items() if name in full}
    taken = within_shares(index, dataclasses.replace(plan.release, shares=shares))
    splits = _splits(plan, taken["source_id"])
    taken = taken.with_columns(split=pl.col("source_id").replace_strict(splits, return_dtype=pl.String))
    names = ["train", *sorted({*plan.release.splits, *taken["split"]} - {"train"})]
    manifest = ReleaseManifest(
        name=plan.name,
        version=plan.release.version,
        description=plan.release.description,
        license=plan.release.license,
        language=plan.release.language,
        kind=plan.kind.__name__,
        fingerprint=plan.fingerprint(streams),
        seed=plan.release.seed,
        shares_by=plan.measure.unit,
        tokenizer=plan.measure.tokenizer,
        streams={name: stream_counts(name, streams, index, taken, plan.release, root) for name in streams},
        splits={name: write_split(aside, name, taken.filter(split=name), full) for name in names},
        refreshed=_refreshed(plan),
    )
    _write_seen(plan, splits, aside)
    write_bytes(aside / "README.md", render_card(manifest).encode())
    _seal(manifest, aside)
    _sync(aside)
    aside.rename(folder)
    sync_directory(folder.parent)
    return folder


def _splits(plan: DatedPlan, source_ids: Iterable[str]) -> dict[str, str]:
    every = {*source_ids, *(row["source_id"] for row in plan.records)}
    drawn = {one: split_by_hash(one, plan.release.splits, plan.release.seed) for one in every}
    return drawn | {one: plan.splits[one] for one in every if one in plan.splits}


def _refreshed(plan: DatedPlan) -> Refreshed:
    before = plan.series[-1] if plan.series else None
    old = before.refreshed.sections if before else plan.sections
    return Refreshed(
        date=plan.date,
        number=plan.number,
        before=before.name if before else "",
        before_seal=before.refreshed.seal if before else "",
        series=len(plan.series) + 1,
        earlier_rows=sum(one.manifest.rows for one in plan.series),
        sources=dict(plan.sources),
        sections=dict(plan.sections),
        changed_sections=tuple(
            name for name in sorted({*old, *plan.sections}) if old.get(name) != plan.sections.get(name)
        ),
    )


def _write_seen(plan: DatedPlan, splits: Mapping[str, str], folder: Path) -> None:
    write_table(folder / FILES, plan.files, FILE_COLUMNS)
    rows = [{**row, "split": splits[row["source_id"]]} for row in plan.records]
    write_table(folder / RECORDS, rows, RECORD_COLUMNS)


def _seal(manifest: ReleaseManifest, folder: Path) -> None:
    """Write the manifest with the digests of the files beside it and its own."""
    assert manifest.refreshed is not None
    files = {name: file_digest(folder / name) for name in ("README.md", FILES, RECORDS)}
    refreshed = manifest.refreshed.model_copy(update={"files": files})
    plain = manifest.model_copy(update={"refreshed": refreshed}).plain()
    plain["refreshed"]["seal"] = seal_of(plain)
    write_json(folder / MANIFEST, plain)


def _sync(folder: Path) -> None:
    """Have every folder in it on disk; the files are."""
    for place, _, _ in os.walk(folder):
        sync_directory(Path(place))
