"""Where each request's line stands in what came back, whatever the order, with doubled and broken lines."""

from __future__ import annotations

import logging
from pathlib import Path

from synth.engines.batch_lines import key_in
from synth.engines.batch_store import BatchStore

logger = logging.getLogger(__name__)

Places = dict[str, tuple[str, int]]
"""Key -> the file its line is in, ``output`` or ``errors``, and the line's place there in bytes."""


def places_in(store: BatchStore, name: str) -> Places:
    """The lines of a batch's files that speak of its requests; the first of doubled ones, output before errors."""
    keys = set(store.keys(name))
    places, strange = Places(), 0
    for kind in ("output", "errors"):
        strange += _read(store.file(name, kind), kind, keys, places)
    if strange:
        logger.warning("batch %s: %d lines that speak of none of its requests, or of one twice", name, strange)
    return places


def _read(path: Path, kind: str, keys: set[str], places: Places) -> int:
    """Enter a file's lines; how many were of no use."""
    if not path.is_file():
        return 0
    at = strange = 0
    with path.open("rb") as lines:
        for line in lines:
            key = key_in(line)
            if key in keys and key is not None and key not in places:
                places[key] = (kind, at)
            elif line.strip():
                strange += 1
            at += len(line)
    return strange
