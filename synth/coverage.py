"""What an EntiGraph corpus covers: the report stored in the step's manifest.

Rows and reject rows carry their `subjects`, so the plan can be read back from them::

    {"documents": 1, "totals": {"entities": 5, "pairs_possible": 10, "pairs_planned": 10, "pairs_kept": 9,
     "pairs_rejected": {"entity_missing": 1}, "pair_coverage": 0.9, …}, "by_document": [{"title": "The Salt Guild", …}]}

Coverage is the share of all entity pairs that stand together in a kept pair text: what the paper's theory says bounds
the knowledge that a student can reach (arXiv 2409.07431, section 6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import comb
from typing import Any

from mashbill.store import Stored

SHOWN = 200
"""Documents listed one by one; the totals are over all."""

_COLUMNS = ["parents", "kind", "subjects", "made", "scores"]
_SIZES = {2: "pairs", 3: "triples"}
_LISTED = ("merged", "absent", "unusable", "capped")


@dataclass
class _Tally:
    """What became of one document."""

    id: str
    title: str
    entities: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """How listed names that did not become an entity were lost."""
    names: set[str] = field(default_factory=set)
    kept: Counter[int] = field(default_factory=Counter)
    rejected: dict[int, Counter[str]] = field(default_factory=lambda: {2: Counter(), 3: Counter()})
    other_rejects: Counter[str] = field(default_factory=Counter)
    summary: bool = False
    tokens: int = 0

    def keep(self, row: dict[str, Any]) -> None:
        """Count a kept row."""
        scores = {score["name"]: int(score["value"]) for score in row["scores"]}
        self.entities = max(self.entities, scores.get("entities", 0))
        self.tokens += row["made"]["completion_tokens"]
        if row["kind"] == "summary":
            self.summary = True
            self.dropped.update({name: scores.get(f"entities_{name}", 0) for name in _LISTED})
        else:
            self.kept[len(row["subjects"])] += 1
            self.names.update(row["subjects"])

    def reject(self, row: dict[str, Any]) -> None:
        """Count a reject row."""
        size = len(row["subjects"])
        if size in _SIZES:
            self.rejected[size][row["reason"]] += 1
        else:
            self.other_rejects[row["reason"]] += 1
        self.names.update(row["subjects"])

    def figures(self) -> dict[str, Any]:
        """The numbers of this document."""
        # Without any kept row the number of entities is only known from the names in the reject rows.
        entities = max(self.entities, len(self.names))
        numbers: dict[str, Any] = {"entities": entities, "pairs_possible": comb(entities, 2)}
        numbers |= {f"names_{name}": self.dropped[name] for name in _LISTED}
        for size, name in _SIZES.items():
            numbers[f"{name}_planned"] = self.kept[size] + self.rejected[size].total()
            numbers[f"{name}_kept"] = self.kept[size]
            numbers[f"{name}_rejected"] = dict(sorted(self.rejected[size].items()))
        numbers["pairs_not_planned"] = numbers["pairs_possible"] - numbers["pairs_planned"]
        numbers["other_rejects"] = dict(sorted(self.other_rejects.items()))
        numbers["summaries"] = int(self.summary)
        numbers["completion_tokens"] = self.tokens
        return numbers


def coverage_report(source: Stored, stored: Stored) -> dict[str, Any]:
    """The report of a stored EntiGraph step over the documents it read."""
    tallies = {
        row["id"]: _Tally(row["id"], row["title"])
        for index in range(len(source))
        for row in source.table(index, ["id", "title"]).to_pylist()
    }
    for index in range(len(stored)):
        for row in stored.table(index, _COLUMNS).to_pylist():
            tallies[row["parents"][0]].keep(row)
        for row in stored.rejects(index, ["parents", "reason", "subjects"]).to_pylist():
            tallies[row["parents"][0]].reject(row)
    documents = [(tally, tally.figures()) for tally in tallies.values()]
    totals = _sum(figures for _, figures in documents)
    return {
        "documents": len(documents),
        "documents_with_fewer_pairs_than_possible": sum(one["pairs_not_planned"] > 0 for _, one in documents),
        "totals": totals | {"pair_coverage": _coverage(totals)},
        "by_document": [
            {"id": tally.id, "title": tally.title, **figures, "pair_coverage": _coverage(figures)}
            for tally, figures in documents[:SHOWN]
        ],
        "by_document_left_off": max(0, len(documents) - SHOWN),
    }


def _coverage(figures: dict[str, Any]) -> float | None:
    """Kept over possible pairs; nothing to cover is None, not full coverage."""
    possible = figures.get("pairs_possible", 0)
    return round(figures["pairs_kept"] / possible, 4) if possible else None


def _sum(every: Iterable[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for figures in every:
        for name, value in figures.items():
            if isinstance(value, dict):
                total[name] = dict(sorted((Counter(total.get(name, {})) + Counter(value)).items()))
            else:
                total[name] = total.get(name, 0) + value
    return total
