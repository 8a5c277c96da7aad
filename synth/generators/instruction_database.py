"""A database of instructions: each with the cluster of its task type and the vectors it is found by.

Instructions taken apart (`decompose`) -> one row for each, searched by `constraint_search`::

    {"task_type": "summary of meetings", "task_cluster": "meeting summary", "base_query": "Summarise the meeting.",
     "constraints": [{"category": "language", "text": "in French"}, …], "query_vector": b"…", "type_vector": b"…",
     "embedder": "minilm", "parents": ["09ab…"], …}

TCIA (arXiv 2508.20374) decomposes all of the Tulu-3 mixture and clusters the task types of its pieces with DBSCAN into
9,728. The database is built once and stored like every step; `extends` adds instructions to one that is there: its rows
and vectors are taken over, only what is new is embedded, and the clusters are drawn anew over all types, so that a
database that grew is the same as one built at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pyarrow as pa

from mashbill.embedding import DEFAULT, load_embedder
from mashbill.errors import StoreError
from mashbill.records import DatabaseTask, Instruction, from_table, schema_of, to_table
from mashbill.step import DatasetStep, PartOutput, Parts, reject_table
from mashbill.store import Stored
from synth.half_vectors import packed, unpacked
from synth.task_database import database_at, type_key, type_table
from synth.task_intake import COLUMNS, Intake, Verdict
from synth.type_clusters import Clusters, cluster

_VERDICT = ("reason", "detail", "kept_id")


@dataclass(frozen=True, kw_only=True)
class InstructionDatabase(DatasetStep[Instruction, DatabaseTask]):
    """Builds the database that constraints are searched in, or adds to one."""

    accounts_for_rows: ClassVar[bool] = False

    embedder: str = DEFAULT
    """Whose vectors say what is alike; `minilm` goes by meaning, the default by spelling (`mashbill.embedding`)."""
    eps: float = 0.2
    """Cosine distance within which two task types are neighbours, above 0 and below 1. The paper names none."""
    min_samples: int = 1
    """Task types within `eps`, itself counted, that make a type a core of a cluster (DBSCAN)."""
    exact_up_to: int = 50_000
    """Distinct task types that are compared all with all; above it faiss's lists are searched (`mashbill[ann]`)."""
    probes: int = 32
    """Lists searched for each type: more find more of the neighbours, in proportion to the time."""
    extends: str = field(default="", metadata={"identity": False, "file": True})
    """The folder of a stored database to add to, relative to the bill."""
    extends_digest: str = ""
    """Which database that is: set by itself, since what it holds is identity and where it lies is not."""

    def __post_init__(self) -> None:
        """Refuse numbers out of their range, and look at what is to be extended."""
        if not 0 < self.eps < 1:
            raise ValueError(f"eps is {self.eps:g}; it is a cosine distance, above 0 and below 1")
        for name in ("min_samples", "exact_up_to", "probes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.extends:
            object.__setattr__(self, "extends_digest", database_at(Path(self.extends)).manifest.fingerprint)

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """The new rows of each part, with a share of the older ones."""
        older = database_at(Path(self.extends)) if self.extends else None
        intake = Intake()
        if older is not None:
            self._refuse_strangers(older)
            intake.take_older(older)
        verdicts = [intake.take(parts.table(part, COLUMNS)) for part in range(len(parts))]
        vectors = intake.vectors | self._embedded(sorted(intake.counts.keys() - intake.vectors.keys()))
        vectors = dict(sorted(vectors.items()))
        names, found = self._named(vectors, intake.counts)
        noted = {"task_types": len(vectors), "clusters": found.count, "noise_types": found.noise}
        for part in range(len(parts)):
            output = self._part(parts.table(part), verdicts[part], vectors, names)
            taken = _shared(older, part, len(parts)) if older else range(0)
            kept = [_relabelled(older.table(at), names) for at in taken if older is not None]
            table = pa.concat_tables([*kept, output.kept])
            yield PartOutput(kept=table, rejects=output.rejects, noted=noted if part == 0 else {})

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """For the manifest: how many kinds of task there are, how large the largest is, and how they were found."""
        del source
        noted = made.manifest.counts.noted
        if not made.manifest.counts.kept:
            return {"tasks": 0}
        table = type_table(made)
        ratios = table["constraints_per_query"]
        return {
            "tasks": made.manifest.counts.kept,
            "task_types": noted["task_types"],
            "clusters": len(table),
            "largest": {"cluster": table["task_cluster"][0], "tasks": table["tasks"][0], "types": table["types"][0]},
            "clusters_of_one_task": int((table["tasks"] == 1).sum()),
            "constraints_per_query": {
                "median": round(float(np.median(ratios.to_numpy())), 2),
                "largest": round(float(ratios[0]), 2),
            },
            "neighbours": "exact" if noted["task_types"] <= self.exact_up_to else f"faiss, {self.probes} lists probed",
            "embedder": load_embedder(self.embedder).identity,
        }

    def _refuse_strangers(self, older: Stored) -> None:
        for part in range(len(older)):
            found = set(older.table(part, ["embedder"]).column("embedder").to_pylist()) - {self.embedder}
            if found:
                raise StoreError(
                    f"{older.path}: its vectors are of {', '.join(sorted(found))}, these would be of {self.embedder}; "
                    "set `embedder` to what it was built with"
                )

    def _embedded(self, texts: Sequence[str]) -> dict[str, bytes]:
        return dict(zip(texts, packed(load_embedder(self.embedder).embed(texts)), strict=True)) if texts else {}

    def _named(self, vectors: dict[str, bytes], counts: dict[str, int]) -> tuple[dict[str, str], Clusters]:
        """Each task type with the name of its cluster, the type of it that most tasks have."""
        rows = unpacked(pa.array(list(vectors.values()), pa.binary()))
        found = cluster(
            rows, eps=self.eps, min_samples=self.min_samples, exact_up_to=self.exact_up_to, probes=self.probes
        )
        best = dict[int, str]()
        for name, label in zip(vectors, found.labels.tolist(), strict=True):
            if label not in best or counts.get(name, 0) > counts.get(best[label], 0):
                best[label] = name
        return {name: best[label] for name, label in zip(vectors, found.labels.tolist(), strict=True)}, found

    def _part(
        self, table: pa.Table, verdicts: Sequence[Verdict], vectors: dict[str, bytes], names: dict[str, str]
    ) -> PartOutput:
        rows = from_table(table, Instruction)
        good = [row for row, verdict in zip(rows, verdicts, strict=True) if not verdict.reason]
        frame = pl.DataFrame(table).with_columns(
            pl.Series(f"verdict_{name}", [getattr(one, name) for one in verdicts], pl.String) for name in _VERDICT
        )
        rejects = reject_table(
            frame.filter(pl.col("verdict_reason") != ""),
            step=self.name,
            kind=Instruction,
            reason=pl.col("verdict_reason"),
            detail=pl.col("verdict_detail"),
            kept_id=pl.col("verdict_kept_id"),
        )
        return PartOutput(kept=self._rows(good, vectors, names), rejects=rejects)

    def _rows(self, good: Sequence[Instruction], vectors: dict[str, bytes], names: dict[str, str]) -> pa.Table:
        queries = packed(load_embedder(self.embedder).embed([row.base_query for row in good])) if good else []
        copied = [one for one in schema_of(Instruction).names if one not in _OWN]
        made = [
            row.child(
                DatabaseTask,
                **{name: getattr(row, name) for name in copied},
                task_type=type_key(row.task_type),
                task_cluster=names[type_key(row.task_type)],
                query_vector=query,
                type_vector=vectors[type_key(row.task_type)],
                embedder=self.embedder,
            )
            for row, query in zip(good, queries, strict=True)
        ]
        return to_table(made, DatabaseTask)


_OWN = frozenset({"id", "parents", "source_id", "source", "domain", "license", "task_type", "task_cluster"})
"""Fields that a row of the database has of its own, or by descent."""


def _shared(older: Stored, part: int, parts: int) -> range:
    """Which of the older parts are written with this one."""
    return range(len(older) * part // parts, len(older) * (part + 1) // parts)


def _relabelled(table: pa.Table, names: dict[str, str]) -> pa.Table:
    """Older rows with the clusters of now; columns that rows had not then get what they have by default."""
    schema = schema_of(DatabaseTask)
    if table.schema.names != schema.names:
        table = to_table(from_table(table, DatabaseTask), DatabaseTask)
    said = pa.array([names[name] for name in table.column("task_type").to_pylist()], pa.string())
    place = schema.get_field_index("task_cluster")
    return table.set_column(place, schema.field(place), said).cast(schema)
