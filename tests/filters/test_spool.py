from __future__ import annotations

import errno
import tempfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.lsh_buckets import MOST_BATCHES, Candidates, batches, candidates_of, shared_buckets
from filters.spool import Spool
from mashbill.errors import StoreError


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(1, 3), st.sampled_from([0, 40, 10**9]))
def test_what_is_read_is_what_was_appended(sizes: list[int], columns: int, memory: int) -> None:
    chunks = [np.arange(size * columns, dtype=np.uint64).reshape(size, columns) + 7 * size for size in sizes]
    whole = np.concatenate([np.zeros((0, columns), np.uint64), *chunks])
    with Spool(columns, np.uint64, memory) as spool:
        for at, chunk in enumerate(chunks):
            spool.append(chunk)
            if at == len(chunks) // 2:
                spool.column(0)  # reading in between moves nothing
        assert spool.rows == len(whole)
        assert spool.on_disk == (whole.nbytes > memory)
        for column in range(columns):
            assert spool.column(column).tolist() == whole[:, column].tolist()


@given(st.lists(st.lists(st.integers(0, 4), max_size=4), max_size=6), st.sampled_from([0, 10**9]), st.data())
def test_stretches_are_those_that_were_appended(chunks: list[list[int]], memory: int, data: st.DataObject) -> None:
    """Chunks of stretches of some sizes; any of them, in order, are given back."""
    sizes = [size for chunk in chunks for size in chunk]
    size = np.array(sizes, dtype=np.int64)
    start = np.cumsum(size) - size
    numbers = np.arange(int(size.sum()), dtype=np.uint64) * 3
    some = np.array(sorted(data.draw(st.sets(st.sampled_from(range(len(sizes)))))) if sizes else [], dtype=np.int64)
    with Spool(1, np.uint64, memory) as spool, pytest.MonkeyPatch.context() as patch:
        patch.setattr("filters.spool.WINDOW", 5)
        done = 0
        for chunk in chunks:
            spool.append(numbers[done : done + sum(chunk)])
            done += sum(chunk)
        found = spool.stretches(start[some], size[some])
    assert found.tolist() == [int(one) for at in some for one in numbers[start[at] : start[at] + size[at]]]


def test_a_full_disk_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def seek(self, *_: int) -> None: ...

        def close(self) -> None: ...

        def write(self, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(**_: Any) -> Full:
        return Full()

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with Spool(1, np.uint64, 0) as spool, pytest.raises(StoreError, match=r"No space left.*TMPDIR.*memory_mb"):
        spool.append(np.arange(3))


def buckets_of(keys: np.ndarray, alone: np.ndarray) -> Candidates:
    with Spool(keys.shape[1], np.uint64, 0) as spool:
        spool.append(keys)
        return shared_buckets(spool, alone)


def members(found: Candidates) -> set[frozenset[int]]:
    """The rows of each bucket."""
    rows = np.repeat(found.rows, np.diff(found.bounds))
    return {frozenset(rows[found.numbers == number].tolist()) for number in range(found.buckets)}


key_tables = st.integers(1, 4).flatmap(
    lambda bands: st.lists(st.lists(st.integers(0, 6), min_size=bands, max_size=bands), max_size=14).map(
        lambda rows: np.array(rows, dtype=np.uint64).reshape(len(rows), bands)
    )
)


@given(key_tables, st.randoms(use_true_random=False))
def test_buckets_are_the_rows_with_one_key(keys: np.ndarray, draw: Any) -> None:
    alone = np.array([draw.random() < 0.2 for _ in keys], dtype=np.bool_)
    wanted = {
        frozenset(rows)
        for band in range(keys.shape[1])
        for key in set(keys[:, band].tolist())
        if len(rows := [row for row in np.flatnonzero(keys[:, band] == key).tolist() if not alone[row]]) > 1
    }
    found = buckets_of(keys, alone)
    assert members(found) == wanted
    assert found.buckets == len(wanted)  # each set of rows once
    reached = {row: {row} for row in found.rows.tolist()}
    for bucket in list(wanted) * len(keys):
        whole = set().union(*(reached[row] for row in bucket))
        for row in bucket:
            reached[row] = whole
    groups = found.rows[found.group]
    assert {row: min(reached[row]) for row in reached} == dict(zip(found.rows.tolist(), groups.tolist(), strict=True))


@given(key_tables, st.integers(0, 30), st.randoms(use_true_random=False))
def test_batches_are_whole_groups_and_hold_each_candidate_once(keys: np.ndarray, most: int, draw: Any) -> None:
    found = buckets_of(keys, np.zeros(len(keys), dtype=np.bool_))
    sizes = np.array([draw.randrange(1, 9) for _ in found.rows], dtype=np.int64)
    made = list(batches(found, sizes, most))
    assert sorted(row for batch in made for row in batch.tolist()) == list(range(len(found)))
    for batch in made:
        groups = set(found.group[batch].tolist())
        assert set(np.flatnonzero(np.isin(found.group, list(groups))).tolist()) == set(batch.tolist())
        assert int(sizes[batch].sum()) <= most or len(groups) == 1
        part = found.only(batch)
        assert members(part) == {one for one in members(found) if one <= set(found.rows[batch].tolist())}


def test_there_are_never_more_batches_than_files_may_be_open() -> None:
    pairs = np.repeat(np.arange(1000), 2)
    found = candidates_of(np.arange(2000), pairs, 1000)
    assert len(list(batches(found, np.full(2000, 100), 1))) <= MOST_BATCHES
