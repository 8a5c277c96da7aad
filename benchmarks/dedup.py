"""How fast near-duplicates are found, how well, and in how much memory, beside other libraries on the same documents.

Parquet in, ids of kept rows out, exact verification included; time is processor time of all threads together, so that
figures are per core. The truth is every pair of rows and its exact similarity, from a sparse product of shingle sets.

    .venv/bin/python -m benchmarks.dedup                                   # ours on real passages
    MASHBILL_PEERS=/path/to/venv .venv/bin/python -m benchmarks.dedup      # and others', installed there
    .venv/bin/python -m benchmarks.dedup --made 10000 100000 1000000       # cost and memory as rows grow
    .venv/bin/python -m benchmarks.dedup --simulate 10000000               # the same, of band keys drawn at random
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from benchmarks.dedup_corpus import COPIES, Folder, write_made, write_real
from benchmarks.passages import passages
from filters.compared_text import compared_texts
from filters.lsh_buckets import shared_buckets
from filters.minhash_dedup import MinhashDedup
from filters.near_duplicates import MEGABYTE
from filters.shingles import shingles
from filters.spool import Spool
from mashbill.disk import write_json
from mashbill.records import Document

PEERS = ("gaoya", "datasketch", "rensa", "text_dedup")
STEP = MinhashDedup()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000, help="rows of real text, copies among them")
    parser.add_argument("--made", type=int, nargs="*", default=[], metavar="ROWS", help="rows of made text instead")
    parser.add_argument("--simulate", type=int, metavar="ROWS", help="rows of band keys without texts")
    parser.add_argument("--folder", type=Path, help="where corpora are kept [a temporary folder]")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(ours(Folder.of(options.measure))[1]))
        return
    if options.simulate:
        print(json.dumps(simulated(options.simulate)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        numbers = scaled(folder, options.made) if options.made else compared(folder, options.documents)
    if options.json:
        write_json(options.json, numbers)


def ours(parts: Folder) -> tuple[pl.DataFrame, dict[str, float]]:
    """The rows that go, and what finding them and listing the ids of the others took."""
    small = Folder(parts.paths[:1])
    STEP.removals(small)  # kernels are compiled once an installation, and loaded once a process
    wall, begin = time.perf_counter(), time.process_time()
    removed = STEP.removals(parts).removed
    kept = 0
    gone = removed.select("part", "row").sort("part", "row")
    for index in range(len(parts)):
        ids = parts.table(index, ["id"]).column("id").to_numpy(zero_copy_only=False)
        kept += len(np.delete(ids, gone.filter(pl.col("part") == index)["row"].to_numpy()))
    rows = kept + len(removed)
    seconds, wall = time.process_time() - begin, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return removed, {"rows": rows, "removed": len(removed), "seconds": seconds, "wall": wall, "peak_gb": peak}


def scaled(folder: Path, sizes: Sequence[int]) -> dict[str, Any]:
    """Cost per document and peak memory, each size in a process of its own."""
    numbers = dict[str, Any]()
    for size in sizes:
        place = folder / f"made-{size}"
        if not place.is_dir():
            write_made(place, size)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.dedup", "--measure", str(place)], check=True, stdout=subprocess.PIPE
        )
        found = numbers[str(size)] = json.loads(done.stdout)
        each = 1e6 * found["seconds"] / found["rows"]
        print(f"{size:>10,} rows: {each:6.1f} us of one core each, peak {found['peak_gb']:.2f} GB", flush=True)
    first, last = numbers[str(sizes[0])], numbers[str(sizes[-1])]
    growth = (last["seconds"] / last["rows"]) / (first["seconds"] / first["rows"])
    print(f"cost of a document grows {growth:.2f} times from {sizes[0]:,} to {sizes[-1]:,}")
    return {**numbers, "growth": growth}


def simulated(rows: int, seed: int = 1) -> dict[str, float]:
    """Finding the candidates among random band keys, every fifth row a near copy that shares three keys in ten."""
    draw, bands, part = np.random.default_rng(seed), STEP.bands()[0], 100_000
    with Spool(bands, np.uint64, STEP.memory_mb * MEGABYTE // 3) as keys:
        for first in range(0, rows, part):
            made = draw.integers(0, 1 << 63, (min(part, rows - first), bands), dtype=np.uint64)
            own = np.arange(COPIES - 1, len(made), COPIES)
            made[own] = np.where(draw.random((len(own), bands)) < 0.3, made[own - 1], made[own])
            keys.append(made)
        begin = time.process_time()
        found = shared_buckets(keys, np.zeros(keys.rows, dtype=np.bool_))
    seconds = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"rows": rows, "candidates": len(found), "seconds": seconds, "peak_gb": peak}


def compared(folder: Path, count: int) -> dict[str, Any]:
    """Ours and the peers' on real passages."""
    place = folder / f"real-{count}"
    parts = Folder.of(place) if place.is_dir() else write_real(place, passages(count * 4 // 5))
    truth = similar_pairs(parts)
    ids = [name for table in parts for name in table.column("id").to_pylist()]
    removed, cost = ours(parts)
    starts = np.cumsum([0, *(table.num_rows for table in parts)])
    rows = {int(starts[part]) + row for part, row in removed.select("part", "row").iter_rows()}
    numbers: dict[str, Any] = {"ours": told("ours", rows, truth, cost["seconds"], len(ids))}
    again = [ours(parts)[1]["seconds"] for _ in range(2)]
    numbers["ours"]["rate"] = len(ids) / min(cost["seconds"], *again)
    below = removed.filter(pl.col("value") < STEP.threshold)
    print(f"ours: {numbers['ours']['rate']:,.0f} a second, best of 3; {len(below)} removed below the threshold")
    python = os.environ.get("MASHBILL_PEERS")
    for peer in PEERS if python else ():
        found = Path(place.parent) / f"{peer}.json"
        command = [f"{python}/bin/python", "benchmarks/peer_dedup.py", peer, str(place), str(found)]
        if subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE).returncode:
            print(f"{peer}: failed; run {' '.join(command)}")
            continue
        said = json.loads(found.read_text("utf-8"))
        kept = set(said["kept"])
        gone = {row for row, name in enumerate(ids) if name not in kept}
        numbers[peer] = told(peer, gone, truth, said["seconds"], len(ids)) | {"version": said["version"]}
        print(f"    ours is {numbers['ours']['rate'] / numbers[peer]['rate']:.1f} times as fast")
    return numbers


def similar_pairs(parts: Folder) -> pl.DataFrame:
    """All pairs of rows with their exact similarity, from 0.5 on."""
    sets = [
        one
        for table in parts
        for part in shingles(compared_texts(table, Document), STEP.shingle_words, STEP.boilerplate)
        for one in part.sets()
    ]
    sizes = np.array([len(one) for one in sets])
    _, columns = np.unique(np.concatenate(sets), return_inverse=True)
    ends = np.concatenate(([0], np.cumsum(sizes)))
    matrix = sparse.csr_matrix((np.ones(len(columns), np.int32), columns, ends))
    pairs = list[pl.DataFrame]()
    for rows in by_blocks(len(sets)):
        product = (matrix[rows] @ matrix.T).tocoo()
        one, other = product.row + rows.start, product.col
        value = product.data / (sizes[one] + sizes[other] - product.data)
        some = (one < other) & (value >= 0.5)
        pairs.append(pl.DataFrame({"one": one[some], "other": other[some], "value": value[some]}))
    return pl.concat(pairs)


def by_blocks(count: int, size: int = 500) -> list[slice]:
    return [slice(at, min(at + size, count)) for at in range(0, count, size)]


def told(name: str, gone: set[int], truth: pl.DataFrame, seconds: float, rows: int) -> dict[str, float]:
    """Recall of pairs 0.05 above the threshold, precision of removals, and speed; printed too."""
    sure = truth.filter(pl.col("value") >= STEP.threshold + 0.05)
    found = sum(one in gone or other in gone for one, other in sure.select("one", "other").iter_rows())
    near = truth.filter(pl.col("value") >= STEP.threshold)
    like = set(near["one"].to_list()) | set(near["other"].to_list())
    numbers = {
        "rate": rows / seconds,
        "removed": len(gone),
        "recall": found / max(len(sure), 1),
        "precision": len(gone & like) / max(len(gone), 1),
    }
    print(
        f"{name:<12}{numbers['rate']:>8,.0f} documents a second of one core, removed {len(gone):,}, "
        f"recall {numbers['recall']:.4f} of {len(sure):,} pairs, precision {numbers['precision']:.4f}",
        flush=True,
    )
    return numbers


if __name__ == "__main__":
    main()
