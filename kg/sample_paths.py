"""Paths through the graph that all triples make, a fixed number of them.

Triples ``salt made_by Ora`` and ``salt sold_in Veylund`` -> one path of two hops::

    {"edges": [{"head": "Ora", "relation": "inverse of made_by", "tail": "salt", "inverse": true, "stated": "made_by"},
               {"head": "salt", "relation": "sold_in", "tail": "Veylund", "inverse": false, "stated": ""}],
     "parents": ["6f1c…", "77c0…"], "repeat": 0, …}

How they are drawn, and where the numbers come from, stands in `kg.sample`; every path counts as accepted at once. A
path's parents are the triples it goes over, so `mashbill trace` leads from it to their lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mashbill.records import Path, Reject, Triple, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored

COLUMNS = ("id", "head", "relation", "tail")


@dataclass(frozen=True, kw_only=True)
class SamplePaths(DatasetStep[Triple, Path]):
    """Draws paths that cover a graph evenly, from sources that few paths stand on so far."""

    accounts_for_rows = False

    paths: int = 1000
    """How many."""
    seed: int = 0
    hops: int = 3
    """The longest path."""
    hop_weights: tuple[float, ...] = ()
    """A weight for each length from 1 to `hops`; empty: all alike."""
    eps: float = 1.0
    """Sources are drawn in proportion to 1 / (paths that a node stands on + eps)."""
    exclude: tuple[str, ...] = ()
    """Relations that are never walked."""
    exclude_taxonomic: bool = True
    """Whether relations that sort things into kinds (isa, belongs_to, …) are not walked either."""
    way: Literal["both", "forwards"] = "both"
    """Whether edges are walked backwards too, said then by their inverse label."""
    inverses: Mapping[str, str] = field(default_factory=dict)
    """Relation -> how it is said backwards; else ``inverse of`` it."""
    start: Literal["balanced", "uniform"] = "balanced"
    """``uniform`` draws sources without regard to counts, to compare with."""

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        from kg.sample import check_numbers

        if self.paths < 1:
            raise ValueError(f"paths is {self.paths}; wanted 1 or more")
        check_numbers(self.hops, self.hop_weights, self.eps)

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """Paths for each part of the triples, as many as its share of the parts; together `paths`."""
        from kg.load_graph import graph_of_tables
        from kg.sample import PathSampler

        tables = [parts.table(index, COLUMNS) for index in range(len(parts))]
        graph = graph_of_tables(tables, self.inverses)
        ids = pa.chunked_array([chunk for table in tables for chunk in table.column("id").chunks], pa.string())
        sampler = PathSampler(
            graph,
            seed=self.seed,
            hops=self.hops,
            hop_weights=self.hop_weights,
            eps=self.eps,
            exclude=self.exclude,
            exclude_taxonomic=self.exclude_taxonomic,
            way=self.way,
            start=self.start,
            triple_ids=ids.combine_chunks(),
        )
        none = to_table([], Reject)
        for index in range(len(parts)):
            wanted = self.paths * (index + 1) // len(parts) - self.paths * index // len(parts)
            walks = sampler.walks(wanted)
            yield PartOutput(to_table([sampler.path(walks, at) for at in range(wanted)], Path), none)

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """For the manifest: what the paths cover."""
        from kg.coverage import Coverage
        from kg.load_graph import graph_of_tables

        graph = graph_of_tables([source.table(index, COLUMNS) for index in range(len(source))], self.inverses)
        walked = graph.without(self.exclude, taxonomic=self.exclude_taxonomic)
        chunks = [chunk for index in range(len(made)) for chunk in made.table(index, ["edges"]).column("edges").chunks]
        rows = [_nodes(chunk, graph.names, self.hops) for chunk in chunks]
        return {"coverage": Coverage.of(rows, graph.nodes, int(np.count_nonzero(walked.degrees))).as_notes()}


def _nodes(paths: pa.ListArray, names: pa.Array, hops: int) -> npt.NDArray[np.int32]:
    """The numbers of the nodes of each path, a row each, -1 beyond its end."""
    lengths, edges = paths.value_lengths().to_numpy(), paths.flatten()
    head, tail = (
        pc.index_in(edges.field(name).cast(pa.large_string()), value_set=names).to_numpy() for name in ("head", "tail")
    )
    rows = np.full((len(paths), hops + 1), -1, np.int32)
    starts = np.cumsum(lengths) - lengths
    row = np.repeat(np.arange(len(paths)), lengths)
    rows[row, 1 + np.arange(len(edges)) - starts[row]] = tail
    rows[:, 0] = head[starts]
    return rows
