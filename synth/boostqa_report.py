"""What a run of `boostqa` counts, and the report that the manifest has of it.

Counters are whole numbers that are stored with the parts and summed, so the report of a run that was killed is that of
one that was not. ::

    {"cells": {"mathematics/4": {"wanted": 20, "have": 20, "not_needed": 1, "tried": 31, "yield": 0.68,
                                 "ended": "filled"}, …},
     "unit": "rows", "wanted": 120, "have": 118, "short": {"law/5": "used_up"},
     "difficulty_degradation": {"before": 1.1, "after": -0.2, "drafts": 96, "rows": 66, "drafts_too_easy": 0.4},
     "drafts": 214, "refinement": {"kept": 101, "upheld": 4, "changed": 9, "unusable": 2}, "writer_overruled": 7}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from mashbill.records import QA
from synth.boostqa_cells import CellRun
from synth.boostqa_target import Target
from synth.boostqa_trail import Refinement, Trail

SCALE = 1000
"""Mean difficulties of several seeds are no whole numbers; counters are, so they count thousandths."""


def count_trail(noted: Counter[str], target: Target, trail: Trail, row: QA | None) -> None:
    """Count what one attempt did; `row` is what was accepted of it, needed or not."""
    noted["drafts"] += trail.drafts
    noted["writer_overruled"] += trail.overruled
    if trail.refinement:
        noted[f"refinement:{trail.refinement}"] += 1
    seed = target.seed_difficulty
    if seed is None or trail.first is None:
        return
    noted["before:too_easy"] += trail.first < target.difficulty
    noted["before:drafts"] += 1
    noted["before:sum"] += round(SCALE * (seed - trail.first))
    if row is not None and row.difficulty is not None:
        noted["after:rows"] += 1
        noted["after:sum"] += round(SCALE * (seed - row.difficulty))


def count_cells(cells: Iterable[CellRun]) -> dict[str, int]:
    """The ends of all cells, for the last part."""
    noted = dict[str, int]()
    for one in cells:
        amounts = {"wanted": one.wanted, "have": one.have, "kept": one.accepted, "spare": one.spare, "tried": one.tried}
        noted |= {f"cell:{one.name}:{name}": amount for name, amount in amounts.items()}
        noted[f"ended:{one.ended}:{one.name}"] = 1
    return noted


def boostqa_report(noted: Mapping[str, int], unit: str) -> dict[str, Any]:
    """The report of a finished step from its counters."""
    cells = _cells(noted, unit)
    short = {name: one["ended"] for name, one in cells.items() if one["ended"] != "filled"}
    report: dict[str, Any] = {
        "unit": unit,
        "cells": cells,
        "wanted": sum(one["wanted"] for one in cells.values()),
        "have": sum(one["have"] for one in cells.values()),
        "short": short,
        "drafts": noted.get("drafts", 0),
        "difficulty_degradation": degradation(noted),
        "refinement": {name: noted.get(f"refinement:{name}", 0) for name in get_args(Refinement) if name},
        "writer_overruled": noted.get("writer_overruled", 0),
    }
    if left := noted.get("seeds_without_labels", 0):
        report["seeds_without_labels"] = left
    return report


def degradation(noted: Mapping[str, int]) -> dict[str, Any]:
    """The mean of seed difficulty less synthetic difficulty: of first drafts, and of rows that were accepted.

    >>> degradation({"before:drafts": 4, "before:sum": 4000, "before:too_easy": 3, "after:rows": 2, "after:sum": -1000})
    {'before': 1.0, 'after': -0.5, 'drafts': 4, 'rows': 2, 'drafts_too_easy': 0.75}
    """
    drafts, rows = noted.get("before:drafts", 0), noted.get("after:rows", 0)
    return {
        "before": round(noted["before:sum"] / SCALE / drafts, 3) if drafts else None,
        "after": round(noted["after:sum"] / SCALE / rows, 3) if rows else None,
        "drafts": drafts,
        "rows": rows,
        "drafts_too_easy": round(noted.get("before:too_easy", 0) / drafts, 3) if drafts else None,
    }


def _cells(noted: Mapping[str, int], unit: str) -> dict[str, dict[str, Any]]:
    cells = dict[str, dict[str, Any]]()
    for key, amount in noted.items():
        kind, _, rest = key.partition(":")
        if kind == "cell":
            name, _, what = rest.rpartition(":")
            cells.setdefault(name, {})[what] = amount
    ended = {
        rest.partition(":")[2]: rest.partition(":")[0] for key in noted if (rest := key.removeprefix("ended:")) != key
    }
    found = dict[str, dict[str, Any]]()
    for name, one in sorted(cells.items()):
        good = one["kept"] + one["spare"]
        found[name] = {
            "wanted": one["wanted"],
            "have": one["have"],
            **({"rows": one["kept"]} if unit == "tokens" else {}),
            "not_needed": one["spare"],
            "tried": one["tried"],
            "yield": round(good / one["tried"], 3) if one["tried"] else None,
            "ended": ended[name],
        }
    return found
