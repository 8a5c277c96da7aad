"""From a row back to what it was made of: its asks, its parents, its source document.

::

    relation 6f1c…  "Discussion of The Salt Guild …"
      asked   77ab…  transformers/smollm2-135m-instruct@b179…  temperature 1.0  seed 1094795585
      from    source 09ab…  salt.md  Apache-2.0
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mashbill.errors import StoreError
from mashbill.ledger import Entry, Ledger
from mashbill.store import MANIFEST, Stored

NOT_STEPS = ("releases", "students", "plans", "reports", "evaluations")
"""Folders under a root that hold no stored steps."""


@dataclass(frozen=True)
class Place:
    """A row and where it lies."""

    folder: Path
    file: str
    row: dict[str, Any]
    rejected: bool = False


@dataclass(frozen=True)
class Ancestry:
    """A row, the asks it was made from, and the rows it was made from."""

    place: Place
    also: tuple[Place, ...]
    """Other stored steps that hold the same row, in the order of their folders."""
    asks: tuple[Entry, ...]
    missing_asks: tuple[str, ...]
    parents: tuple[Ancestry, ...]


def stored_steps(root: Path) -> Iterator[Stored]:
    """Every finished stored step under a root, by path; releases are not steps."""
    for manifest in sorted(root.glob(f"*/*/{MANIFEST}")):
        if manifest.parent.parent.name not in NOT_STEPS:
            yield Stored.open(manifest.parent)


def find_rows(root: Path, prefix: str) -> list[Place]:
    """Every stored or rejected row whose id begins with `prefix`.

    Raises:
        StoreError: when there is none, or the prefix is too short to mean one row.
    """
    if len(prefix) < 4:
        raise StoreError(f"{prefix!r} is too short for a row id; give at least 4 of its 32 characters")
    places = []
    for stored in stored_steps(root):
        for index in range(len(stored)):
            places += _matching(stored, index, prefix, rejected=False)
            places += _matching(stored, index, prefix, rejected=True)
    if not places:
        raise StoreError(f"no row under {root} has an id that begins with {prefix!r}; `mashbill show` prints ids")
    ids = {place.row["id"] for place in places}
    if len(ids) > 1:
        raise StoreError(f"{len(ids)} rows begin with {prefix!r}: {', '.join(sorted(ids)[:5])}; give more of the id")
    return places


def _matching(stored: Stored, index: int, prefix: str, *, rejected: bool) -> list[Place]:
    read = stored.rejects if rejected else stored.table
    found = pc.starts_with(read(index, ["id"]).column("id"), pattern=prefix)
    if not pc.any(found, min_count=0).as_py():
        return []
    name = stored.manifest.parts[index].name
    rows = read(index).filter(found).to_pylist()
    return [Place(stored.path, f"rejects/{name}" if rejected else name, row, rejected) for row in rows]


def ancestry(root: Path, prefix: str, ledger: Ledger | None) -> Ancestry:
    """A row's whole descent, down to its source document."""
    return _ancestry(root, prefix, ledger, seen=frozenset())


def _ancestry(root: Path, prefix: str, ledger: Ledger | None, seen: frozenset[str]) -> Ancestry:
    # A row kept somewhere before the same row rejected elsewhere; as it was made before as it was judged.
    places = sorted(find_rows(root, prefix), key=lambda place: (place.rejected, len(place.row["scores"])))
    first, *also = places
    seen = seen | {first.row["id"]}
    keys = first.row["made"]["asks"]
    entries = [None if ledger is None else ledger.entry(key) for key in keys]
    parents = [one for one in first.row["parents"] if one not in seen]
    return Ancestry(
        place=first,
        also=tuple(also),
        asks=tuple(entry for entry in entries if entry is not None),
        missing_asks=tuple(key for key, entry in zip(keys, entries, strict=True) if entry is None),
        parents=tuple(_ancestry(root, parent, ledger, seen) for parent in parents),
    )


def rejects_of(stored: Stored, reason: str | None = None) -> pa.Table:
    """All reject rows of a stored step, or those with one reason."""
    table = pa.concat_tables([stored.rejects(index) for index in range(len(stored))])
    return table if reason is None else table.filter(pc.equal(table.column("reason"), reason))
