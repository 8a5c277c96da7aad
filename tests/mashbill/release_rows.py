"""Rows of every record type, and releases of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mashbill.records import (
    RECORD_TYPES,
    Constraint,
    Document,
    Edge,
    Made,
    Operation,
    Record,
    Score,
)
from mashbill.release import ReleasePlan, publish
from mashbill.release_manifest import ReleaseManifest
from mashbill.store import Stored

EDGE = Edge(head="salt", relation="made_by", tail="café")
FIELDS: dict[str, dict[str, Any]] = {
    "Document": {"text": "The salt road — naïve.", "subjects": ("salt", "road")},
    "Instruction": {
        "text": "Write of salt.",
        "constraints": (Constraint(category="length", text="short"),),
        "operations": (Operation(name="add"),),
    },
    "DatabaseTask": {
        "text": "Write of salt.",
        "constraints": (Constraint(category="format", text="short"),),
        "query_vector": b"\x00<",
        "type_vector": b"\x00<",
        "embedder": "letters",
    },
    "Triple": {"head": "salt", "relation": "made_by", "tail": "Ora"},
    "Path": {"edges": (EDGE, EDGE)},
    "QA": {"question": "Who?", "options": ("Ora", "Venn"), "answer": "Ora", "path": (EDGE,), "pass_rate": 0.5},
    "Rationale": {"question": "Who?", "rationale": "It says so.", "answer": "Ora", "teacher": "main"},
    "Preference": {"prompt": "Who?", "chosen": "Ora", "rejected": "Venn"},
}
BYTES = {
    "Document": len("The salt road — naïve.".encode()),
    "Instruction": len("Write of salt." + "length" + "short" + "add"),
    "DatabaseTask": len("Write of salt." + "format" + "short"),
    "Triple": len("salt" + "made_by" + "Ora"),
    "Path": 2 * len("saltmade_bycafé".encode()),
    "QA": len("Who?OraVennOra") + len("saltmade_bycafé".encode()),
    "Rationale": len("Who?It says so.Ora"),
    "Preference": len("Who?OraVenn"),
}
"""Bytes of text of one such row."""


def rows_of_kind(kind: str, count: int) -> list[Record]:
    """Rows of a type, each of a source of its own."""
    made = Made(step="by_hand", engine="scripted/x", asks=("00" * 16,), sampling="{}", seed=3)
    bare = {name: value for name, value in FIELDS[kind].items() if not isinstance(value, tuple) or kind == "Path"}
    return [
        RECORD_TYPES[kind].new(
            **(bare if number % 2 else FIELDS[kind]),
            parents=(f"{number}.txt",),
            source=f"{number}.txt",
            made=made,
            scores=(Score(name="words", value=float(number)),) if number % 3 else (),
        )
        for number in range(count)
    ]


def texts(sizes: list[int], sources: int = 5, name: str = "t") -> list[Record]:
    """Documents of these many bytes, from some sources in turn."""
    return [
        Document.new(
            text="x" * size,
            title=f"{name}{number}",
            source=f"{name}{number}",
            source_id=f"s{number % sources}",
            parents=(f"s{number % sources}",),
        )
        for number, size in enumerate(sizes)
    ]


@dataclass(frozen=True)
class Released:
    folder: Path
    manifest: ReleaseManifest

    def rows(self, split: str) -> list[dict[str, Any]]:
        """The rows of a split, shard after shard."""
        shards = self.manifest.splits[split].shards
        return [row for one in shards for row in pq.ParquetFile(self.folder / one.file).read().to_pylist()]

    @property
    def all_rows(self) -> list[dict[str, Any]]:
        """The rows of all splits."""
        return [row for split in self.manifest.splits for row in self.rows(split)]


def plan_of(
    shares: Mapping[str, float] | None = None, splits: Mapping[str, float] | None = None, **more: Any
) -> ReleasePlan:
    """A plan with plain prose."""
    fields: dict[str, Any] = {
        "name": "tolvarey", "version": "1", "description": "", "license": "Apache-2.0", "language": "en", "seed": 0,
    }  # fmt: skip
    return ReleasePlan(
        **{**fields, **more}, shares=shares or {}, splits={"validation": 0.2} if splits is None else splits
    )


def released(root: Path, streams: Mapping[str, Stored], plan: ReleasePlan | None = None) -> Released:
    """A published release, read back."""
    folder = publish(plan or plan_of(), streams, root)
    return Released(folder, ReleaseManifest.read(folder))
