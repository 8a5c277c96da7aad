"""Steps one after another: whether each reads what the one before writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mashbill.errors import ChainError
from mashbill.records import Record, schema_of
from mashbill.step import Filter, Step


def _refuse_columns(step: Filter[Any], written: type[Record], writer: str) -> None:
    names = schema_of(written).names
    if missing := [column for column in step.columns() if column not in names]:
        raise ChainError(
            f"{step.name} reads the column {missing[0]!r}, but {writer} gives {written.__name__}, whose columns are "
            f"{', '.join(names)}; name one of them in its fields"
        )


def chain(steps: Sequence[Step], reads: type[Record] | None = None) -> type[Record] | None:
    """Check that each step reads what the one before writes; return what the last one writes.

    Raises:
        ChainError: naming both steps and both types.
    """
    written, writer = reads, "the source"
    for step in steps:
        if written is not None and not issubclass(written, step.reads):
            raise ChainError(
                f"{step.name} reads {step.reads.__name__} but {writer} gives {written.__name__}; "
                "put a step between that turns one into the other, or take one of them out"
            )
        if isinstance(step, Filter) and written is not None:
            _refuse_columns(step, written, writer)
        if step.writes is not Record and not isinstance(step, Filter):
            written = step.writes
        writer = step.name
    return written
