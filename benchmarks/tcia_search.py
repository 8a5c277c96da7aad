"""How a database of instructions grows: building it, searching it, and what the approximate index misses.

Made-up tasks: task types in families of four wordings, ten tasks of each type. Each size is built and searched in a
process of its own, on processor time, with the most memory that it took. The first table compares types all with all
and by faiss's lists in one run: time, pairs found, and types that end up in other clusters.

    .venv/bin/python -m benchmarks.tcia_search --sizes 10000 100000 --simulated 1000000 --json runs/tcia_search.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mashbill.counts import Counts
from mashbill.disk import file_digest, write_json, write_parquet
from mashbill.embedding import load_embedder, unit_rows
from mashbill.execute import execute
from mashbill.records import Constraint, DatabaseTask, Instruction, Reject, to_table
from mashbill.runtime import Runtime
from mashbill.store import Manifest, PartEntry, Stored, part_name
from synth.constraint_search import Plan, search
from synth.generators.instruction_database import InstructionDatabase
from synth.half_vectors import packed, rounded
from synth.near_pairs import exact_pairs, probed_pairs
from synth.task_database import pools, type_key
from synth.type_clusters import cluster

PART = 10_000
TASKS_OF_A_TYPE = 10
SYLLABLES = ("ka", "to", "ren", "mi", "ves", "lo", "dra", "quen", "tal", "ber", "ost", "in", "mar", "fel", "gru", "sha")
EPS = 0.2
WANT = Constraint(category="content", text="with salt")


def made_types(count: int) -> list[str]:
    """Task types in families of four wordings."""
    draw = random.Random(count)
    words = ["".join(draw.choices(SYLLABLES, k=draw.choice((2, 3, 4)))) for _ in range(max(100, count // 8))]
    found = dict[str, None]()
    while len(found) < count:
        one, two = draw.choice(words), draw.choice(words)
        found |= dict.fromkeys((f"{one} {two}", f"{one} {two}s", f"{two} {one}", f"{one}s {two}"))
    return [type_key(one) for one in list(found)[:count]]


def made_tasks(count: int) -> Iterator[list[Instruction]]:
    """Tasks, a part at a time."""
    types = made_types(max(4, count // TASKS_OF_A_TYPE))
    draw = random.Random(count)
    for start in range(0, count, PART):
        yield [_task(at, types[at % len(types)], draw) for at in range(start, min(count, start + PART))]


def _task(at: int, kind: str, draw: random.Random) -> Instruction:
    said = ("".join(draw.choices(SYLLABLES, k=3)) for _ in range(9))
    query = f"{kind} of {' '.join(next(said) for _ in range(3))} {at}"
    wants = (
        Constraint(category="content", text=f"with {next(said)} {next(said)}") for _ in range(draw.choice((1, 2, 3)))
    )
    return Instruction.new(text=query, task_type=kind, base_query=query, constraints=tuple(wants))


def write_step(place: Path, kind: str, tables: Iterable[pa.Table]) -> Stored:
    """Tables as the parts of a finished step."""
    entries = list[PartEntry]()
    for index, table in enumerate(tables):
        kept, rejects = place / part_name(index), place / "rejects" / part_name(index)
        write_parquet(rejects, to_table([], Reject))
        write_parquet(kept, table)
        counts = Counts(read=len(table), attempts=len(table), kept=len(table))
        entries.append(
            PartEntry(name=kept.name, sha256=file_digest(kept), rejects_sha256=file_digest(rejects), counts=counts)
        )
    manifest = Manifest(
        step=place.parent.name,
        kind=kind,
        fingerprint=place.name,
        identity={},
        parts=tuple(entries),
        counts=sum((one.counts for one in entries), Counts()),
    )
    write_json(place / "manifest.json", manifest.model_dump(mode="json"))
    return Stored.open(place)


def stored(root: Path, count: int) -> Stored:
    """The tasks as a finished step."""
    tables = (to_table(rows, Instruction) for rows in made_tasks(count))
    return write_step(root / "decompose" / f"{count:032d}", "Instruction", tables)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, all threads, and what the work gave."""
    start = time.process_time()
    given = work()
    return time.process_time() - start, given


def build(root: Path, place: Path) -> dict[str, Any]:
    """A database of a stored step."""
    source = Stored.open(place)
    step = InstructionDatabase(eps=EPS)
    seconds, made = timed(lambda: asyncio.run(execute(step, source, Runtime(root=root))))
    size = sum(file.stat().st_size for file in made.path.rglob("*.parquet"))
    return {"seconds": seconds, "place": str(made.path), "bytes": size, "notes": made.manifest.notes} | _memory()


def simulate(root: Path, place: Path) -> dict[str, Any]:
    """A database whose rows are written as columns: the types clustered as ever, the queries' vectors at random."""
    count = int(place.name)
    types = made_types(count // TASKS_OF_A_TYPE)
    seconds, vectors = timed(lambda: rounded(load_embedder("hashed_ngrams").embed(types)))
    clustered, found = timed(lambda: cluster(vectors, eps=EPS))
    names, kinds = pa.array(types), pa.array(packed(vectors))
    clusters = names.take(pa.array(np.unique(found.labels, return_index=True)[1][found.labels]))
    draw = np.random.default_rng(count)
    blank = DatabaseTask.new(text="", query_vector=b"", type_vector=b"", embedder="hashed_ngrams", constraints=(WANT,))
    one = to_table([blank], DatabaseTask)
    tables = (_simulated(one, start, names, clusters, kinds, draw) for start in range(0, count, PART))
    made = write_step(root / "instruction_database" / f"{count:032d}", "DatabaseTask", tables)
    noted = {"types": len(types), "clusters": found.count, "exact": found.exact, "place": str(made.path)}
    return {"embed": seconds, "cluster": clustered, **noted} | _memory()


def _simulated(one: pa.Table, start: int, names: pa.Array, clusters: pa.Array, kinds: pa.Array, draw: Any) -> pa.Table:
    at = np.arange(start, start + PART)
    of = pa.array(at % len(names))
    vectors = unit_rows(draw.standard_normal((PART, kinds[0].as_buffer().size // 2), dtype=np.float32))
    columns = {
        "id": pa.array([f"{row:032x}" for row in at.tolist()]),
        "task_type": names.take(of),
        "task_cluster": clusters.take(of),
        "base_query": pa.array([f"query {row}" for row in at.tolist()]),
        "query_vector": pa.array(packed(vectors)),
        "type_vector": kinds.take(of),
    }
    table = one.take(pa.array(np.zeros(PART, dtype=np.int64)))
    for name, column in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), column)
    return table


def look_up(root: Path, place: Path) -> dict[str, Any]:
    """One seed, and twenty, against all tasks; then the paper's search over the pool of one."""
    del root
    base = Stored.open(place)
    seeds = next(made_tasks(PART))[:: PART // 20]
    one, (pool,) = timed(lambda: pools(base, seeds[:1], size=20, least=5))
    many, _ = timed(lambda: pools(base, seeds, size=20, least=5))
    embedder = load_embedder("hashed_ngrams")
    walk, found = timed(lambda: search(seeds[0].constraints, pool.tasks, Plan(), embedder, random.Random(1)))
    sets = len(found.states) - 1
    return {"one_seed": one, "twenty_seeds": many, "search": walk, "sets": sets, "pool": len(pool.tasks)} | _memory()


def _memory() -> dict[str, float]:
    return {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


STAGES = {"build": build, "simulate": simulate, "look_up": look_up}


def alone(stage: str, root: Path, place: str) -> dict[str, Any]:
    """A stage in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.tcia_search", "--stage", stage, str(root), place]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def grown(sizes: list[int]) -> list[dict[str, Any]]:
    """Building and searching, size by size."""
    rows = []
    print("    tasks    types  build s  per 1,000  peak MB   disk MB  look up 1 s   20 s  peak MB  search s")
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="tcia_search.") as folder:
            root = Path(folder)
            built = alone("build", root, str(stored(root, size).path))
            looked = alone("look_up", root, built["place"])
        types = built["notes"]["task_types"]
        print(
            f"{size:9,} {types:8,} {built['seconds']:8.1f} {1000 * built['seconds'] / size:10.3f} "
            f"{built['peak_mb']:8.0f} {built['bytes'] / 1e6:9.0f} {looked['one_seed']:12.2f} "
            f"{looked['twenty_seeds']:6.2f} {looked['peak_mb']:8.0f} {looked['search']:9.2f}",
            flush=True,
        )
        rows.append({"tasks": size, "build": built, "look_up": looked})
    return rows


def simulated(count: int) -> dict[str, Any]:
    """Types clustered and seeds looked up, where the rows are simulated."""
    with tempfile.TemporaryDirectory(prefix="tcia_search.") as folder:
        made = alone("simulate", Path(folder), str(count))
        looked = alone("look_up", Path(folder), made["place"])
    print(
        f"\n{count:,} simulated tasks of {made['types']:,} types\n"
        f"{made['clusters']:,} clusters in {made['cluster']:.1f} s ({'all with all' if made['exact'] else 'faiss'}), "
        f"{made['peak_mb']:.0f} MB\n"
        f"one seed looked up in {looked['one_seed']:.1f} s, twenty in {looked['twenty_seeds']:.1f} s, "
        f"{looked['peak_mb']:.0f} MB",
        flush=True,
    )
    return {"tasks": count, "simulate": made, "look_up": looked}


def compared(count: int, probes: list[int]) -> list[dict[str, Any]]:
    """The approximate index against all with all, on the same types."""
    rows = rounded(load_embedder("hashed_ngrams").embed(made_types(count)))
    exact_s, exact = timed(lambda: _pairs(exact_pairs(rows, 1 - EPS), count))
    truth = cluster(rows, eps=EPS, exact_up_to=count)
    print(f"\n{count:,} types, {len(exact):,} pairs, {truth.count:,} clusters; all with all {exact_s:.1f} s")
    print("probes  seconds  times faster  pairs found  types in another cluster")
    results = []
    for probe in probes:
        seconds, found = timed(lambda probe=probe: _pairs(probed_pairs(rows, 1 - EPS, probe), count))  # type: ignore[misc]
        recall = len(np.intersect1d(exact, found, assume_unique=True)) / max(1, len(exact))
        near = cluster(rows, eps=EPS, exact_up_to=0, probes=probe)
        moved = _moved(truth.labels, near.labels)
        print(f"{probe:6} {seconds:8.2f} {exact_s / seconds:13.1f} {recall:12.4f} {moved:12,} of {count:,}", flush=True)
        results.append(
            {"probes": probe, "seconds": seconds, "exact_seconds": exact_s, "recall": recall, "moved": moved}
        )
    return results


def _pairs(blocks: Iterator[Any], count: int) -> Any:
    """Each unordered pair once, as one number."""
    codes = [np.minimum(one, two) * count + np.maximum(one, two) for one, two in blocks]
    return np.unique(np.concatenate(codes))


def _moved(truth: Any, found: Any) -> int:
    """Types that are not with the most of their true cluster: with lost pairs a cluster falls apart."""
    both = np.unique(np.stack([truth, found], axis=1), axis=0, return_counts=True)
    largest = np.zeros(int(truth.max()) + 1, dtype=np.int64)
    np.maximum.at(largest, both[0][:, 0], both[1])
    return int(len(truth) - largest.sum())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000], help="tasks")
    parser.add_argument("--types", type=int, default=20_000, help="types that are compared in both ways")
    parser.add_argument("--probes", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--simulated", type=int, default=0, help="tasks of a database that is written as columns")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--stage", nargs=3, metavar=("NAME", "ROOT", "PLACE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        name, root, place = arguments.stage
        print(json.dumps(STAGES[name](Path(root), Path(place))))
        return
    index = compared(arguments.types, arguments.probes) if arguments.types else []
    sizes = grown(arguments.sizes) if arguments.sizes else []
    million = simulated(arguments.simulated) if arguments.simulated else {}
    if arguments.json:
        write_json(arguments.json, {"index": index, "sizes": sizes, "simulated": million})


if __name__ == "__main__":
    main()
