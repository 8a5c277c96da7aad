"""A checkpoint of several processes: a folder with each one's shards, read by any number of them.

::

    step-00000200/
        __0_0.distcp  __1_0.distcp  .metadata      torch's distributed checkpoint
        checkpoint.json                            {"format": 2, "step": 200, "identity": {…}, "files": {"__0_0…": 812}}

`checkpoint.json` is written when every process has written its part, and the folder gets its name after that, so a
folder is whole or absent. A file that was cut short since is found by its size before anything is loaded.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import distributed
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from mashbill.disk import write_json
from mashbill.errors import StoreError

ABOUT = "checkpoint.json"


def write_shards(folder: Path, state: Mapping[str, Any], about: Mapping[str, Any], *, first: bool) -> None:
    """Write each process's shards; every process calls it, and the first one names the folder.

    Raises:
        StoreError: when some process cannot write its part.
    """
    aside = folder.with_name(f".{folder.name}.tmp")
    if first:
        for stale in (aside, folder):
            shutil.rmtree(stale, ignore_errors=True)
        aside.mkdir(parents=True)
    distributed.barrier()
    try:
        save(dict(state), checkpoint_id=aside)
    except CheckpointException as error:
        reasons = "; ".join(f"process {rank}: {wrapped[0]}" for rank, wrapped in error.failures.items())
        raise StoreError(
            f"{folder}: cannot be written ({reasons}); the checkpoints before it are kept: free some space, or lower "
            "keep_checkpoints under [hardware], and start again"
        ) from error
    if first:
        sizes = {file.name: file.stat().st_size for file in sorted(aside.iterdir())}
        write_json(aside / ABOUT, {**about, "files": sizes})
        aside.rename(folder)
        _sync(folder.parent)
    distributed.barrier()


def shards_identity(folder: Path, wanted_format: int) -> dict[str, str]:
    """What run a folder belongs to.

    Raises:
        StoreError: when a part is missing or cut short, or it is of another format.
    """
    try:
        about = json.loads((folder / ABOUT).read_bytes())
        sizes = {name: (folder / name).stat().st_size for name in about["files"]}
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{folder}: cannot be read ({error}); remove it to go on from the one before") from error
    if short := [name for name, size in about["files"].items() if sizes[name] != size]:
        raise StoreError(
            f"{folder}: {short[0]} has {sizes[short[0]]:,} of {about['files'][short[0]]:,} bytes: it was cut short; "
            "remove the folder to go on from the one before"
        )
    if about["format"] != wanted_format:
        raise StoreError(f"{folder}: has format {about['format']}, this version reads {wanted_format}; train anew")
    return dict(about["identity"])


def read_shards(folder: Path, state: dict[str, Any]) -> None:
    """Fill the tensors of `state` from a folder, in place; alone or as one of several processes."""
    with warnings.catch_warnings():
        # One process may read what several wrote: that is what the folder is for.
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        load(state, checkpoint_id=folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
