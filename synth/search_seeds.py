"""The seed prompts of a search: from a file of rows, or from a stored step of instructions.

One line of JSON, taken apart by its author or still whole::

    {"instruction": "Turn {notes} into minutes, in English.", "task_type": "meeting minutes",
     "base_query": "Turn {notes} into minutes.", "constraints": [{"category": "language", "text": "in English"}]}
    {"instruction": "Turn {notes} into minutes, in English."}

Placeholders are found by themselves, and are constraints that a search never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mashbill.constraint_sets import PLACEHOLDER, canonical
from mashbill.disk import file_digest
from mashbill.errors import InputError
from mashbill.records import Constraint, Instruction, from_table
from mashbill.sources.read_instructions import constraints_of
from mashbill.sources.row_files import KINDS, Row, rows_of
from mashbill.sources.row_values import BadRow, text_of
from mashbill.step import BadInput
from mashbill.store import Stored
from synth.placeholders import placeholders_in

LONGEST = 1 << 20
"""Bytes of one line; a seed prompt is a few hundred."""


def seeds_digest(path: Path) -> str:
    """What the seeds are, wherever they lie.

    Raises:
        InputError, StoreError: when there is nothing to read.
    """
    if path.is_dir():
        return _stored(path).manifest.fingerprint
    if not path.is_file():
        raise InputError("no such file of seed prompts; `seeds` is taken relative to the bill", path=path)
    if path.suffix.lower() not in KINDS:
        raise InputError(
            f"seed prompts are read from {', '.join(KINDS)}, or from the folder of a stored step", path=path
        )
    return file_digest(path)


def read_seeds(path: Path) -> list[Instruction]:
    """The seed prompts, in order; those that are not taken apart have no base query.

    Raises:
        InputError: for a row that is no seed prompt, with its line, and when there is none.
    """
    if path.is_dir():
        stored = _stored(path)
        found = [_pinned(row) for table in stored for row in from_table(table, Instruction)]
    else:
        found = [_read(row, path) for row in rows_of(path, path.name, max_bytes=LONGEST)]
    if not found:
        raise InputError("holds no seed prompt", path=path)
    return found


def _stored(path: Path) -> Stored:
    stored = Stored.open(path)
    if not issubclass(stored.kind, Instruction):
        raise InputError(f"holds {stored.manifest.kind} rows; seed prompts are Instruction rows", path=path)
    return stored


def _read(row: Row | BadInput, path: Path) -> Instruction:
    if isinstance(row, BadInput):
        raise InputError(row.detail, path=path, line=row.line)
    try:
        return _pinned(_seed(row))
    except BadRow as bad:
        raise InputError(bad.detail, path=path, line=row.line) from None


def _seed(row: Row) -> Instruction:
    values: Mapping[str, Any] = row.values
    if "base_query" not in values:
        return Instruction.new(text=text_of(row, "instruction", "instruction"), source=row.where)
    return Instruction.new(
        text=str(values.get("instruction") or "").strip(),
        task_type=text_of(row, "task_type", "task_type"),
        base_query=text_of(row, "base_query", "base_query"),
        constraints=constraints_of(values.get("constraints")),
        source=row.where,
    )


def _pinned(seed: Instruction) -> Instruction:
    """The seed with its placeholders among its constraints."""
    if not seed.base_query:
        return seed
    places = placeholders_in(f"{seed.text}\n{seed.base_query}")
    added = (Constraint(category=PLACEHOLDER, text=place) for place in places)
    # Placeholders first: where a constraint is but the place, the place is what it is.
    fields = {name: getattr(seed, name) for name in ("text", "task_type", "base_query", "source", "domain", "license")}
    whole = canonical([*added, *seed.constraints])
    return seed if whole == seed.constraints else Instruction.new(**fields, constraints=whole)
