"""What a plan is, readable: its hash, its shape, and what each stream gives.

The part of one stream, as it stands in `manifest.json`::

    "made": {"records": 300, "tokens": 44324, "share_asked": 0.75, "share": 0.75, "rows": 588,
             "planned_tokens": 75264, "exposures": {"min": 1.0, "median": 2.0, "max": 2.0}, "digest": "83ed…"}
"""

from __future__ import annotations

from pathlib import Path

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

    @model_serializer(mode="wrap")
    def _without_what_it_is_not(self, whole: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {name: value for name, value in whole(self).items() if name != "supervised" or value is not None}

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
