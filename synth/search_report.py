"""What a search over constraints came to, by hop: sets, how many were new, and which operations were accepted.

::

    {"hops": [{"hop": 1, "sets": 24, "sampled": 17, "unique_ratio": 0.8, "add": {"tried": 10, "accepted": 9,
     "acceptance": 0.9, "present": 1}, …}, …], "pool_tasks": {"least": 20, "most": 20}, "ended": {"queue_full": 1}, …}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import polars as pl

from mashbill.store import Stored
from synth.constraint_search import OPERATIONS, Found

NEW, AGAIN = "accepted", "repeated"


def noted(found: Found) -> dict[str, int]:
    """The counters of one search, as a part stores them: ``hop 1 add accepted``."""
    counts = {f"hop {hop} {name} {outcome}": count for (hop, name, outcome), count in found.outcomes.items()}
    return {**counts, "sets taken": found.taken, "sets found": len(found.states) - 1, f"ended {found.ended}": 1}


def search_report(made: Stored) -> dict[str, Any]:
    """The notes of a finished search step, over all its seeds."""
    counts = made.manifest.counts.noted
    frames = [pl.DataFrame(made.table(index, ["hop", "scores", "source"])) for index in range(len(made))]
    rows = pl.concat(frames) if frames else pl.DataFrame({"hop": []})
    sampled = Counter(rows["hop"].to_list())
    hops = sorted({int(name.split()[1]) for name in counts if name.startswith("hop ")})
    ended = {name.removeprefix("ended "): count for name, count in counts.items() if name.startswith("ended ")}
    return {
        "seeds": sum(ended.values()),
        "sets_taken": counts.get("sets taken", 0),
        "sets_found": counts.get("sets found", 0),
        "sets_sampled": made.manifest.counts.kept,
        "ended": ended,
        "pool_tasks": _range(rows, "pool_tasks"),
        "pool_constraints": _range(rows, "pool_constraints"),
        "hops": [_hop(counts, hop, sampled[hop]) for hop in hops],
    }


def _hop(counts: Mapping[str, int], hop: int, sampled: int) -> dict[str, Any]:
    by_name = {name: _operation(counts, f"hop {hop} {name} ") for name in OPERATIONS}
    new, again = (sum(one.get(outcome, 0) for one in by_name.values()) for outcome in (NEW, AGAIN))
    return {
        "hop": hop,
        "sets": new,
        "sampled": sampled,
        "unique_ratio": round(new / (new + again), 4) if new + again else None,
        **by_name,
    }


def _operation(counts: Mapping[str, int], head: str) -> dict[str, Any]:
    outcomes = {name.removeprefix(head): count for name, count in counts.items() if name.startswith(head)}
    tried = sum(outcomes.values())
    accepted = outcomes.pop(NEW, 0)
    return {
        "tried": tried,
        NEW: accepted,
        "acceptance": round(accepted / tried, 4) if tried else None,
        **dict(sorted(outcomes.items())),
    }


def _range(rows: pl.DataFrame, name: str) -> dict[str, int] | None:
    """The least and the most of a score over the rows; each seed wrote its own on all of its rows."""
    if not len(rows):
        return None
    scores = rows.select(pl.col("scores").list.explode().struct.unnest()).filter(pl.col("name") == name)["value"]
    least, most = scores.min(), scores.max()
    assert isinstance(least, float)
    assert isinstance(most, float)
    return {"least": int(least), "most": int(most)}
