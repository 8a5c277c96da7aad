"""Keep the rows that a list names, some of them more than once, and say why the others were not taken.

A list of two ids, the second for the third time -> those two rows, the second under an id of its own, with the row it
repeats as its parent; all others are rejected, ``not_taken``, or for the reason that the list gives::

    {"take": {"6f1c…": [0], "b0e2…": [0, 1, 2]}, "reasons": {"77aa…": "over_budget"},
     "note": {"allocation": {…}, "card": ["…"]}}

The list is a file that something else has made, as `mashbill loop` does from what a student gets wrong: what stands in
it is identity, and where it lies is not. Repeat 0 is the row itself; repeat n has an id made of the row's and n, so
that a generator draws anew for it. `note` goes into the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from filters.rewrite import kind_of
from mashbill.disk import file_digest, write_json
from mashbill.errors import InputError
from mashbill.fingerprint import content_id
from mashbill.records import Record
from mashbill.step import DatasetStep, PartOutput, Parts, reject_table
from mashbill.store import Stored

NOT_TAKEN = "not_taken"


class Taken(BaseModel):
    """A list of rows to take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    take: Mapping[str, tuple[int, ...]]
    """Id -> its repeats, 0 for the row itself."""
    reasons: Mapping[str, str] = {}
    """Id -> why it is not taken, where that is not `not_taken`."""
    note: Mapping[str, Any] = {}
    """For the manifest: how the list came about."""

    def write(self, path: Path) -> None:
        """Write it as JSON; the same list gives the same bytes."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Taken:
        """A list from a file.

        Raises:
            InputError: for a file that is not there, or no list.
        """
        try:
            return cls.model_validate(json.loads(path.read_bytes()))
        except (OSError, ValueError, ValidationError) as error:
            raise InputError(
                f'is no list of rows to take ({error}); wanted is {{"take": {{ID: [0]}}}}', path=path
            ) from error


@dataclass(frozen=True, kw_only=True)
class TakeRows(DatasetStep[Record, Record]):
    """Keeps the rows that a list names, as often as it says."""

    accounts_for_rows = False  # a row that is taken twice is two rows

    rows: str = field(metadata={"identity": False, "file": True})
    """The list, a JSON file, relative to the bill."""
    rows_digest: str = ""
    """What stands in it: set by itself."""

    def __post_init__(self) -> None:
        """Look at the list.

        Raises:
            InputError: for a file that is not there, or no list.
        """
        Taken.read(Path(self.rows))
        object.__setattr__(self, "rows_digest", file_digest(Path(self.rows)))

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part.

        Raises:
            InputError: when the list names a row that is not there.
        """
        listed = Taken.read(Path(self.rows))
        missing = set(listed.take)
        for index in range(len(parts)):
            table = parts.table(index)
            missing.difference_update(table.column("id").to_pylist())
            yield _taken(table, listed)
        if missing:
            raise InputError(f"takes the row {min(missing)}, which is not among those given", path=Path(self.rows))

    def report(self, source: Stored, stored: Stored) -> Mapping[str, Any]:
        """How the list came about, for the manifest."""
        del source, stored
        return dict(Taken.read(Path(self.rows)).note)


def _taken(table: pa.Table, listed: Taken) -> PartOutput:
    kind = kind_of(table)
    ids = table.column("id").to_pylist()
    places = [(at, again) for at, name in enumerate(ids) for again in listed.take.get(name, ())]
    kept = table.take(pa.array([at for at, _ in places], pa.int64()))
    if any(again for _, again in places):
        named = [content_id(ids[at], again) if again else ids[at] for at, again in places]
        parents = [
            [ids[at]] if again else old
            for (at, again), old in zip(places, kept.column("parents").to_pylist(), strict=True)
        ]
        for name, values in (("id", named), ("parents", parents)):
            at = kept.schema.get_field_index(name)
            kept = kept.set_column(at, kept.schema.field(at), pa.array(values, kept.schema.field(at).type))
    gone = pl.DataFrame(table).filter(pl.Series([name not in listed.take for name in ids], dtype=pl.Boolean))
    reasons = pl.Series([listed.reasons.get(name, NOT_TAKEN) for name in gone["id"]], dtype=pl.String)
    rejects = reject_table(gone, step=TakeRows.name, kind=kind, reason=pl.lit(reasons))
    return PartOutput(kept, rejects)
