"""What is new in the sources of a bill since the last release of its series: by file, then by record.

A file whose name and bytes were read before is not read again, nor is one under a new name whose bytes were; of those
that are read, records that were taken before are left out (`mashbill.unseen`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashbill.bill import Bill
from mashbill.errors import InputError
from mashbill.execute import execute
from mashbill.ingest import digest_of, ingest, named_files
from mashbill.records import join_texts
from mashbill.refreshed import SourceNews
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.seen import SeenSource, reader_of, record_rows
from mashbill.series import Dated
from mashbill.step import Source
from mashbill.store import Stored
from mashbill.unseen import Unseen

NEW, CHANGED, AGAIN, MOVED, GONE = "new", "changed", "again", "moved", "gone"
ALL_MAY_GO = RejectPolicy(share=1.0)
"""A file that grew by a line is all rejects but one row, and nothing is wrong with it."""


@dataclass(frozen=True)
class Look:
    """The files of a source beside those of the last release."""

    name: str
    reader: str
    now: Mapping[str, str]
    """Name -> sha256 of the files that are there."""
    states: Mapping[str, str]
    """Name -> what became of a file; those that are as they were are not in it."""

    @property
    def to_read(self) -> list[str]:
        """The files whose records are to be looked at."""
        return [name for name, state in self.states.items() if state in (NEW, CHANGED, AGAIN)]

    def names(self, state: str) -> list[str]:
        """The files of one state."""
        return [name for name, one in self.states.items() if one == state]

    def news(self, taken: int) -> SourceNews:
        """The counts, with how many records are taken."""
        counts = {state: len(self.names(state)) for state in (NEW, CHANGED, MOVED, GONE)}
        changed = sum(state in (NEW, CHANGED, MOVED) for state in self.states.values())
        return SourceNews(**counts, unchanged=len(self.now) - changed, taken=taken)

    def rows(self) -> list[dict[str, str]]:
        """Its rows of the table of files."""
        told = {"source": self.name, "reader": self.reader}
        return [
            {**told, "file": name, "sha256": self.now.get(name, ""), "state": state}
            for name, state in sorted(self.states.items())
        ]


def look_at(name: str, source: Source[Any], root: Path, seen: SeenSource, last: Dated | None) -> Look:
    """Compare a source's files with what was seen of it.

    Raises:
        InputError: when its folder or file is gone that the last release read, or it cannot be read.
    """
    if seen.files and not root.exists():
        assert last is not None
        raise InputError(
            f"is gone: for {last.name} the source {name} had {len(seen.files):,} files there; put it back, mend "
            "`path`, or take the source out of the bill",
            path=root,
        )
    try:
        files = named_files(source, root)
    except InputError:
        if not (seen.files and root.is_dir()):
            raise
        files = []  # all that it had are gone: that is told, and no error
    now = {file: digest_of(path) for path, file in files}
    reader = reader_of(source)
    read = seen.read if reader == seen.reader else set[str]()
    states = {file: state for file, digest in now.items() if (state := _state(seen, read, file, digest))}
    gone = dict.fromkeys(sorted(set(seen.files) - set(now)), GONE)
    return Look(name, reader, now, {**states, **gone})


def _state(seen: SeenSource, read: set[str], file: str, digest: str) -> str:
    if file in seen.files:
        if seen.files[file] != digest:
            return CHANGED
        return "" if digest in read else AGAIN  # of another reader: its fields in the bill have changed
    return MOVED if digest in read else NEW


async def unseen(
    look: Look,
    source: Source[Any],
    root: Path,
    seen: SeenSource,
    before: str,
    runtime: Runtime,
    only: Sequence[str] | None = None,
) -> Stored:
    """The records of a source that the series has not taken; of the first release all, or those of the files `only`."""
    if not before:
        return await asyncio.to_thread(ingest, source, root, runtime, only, as_whole=True)
    stored = await asyncio.to_thread(ingest, source, root, runtime, only=frozenset(look.to_read))
    step = Unseen(source=look.name, before=before, kind=source.writes, seen=seen)
    return await execute(step, stored, runtime, ALL_MAY_GO)


def taken_rows(name: str, stored: Stored) -> list[dict[str, str]]:
    """Rows of the table of records for what is taken of a source."""
    return [row for table in stored for row in record_rows(name, table, stored.kind)]


def needed(bill: Bill) -> set[str]:
    """The streams that are released, and all that they take their rows from: streams and sources."""
    found, stack = set[str](), list(bill.released)
    while stack:
        name = stack.pop()
        found.add(name)
        stack += bill.streams[name].origins if name in bill.streams else ()
    return found


def gone_and_moved(looks: Sequence[Look]) -> list[str]:
    """What is to be told besides the counts: the names of files that changed or are gone."""
    told = []
    for look in looks:
        for state in (CHANGED, GONE):
            if names := look.names(state):
                told.append(f"{look.name}: {state}: {join_texts(names)}")
    return told
