"""What a student saw at a step: a join of its plan with the records, without a model.

row 37  made  6f1c…  epoch 1  tokens 512–613   "Discussion of The Salt Guild in …"
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from mashbill.errors import UserError
from train.batches import PlanReader
from train.plan import PLAN


@dataclass(frozen=True)
class Seen:
    """One run of a record's tokens, as a student read it."""

    row: int
    stream: str
    record_id: str
    domain: str
    epoch: int
    start: int
    """The first of its tokens in the record, from 0."""
    tokens: tuple[int, ...]
    given: int
    """Of them, how many at the head were not learned: a prompt, a masked heading, or the first token."""


def seen_at(plan_dir: Path, step: int) -> Iterator[Seen]:
    """Everything that optimiser step `step`, counted from 1, was made of, in order.

    Raises:
        UserError: when the plan has no such step.
    """
    reader = PlanReader(plan_dir)
    if not 1 <= step <= reader.steps:
        raise UserError(f"{plan_dir}: has steps 1 to {reader.steps:,}; there is no step {step:,}")
    rows = reader.rows_of(step - 1)
    epochs = pq.read_table(plan_dir / PLAN, columns=["segments"]).slice(rows.start, len(rows)).to_pylist()
    for row, listed in zip(rows, epochs, strict=True):
        for segment, plain in zip(reader.segments_of(row), listed["segments"], strict=True):
            tokens = reader.store.tokens(segment.number)[segment.start : segment.start + segment.length]
            yield Seen(
                row=row,
                stream=segment.stream,
                record_id=segment.record_id,
                domain=reader.store.domains[segment.number],
                epoch=plain["epoch"],
                start=segment.start,
                tokens=tuple(tokens.tolist()),
                given=segment.given,
            )
