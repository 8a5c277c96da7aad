"""``mashbill replay``: a release made once more from the ledger alone, and compared with the one that stands.

Nothing is asked and no engine starts, so whoever has the bill, its inputs and the ledger can see that the dataset is
what the models' replies make of them: same rows, same bytes. It is built beside, under the root, and removed again.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from flows.budget import partial_lines
from flows.run_bill import kitchen_for
from mashbill.disk import file_digest
from mashbill.errors import NotKept, StoreError
from mashbill.progress import Progress
from mashbill.read_bill import read_bill
from mashbill.release_manifest import ReleaseManifest, Shard
from mashbill.settings import Settings
from mashbill.store import MANIFEST

_ROUND = re.compile(r"(-uniform)?-round-\d+")


def replay(bill: Path, settings: Settings, progress: Progress, date: str = "") -> str:
    """Rebuild the release of a bill without an engine; a line that says it is the same.

    With `date`, its dated release of that day, as `flows.replay_dated` makes it.

    Raises:
        LedgerError: when a reply is not there.
        StoreError: when the release was never made or is a round of a loop, or what stands is not what the ledger
            makes; it says what differs.
    """
    if not settings.ledger.is_file():
        raise StoreError(f"{settings.root}: has no ledger, so there is nothing to rebuild from; run the bill first")
    _refuse_rounds(bill, settings.root / "releases", date)
    with tempfile.TemporaryDirectory(prefix=".replay-", dir=settings.root) as aside:
        again = replace(settings, root=Path(aside), replies=settings.ledger)
        if date:
            from flows.replay_dated import rebuilt_of

            stands, made = asyncio.run(rebuilt_of(bill, date, settings, again, progress))
        else:
            made, name = _rebuilt(bill, settings, again, progress)
            stands = _standing(made, settings.root / "releases" / name)
        manifest = ReleaseManifest.read(made)
        found = list(_differences(ReleaseManifest.read(stands), manifest, stands))
    if found:
        raise StoreError(f"{stands}: is not what the ledger makes: {'; '.join(found)}")
    files = len(_shards(manifest))
    return f"{stands}: the same from the ledger alone: {manifest.rows:,} rows in {files} files, bytes alike"


def _refuse_rounds(bill: Path, releases: Path, date: str) -> None:
    """A loop's rounds are no releases of the bill's streams: what they asked for was chosen by their students."""
    name = read_bill(bill).name
    rounds = [one.name for one in sorted(releases.glob(f"{name}-*round-*")) if _ROUND.fullmatch(one.name, len(name))]
    if rounds and (date in rounds or not (date or (releases / name).is_dir())):
        raise StoreError(
            f"{releases / (date or rounds[0])}: is a round of a loop, and is not made again by a replay: which records "
            "it wrote from was chosen by what its students got wrong. Copy the ledger to an empty root and run "
            f"`mashbill loop {bill} --root THERE`: replies come from the ledger"
        )


def _standing(made: Path, releases: Path) -> Path:
    """The release that is called as the one made, under the root."""
    stands = releases / made.name
    if not stands.is_dir():
        others = sorted(one.name for one in releases.glob("*"))
        raise StoreError(
            f"{stands}: is not there; the ledger makes release {made.name} of this bill"
            + (f", and there are {', '.join(others)}: the bill or its inputs changed since" if others else "")
        )
    return stands


def _rebuilt(bill: Path, settings: Settings, again: Settings, progress: Progress) -> tuple[Path, str]:
    """The release made once more: the whole one, or where the ledger lacks replies and a partial one stands, that."""
    try:
        return asyncio.run(_release(bill, again, progress, lacking=False))
    except NotKept:
        stand = (settings.root / "releases" / read_bill(bill).name).glob(f"*/{MANIFEST}")
        if not any(partial_lines(ReleaseManifest.read(one.parent)) for one in stand):
            raise
        return asyncio.run(_release(bill, again, progress, lacking=True))


async def _release(bill: Path, settings: Settings, progress: Progress, *, lacking: bool) -> tuple[Path, str]:
    async with kitchen_for(bill, settings, progress, offline=True, lacking=lacking, command="replay") as kitchen:
        return await kitchen.release(), kitchen.bill.name


def _shards(manifest: ReleaseManifest) -> dict[str, Shard]:
    return {shard.file: shard for split in manifest.splits.values() for shard in split.shards}


def _differences(stands: ReleaseManifest, made: ReleaseManifest, folder: Path) -> Iterator[str]:
    old, new = _shards(stands), _shards(made)
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            yield f"{name} is {'one too many' if name in old else 'missing'}"
        elif not (folder / name).is_file():
            yield f"{name} is gone"
        elif file_digest(folder / name) != new[name].sha256:
            changed = "was edited since" if old[name].sha256 == new[name].sha256 else "has other rows"
            yield f"{name} {changed} ({old[name].rows:,} rows stand there, {new[name].rows:,} are made)"
    if not (set(old) ^ set(new)) and _lasting(stands) != _lasting(made):
        yield "the manifest's counts differ"


def _lasting(manifest: ReleaseManifest) -> ReleaseManifest:
    # What a dated release found in its sources on its day is no part of what is made again.
    return manifest.model_copy(update={"refreshed": None})
