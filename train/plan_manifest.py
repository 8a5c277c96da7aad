"""What a plan is, readable: its hash, its shape, and what each stream gives.

The part of one stream, as it stands in `manifest.json`::

    "made": {"records": 300, "tokens": 44324, "share_asked": 0.75, "share": 0.75, "rows": 588,
             "planned_tokens": 75264, "exposures": {"min": 1.0, "median": 2.0, "max": 2.0}, "digest": "83ed…"}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypedDict

import numpy as np
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from mashbill.errors import StoreError
from mashbill.store import MANIFEST

FORMAT = 1
"""Raised when the same inputs would give another order: it is part of the hash."""


class Exposures(BaseModel):
    """How often a record of a stream is seen, in tokens planned over tokens held; 1.5 is one and a half times."""

    model_config = ConfigDict(frozen=True)

    min: float
    median: float
    max: float


class StreamPlan(BaseModel):
    """One stream in a plan."""

    model_config = ConfigDict(frozen=True)

    records: int
    tokens: int
    """Tokens the stream holds."""
    digest: str
    share_asked: float
    share: float
    """Realised, in tokens."""
    rows: int
    """Rows that hold it; a row of a supervised plan may hold several streams."""
    planned_tokens: int
    exposures: Exposures


class SupervisedPart(BaseModel):
    """What a supervised plan is besides."""

    model_config = ConfigDict(frozen=True)

    spec: dict[str, object]
    """`train.supervision.Supervision`: target, template, prefixes, weights."""
    masked: int
    """Tokens planned that are given and not learned: prompts and what a template puts around them."""
    learned: int
    """Tokens planned that carry loss: completions, each with the token that ends it."""
    examples: int
    """Examples planned, each as often as it is seen; one of two views counts once."""
    questions: dict[str, int]
    """Different questions of each stream."""
    rejected: dict[str, dict[str, int]]
    """Stream -> reason -> rows that are not learned; ``rejected.parquet`` lists them."""
    longest: int
    """Tokens of the longest view."""


class StagePlan(BaseModel):
    """One stage of a curriculum."""

    model_config = ConfigDict(frozen=True)

    value: float | str | None
    """Of the rows it adds; None for rows without one."""
    records: int
    """Rows in it, replay apart."""
    first_step: int
    steps: int
    tokens: int
    """Tokens planned, replay included."""
    passes: float
    """How often its rows are gone over: tokens planned of them over tokens they hold."""


class CurriculumPart(BaseModel):
    """What a plan with a curriculum is besides."""

    model_config = ConfigDict(frozen=True)

    spec: dict[str, object]
    """`train.curriculum.Curriculum`."""
    rows_by_value: list[tuple[float | str | None, int]]
    """Values in the order they are learned in, each with its rows, replay apart."""
    without_value: dict[str, int]
    """Stream -> rows that have no value and come last; only streams that have such rows."""
    stages: list[StagePlan]
    """Empty where every epoch is sorted."""


class PlanManifest(BaseModel):
    """What a plan is; written when the rest is there."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    hash: str
    tokenizer: str
    vocabulary: int
    """One above the largest token id: a student with a smaller vocabulary is refused."""
    spec: dict[str, object]
    sequence_length: int
    batch: int
    rows: int
    steps: int
    tokens: int
    """Tokens planned, padding excluded."""
    padding: int
    segments: int
    split_records: int
    """Segments that do not hold a whole record: longer than a row, filling a gap, or cut by the budget."""
    streams: dict[str, StreamPlan]
    supervised: SupervisedPart | None = None
    """None for a plan of whole texts, and then not written."""
    curriculum: CurriculumPart | None = None
    """None where the order is chance, and then not written."""

    @model_serializer(mode="wrap")
    def _without_what_it_is_not(self, whole: SerializerFunctionWrapHandler) -> dict[str, object]:
        absent = [name for name in ("supervised", "curriculum") if getattr(self, name) is None]
        return {name: value for name, value in whole(self).items() if name not in absent}

    @staticmethod
    def read(plan_dir: Path) -> PlanManifest:
        """The manifest of a finished plan.

        Raises:
            StoreError: when there is none, or it cannot be read.
        """
        file = plan_dir / MANIFEST
        if not file.is_file():
            raise StoreError(f"{plan_dir}: has no {MANIFEST}: the plan is not there or not finished; plan again")
        try:
            return PlanManifest.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise StoreError(f"{file}: is not a plan this version can read: {error}") from error


class Size(TypedDict):
    """How large a plan is, as `PlanManifest` has it."""

    sequence_length: int
    batch: int
    rows: int
    steps: int
    tokens: int
    padding: int
    segments: int


class Laid(Protocol):
    """Rows as a plan lays them out."""

    tokens: dict[str, list[int]]
    """Stream -> tokens planned of each record."""
    rows: dict[str, int]
    """Stream -> rows that hold it."""
    offsets: list[int]
    """Where each row's segments begin; one more than there are rows."""
    stages: list[StagePlan]


def stream_plan(
    laid: Laid, name: str, *, lengths: Sequence[int], tokens: int, digest: str, share_asked: float
) -> StreamPlan:
    """What is planned of one stream, whose records have so many tokens each and `tokens` together."""
    taken, whole = np.array(laid.tokens[name]), planned_tokens(laid)
    seen = taken / np.array(lengths)
    return StreamPlan(
        records=len(lengths),
        tokens=tokens,
        digest=digest,
        share_asked=share_asked,
        share=float(taken.sum() / whole),
        rows=laid.rows[name],
        planned_tokens=int(taken.sum()),
        exposures=Exposures(min=float(seen.min()), median=float(np.median(seen)), max=float(seen.max())),
    )


def planned_tokens(laid: Laid) -> int:
    """Tokens of all streams that are planned."""
    return sum(sum(taken) for taken in laid.tokens.values())


def size_of(laid: Laid, sequence_length: int, batch: int) -> Size:
    """How large what is laid out is."""
    rows, tokens = len(laid.offsets) - 1, planned_tokens(laid)
    return {
        "sequence_length": sequence_length,
        "batch": batch,
        "rows": rows,
        "steps": -(-rows // batch),
        "tokens": tokens,
        "padding": rows * sequence_length - tokens,
        "segments": laid.offsets[-1],
    }
