"""The order is data: what the student sees, and when, computed once and stored.

A plan is three files. `plan.parquet` has one row per packed sequence in training order::

    {"row": 37, "step": 4, "segments": [
       {"stream": "made", "record_id": "6f1c…", "epoch": 0, "start": 0, "length": 411},
       {"stream": "made", "record_id": "c2e0…", "epoch": 1, "start": 512, "length": 101}]}

`tokens.arrow` has each record's token ids, and `manifest.json`, written last, has the hash over inputs, spec and seed
with the realised shares. So resuming takes one integer, any number of devices can slice the same global batch, and
"what did the model see at step 8,123?" is a join. A row holds one stream, and the streams take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from mashbill.errors import BillError, StoreError
from mashbill.fingerprint import fingerprint
from mashbill.store import MANIFEST, replacing, write_json, write_parquet
from train.mix import interleave, quotas, token_shares
from train.pack import WINDOW_ROWS, Row, stream_rows
from train.plan_manifest import FORMAT, Exposures, PlanManifest, StreamPlan
from train.token_store import StreamIndex, write_tokens

PLAN, TOKENS = "plan.parquet", "tokens.arrow"
SEGMENT = pa.struct(
    [
        pa.field("stream", pa.string(), nullable=False),
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("length", pa.int32(), nullable=False),
    ]
)
PLAN_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("step", pa.int64(), nullable=False),
        pa.field("segments", pa.list_(pa.field("item", SEGMENT, nullable=False)), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True)
class PlanSpec:
    """Budget, shape and mix of a training run; all of it identity."""

    tokens: int
    """All tokens trained on, replay included, rounded up to whole optimiser steps: arms with the same number are
    compared at equal tokens whatever their mix."""
    sequence_length: int = 2048
    batch: int = 32
    """Sequences per optimiser step, over all devices."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Stream -> weight by tokens among the streams that are not replay; none means their natural sizes."""
    replay: str = ""
    """The stream of general text that guards against forgetting."""
    replay_share: float = 0.0
    """replay / (replay + everything else), in tokens."""
    max_repetitions: float | None = None
    """Most times a stream may be read. Up to four passes are nearly as good as fresh text (2305.16264)."""
    when_exhausted: Literal["error", "stop"] = "error"
    """A stream that would be read more often than that: refuse the plan, or end all streams there, shares kept."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("tokens", 1), ("sequence_length", 2), ("batch", 1)):
            if getattr(self, name) < least:
                raise BillError(f"plan: {name} is {getattr(self, name)}; at least {least} is wanted")
        if self.max_repetitions is not None and self.max_repetitions <= 0:
            raise BillError(f"plan: max_repetitions is {self.max_repetitions}; leave it out or give a number above 0")


def build_plan(
    streams: Mapping[str, Iterable[pa.Table]], *, spec: PlanSpec, out: Path, tokenizer: str = ""
) -> PlanManifest:
    """Plan a run over streams of token tables (`train.render.token_tables`), each read once, part by part.

    `tokenizer` is the identity of what made the tokens. A finished plan of the same inputs in `out` is returned; one
    of other inputs is refused.
    """
    with replacing(out / TOKENS) as aside:
        indexes, largest = write_tokens(aside, streams)
        digests = {name: indexes[name].digest() for name in sorted(indexes)}
        plan_hash = fingerprint(
            {"format": FORMAT, "window": WINDOW_ROWS, "spec": spec, "streams": digests, "tokenizer": tokenizer}
        )
        if (found := finished_plan(out, plan_hash)) is not None:
            return found
    shares = token_shares(
        spec.shares,
        {name: index.tokens for name, index in indexes.items()},
        replay=spec.replay,
        replay_share=spec.replay_share,
    )
    table, planned = _rows(indexes, shares, spec)
    write_parquet(out / PLAN, table)
    manifest = _manifest(plan_hash, tokenizer, largest + 1, spec, indexes, shares, planned, digests)
    write_json(out / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def finished_plan(out: Path, plan_hash: str) -> PlanManifest | None:
    """The finished plan in a directory, None where there is none.

    Raises:
        StoreError: when it is another plan.
    """
    if not (out / MANIFEST).is_file():
        return None
    found = PlanManifest.read(out)
    if found.hash != plan_hash:
        raise StoreError(
            f"{out}: holds plan {found.hash}, and these inputs make plan {plan_hash}; "
            "give another directory, or remove that one"
        )
    return found


@dataclass
class _Planned:
    """Tallies of the rows as they are laid out."""

    rows: dict[str, int]
    tokens: dict[str, list[int]]
    segments: int = 0
    split: int = 0

    def add(self, name: str, row: Row, lengths: list[int]) -> None:
        self.rows[name] += 1
        self.segments += len(row)
        for piece in row:
            self.tokens[name][piece.record] += piece.length
            self.split += piece.length != lengths[piece.record]


def _rows(
    indexes: Mapping[str, StreamIndex], shares: Mapping[str, Fraction], spec: PlanSpec
) -> tuple[pa.Table, _Planned]:
    most = {name: most_tokens(index.tokens, spec) for name, index in indexes.items()}
    rows = quotas(_total_rows(shares, most, spec), shares)
    _check_repetition(rows, indexes, most, spec)
    packed: dict[str, Iterator[Row]] = {
        name: stream_rows(
            index.ids,
            index.lengths,
            rows=rows[name],
            row_length=spec.sequence_length,
            most_tokens=most[name],
            key=("plan", spec.seed, name),
        )
        for name, index in indexes.items()
    }
    planned = _Planned(dict.fromkeys(indexes, 0), {name: [0] * len(index.ids) for name, index in indexes.items()})
    columns: dict[str, list[object]] = {name: [] for name in SEGMENT.names}
    offsets = [0]
    for name in interleave(rows):
        row = next(packed[name])
        planned.add(name, row, indexes[name].lengths)
        for piece in row:
            values = (name, indexes[name].ids[piece.record], piece.epoch, piece.start, piece.length)
            for column, value in zip(SEGMENT.names, values, strict=True):
                columns[column].append(value)
        offsets.append(planned.segments)
    return _table(columns, offsets, spec.batch), planned


def _table(columns: Mapping[str, list[object]], offsets: list[int], batch: int) -> pa.Table:
    arrays = [pa.array(columns[name], SEGMENT.field(name).type) for name in SEGMENT.names]
    segments = pa.StructArray.from_arrays(arrays, fields=list(SEGMENT))
    numbers = np.arange(len(offsets) - 1, dtype=np.int64)
    listed = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), segments, type=PLAN_SCHEMA.field("segments").type)
    return pa.table([pa.array(numbers), pa.array(numbers // batch), listed], schema=PLAN_SCHEMA)


def most_tokens(tokens: int, spec: PlanSpec) -> int | None:
    """How many tokens of a stream that holds `tokens` may be planned; None without a limit."""
    if spec.max_repetitions is None:
        return None
    return int(Fraction(str(spec.max_repetitions)) * tokens)


def _total_rows(shares: Mapping[str, Fraction], most: Mapping[str, int | None], spec: PlanSpec) -> int:
    length = spec.sequence_length
    budget = -(-spec.tokens // (length * spec.batch)) * spec.batch
    if spec.when_exhausted == "error":
        return budget
    fits = [-(-limit // length) / shares[name] for name, limit in most.items() if limit is not None]
    rows = min([budget, *(int(rows) for rows in fits)])
    if rows < 1:
        raise BillError(
            f"plan: max_repetitions {spec.max_repetitions} leaves less than one token of some stream; raise it"
        )
    return rows


def _check_repetition(
    rows: Mapping[str, int], indexes: Mapping[str, StreamIndex], most: Mapping[str, int | None], spec: PlanSpec
) -> None:
    if spec.when_exhausted == "stop":
        return
    for name, limit in most.items():
        wanted = rows[name] * spec.sequence_length
        if limit is not None and wanted > limit:
            raise too_often(name, indexes[name].tokens, wanted, spec)


def too_often(name: str, holds: int, wanted: int, spec: PlanSpec) -> BillError:
    """That a stream would be read more often than it may be."""
    return BillError(
        f"plan: stream {name!r} holds {holds:,} tokens and the budget takes {wanted:,} of it, "
        f"{wanted / holds:.2f} times; max_repetitions is {spec.max_repetitions}. Lower `tokens` "
        f"or the stream's share, raise max_repetitions, or say when_exhausted: stop to end there"
    )


def _manifest(
    plan_hash: str,
    tokenizer: str,
    vocabulary: int,
    spec: PlanSpec,
    indexes: Mapping[str, StreamIndex],
    shares: Mapping[str, Fraction],
    planned: _Planned,
    digests: Mapping[str, str],
) -> PlanManifest:
    rows = sum(planned.rows.values())
    tokens = sum(sum(seen) for seen in planned.tokens.values())
    streams = {}
    for name, index in indexes.items():
        seen = np.array(planned.tokens[name]) / np.array(index.lengths)
        streams[name] = StreamPlan(
            records=len(index.ids),
            tokens=index.tokens,
            digest=digests[name],
            share_asked=float(shares[name]),
            share=sum(planned.tokens[name]) / tokens,
            rows=planned.rows[name],
            planned_tokens=sum(planned.tokens[name]),
            exposures=Exposures(min=float(seen.min()), median=float(np.median(seen)), max=float(seen.max())),
        )
    return PlanManifest(
        hash=plan_hash,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        spec=plain_fields(spec),
        sequence_length=spec.sequence_length,
        batch=spec.batch,
        rows=rows,
        steps=-(-rows // spec.batch),
        tokens=tokens,
        padding=rows * spec.sequence_length - tokens,
        segments=planned.segments,
        split_records=planned.split,
        streams=streams,
    )


def plain_fields(spec: PlanSpec) -> dict[str, object]:
    """A spec as the manifest holds it."""
    values = {name: getattr(spec, name) for name in spec.__dataclass_fields__}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}
