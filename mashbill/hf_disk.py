"""A release as the `datasets` library keeps it on disk, for readers that call ``datasets.load_from_disk``.

A release itself opens with ``datasets.load_dataset(folder)``; this is for those who want Arrow files mapped to memory.
The same release gives the same bytes: the fingerprints that the library would draw come from the release's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mashbill.errors import SettingsError, StoreError
from mashbill.fingerprint import content_id
from mashbill.release_manifest import ReleaseManifest


def export_to_disk(folder: Path, target: Path) -> None:
    """Write a finished release to `target` as a ``DatasetDict``; one that is there already is left as it is.

    Raises:
        StoreError: when the release is unfinished, `target` holds something else, or it cannot be written.
        SettingsError: when the `datasets` library is not installed.
    """
    release = ReleaseManifest.read(folder)
    if target.exists():
        if _holds(target, release):
            return
        raise StoreError(f"{target}: is there and is not this release; remove it or give the name of a new folder")
    try:
        import datasets
    except ImportError as error:
        raise SettingsError("the datasets library is not installed: `pip install 'mashbill[datasets]'`") from error
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as aside, _quiet(datasets):
            _splits(datasets, folder, release, Path(aside) / "cache").save_to_disk(Path(aside) / "made")
            shutil.rmtree(Path(aside) / "cache", ignore_errors=True)
            _sync(Path(aside) / "made")
            (Path(aside) / "made").rename(target)
            _sync(target.parent)
    except OSError as error:
        raise StoreError(
            f"{target}: cannot write: {error.strerror or error}; nothing is left of it: free some space or mend the "
            "permissions, and do it again"
        ) from error


def _splits(datasets: Any, folder: Path, release: ReleaseManifest, cache: Path) -> Any:
    splits = datasets.DatasetDict()
    for name in _with_rows(release):
        files = [str(folder / shard.file) for shard in release.splits[name].shards]
        # Through a cache on disk, so that a release larger than the memory can be written.
        read = datasets.Dataset.from_parquet(files, cache_dir=str(cache / name), keep_in_memory=False)
        # Anew from its data: what was read knows the paths it was read from.
        info = datasets.DatasetInfo(features=read.features)
        digest = _fingerprint(release, name)
        splits[name] = datasets.Dataset(read.data, info=info, split=datasets.NamedSplit(name), fingerprint=digest)
    return splits


def _with_rows(release: ReleaseManifest) -> list[str]:
    """The splits that have files: the library reads none without a row."""
    return [name for name, split in release.splits.items() if split.rows]


def _fingerprint(release: ReleaseManifest, split: str) -> str:
    return content_id(release.fingerprint, split)[:16]  # as long as the library's own


def _holds(target: Path, release: ReleaseManifest) -> bool:
    for split in _with_rows(release):
        try:
            state = json.loads((target / split / "state.json").read_bytes())
        except (OSError, ValueError):
            return False
        if state.get("_fingerprint") != _fingerprint(release, split):
            return False
    return True


@contextlib.contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """The library's bars would be drawn over ours."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _sync(place: Path) -> None:
    for path in [*(place.rglob("*") if place.is_dir() else ()), place]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
