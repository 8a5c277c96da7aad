"""What a database takes in: which instructions are tasks, which of them it has already, and the kinds there are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from mashbill.constraint_sets import PLACEHOLDER, constraint_key, set_key
from mashbill.records import Instruction, from_table
from mashbill.store import Stored
from synth.task_database import type_key

COLUMNS = ("id", "task_type", "base_query", "constraints")
"""What decides whether an instruction is taken."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a row is not taken; nothing where it is."""

    reason: str = ""
    detail: str = ""
    kept_id: str = ""
    """For a repeated task, the row that is there."""


TAKEN = Verdict()


@dataclass(slots=True)
class Intake:
    """What was taken so far."""

    counts: dict[str, int] = field(default_factory=dict)
    """Task type -> tasks."""
    vectors: dict[str, bytes] = field(default_factory=dict)
    """Task type -> its vector, of the types of an older database."""
    _known: dict[bytes, str] = field(default_factory=dict)
    """Digest of a task -> the id of its row."""

    def take_older(self, older: Stored) -> None:
        """All rows of a database, with the vectors of their types."""
        for part in range(len(older)):
            table = older.table(part, [*COLUMNS, "type_vector"])
            for row in _bare(table):
                self._enter(row)
            types = pl.DataFrame(table.select(["task_type", "type_vector"])).unique()
            self.vectors |= dict(zip(types["task_type"], types["type_vector"], strict=True))

    def take(self, table: pa.Table) -> list[Verdict]:
        """The verdict on each row of a part."""
        return [_refused(row) or self._enter(row) for row in _bare(table)]

    def _enter(self, row: Instruction) -> Verdict:
        digest = _digest(row)
        if before := self._known.get(digest):
            return Verdict("repeated_task", "the database has this task already", before)
        self._known[digest] = row.id
        kind = type_key(row.task_type)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return TAKEN


def _refused(row: Instruction) -> Verdict | None:
    """Why an instruction is no task of a database."""
    if not row.task_type.strip() or not row.base_query.strip():
        missing = "base_query" if row.task_type.strip() else "task_type"
        return Verdict(
            f"no_{missing}", f"the instruction was not taken apart: put `decompose` before, or read its {missing}"
        )
    if all(one.category == PLACEHOLDER for one in row.constraints):
        return Verdict("no_constraints", "it carries no constraint that another instruction could take")
    return None


def _digest(row: Instruction) -> bytes:
    """What makes two rows one task, in 16 bytes: a million of them must be remembered."""
    said = (type_key(row.task_type), constraint_key(row.base_query), *sorted(set_key(row.constraints)))
    return hashlib.blake2b("\0".join(said).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _bare(table: pa.Table) -> list[Instruction]:
    """Rows of which only some columns were read."""
    said = table.select(list(COLUMNS)).append_column("text", pa.array([""] * len(table), pa.string()))
    return from_table(said, Instruction)
