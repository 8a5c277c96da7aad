"""The order of supervised tuning, computed once: which examples are in which step, and what each weighs.

The same three files as `train.plan` writes. A row of `plan.parquet`::

    {"row": 37, "step": 4, "segments": [
       {"stream": "worked", "record_id": "6f1c…", "view": "explain", "epoch": 0, "start": 0, "length": 211,
        "weight": 0.125}, …]}

No example is cut, so `start` is 0 and a row may end in padding. A row may hold several streams: they take turns by
example, the one that is furthest behind its share of tokens next. All views of an example are in one step.

The loss of a step is the weighted mean over its sequences of each sequence's mean over its learned tokens. So a long
rationale weighs what a short answer does, and the two parts of ``multitask`` are alpha and 1 - alpha of the loss
whatever their lengths (2305.02301, equation 3). Of m rationales of one question, in whatever streams, each weighs 1/m:
a question that was answered in many ways counts once, and every way is still seen in every epoch, which sampling one of
them would not do.

A curriculum (`train.curriculum`) sorts the epochs of each stream, step by step, or stages them. A stage begins with a
step and ends with one; of its last epoch it leaves out what does not fit any more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa

from mashbill.disk import replacing, write_json, write_parquet
from mashbill.errors import BillError
from mashbill.fingerprint import fingerprint
from mashbill.store import MANIFEST
from train.curriculum import Order, Values, order_of
from train.example_store import ExampleIndex, times_asked, write_examples
from train.example_tokens import Rejected
from train.mix import token_shares
from train.pack_whole import LOOKAHEAD, Batch, Placed, Unit, batches
from train.plan import PLAN, SEGMENT, TOKENS, PlanSpec, finished_plan, most_tokens, plain_fields, too_often
from train.plan_manifest import PlanManifest, StagePlan, SupervisedPart, planned_tokens, size_of, stream_plan
from train.supervision import Supervision
from train.take_turns import Drawn, epochs, take_turns

SUPERVISED_FORMAT = 2
"""Raised when the same inputs would give another order or other weights: it is part of the hash."""
REJECTED = "rejected.parquet"

SUPERVISED_SEGMENT = pa.struct(
    [
        *(SEGMENT.field(name) for name in ("stream", "record_id")),
        pa.field("view", pa.string(), nullable=False),
        *(SEGMENT.field(name) for name in ("epoch", "start", "length")),
        pa.field("weight", pa.float64(), nullable=False),
    ]
)
SUPERVISED_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("step", pa.int64(), nullable=False),
        pa.field("segments", pa.list_(pa.field("item", SUPERVISED_SEGMENT, nullable=False)), nullable=False),
    ]
)


def build_supervised_plan(
    streams: Mapping[str, Iterable[pa.Table]],
    *,
    spec: PlanSpec,
    supervision: Supervision,
    out: Path,
    tokenizer: str = "",
    rejected: Rejected | None = None,
    values: Values | None = None,
) -> PlanManifest:
    """Plan supervised tuning over streams of `train.example_tokens.example_tables`, each read once, part by part.

    `spec.tokens` counts the places of packed rows, padding included, rounded up to whole steps: arms of one number take
    the same steps of the same size. `rejected` is what the tables add their rejected rows to. `values` has what orders
    the rows, noted while they were read; a curriculum needs it. A finished plan of the same inputs in `out` is
    returned; one of other inputs is refused.

    Raises:
        BillError: when a stream would be read more often than `max_repetitions`, or has nothing to learn, or nothing
            can be ordered so.
    """
    rejected = rejected or Rejected()
    with replacing(out / TOKENS) as aside:
        indexes, largest = write_examples(aside, _with_something(streams, rejected), supervision.views)
        order = order_of(spec.curriculum, values, {name: one.ids for name, one in indexes.items()}, spec.replay)
        inputs = {
            "supervised": (SUPERVISED_FORMAT, LOOKAHEAD),
            "spec": spec,
            "supervision": supervision,
            "streams": {name: indexes[name].digest() for name in sorted(indexes)},
            "rejected": {name: rejected.counts(name) for name in sorted(indexes)},
            "tokenizer": tokenizer,
            **order.identity,
        }
        plan_hash = fingerprint(inputs)
        if (found := finished_plan(out, plan_hash)) is not None:
            return found
    shares = token_shares(
        spec.shares,
        {name: index.tokens for name, index in indexes.items()},
        replay=spec.replay,
        replay_share=spec.replay_share,
    )
    steps = -(-spec.tokens // (spec.sequence_length * spec.batch))
    planned = _Planned.of(indexes, supervision)
    _lay_out(planned, indexes, shares, spec, order, steps)
    planned.finish(spec)
    write_parquet(out / PLAN, planned.table(spec.batch))
    rejected.write(out / REJECTED)
    manifest = _manifest(
        plan_hash, tokenizer, largest + 1, spec, supervision, indexes, shares, planned, rejected, order
    )
    write_json(out / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def _with_something(streams: Mapping[str, Iterable[pa.Table]], rejected: Rejected) -> dict[str, Iterator[pa.Table]]:
    """The streams, each of which has to give an example."""

    def checked(name: str, parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
        given = False
        for part in parts:
            given = True
            yield part
        if not given:
            why = ", ".join(f"{reason} {count:,}" for reason, count in rejected.counts(name).items()) or "it is empty"
            raise BillError(
                f"stream {name!r}: no row of it can be learned ({why}); raise sequence_length or max_length where rows "
                "are too long, or take another target"
            )

    return {name: checked(name, parts) for name, parts in streams.items()}


def _lay_out(
    planned: _Planned,
    indexes: Mapping[str, ExampleIndex],
    shares: Mapping[str, Fraction],
    spec: PlanSpec,
    order: Order,
    steps: int,
) -> None:
    """Stage after stage; there is one where nothing is staged."""
    sizes = {name: [sum(lengths) for lengths in index.lengths] for name, index in indexes.items()}
    replay = None
    if spec.replay:  # in every stage, and going on where it was
        everything, key = range(len(sizes[spec.replay])), ("plan", spec.seed, spec.replay)
        units = epochs(spec.replay, indexes[spec.replay], everything, key, None)
        replay = Drawn(units, most_tokens(sum(sizes[spec.replay]), spec))
    for stage in order.stages(sizes, steps, spec.replay):
        streams = {
            name: Drawn(
                epochs(name, indexes[name], mine, ("plan", spec.seed, name, *stage.key), order.sorting(name)),
                most_tokens(sum(sizes[name][one] for one in mine), spec),
            )
            for name, mine in stage.members.items()
        }
        if replay is not None:
            streams[spec.replay] = replay
        units = take_turns(streams, stage.shares(shares, spec.replay), ends=spec.when_exhausted == "stop")
        first, before = planned.steps, {name: planned.taken([name]) for name in indexes}
        waiting: list[Unit] = []
        for batch in batches(
            units, rows=spec.batch, row_length=spec.sequence_length, steps=stage.steps, waiting=waiting
        ):
            planned.add(batch)
        if replay is not None:
            replay.put_back([unit for unit in waiting if unit.stream == spec.replay])
        taken = {name: planned.taken([name]) - before[name] for name in indexes}
        own = {name: taken[name] for name in stage.members}
        for name, mine in stage.members.items():
            _check_repetition(name, sum(sizes[name][one] for one in mine), own[name], spec)
        planned.stages.append(
            stage.planned(sizes, first, planned.steps - first, sum(taken.values()), sum(own.values()))
        )
    if spec.replay:
        _check_repetition(spec.replay, sum(sizes[spec.replay]), planned.taken([spec.replay]), spec)


def _check_repetition(name: str, held: int, wanted: int, spec: PlanSpec) -> None:
    limit = most_tokens(held, spec)
    if spec.when_exhausted == "error" and limit is not None and wanted > limit:
        raise too_often(name, held, wanted, spec)


@dataclass
class _Planned:
    """Rows as they are laid out, and tallies of them."""

    indexes: Mapping[str, ExampleIndex]
    supervision: Supervision
    weights: Mapping[str, list[float]]
    """Of each example, by stream and number, before the views share it."""
    tokens: dict[str, list[int]]
    rows: dict[str, int]
    columns: dict[str, list[object]] = field(default_factory=lambda: {name: [] for name in SUPERVISED_SEGMENT.names})
    offsets: list[int] = field(default_factory=lambda: [0])
    masked: int = 0
    examples: int = 0
    steps: int = 0
    stages: list[StagePlan] = field(default_factory=list)

    @classmethod
    def of(cls, indexes: Mapping[str, ExampleIndex], supervision: Supervision) -> _Planned:
        """Nothing planned yet."""
        balanced = supervision.per_question == "balanced"
        return cls(
            indexes,
            supervision,
            {name: [1 / times if balanced else 1.0 for times in own] for name, own in times_asked(indexes).items()},
            {name: [0] * len(index.ids) for name, index in indexes.items()},
            dict.fromkeys(indexes, 0),
        )

    def add(self, batch: Batch) -> None:
        """Lay out the rows of one step."""
        self.steps += 1
        for row in batch:
            for name in {one.unit.stream for one in row}:
                self.rows[name] += 1
            for one in row:
                self._add(one)
            self.offsets.append(len(self.columns["stream"]))

    def _add(self, one: Placed) -> None:
        unit, index = one.unit, self.indexes[one.unit.stream]
        view = self.supervision.views[one.view]
        weight = self.weights[unit.stream][unit.record] * self.supervision.share(view)
        values = (unit.stream, index.ids[unit.record], view, unit.epoch, 0, one.length, weight)
        for column, value in zip(SUPERVISED_SEGMENT.names, values, strict=True):
            self.columns[column].append(value)
        self.tokens[unit.stream][unit.record] += one.length
        self.masked += index.prompts[unit.record][one.view]
        self.examples += one.view == 0

    def taken(self, names: Iterable[str]) -> int:
        """Tokens of some streams so far."""
        return sum(sum(self.tokens[name]) for name in names)

    def finish(self, spec: PlanSpec) -> None:
        """Take the empty rows off the end, and refuse a plan of nothing else."""
        while len(self.offsets) > 1 and self.offsets[-1] == self.offsets[-2]:
            self.offsets.pop()
        if len(self.offsets) == 1:
            raise BillError(f"plan: max_repetitions {spec.max_repetitions} leaves no example of some stream; raise it")

    def table(self, batch: int) -> pa.Table:
        """The rows as Arrow."""
        arrays = [pa.array(self.columns[one.name], one.type) for one in SUPERVISED_SEGMENT]
        segments = pa.StructArray.from_arrays(arrays, fields=list(SUPERVISED_SEGMENT))
        numbers = np.arange(len(self.offsets) - 1, dtype=np.int64)
        listed = pa.ListArray.from_arrays(
            pa.array(self.offsets, pa.int32()), segments, type=SUPERVISED_SCHEMA.field("segments").type
        )
        return pa.table([pa.array(numbers), pa.array(numbers // batch), listed], schema=SUPERVISED_SCHEMA)


def _manifest(
    plan_hash: str,
    tokenizer: str,
    vocabulary: int,
    spec: PlanSpec,
    supervision: Supervision,
    indexes: Mapping[str, ExampleIndex],
    shares: Mapping[str, Fraction],
    planned: _Planned,
    rejected: Rejected,
    order: Order,
) -> PlanManifest:
    streams = {
        name: stream_plan(
            planned,
            name,
            lengths=[sum(lengths) for lengths in index.lengths],
            tokens=index.tokens,
            digest=index.digest(),
            share_asked=float(shares[name]),
        )
        for name, index in indexes.items()
    }
    return PlanManifest(
        hash=plan_hash,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        spec=plain_fields(spec),
        split_records=0,
        streams=streams,
        supervised=SupervisedPart(
            spec=dataclasses.asdict(supervision),
            masked=planned.masked,
            learned=planned_tokens(planned) - planned.masked,
            examples=planned.examples,
            questions={name: len(set(index.questions)) for name, index in indexes.items()},
            rejected={name: rejected.counts(name) for name in sorted(indexes)},
            longest=max(max(lengths) for index in indexes.values() for lengths in index.lengths),
        ),
        curriculum=order.part(planned.stages),
        **size_of(planned, spec.sequence_length, spec.batch),
    )
