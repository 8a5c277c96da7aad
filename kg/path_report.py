"""What a curriculum covers and whether it came to its end, from its stored rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from mashbill.agreement import grader_agreement
from mashbill.qa_text import letter_of
from mashbill.store import Stored


def curriculum_report(source: Stored, made: Stored, count: int, give_up: int) -> dict[str, Any]:
    """Items by hops, letters and nodes; ``ended`` says in words whether fewer than were wanted are there.

    One report::

        {"ended": "all 240 items accepted", "items": 240, "paths_tried": 301, "items_by_hops": {"1": 83, …},
         "answer_letters": {"A": 61, …}, "answer_letters_chi2": 0.4, "nodes": 135, "nodes_on_items": 118,
         "unique_paths": 1.0, "trace_words": {"median": 180.0, "p90": 260.0},
         "grader_agreement": {"first, second": {"items": 260, "agree": 0.95, "kappa": 0.61, "no_verdict": 2}}}
    """
    rows = _rows(made)
    counts = made.manifest.counts
    ended = f"all {count} items accepted"
    if rows.height < count:
        ended = (
            f"gave up at {rows.height} of {count} items, after {give_up} paths one after another without one; top "
            f"reasons: {_top(counts.rejected)}"
        )
    letters = Counter(_letters(rows))
    nodes = _nodes(source)
    on_items = set(rows["path"].explode().drop_nulls().struct.unnest().select("head", "tail").unpivot()["value"])
    return {
        "ended": ended,
        "items": rows.height,
        "paths_tried": counts.attempts,
        "items_by_hops": _histogram(rows["path"].list.len()),
        "answer_letters": dict(sorted(letters.items())),
        "answer_letters_chi2": round(chi2_even(letters), 2),
        "nodes": len(nodes),
        "nodes_on_items": len(nodes & on_items),
        "unique_paths": round(rows["path"].hash().n_unique() / max(rows.height, 1), 4),
        "trace_words": _words(rows["rationale"]),
        "grader_agreement": grader_agreement(made),
    }


def chi2_even(counts: Counter[str]) -> float:
    """The chi-squared statistic of letters against equal shares: 3 degrees of freedom for four, 16.27 at p = 0.001.

    >>> round(chi2_even(Counter(A=30, B=20, C=25, D=25)), 2)
    2.0
    """
    mean = sum(counts.values()) / max(len(counts), 1)
    return sum((one - mean) ** 2 / mean for one in counts.values()) if mean else 0.0


def _rows(made: Stored) -> pl.DataFrame:
    columns = ["path", "options", "answer", "rationale"]
    return pl.concat([pl.DataFrame(pl.from_arrow(made.table(index, columns))) for index in range(len(made))])


def _letters(rows: pl.DataFrame) -> list[str]:
    return [
        letter_of(options.index(answer)) if answer in options else ""
        for options, answer in rows.select("options", "answer").iter_rows()
        if options
    ]


def _nodes(source: Stored) -> set[str]:
    found = set[str]()
    for index in range(len(source)):
        table = source.table(index, ["head", "tail"])
        found |= {*table.column("head").to_pylist(), *table.column("tail").to_pylist()}
    return found


def _histogram(numbers: pl.Series) -> dict[str, int]:
    return {str(key): count for key, count in sorted(Counter(numbers.to_list()).items())}


def _words(texts: pl.Series) -> dict[str, float]:
    lengths = texts.str.count_matches(r"\S+")
    if not lengths.len():
        return {}
    return {"median": float(lengths.median() or 0), "p90": float(lengths.quantile(0.9) or 0)}  # type: ignore[arg-type]


def _top(rejected: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in Counter(rejected).most_common(3)) or "none"
