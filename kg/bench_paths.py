"""The paths that are kept for evaluation: drawn by length and kind, none of them open to training.

Triples -> paths of two to five hops, so many for each kind of thing that they end at::

    bench_paths: {held_out: {share: 0.1}, quota: [0, 100, 100, 30, 15]}

After ICD-Bench (arXiv 2507.13966): 15 categories of 100 two-hop, 100 three-hop, 30 four-hop and 15 five-hop items, and
no one-hop. A path's category is the tag of the node it ends at. Give `path_curriculum` the same `held_out`: then no
path is on both sides, whichever way it is walked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kg.held_out import HeldOut
from kg.triple_graph import TripleGraph, triple_graph
from mashbill.errors import InputError
from mashbill.records import Path, Reject, Triple, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored

TENTH = HeldOut(share=0.1)
DRAWS = 4096
"""Paths drawn at a time."""


@dataclass(frozen=True, kw_only=True)
class BenchPaths(DatasetStep[Triple, Path]):
    """Draws held-out paths of each length for each category."""

    version = 2
    accounts_for_rows = False

    held_out: HeldOut = TENTH
    """What is kept from training; with `edges`, each path has an edge that training has not."""
    quota: tuple[int, ...] = (0, 100, 100, 30, 15)
    """Paths wanted in each category, of one hop, two hops, and so on."""
    most_draws: int = 200_000
    """Paths drawn for one length before it is left with what was found."""
    exclude: tuple[str, ...] = ()
    exclude_taxonomic: bool = True
    way: Literal["both", "forwards"] = "both"
    inverses: Mapping[str, str] = field(default_factory=dict)
    seed: int = 7

    def __post_init__(self) -> None:
        """Refuse a rule or quotas that take nothing."""
        if not self.held_out.share:
            raise ValueError("held_out.share is 0, so no path is kept for evaluation; give a share above 0")
        if not self.quota or min(self.quota) < 0 or not any(self.quota):
            raise ValueError(f"quota is {list(self.quota)}; give a number for each length, and not 0 for all")
        if self.most_draws < 1:
            raise ValueError(f"most_draws is {self.most_draws}; it must be 1 or more")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """All paths with the first part; the others have none."""
        whole = triple_graph(parts, self.inverses)
        rows = [
            path for hops, wanted in enumerate(self.quota, 1) if wanted for path in self._drawn(whole, hops, wanted)
        ]
        for index in range(len(parts)):
            yield PartOutput(to_table(rows if index == 0 else [], Path), to_table([], Reject))

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """Paths by length and category, for the manifest."""
        counts: Counter[str] = Counter()
        for row in made.table(0, ["edges", "domain"]).to_pylist():
            counts[f"{row['domain'] or 'no category'}, {len(row['edges'])} hops"] += 1
        return {"paths": dict(sorted(counts.items()))}

    def _drawn(self, whole: TripleGraph, hops: int, wanted: int) -> list[Path]:
        from kg.sample import PathSampler

        graph, names = whole.graph, whole.graph.names.to_pylist()
        tags = [graph.tag(node) for node in range(graph.nodes)]
        sampler = PathSampler(
            graph=graph,
            seed=self.seed,
            hops=hops,
            hop_weights=(*[0.0] * (hops - 1), 1.0),
            exclude=self.exclude,
            exclude_taxonomic=self.exclude_taxonomic,
            way=self.way,
            triple_ids=whole.ids,
        )
        found, seen, counts = list[Path](), set[tuple[int, ...]](), Counter[str]()
        left = self.most_draws
        while left > 0 and any(counts[category] < wanted for category in set(tags)):
            try:
                walks = sampler.walks(min(DRAWS, left))
            except InputError:  # there is no path of this length
                return found
            left -= len(walks)
            for at, walk in enumerate(walks.nodes.tolist()):
                # By number as far as it goes: a record and its id cost more than a draw, and most draws are not taken.
                category, key = tags[walk[-1]], min(tuple(walk), tuple(walk[::-1]))
                if counts[category] >= wanted or key in seen:
                    continue
                seen.add(key)
                said = tuple(names[node] for node in walk)
                if not self.held_out.draws_path(min(said, said[::-1])):
                    continue
                path = sampler.path(walks, at)
                if self.held_out.holds_path(path.edges):
                    counts[category] += 1
                    found.append(replace(path, domain=category, repeat=0).identified())
        return found
