"""Clusters of task types against DBSCAN as a textbook has it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synth.near_pairs
from mashbill.embedding import unit_rows
from mashbill.errors import SettingsError, StoreError
from synth.half_vectors import packed, rounded, unpacked
from synth.near_pairs import exact_pairs, probed_pairs
from synth.type_clusters import cluster


def points(seed: int, count: int, dimensions: int = 6, spread: float = 0.25) -> Any:
    random = np.random.default_rng(seed)
    middles = random.normal(size=(max(1, count // 5), dimensions))
    rows = middles[random.integers(len(middles), size=count)] + spread * random.normal(size=(count, dimensions))
    return unit_rows(rows.astype(np.float32))


def textbook(rows: Any, eps: float, min_samples: int) -> tuple[list[set[int]], set[int]]:
    """The cores of each cluster, and the points that are near no core."""
    near = rows @ rows.T >= 1 - eps - 1e-6
    np.fill_diagonal(near, True)
    core = [at for at in range(len(rows)) if near[at].sum() >= min_samples]
    left, clusters = set(core), []
    while left:
        found, todo = set[int](), [min(left)]
        while todo:
            at = todo.pop()
            if at not in found:
                found.add(at)
                todo += [other for other in core if near[at, other] and other not in found]
        clusters.append(found)
        left -= found
    noise = {at for at in range(len(rows)) if at not in core and not any(near[at, other] for other in core)}
    return clusters, noise


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 40),
    st.sampled_from([0.02, 0.1, 0.3, 1.0]),
    st.integers(1, 5),
    st.integers(1, 60),
)
def test_clusters_are_those_of_the_textbook(seed: int, count: int, eps: float, least: int, cells: int) -> None:
    rows = points(seed, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synth.near_pairs, "CELLS", cells)  # blocks of all sizes
        found = cluster(rows, eps=eps, min_samples=least)
    wanted, noise = textbook(rows, eps, least)
    labels = found.labels.tolist()
    for members in wanted:
        assert len({labels[at] for at in members}) == 1
    for one, other in pairwise(wanted):
        assert labels[min(one)] != labels[min(other)]
    assert found.count == len(set(labels)) == len(wanted) + len(noise)
    assert found.noise == len(noise)
    assert all(labels.count(labels[at]) == 1 for at in noise)
    cores = set().union(*wanted)
    for at in set(range(count)) - cores - noise:  # goes with the nearest core
        best = max(cores, key=lambda core: (float(rows[at] @ rows[core]), -core))
        assert (
            float(rows[at] @ rows[best])
            - max(float(rows[at] @ rows[core]) for core in cores if labels[core] == labels[at])
            < 1e-6
        )


@pytest.mark.parametrize(("between", "with_first"), [(13.5, False), (11.5, True)])
def test_a_point_between_two_clusters_goes_with_the_nearer_one(between: float, with_first: bool) -> None:
    first, second = [0, 0.1, 0.2, 0.3, 0.4, 3], [22, 26, 26.1, 26.2, 26.3, 26.4]
    angles = np.radians([*first, between, *second])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    # Within eps lies what is at most 11.05 degrees away: of the point between, one core of each cluster.
    found = cluster(rows, eps=1 - float(np.cos(np.radians(11.05))), min_samples=6)
    assert (found.count, found.noise) == (2, 0)
    assert (found.labels[6] == found.labels[0]) == with_first


def test_labels_count_from_the_first_row_and_do_not_depend_on_blocks() -> None:
    rows = points(3, 200)
    whole = cluster(rows, eps=0.1)
    assert whole.labels[0] == 0
    firsts = [whole.labels.tolist().index(label) for label in range(whole.count)]
    assert firsts == sorted(firsts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synth.near_pairs, "CELLS", 7)
        assert cluster(rows, eps=0.1).labels.tolist() == whole.labels.tolist()


def found_by_index(rows: Any, probes: int) -> set[tuple[int, int]]:
    pairs = [pair for block in probed_pairs(rows, 0.9, probes) for pair in zip(*block, strict=True)]
    return {(min(pair), max(pair)) for pair in pairs}


def test_the_approximate_index_finds_the_pairs_that_are_there() -> None:
    pytest.importorskip("faiss", reason="the extra `ann` is not installed")
    rows = points(5, 400, dimensions=16, spread=0.1)
    exact = {pair for block in exact_pairs(rows, 0.9) for pair in zip(*block, strict=True)}
    assert len(exact) > 500
    assert found_by_index(rows, probes=80) == exact
    some = found_by_index(rows, probes=2)
    assert some <= exact
    assert len(some) > 0.9 * len(exact)
    near = cluster(rows, eps=0.1, exact_up_to=100, probes=80)
    assert not near.exact
    assert near.labels.tolist() == cluster(rows, eps=0.1).labels.tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synth.near_pairs, "CELLS", 400 * 30)  # a pair is found from both sides, in two blocks
        third = cluster(rows, eps=0.1, min_samples=3, exact_up_to=100, probes=80)
    assert third.labels.tolist() == cluster(rows, eps=0.1, min_samples=3).labels.tolist()


def test_without_faiss_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(SettingsError, match=r"5 task types .* pip install 'mashbill\[ann\]', or raise `exact_up_to`"):
        cluster(points(1, 5), eps=0.1, exact_up_to=4)


def test_no_vectors_and_one() -> None:
    assert cluster(np.zeros((0, 4), dtype=np.float32), eps=0.1).count == 0
    assert cluster(points(1, 1), eps=0.1).labels.tolist() == [0]


def test_stored_vectors_come_back_nearly_as_they_were() -> None:
    import pyarrow as pa

    rows = points(2, 30, dimensions=64)
    column = pa.chunked_array([pa.array(packed(rows[:10])), pa.array(packed(rows[10:]))])
    again = unpacked(column)
    assert np.abs(again @ rows.T - rows @ rows.T).max() < 0.002
    assert np.array_equal(again, rounded(rows))
    assert np.array_equal(unpacked(column.slice(5, 10)), again[5:15])
    assert packed(again) == packed(rows)
    assert unpacked(pa.array([], pa.binary())).shape == (0, 0)
    with pytest.raises(StoreError, match="vectors of 2 lengths"):
        unpacked(pa.array([b"\0\0", b"\0\0\0\0"]))
