"""What a dedup took out, in the manifest: clusters, and how much of each source's rows went.

One step's rejects in -> out: ``{"clusters": 41, "largest_clusters": {"09ab…": 12, …}, "within_source": 80,
"across_sources": 33, "most_removed_sources": {"77c0…": {"rows": 240, "removed": 61}, …}}``; a cluster's number is of
the rows of it that went.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mashbill.store import Stored

SHOWN = 10


def near_report(source: Stored, stored: Stored) -> Mapping[str, Any]:
    """Counts over all parts."""
    clusters, removed, rows, within = Counter[str](), Counter[str](), Counter[str](), 0
    for index in range(len(stored)):
        rejects = stored.rejects(index, ["cluster", "source_id", "detail"]).to_pylist()
        clusters.update(one["cluster"] for one in rejects if one["cluster"])
        removed.update(one["source_id"] for one in rejects)
        within += sum("within one source" in one["detail"] for one in rejects)
        rows.update(source.table(index, ["source_id"]).column("source_id").to_pylist())
    total = removed.total()
    worst = sorted(removed, key=lambda one: (-removed[one] / rows[one], -removed[one], one))[:SHOWN]
    return {
        "clusters": len(clusters),
        "largest_clusters": dict(_most(clusters)),
        "within_source": within,
        "across_sources": total - within,
        "most_removed_sources": {name: {"rows": rows[name], "removed": removed[name]} for name in worst},
    }


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:SHOWN]
