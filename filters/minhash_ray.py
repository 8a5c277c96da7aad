"""Near-duplicates over many machines with Ray: parts are mapped, band keys shuffled by band, groups judged apart.

The same rows go, with the same numbers, as on one machine: what is done is the same, where it is done is not.

* map: a task a part reads the texts and makes band keys and shingles; both stay where they were made.
* shuffle: a task a band gets that band's keys of all parts and finds the rows that share one.
* components: buckets are united into groups here; rows of two groups have nothing to do with each other.
* judge: a task a batch of whole groups gets the shingle sets of its rows and takes them best first.

Here, on the machine that drives it, are held 4 bytes a row, the candidates' buckets and what decides among them. Stored
parts must lie where every machine can read them. Ray comes with the extra: ``pip install 'mashbill[ray]'``.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from filters.hashing import Hashes
from filters.lsh_buckets import Candidates, Rows, batches, buckets_of_band, united
from filters.near_duplicates import Found, about_candidates, by_part, found_of, judged
from filters.near_rows import candidate_rows, read_part, sorted_sets
from filters.shingles import Shingles
from filters.text_buffer import Ints
from mashbill.errors import BillError, SettingsError
from mashbill.records import Record
from mashbill.step import Parts

if TYPE_CHECKING:
    from filters.minhash_dedup import MinhashDedup

BATCHES_A_CORE = 4
"""Batches for each core of the cluster: groups differ in size, and a core that is done takes another."""


def near_duplicates_on_ray(step: MinhashDedup, parts: Parts, kind: type[Record]) -> Found:
    """What `filters.near_duplicates.near_duplicates` finds.

    Raises:
        SettingsError: when Ray is not installed or the cluster cannot be reached.
        BillError: for a step with an index of earlier releases.
    """
    if step.against:
        raise BillError("minhash_dedup has both `ray` and `against`; an index is held against on one machine: drop one")
    with _cluster(step.ray) as ray:
        bands = step.bands()[0]
        signed = [ray.remote(num_returns=bands + 2)(_signed).remote(step, parts, at, kind) for at in range(len(parts))]
        sizes = ray.get([one[bands] for one in signed])
        size = np.concatenate([np.empty(0, np.int32), *sizes])
        starts = np.cumsum([0, *map(len, sizes)])
        shuffle = ray.remote(_shuffled)
        found = ray.get([shuffle.remote(size == 0, *(one[band] for one in signed)) for band in range(bands)])
        candidates = united(found)
        order = ray.remote(candidate_rows)
        asked = [order.remote(step, parts, index, kind, some) for index, some in by_part(candidates.rows, starts)]
        about = about_candidates(ray.get(asked), candidates.rows, int(starts[-1]))
        counts: Ints = size[candidates.rows].astype(np.int64)
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        most = max(1, int(counts.sum()) // (BATCHES_A_CORE * cores))
        judge, gather = ray.remote(_judged), ray.remote(_sets)
        tasks = []
        for batch in batches(candidates, counts, most):
            rows = by_part(candidates.rows[batch], starts)
            sets = [gather.remote(signed[index][bands + 1], some) for index, some in rows]
            tasks.append(judge.remote(step, candidates.only(batch), about[batch], *sets))
        return found_of(ray.get(tasks), candidates)


@contextlib.contextmanager
def _cluster(address: str) -> Iterator[Any]:
    try:
        ray: Any = importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise SettingsError("minhash_dedup with `ray` needs Ray: pip install 'mashbill[ray]'") from error
    if ray.is_initialized():  # somebody else's, and theirs to end
        yield ray
        return
    local = address == "local"
    try:
        ray.init(None if local else address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise SettingsError(f"no Ray cluster at {address!r} ({error}); give its address, or local") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _signed(step: MinhashDedup, parts: Parts, index: int, kind: type[Record]) -> tuple[Any, ...]:
    """The keys of a part, band by band, then how many shingles each row has, then the shingles."""
    found = list(read_part(step, parts, index, kind))
    bands = step.bands()[0]
    keys = np.concatenate([np.empty((0, bands), np.uint64), *(keys for _, keys in found)])
    size = np.concatenate([np.empty(0, np.int32), *(np.diff(one.bounds).astype(np.int32) for one, _ in found)])
    hashes = np.concatenate([np.empty(0, np.uint64), *(one.hashes for one, _ in found)])
    columns = [np.ascontiguousarray(keys[:, band]) for band in range(bands)]
    return *columns, size, Shingles(hashes, np.concatenate(([0], np.cumsum(size, dtype=np.int64))))


def _shuffled(alone: Any, *columns: Hashes) -> tuple[Rows, Ints]:
    """The buckets of one band."""
    return buckets_of_band(np.concatenate([np.empty(0, np.uint64), *columns]), alone)


def _sets(shingles: Shingles, rows: Ints) -> tuple[Hashes, Ints]:
    """The shingles of some rows of a part, and how many each has."""
    counts = np.diff(shingles.bounds)[rows]
    bounds = shingles.bounds
    return np.concatenate([shingles.hashes[bounds[row] : bounds[row + 1]] for row in rows]), counts


def _judged(
    step: MinhashDedup, candidates: Candidates, about: pl.DataFrame, *sets: tuple[Hashes, Ints]
) -> tuple[pl.DataFrame, int]:
    """The rows of a batch that go."""
    counts = np.concatenate([np.empty(0, np.int64), *(count for _, count in sets)])
    hashes = np.concatenate([np.empty(0, np.uint64), *(one for one, _ in sets)])
    return judged(step, candidates, about, sorted_sets(Shingles(hashes, np.concatenate(([0], np.cumsum(counts))))))
