"""A stored database of tasks: which kinds of task it has, and those most like a seed's.

::

    meeting summary   3 types, 412 tasks, 377 queries, 655 constraints

The database is a stored step of `DatabaseTask` rows, read part by part: of a million tasks with vectors of 256 numbers
half a gigabyte is read for a search, and of that the rows of one cluster are compared. That comparison is exact at any
size, since a seed is compared once, and a million products take less than reading the vectors. What is compared all
with all is the task types alone (`synth.type_clusters`).
"""

from __future__ import annotations

import functools
import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from mashbill.constraint_sets import constraint_key, set_key
from mashbill.embedding import load_embedder
from mashbill.errors import InputError, StoreError
from mashbill.records import Constraint, DatabaseTask, Instruction, from_table, join_texts
from mashbill.step import Parts
from mashbill.store import Stored
from synth.half_vectors import rounded, unpacked

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SimilarTask:
    """One task of the database that constraints may be taken from."""

    id: str
    task_type: str
    base_query: str
    constraints: tuple[Constraint, ...]
    similarity: float
    """Cosine of its base query with the seed's."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The tasks most like a seed's, the most similar first."""

    tasks: tuple[SimilarTask, ...]
    clusters: tuple[str, ...]
    """The clusters they come from, that of the seed's own task type first."""
    type_similarity: float
    """Cosine of the seed's task type with the nearest one of the database."""


@dataclass(frozen=True, slots=True)
class TypeIndex:
    """Each distinct task type: its cluster, how many tasks have it, its vector."""

    names: tuple[str, ...]
    clusters: tuple[str, ...]
    tasks: tuple[int, ...]
    rows: NDArray[np.float32]
    embedder: str

    @classmethod
    def of(cls, parts: Parts) -> TypeIndex:
        """The task types of a database, in the order of their names.

        Raises:
            InputError: when there is no task.
            StoreError: when its vectors come from two embedders.
        """
        tasks, found = Counter[str](), dict[str, tuple[str, bytes]]()
        embedders = set[str]()
        for part in range(len(parts)):
            table = pl.DataFrame(parts.table(part, ["task_type", "task_cluster", "type_vector", "embedder"]))
            embedders |= set(table["embedder"])
            kinds = table.group_by("task_type").agg(pl.len(), pl.col("task_cluster", "type_vector").first())
            for name, count, where, vector in kinds.iter_rows():
                tasks[name] += count
                found.setdefault(name, (where, vector))
        if not found:
            raise InputError("the database holds no task; read what was rejected on the way to it: `mashbill rejects`")
        if len(embedders) > 1:
            raise StoreError(
                f"the database has vectors of {' and '.join(sorted(embedders))}; build it with one of them"
            )
        names = tuple(sorted(found))
        rows = unpacked(pa.array([found[name][1] for name in names], pa.binary()))
        clusters = tuple(found[name][0] for name in names)
        return cls(names, clusters, tuple(tasks[name] for name in names), rows, embedders.pop())


@functools.lru_cache(maxsize=65_536)
def type_key(task_type: str) -> str:
    """A task type as it is counted and compared.

    >>> type_key("Meeting  Summary."), type_key("meeting-summary")
    ('meeting summary', 'meeting summary')
    """
    return constraint_key(task_type)


def database_at(path: Path) -> Stored:
    """The stored database in a folder.

    Raises:
        StoreError: when there is none, or its rows are no tasks.
    """
    inside = sorted(one.parent.name for one in path.glob("*/manifest.json"))
    if inside and not Stored.finished(path):
        raise StoreError(f"{path}: holds stored steps and is none; name one of them: {join_texts(inside, 4)}")
    found = Stored.open(path)
    if found.kind is not DatabaseTask:
        raise StoreError(f"{path}: holds {found.manifest.kind} rows; a database has DatabaseTask rows")
    return found


def pools(parts: Parts, seeds: Sequence[Instruction], *, size: int, least: int = 1) -> list[Pool]:
    """For each seed the `size` most similar tasks of its own kind.

    The kind is the cluster of the task type nearest to the seed's. Where it has fewer than `least` tasks, the clusters
    of the next nearest types are added until there are so many. The seed itself, where the database has it, is left
    out.

    Raises:
        InputError, StoreError: when the database cannot be searched (see `TypeIndex.of`).
    """
    index = TypeIndex.of(parts)
    embedder = load_embedder(index.embedder)
    types = rounded(embedder.embed([type_key(seed.task_type) for seed in seeds])) @ index.rows.T
    queries = rounded(embedder.embed([seed.base_query for seed in seeds]))
    chosen = [_clusters(index, row, max(least, 1)) for row in types]
    nearest = [_Nearest(size + 1) for _ in seeds]
    for part in range(len(parts)):
        table = pl.DataFrame(parts.table(part, ["task_cluster", "query_vector"])).with_row_index("row")
        for query, clusters, best in zip(queries, chosen, nearest, strict=True):
            some = table.filter(pl.col("task_cluster").is_in(clusters))
            if len(some):
                rows = unpacked(some["query_vector"].to_arrow())
                # In 64 bits and rounded: a product's last bits depend on how many rows are multiplied at once, and
                # equal vectors must tie whatever part they lie in.
                similarity = np.einsum("ij,j->i", rows, query, dtype=np.float64).round(6)
                best.add(part, some["row"].to_numpy(), similarity)
    tasks = _tasks(parts, nearest)
    return [
        Pool(tuple(_without(seed, [tasks[place] for place in best.places()])[:size]), tuple(clusters), float(row.max()))
        for seed, best, clusters, row in zip(seeds, nearest, chosen, types, strict=True)
    ]


def _clusters(index: TypeIndex, similarity: NDArray[np.float32], least: int) -> list[str]:
    """The nearest type's cluster, and the next ones as long as there are too few tasks."""
    tasks = dict[str, int]()
    for cluster, count in zip(index.clusters, index.tasks, strict=True):
        tasks[cluster] = tasks.get(cluster, 0) + count
    chosen, held = list[str](), 0
    for at in np.lexsort((np.arange(len(similarity)), -similarity)):
        cluster = index.clusters[at]
        if held >= least:
            break
        if cluster not in chosen:
            chosen.append(cluster)
            held += tasks[cluster]
    return chosen


class _Nearest:
    """The best of all parts, a few at a time: ties go to the row that comes first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.found = list[tuple[float, int, int]]()

    def add(self, part: int, rows: NDArray[np.uint32], similarity: NDArray[np.float64]) -> None:
        if len(rows) > self.size:
            # All that tie with the last of the best stay in, so that which of them is taken is decided by their places.
            least = np.partition(similarity, -self.size)[-self.size]
            rows, similarity = rows[similarity >= least], similarity[similarity >= least]
        new = [(float(one), -part, -int(row)) for row, one in zip(rows, similarity, strict=True)]
        self.found = heapq.nlargest(self.size, [*self.found, *new])

    def places(self) -> list[tuple[int, int, float]]:
        return [(-part, -row, similarity) for similarity, part, row in self.found]


def _tasks(parts: Parts, nearest: Sequence[_Nearest]) -> dict[tuple[int, int, float], SimilarTask]:
    """The rows at all those places, each part read once."""
    wanted = sorted({place for best in nearest for place in best.places()})
    found = dict[tuple[int, int, float], SimilarTask]()
    for part in sorted({place[0] for place in wanted}):
        table = parts.table(part, ["id", "task_type", "base_query", "constraints"])
        places = [place for place in wanted if place[0] == part]
        rows = table.take([row for _, row, _ in places]).to_pylist()
        for place, row in zip(places, rows, strict=True):
            constraints = tuple(Constraint(**one) for one in row.pop("constraints"))
            found[place] = SimilarTask(**row, constraints=constraints, similarity=place[2])
    return found


def _without(seed: Instruction, tasks: Sequence[SimilarTask]) -> list[SimilarTask]:
    same = constraint_key(seed.base_query), set_key(seed.constraints)
    return [one for one in tasks if (constraint_key(one.base_query), set_key(one.constraints)) != same]


def type_table(stored: Stored) -> pl.DataFrame:
    """One row for each cluster, those with most tasks first: its types, tasks, distinct queries and constraints.

    The paper's database has 1.3 to 4.6 distinct constraints for each distinct query in most types (arXiv 2508.20374).
    """
    columns = ["task_cluster", "task_type", "base_query", "constraints"]
    frames = [pl.DataFrame(stored.table(index, columns)) for index in range(len(stored))]
    rows = pl.concat(frames)
    said = pl.col("constraints").list.explode().struct.field("text").str.to_lowercase()
    constraints = rows.group_by("task_cluster").agg(said.n_unique().alias("constraints"))
    return (
        rows.group_by("task_cluster")
        .agg(
            types=pl.col("task_type").n_unique(),
            tasks=pl.len(),
            queries=pl.col("base_query").str.to_lowercase().n_unique(),
        )
        .join(constraints, on="task_cluster")
        .with_columns(constraints_per_query=pl.col("constraints") / pl.col("queries"))
        .sort(["tasks", "task_cluster"], descending=[True, False])
    )


def tasks_of(stored: Stored, cluster: str) -> list[DatabaseTask]:
    """The tasks of one cluster, in the order of the database."""
    found = list[DatabaseTask]()
    for table in stored:
        frame = pl.DataFrame(table.select(["task_cluster"]))
        keep = frame["task_cluster"] == cluster
        if keep.any():
            found += from_table(table.filter(keep.to_arrow()), DatabaseTask)
    return found
