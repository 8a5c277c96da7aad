"""A series of dated releases under a root: which there are, in which order, and whether they are as published.

::

    releases/tolvarey@2026-11-30      the first: all that the sources held
    releases/tolvarey@2026-12-01      what was new then; names the one before it
    releases/tolvarey@2026-12-01.2    the second of that date

Nothing is made against a release that was edited: its rows would be held against what was never published.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mashbill.disk import file_digest
from mashbill.errors import StoreError
from mashbill.records import join_texts
from mashbill.refreshed import Refreshed, seal_of
from mashbill.release_manifest import ReleaseManifest
from mashbill.store import MANIFEST

NAME = re.compile(r"(?P<name>.+)@(?P<date>\d{4}-\d{2}-\d{2})(?:\.(?P<number>[1-9]\d*))?")


def dated_name(name: str, date: str, number: int) -> str:
    """What a dated release is called.

    >>> dated_name("tolvarey", "2026-12-01", 1), dated_name("tolvarey", "2026-12-01", 2)
    ('tolvarey@2026-12-01', 'tolvarey@2026-12-01.2')
    """
    return f"{name}@{date}" + (f".{number}" if number > 1 else "")


@dataclass(frozen=True)
class Dated:
    """One dated release."""

    folder: Path
    manifest: ReleaseManifest

    @property
    def name(self) -> str:
        """Its name with its date."""
        return self.folder.name

    @property
    def refreshed(self) -> Refreshed:
        """Its place in the series."""
        found = self.manifest.refreshed
        assert found is not None  # `_open` refuses a manifest without it
        return found


def dated_folders(root: Path, name: str) -> list[tuple[tuple[str, int], Path]]:
    """The folders of a bill's dated releases with date and number, in that order."""
    found = []
    for folder in (root / "releases").glob(f"{name}@*"):
        match = NAME.fullmatch(folder.name)
        if folder.is_dir() and match and match["name"] == name:
            found.append(((match["date"], int(match["number"] or 1)), folder))
    return sorted(found)


def series_of(root: Path, name: str, until: Dated | None = None) -> list[Dated]:
    """The dated releases since the last that took everything, oldest first, each as it was published.

    With `until`, those that this one was made after, itself not among them.

    Raises:
        StoreError: when a file of one was edited, added or removed, or one is gone: what differs, and what to do.
    """
    folders = [folder for _, folder in dated_folders(root, name)]
    series = list[Dated]()
    if until is not None:
        series = [until]
        folders = folders[: folders.index(until.folder)] if _goes_back(until, series, root) else []
    while folders:
        folder = folders.pop()
        _refuse_edited(folder, series)
        release = _open(folder)
        _refuse_another(release, series)
        series.insert(0, release)
        if not _goes_back(release, series, root):
            break
    return [one for one in series if one is not until]


def _refuse_another(release: Dated, series: Sequence[Dated]) -> None:
    if series and series[0].refreshed.before != release.name:
        raise StoreError(
            f"{release.folder}: is none of the series: {series[0].name} was made after "
            f"{series[0].refreshed.before or 'none'}; move it away, or begin a new series with `mashbill refresh "
            "--full`"
        )
    if series and series[0].refreshed.before_seal != release.refreshed.seal:
        raise StoreError(
            f"{release.folder}: is not the release that {series[0].name} was made after, but another of the same name; "
            f"put back the one that was published, or {_again([one.name for one in series])}"
        )


def _goes_back(release: Dated, series: Sequence[Dated], root: Path) -> bool:
    """Whether a release was made after another, which must be there."""
    if not release.refreshed.before:
        return False
    before = root / "releases" / release.refreshed.before
    if not before.is_dir():
        raise StoreError(
            f"{before}: is gone, and {release.name} was made after it; put it back, or "
            f"{_again([one.name for one in series])}"
        )
    return True


def _refuse_edited(folder: Path, after: Sequence[Dated]) -> None:
    if found := list(differences(folder)):
        raise StoreError(
            f"{folder}: is not as it was published: {join_texts(found, 20)}; put back what was published, or "
            f"{_again([folder.name, *(one.name for one in after)])}"
        )


def _again(names: Sequence[str]) -> str:
    return (
        f"remove {join_texts(names)} and refresh again (replies are in the ledger), or begin a new series with "
        "`mashbill refresh --full`"
    )


def differences(folder: Path) -> Iterator[str]:
    """What differs between a dated release's folder and what was published; hidden files are nobody's."""
    try:
        release = _open(folder)
    except StoreError as error:
        yield f"its {MANIFEST} cannot be taken for one ({str(error).removeprefix(f'{folder}: ')})"
        return
    plain = json.loads((folder / MANIFEST).read_bytes())
    if seal_of(plain) != release.refreshed.seal:
        yield f"{MANIFEST} was edited"
        return
    shards = {shard.file: shard.sha256 for split in release.manifest.splits.values() for shard in split.shards}
    expected = {**shards, **release.refreshed.files}
    there = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    for name in sorted({*expected, *there} - {MANIFEST}):
        if name not in there:
            yield f"{name} is missing"
        elif name not in expected:
            yield f"{name} was added"
        elif file_digest(there[name]) != expected[name]:
            yield f"{name} was edited"


def _open(folder: Path) -> Dated:
    manifest = ReleaseManifest.read(folder)
    if manifest.refreshed is None:
        raise StoreError(f"{folder}: is no dated release")
    return Dated(folder, manifest)


def dated_release(root: Path, name: str, date: str) -> Dated:
    """The release of a date, given as ``2026-12-01``, or ``2026-12-01.2`` for the second of it.

    Raises:
        StoreError: when there is none, with those that there are.
    """
    folder = root / "releases" / f"{name}@{date}"
    if not folder.is_dir():
        there = ", ".join(one.name for _, one in dated_folders(root, name))
        raise StoreError(f"{folder}: is not there; dated releases of {name}: {there or 'none'}")
    return _open(folder)


def last_of(root: Path, name: str) -> Dated | None:
    """The newest dated release that can be read, whether or not it was edited; None where there is none."""
    for _, folder in reversed(dated_folders(root, name)):
        try:
            return _open(folder)
        except StoreError:
            continue
    return None
