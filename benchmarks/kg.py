"""How fast a large graph is loaded and walked, in how many bytes, and how that compares with networkx.

A made graph of 10 million edges between a million nodes, whose degrees follow a power law, is written as tab-separated
lines, loaded, and walked on one core. Then a graph of 200,000 edges, which networkx can hold, is walked by both in
turn, by the same law: in networkx over the dictionaries of a `MultiDiGraph`, with sources taken or left by their
weight, which costs it little. Times are of the processor, all threads together, so that they do not depend on what
else the machine does; wall time of loading stands beside.

On one core of a shared 2-core machine (processor time): loading 10 million edges takes 16 s, of which reading and
numbering names is three quarters; 14.6 bytes an edge; 310,000 paths a second, and 156 times those of networkx on the
small graph.

    .venv/bin/python -m benchmarks.kg --json runs/kg.json
    .venv/bin/python -m benchmarks.kg --edges 100000 --paths 20000     # a smoke run of seconds
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from kg.graph import Graph, relations_of
from kg.load_columns import file_columns, numbered
from kg.load_graph import load_graph
from kg.load_rows import Columns
from kg.sample import PathSampler
from kg.to_networkx import to_networkx
from mashbill.disk import write_json

if TYPE_CHECKING:
    import networkx as nx

SMALL = 200_000
"""Edges of the graph that both walk."""
RELATIONS = 50
THREADS = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=int, default=10_000_000)
    parser.add_argument("--paths", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args(arguments)
    if any(os.environ.get(name) != "1" for name in THREADS):
        # polars and numba make their threads when they are imported: so once more, with one.
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.kg", *(arguments or sys.argv[1:])], _single())
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    numbers: dict[str, Any] = {"edges": options.edges, "paths": options.paths}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.tsv"
        written(path, options.edges)
        numbers |= load(path)
        graph = load_graph(path)
    numbers |= {"nodes": graph.nodes, "distinct_edges": graph.edges, "bytes_per_edge": graph.bytes_per_edge}
    print(f"{'':<26}{graph.bytes_per_edge:>12.1f} bytes an edge (at most 24), names apart")
    numbers |= walk(graph, options.paths)
    del graph
    numbers |= compare(min(SMALL, options.edges))
    if options.json:
        write_json(options.json, numbers)


def _single() -> dict[str, str]:
    return {**os.environ, **dict.fromkeys(THREADS, "1")}


def ends(edges: int, seed: int = 1) -> tuple[np.ndarray[Any, Any], ...]:
    """Head, relation and tail of each edge; a tenth as many nodes as edges, drawn by a power of their rank."""
    draw, nodes = np.random.default_rng(seed), max(edges // 10, 10)
    chances = np.cumsum((np.arange(nodes) + 10.0) ** -0.8)
    order = draw.permutation(nodes)
    head, tail = (order[np.searchsorted(chances, draw.random(edges) * chances[-1])] for _ in range(2))
    return head, draw.integers(0, RELATIONS, edges), tail


def written(path: Path, edges: int) -> None:
    """The graph as lines, with names as long as those of people and things."""
    head, relation, tail = ends(edges)
    names = pl.Series([f"entity number {node}" for node in range(max(edges // 10, 10))])
    relations = pl.Series([f"relation_{one}" for one in range(RELATIONS)])
    table = pl.DataFrame({"h": names.gather(head), "r": relations.gather(relation), "t": names.gather(tail)})
    table.write_csv(path, separator="\t", include_header=False)


def load(path: Path) -> dict[str, float]:
    """Seconds of each part of loading, of one core."""
    start, wall = time.process_time(), time.perf_counter()
    columns = file_columns(path, Columns())
    assert columns is not None
    read = time.process_time()
    table = numbered(*columns)
    assert table is not None
    coded = time.process_time()
    del columns
    graph = Graph.build(
        table.names, relations_of(table.relations), table.head, table.relation, table.tail, keep_rows=False
    )
    built = time.process_time()
    print(f"{graph.edges:,} distinct edges, {graph.nodes:,} nodes, {path.stat().st_size / 1e6:,.0f} MB of lines\n")
    parts = {"read_seconds": read - start, "number_seconds": coded - read, "sort_seconds": built - coded}
    total = {**parts, "load_seconds": built - start, "load_wall_seconds": time.perf_counter() - wall}
    for name, seconds in total.items():
        print(f"{name.removesuffix('_seconds').replace('_', ' '):<26}{seconds:>12.1f} s")
    return total


def walk(graph: Graph, count: int) -> dict[str, float]:
    """Paths a second of one core, and what each of the steps takes."""
    sampler = PathSampler(graph)
    sampler.walks(100)  # compiles, or loads what was compiled
    first = time.process_time()
    walks = sampler.walks(count)
    drawn = time.process_time()
    few = min(count, 20_000)
    records = [sampler.path(walks, at) for at in range(few)]
    made = time.process_time()
    one_hop = PathSampler(graph, hops=1)
    one_hop.walks(100)
    before = time.process_time()
    one_hop.walks(count)
    sources = time.process_time() - before
    found = {
        "paths_per_second": count / (drawn - first),
        "paths_of_one_hop_per_second": count / sources,
        "records_per_second": len(records) / (made - drawn),
        "sources_per_path": sampler.tries / sampler.drawn,
    }
    print(f"\n{'paths of 1 to 3 hops':<26}{found['paths_per_second']:>12,.0f} a second of one core (100,000 wanted)")
    print(f"{'paths of 1 hop':<26}{found['paths_of_one_hop_per_second']:>12,.0f}")
    print(f"{'paths as records':<26}{found['records_per_second']:>12,.0f}")
    return found


def compare(edges: int) -> dict[str, float]:
    """The same law, the same graph, the same run: ours over networkx's."""
    head, relation, tail = ends(edges)
    nodes = max(edges // 10, 10)
    names = pa.array([f"entity number {node:08d}" for node in range(nodes)], pa.large_string())
    graph = Graph.build(names, relations_of([f"relation_{one:02d}" for one in range(RELATIONS)]), head, relation, tail)
    theirs = NetworkxWalk(to_networkx(graph))
    ours = PathSampler(graph)
    ours.walks(100)
    rates: dict[str, list[float]] = {"ours": [], "networkx": []}
    for _ in range(3):  # in turn, so that a slow minute of the machine slows both
        before = time.process_time()
        ours.walks(100_000)
        between = time.process_time()
        for _ in range(3000):
            theirs.path()
        after = time.process_time()
        rates["ours"].append(100_000 / (between - before))
        rates["networkx"].append(3000 / (after - between))
    found = {name: max(one) for name, one in rates.items()}
    ratio = found["ours"] / found["networkx"]
    print(f"\n{graph.edges:,} edges: {found['ours']:,.0f} paths a second of one core")
    print(f"{'networkx':<26}{found['networkx']:>12,.0f} paths a second: {ratio:,.0f} x (50 wanted)")
    return {
        "small_edges": graph.edges,
        "small_ours": found["ours"],
        "small_networkx": found["networkx"],
        "ratio": ratio,
    }


@dataclass
class NetworkxWalk:
    """Algorithm 1 with eps = 1 over a `MultiDiGraph`, as one would write it with some care."""

    graph: nx.MultiDiGraph
    hops: int = 3
    random: random.Random = field(default_factory=lambda: random.Random(1))

    def __post_init__(self) -> None:
        self.nodes = [node for node in self.graph if self.graph.degree(node)]
        self.frequency = dict.fromkeys(self.nodes, 0)

    def path(self) -> list[Any]:
        """One path, counted."""
        hops = self.random.randint(1, self.hops)
        while True:
            nodes = [self._source()]
            while len(nodes) <= hops:
                pairs = [
                    (relation, end)
                    for near in (self.graph.succ, self.graph.pred)
                    for end, relations in near[nodes[-1]].items()
                    if end not in nodes
                    for relation in relations
                ]
                if not pairs:
                    break
                nodes.append(self.random.choice(pairs)[1])
            if len(nodes) > hops:
                for node in nodes:
                    self.frequency[node] += 1
                return nodes

    def _source(self) -> Any:
        while True:
            node = self.random.choice(self.nodes)
            if self.random.random() * (self.frequency[node] + 1) < 1:
                return node


if __name__ == "__main__":
    main()
