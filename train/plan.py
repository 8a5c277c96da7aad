"""The order is data: what the student sees, and when, computed once and stored.

A plan is three files. `plan.parquet` has one row per packed sequence in training order::

    {"row": 37, "step": 4, "segments": [
       {"stream": "made", "record_id": "6f1c…", "epoch": 0, "start": 0, "length": 411},
       {"stream": "made", "record_id": "c2e0…", "epoch": 1, "start": 512, "length": 101}]}

`tokens.arrow` has each record's token ids, and `manifest.json`, written last, has the hash over inputs, spec and seed
with the realised shares. So resuming takes one integer, any number of devices can slice the same global batch, and
"what did the model see at step 8,123?" is a join. A row holds one stream, and the streams take turns.

A curriculum (`train.curriculum`) sorts the epochs of each stream, or stages them. A stage begins with an optimiser step
and ends with one; where it ends early for want of tokens, empty rows fill its last step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from mashbill.disk import replacing, write_json, write_parquet
from mashbill.errors import BillError, StoreError
from mashbill.fingerprint import fingerprint
from mashbill.store import MANIFEST
from train.curriculum import Curriculum, Order, Stage, Values, order_of
from train.mix import interleave, quotas, token_shares
from train.pack import WINDOW_ROWS, Row, stream_rows
from train.plan_manifest import FORMAT, PlanManifest, StagePlan, size_of, stream_plan
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
    curriculum: Curriculum | None = field(default=None, metadata={"identity": False})
    """What comes first; chance, unless given."""

    @property
    def identity(self) -> object:
        """What decides a plan, and what to hash: without a curriculum the hash is what it was before there were any."""
        return self if self.curriculum is None else (self, self.curriculum)

    def __post_init__(self) -> None:
        for name, least in (("tokens", 1), ("sequence_length", 2), ("batch", 1)):
            if getattr(self, name) < least:
                raise BillError(f"plan: {name} is {getattr(self, name)}; at least {least} is wanted")
        if self.max_repetitions is not None and self.max_repetitions <= 0:
            raise BillError(f"plan: max_repetitions is {self.max_repetitions}; leave it out or give a number above 0")


def build_plan(
    streams: Mapping[str, Iterable[pa.Table]],
    *,
    spec: PlanSpec,
    out: Path,
    tokenizer: str = "",
    values: Values | None = None,
) -> PlanManifest:
    """Plan a run over streams of token tables (`train.render.token_tables`), each read once, part by part.

    `tokenizer` is the identity of what made the tokens. `values` has what orders the rows, noted while they were read;
    a curriculum needs it. A finished plan of the same inputs in `out` is returned; one of other inputs is refused.

    Raises:
        BillError: when a stream would be read more often than it may be, or nothing can be ordered so.
    """
    with replacing(out / TOKENS) as aside:
        indexes, largest = write_tokens(aside, streams)
        digests = {name: indexes[name].digest() for name in sorted(indexes)}
        order = order_of(spec.curriculum, values, {name: one.ids for name, one in indexes.items()}, spec.replay)
        inputs = {"format": FORMAT, "window": WINDOW_ROWS, "spec": spec, "streams": digests, "tokenizer": tokenizer}
        plan_hash = fingerprint({**inputs, **order.identity})
        if (found := finished_plan(out, plan_hash)) is not None:
            return found
    shares = token_shares(
        spec.shares,
        {name: index.tokens for name, index in indexes.items()},
        replay=spec.replay,
        replay_share=spec.replay_share,
    )
    table, planned = _rows(indexes, shares, spec, order)
    write_parquet(out / PLAN, table)
    manifest = _manifest(plan_hash, tokenizer, largest + 1, spec, indexes, shares, planned, digests, order)
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
    """Rows as they are laid out, and tallies of them."""

    rows: dict[str, int]
    tokens: dict[str, list[int]]
    offsets: list[int] = field(default_factory=lambda: [0])
    columns: dict[str, list[object]] = field(default_factory=lambda: {name: [] for name in SEGMENT.names})
    split: int = 0
    stages: list[StagePlan] = field(default_factory=list)

    @property
    def laid(self) -> int:
        """Rows so far, empty ones among them."""
        return len(self.offsets) - 1

    def taken(self, names: Iterable[str]) -> int:
        """Tokens of some streams so far."""
        return sum(sum(self.tokens[name]) for name in names)

    def add(self, name: str, row: Row, index: StreamIndex) -> None:
        """Lay out a row of a stream."""
        self.rows[name] += 1
        for piece in row:
            self.tokens[name][piece.record] += piece.length
            self.split += piece.length != index.lengths[piece.record]
            values = (name, index.ids[piece.record], piece.epoch, piece.start, piece.length)
            for column, value in zip(SEGMENT.names, values, strict=True):
                self.columns[column].append(value)
        self.offsets.append(len(self.columns["stream"]))

    def end_step(self, batch: int) -> None:
        """Empty rows up to the end of the step."""
        self.offsets += [self.offsets[-1]] * (-self.laid % batch)


def _rows(
    indexes: Mapping[str, StreamIndex], shares: Mapping[str, Fraction], spec: PlanSpec, order: Order
) -> tuple[pa.Table, _Planned]:
    sizes = {name: index.lengths for name, index in indexes.items()}
    stages = order.stages(sizes, -(-spec.tokens // (spec.sequence_length * spec.batch)), spec.replay)
    quota = _quotas(stages, sizes, shares, spec)
    packed: dict[str, Iterator[Row]] = {}
    if spec.replay:  # in every stage, and going on where it was
        everywhere = sum(rows[spec.replay] for rows in quota)
        whole = range(len(sizes[spec.replay]))
        packed[spec.replay] = _stream_rows(indexes[spec.replay], whole, everywhere, spec, spec.replay)
    planned = _Planned(dict.fromkeys(indexes, 0), {name: [0] * len(index.ids) for name, index in indexes.items()})
    for stage, rows in zip(stages, quota, strict=True):
        planned.end_step(spec.batch)
        first, before, own = planned.laid // spec.batch, planned.taken(indexes), planned.taken(stage.members)
        for name, mine in stage.members.items():
            ranks = order.sorting(name)
            packed[name] = _stream_rows(indexes[name], mine, rows[name], spec, name, *stage.key, ranks=ranks)
        for name in interleave(rows):
            planned.add(name, next(packed[name]), indexes[name])
        steps = -(-planned.laid // spec.batch) - first
        taken = planned.taken(indexes) - before, planned.taken(stage.members) - own
        planned.stages.append(stage.planned(sizes, first, steps, *taken))
    return _table(planned.columns, planned.offsets, spec.batch), planned


def _stream_rows(
    index: StreamIndex,
    members: Sequence[int],
    rows: int,
    spec: PlanSpec,
    *key: object,
    ranks: Sequence[int] | None = None,
) -> Iterator[Row]:
    """Rows of some records of a stream, in training order."""
    lengths = [index.lengths[one] for one in members]
    made = stream_rows(
        [index.ids[one] for one in members],
        lengths,
        rows=rows,
        row_length=spec.sequence_length,
        most_tokens=most_tokens(sum(lengths), spec),
        key=("plan", spec.seed, *key),
        ranks=None if ranks is None else [ranks[one] for one in members],
    )
    if isinstance(members, range):  # all of them, as where nothing is staged
        yield from made
        return
    for row in made:
        yield [piece._replace(record=members[piece.record]) for piece in row]


def _quotas(
    stages: Sequence[Stage], sizes: Mapping[str, Sequence[int]], shares: Mapping[str, Fraction], spec: PlanSpec
) -> list[dict[str, int]]:
    """Rows of each stream in each stage. A stage reads its rows as often as it may; replay is counted over all.

    What rounding gave replay too little or too much is made up for in the next stage, or many short stages would have
    none of it.
    """
    found: list[dict[str, int]] = []
    owed = Fraction(0)
    for stage in stages:
        held = {name: sum(sizes[name][one] for one in mine) for name, mine in stage.members.items()}
        most = {name: most_tokens(tokens, spec) for name, tokens in held.items()}
        if spec.replay:
            held[spec.replay] = sum(sizes[spec.replay])
            limit = most_tokens(held[spec.replay], spec)
            used = sum(rows[spec.replay] for rows in found) * spec.sequence_length
            most[spec.replay] = None if limit is None else max(limit - used, 0)
        budget = stage.steps * spec.batch
        own = stage.shares(shares, spec.replay, owed / budget)
        rows = quotas(_total_rows(own, most, spec, budget), own)
        if spec.replay:
            owed += shares[spec.replay] * sum(rows.values()) - rows[spec.replay]
        _check_repetition(rows, held, most, spec)
        found.append(rows)
    return found


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


def _total_rows(shares: Mapping[str, Fraction], most: Mapping[str, int | None], spec: PlanSpec, budget: int) -> int:
    length = spec.sequence_length
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
    rows: Mapping[str, int], held: Mapping[str, int], most: Mapping[str, int | None], spec: PlanSpec
) -> None:
    if spec.when_exhausted == "stop":
        return
    for name, limit in most.items():
        wanted = rows[name] * spec.sequence_length
        if limit is not None and wanted > limit:
            raise too_often(name, held[name], wanted, spec)


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
    order: Order,
) -> PlanManifest:
    streams = {
        name: stream_plan(
            planned,
            name,
            lengths=index.lengths,
            tokens=index.tokens,
            digest=digests[name],
            share_asked=float(shares[name]),
        )
        for name, index in indexes.items()
    }
    return PlanManifest(
        hash=plan_hash,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        spec=plain_fields(spec),
        split_records=planned.split,
        streams=streams,
        curriculum=order.part(planned.stages),
        **size_of(planned, spec.sequence_length, spec.batch),
    )


def plain_fields(spec: PlanSpec) -> dict[str, object]:
    """A spec as the manifest holds it; a curriculum stands in a part of its own."""
    values = {one.name: getattr(spec, one.name) for one in dataclasses.fields(spec) if one.name != "curriculum"}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}
