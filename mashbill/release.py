"""A release: curated streams joined into one dataset with splits that share no source document, and its card.

::

    releases/tolvarey/5f0c…/
        README.md                            the data card
        data/train-00000-of-00001.parquet    opens with datasets.load_dataset(folder)
        data/validation-00000-of-00001.parquet
        manifest.json                        written last

Every released row keeps its record's columns and gains ``stream``. Shares are by bytes of text, a measure that no
tokenizer changes, or by tokens of a tokenizer that is named (`mashbill.row_size`); rows left out to meet them are
counted as ``over_share``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mashbill.disk import abandoned, file_digest, replacing, write_json
from mashbill.errors import StoreError
from mashbill.fingerprint import content_id, fingerprint
from mashbill.records import schema_of
from mashbill.release_manifest import ReleaseManifest, Shard, SplitCounts, StepCounts, StreamCounts, is_whole
from mashbill.row_size import BYTES, Measure, sizes, text_bytes
from mashbill.store import MANIFEST, Stored

SHARD_ROWS = 50_000
"""Rows of one Parquet file: at a few kB a row, some 200 MB."""


@dataclass(frozen=True, kw_only=True)
class ReleasePlan:
    """What to publish: identity of a release."""

    name: str
    version: str
    description: str
    license: str
    language: str
    seed: int
    shares: Mapping[str, float]
    splits: Mapping[str, float]


def split_of_sources(source_ids: list[str], splits: Mapping[str, float], seed: int) -> dict[str, str]:
    """Source id -> split: each held-out split gets its share of the source documents, in an order by hash.

    >>> sorted(split_of_sources(["a", "b", "c", "d"], {"validation": 0.25}, 0).values())
    ['train', 'train', 'train', 'validation']
    """
    ordered = sorted(set(source_ids), key=lambda one: content_id("split", seed, one))
    assigned: dict[str, str] = {}
    position = 0
    for others, name in zip(reversed(range(len(splits))), sorted(splits), strict=True):
        # At least one source, so that a split that was asked for exists; train and the splits to come keep one too.
        left = len(ordered) - position - 1
        count = min(max(1, round(splits[name] * len(ordered))), max(left - others, min(left, 1), 0))
        assigned.update(dict.fromkeys(ordered[position : position + count], name))
        position += count
    assigned.update(dict.fromkeys(ordered[position:], "train"))
    return assigned


def publish(plan: ReleasePlan, streams: Mapping[str, Stored], root: Path, measure: Measure = BYTES) -> Path:
    """Write a release of curated streams; one that is finished and has all its rows is returned at once.

    `measure` is what shares are counted in.

    Raises:
        StoreError: when the streams' rows are of different types, or there is no row at all.
    """
    # By name: the fingerprint does not know in which order a bill names its streams, so the bytes must not either.
    streams = dict(sorted(streams.items()))
    identity = (plan, {name: stored.manifest.fingerprint for name, stored in streams.items()})
    # By bytes, as every release was counted before it could be said: those keep their fingerprints.
    digest = fingerprint(identity if measure == BYTES else (*identity, measure))
    folder = root / "releases" / plan.name / digest
    if is_whole(folder):
        return folder
    kinds = {stored.manifest.kind for stored in streams.values()}
    if len(kinds) != 1:
        raise StoreError(f"release {plan.name}: its streams hold {sorted(kinds)}; release one type of record")
    index = index_of(streams, measure)
    if not index.height:
        raise StoreError(
            f"release {plan.name}: no row is left to publish; see where they went with `mashbill ls` and "
            "`mashbill rejects`"
        )
    taken = within_shares(index, plan)
    # Of what is taken: a split must not be left empty because its sources' rows were over their share.
    assigned = split_of_sources(taken["source_id"].to_list(), plan.splits, plan.seed)
    taken = taken.with_columns(split=pl.col("source_id").replace_strict(assigned, return_dtype=pl.String))
    (folder / MANIFEST).unlink(missing_ok=True)  # of one whose rows were damaged: until they are back it is unfinished
    splits = {
        name: write_split(folder, name, taken.filter(split=name), streams) for name in ["train", *sorted(plan.splits)]
    }
    _remove_strays(folder, splits)
    manifest = ReleaseManifest(
        name=plan.name,
        version=plan.version,
        description=plan.description,
        license=plan.license,
        language=plan.language,
        kind=next(iter(kinds)),
        fingerprint=digest,
        seed=plan.seed,
        shares_by=measure.unit,
        tokenizer=measure.tokenizer,
        streams={name: stream_counts(name, streams, index, taken, plan, root) for name in streams},
        splits=splits,
    )
    write_json(folder / MANIFEST, manifest.plain())
    return folder


def _remove_strays(folder: Path, splits: Mapping[str, SplitCounts]) -> None:
    """What a run that was killed left, sharded otherwise: readers take every Parquet file in ``data``."""
    ours = {shard.file for split in splits.values() for shard in split.shards}
    for path in (folder / "data").iterdir() if ours else ():
        stray = path.suffix == ".parquet" and path.relative_to(folder).as_posix() not in ours
        if stray or abandoned(path.name):
            path.unlink()


_INDEX = {
    "row": pl.UInt32,
    "id": pl.String,
    "source_id": pl.String,
    "text_bytes": pl.Int64,
    "stream": pl.String,
    "part": pl.Int32,
    "size": pl.Int64,
}


def index_of(streams: Mapping[str, Stored], measure: Measure = BYTES) -> pl.DataFrame:
    """One light row for each curated row: enough to choose and split without the texts in memory."""
    frames = []
    for name, stored in streams.items():
        for part in range(len(stored)):
            stored.verify(part)
            table = pl.from_arrow(stored.table(part))
            assert isinstance(table, pl.DataFrame)
            frames.append(
                table.select(
                    "id", "source_id", text_bytes=text_bytes(stored.kind), stream=pl.lit(name), part=pl.lit(part)
                )
                .with_columns(size=sizes(table, stored.kind, measure))
                .with_row_index("row")
            )
    return pl.concat(frames) if frames else pl.DataFrame(schema=_INDEX)


def within_shares(index: pl.DataFrame, plan: ReleasePlan) -> pl.DataFrame:
    """The rows that are released: of streams with a share, by hash, no more than it."""
    wanted = {name: share for name, share in plan.shares.items() if share > 0}
    if len(wanted) < 2:
        return index
    total = {name: int(index.filter(stream=name)["size"].sum()) for name in wanted}
    for name, size in total.items():
        if not size:
            raise StoreError(
                f"release {plan.name}: the stream {name} has no text, so no share of it can be taken; take it out of "
                "`release.streams`, or see where its rows went with `mashbill rejects`"
            )
    unit = min(total[name] / share for name, share in wanted.items())
    kept = [index.filter(~pl.col("stream").is_in(list(wanted)))]
    for name, share in wanted.items():
        rows = index.filter(stream=name)
        order = [content_id("share", plan.seed, row) for row in rows["id"]]
        # The same row may stand in two parts: its place decides then.
        chosen = rows.with_columns(order=pl.Series(order)).sort("order", "part", "row")
        kept.append(chosen.filter(pl.col("size").cum_sum() <= math.ceil(unit * share)).drop("order"))
    return pl.concat(kept).sort("stream", "part", "row")


def write_split(folder: Path, name: str, rows: pl.DataFrame, streams: Mapping[str, Stored]) -> SplitCounts:
    """Write the shards of one split: the rows of the streams that are named in `rows`."""
    if rows.is_empty():
        return SplitCounts(rows=0, sources=0, text_bytes=0, shards=())
    total = math.ceil(rows.height / SHARD_ROWS)  # none for a split without rows: the `datasets` library refuses it
    tables = _tables(rows, streams)
    shards = []
    schema = released_schema(next(iter(streams.values())))
    rest: list[pa.Table] = []
    for number in range(total):
        file = f"data/{name}-{number:05d}-of-{total:05d}.parquet"
        written = 0
        with replacing(folder / file) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
            while written < SHARD_ROWS:
                table = rest.pop() if rest else next(tables, None)
                if table is None:
                    break
                room = SHARD_ROWS - written
                if table.num_rows > room:
                    rest.append(table.slice(room))
                    table = table.slice(0, room)
                writer.write_table(table.cast(schema))
                written += table.num_rows
        shards.append(Shard(file=file, rows=written, sha256=file_digest(folder / file)))
    return SplitCounts(
        rows=rows.height,
        sources=rows["source_id"].n_unique(),
        text_bytes=int(rows["text_bytes"].sum()),
        shards=tuple(shards),
    )


def _tables(rows: pl.DataFrame, streams: Mapping[str, Stored]) -> Iterator[pa.Table]:
    for name, stored in streams.items():
        for part in range(len(stored)):
            chosen = rows.filter(stream=name, part=part)["row"]
            if len(chosen):
                table = stored.table(part).take(pa.array(chosen.to_list(), pa.int64()))
                yield table.append_column("stream", pa.array([name] * table.num_rows, pa.string()))


def stream_counts(
    name: str, streams: Mapping[str, Stored], index: pl.DataFrame, taken: pl.DataFrame, plan: ReleasePlan, root: Path
) -> StreamCounts:
    """A stream's way and counts."""
    mine = taken.filter(stream=name)
    return StreamCounts(
        steps=tuple(
            StepCounts(
                step=one.manifest.step,
                fingerprint=one.manifest.fingerprint,
                engine=one.manifest.engine,
                counts=one.manifest.counts,
                identity=one.manifest.identity,
                said=tuple(one.manifest.notes.get("card", ())),
            )
            for one in way_of(streams[name], root)
        ),
        share_asked=plan.shares.get(name, 0.0),
        released=mine.height,
        text_bytes=int(mine["text_bytes"].sum()),
        size=int(mine["size"].sum()),
        over_share=index.filter(stream=name).height - mine.height,
    )


def way_of(stored: Stored, root: Path) -> list[Stored]:
    """A stored step and what it was made from, sources first; what several were made from stands there once."""
    way: list[Stored] = []
    for place in stored.manifest.inputs:
        way += [one for one in way_of(Stored.open(root / place), root) if one not in way]
    return [*way, stored]


def released_schema(stored: Stored) -> pa.Schema:
    """The schema of released rows, with the features the `datasets` library reads from Parquet metadata."""
    schema = schema_of(stored.kind).append(pa.field("stream", pa.string(), nullable=False))
    features = {field.name: _feature(field.type) for field in schema}
    info = json.dumps({"info": {"features": features}}, sort_keys=True)
    return schema.with_metadata({"huggingface": info})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {kind.field(i).name: _feature(kind.field(i).type) for i in range(kind.num_fields)}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    # Arrow's names for the plain types are the `datasets` library's too, but for these.
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}
