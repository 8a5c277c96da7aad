"""A row of a database of tasks, with its vectors."""

from __future__ import annotations

from mashbill.embedding import load_embedder
from mashbill.records import Constraint, DatabaseTask
from synth.half_vectors import packed


def task(cluster: str, query: str) -> DatabaseTask:
    """One task of a cluster, found by its query."""
    vector = packed(load_embedder("hashed_ngrams").embed([query]))[0]
    return DatabaseTask.new(
        text=query,
        task_type=cluster,
        task_cluster=cluster,
        base_query=query,
        constraints=(Constraint(category="style", text="Be brief"),),
        query_vector=vector,
        type_vector=vector,
        embedder="hashed_ngrams",
    )
