"""A dated release made once more: from the files that it read, and what its series had seen by then.

    $ mashbill replay tolvarey.yaml --date 2026-12-01
    runs/releases/tolvarey@2026-12-01: the same from the ledger alone: 31 rows in 2 files, bytes alike

Files that came later are left aside. One that was read and has changed since, or is gone, is named: its records cannot
be made again from what is there.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from flows.refresh import Refresh, sections_of
from flows.refresh_index import held_against
from flows.refresh_sources import GONE, Look, needed, unseen
from flows.run_bill import kitchen_for
from mashbill.dated_release import publish_dated
from mashbill.errors import StoreError
from mashbill.ingest import digest_of, named_files
from mashbill.progress import Progress
from mashbill.read_bill import read_bill
from mashbill.records import join_texts
from mashbill.runtime import Runtime
from mashbill.seen import FILES
from mashbill.series import Dated, dated_release, series_of
from mashbill.settings import Settings
from mashbill.step import Source


async def rebuilt_of(
    bill: Path, date: str, settings: Settings, again: Settings, progress: Progress
) -> tuple[Path, Path]:
    """The release that stands, and the same made once more under the root of `again`.

    Raises:
        NotKept: when the ledger lacks a reply.
        StoreError: when the release, one before it, or a file that it read is not as it was, or the bill is not.
    """
    release = dated_release(settings.root, read_bill(bill).name, date)
    series = await asyncio.to_thread(series_of, settings.root, read_bill(bill).name, release)
    async with kitchen_for(bill, again, progress, offline=True, command="replay") as kitchen:
        one = Refresh(kitchen, release.refreshed.date, series=series)
        _refuse_another_bill(one, release)
        for earlier in series:
            await asyncio.to_thread(one.seen.add, earlier.folder)
        before = release.refreshed.before_seal
        for name in (source for source in one.bill.sources if source in needed(one.bill)):
            source, path, seen = one.bill.sources[name], one.bill.source_path(name), one.seen.of(name)
            look = await asyncio.to_thread(look_as_then, name, source, path, release)
            runtime = Runtime(root=again.root, progress=progress)
            one.taken[name] = await unseen(look, source, path, seen, before, runtime, only=look.to_read)
            one.looks.append(look)
        kitchen.bill = await asyncio.to_thread(held_against, one.bill, series, settings.root)
        kitchen.given, kitchen.may_be_empty = one.taken, True
        streams = {name: await kitchen.stream(name) for name in one.bill.released}
        plan = replace(one.plan(), number=release.refreshed.number)
        return release.folder, await asyncio.to_thread(publish_dated, plan, streams, again.root)


def _refuse_another_bill(one: Refresh, release: Dated) -> None:
    now, then = sections_of(one.bill), release.refreshed.sections
    if changed := sorted(name for name in {*now, *then} if now.get(name) != then.get(name)):
        raise StoreError(
            f"{release.folder}: was made by another bill: {join_texts(changed)} differ in {one.bill.path}; put the "
            "bill back as it was then to rebuild it"
        )


def look_as_then(name: str, source: Source[Any], root: Path, release: Dated) -> Look:
    """What a release found in a source, by its table of files.

    Raises:
        StoreError: when a file that it read has changed since, or is gone.
    """
    rows = pl.read_parquet(release.folder / FILES).filter(source=name).to_dicts()
    states = {row["file"]: row["state"] for row in rows}
    look = Look(
        name,
        rows[0]["reader"] if rows else "",
        {row["file"]: row["sha256"] for row in rows if row["state"] != GONE},
        states,
    )
    there = {file: path for path, file in named_files(source, root)} if look.to_read else {}
    gone = [file for file in look.to_read if file not in there]
    changed = [file for file in look.to_read if file in there and digest_of(there[file]) != look.now[file]]
    found = [f"{what} since: {join_texts(files)}" for files, what in ((changed, "changed"), (gone, "gone")) if files]
    if found:
        raise StoreError(
            f"{release.folder}: cannot be made again: it read files of {name} that have {'; '.join(found)}"
        )
    return look
