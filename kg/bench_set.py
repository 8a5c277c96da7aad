"""An evaluation set out of items: so many of each length in each category, with how hard each one is.

Items of held-out paths -> the set; what is over the quota or has no path is rejected::

    {"question": "…", "path": [three edges], "category": "guild", "difficulty": 4, "pass_rate": 0.31, …}

After ICD-Bench (arXiv 2507.13966): 15 categories of 245 items, and five bins of difficulty by the pass rate of a base
student over 16 samples. Measure that first (`pass_rate`); without it the items have no bin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from kg.held_out import path_key
from mashbill.difficulty import difficulty_of
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.generator_run import reject_of
from mashbill.records import QA, Reject, from_table, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored


@dataclass(frozen=True, kw_only=True)
class BenchSet(DatasetStep[QA, QA]):
    """Takes so many items of each length and category, and puts them into bins of difficulty."""

    version = 2

    quota: tuple[int, ...] = (0, 100, 100, 30, 15)
    """Items in each category, of one hop, two hops, and so on."""
    bins: int = 5
    """Bins of difficulty, by equal widths of the pass rate: bin 1 is passed most often."""
    one_per_path: bool = True
    """Whether of several items of one path, walked either way, one alone is taken."""
    seed: int = 7
    """Which items are taken where there are more than wanted, with their ids."""

    def __post_init__(self) -> None:
        """Refuse numbers that take nothing."""
        if not self.quota or min(self.quota) < 0 or not any(self.quota):
            raise ValueError(f"quota is {list(self.quota)}; give a number for each length, and not 0 for all")
        if self.bins < 1:
            raise ValueError(f"bins is {self.bins}; it must be 1 or more")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """What is taken of each part, and why the rest is not."""
        refused = self._refused(parts)
        for index in range(len(parts)):
            kept, rejects = list[QA](), list[Reject]()
            for row in from_table(parts.table(index), QA):
                if bad := refused.get(row.id):
                    rejects.append(reject_of(bad, row, self.name))
                else:
                    kept.append(self._binned(row))
            yield PartOutput(to_table(kept, QA), to_table(rejects, Reject))

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """Items by category, length and bin, for the manifest."""
        rows = [row for index in range(len(made)) for row in from_table(made.table(index), QA)]
        return {
            "items": len(rows),
            "by_category_and_hops": dict(sorted(Counter(f"{_category(row)}, {row.hops} hops" for row in rows).items())),
            "by_difficulty": dict(sorted(Counter(str(row.difficulty) for row in rows).items())),
        }

    def _refused(self, parts: Parts) -> dict[str, BadReply]:
        """Id -> why an item is not taken; all items are ordered by a draw of their own, whatever part they lie in."""
        rows = [row for index in range(len(parts)) for row in from_table(parts.table(index), QA)]
        taken, paths, refused = Counter[tuple[str, int]](), set[Any](), dict[str, BadReply]()
        for row in sorted(rows, key=lambda one: (seed_of(self.seed, one.id), one.id)):
            wanted = self.quota[row.hops - 1] if 0 < row.hops <= len(self.quota) else 0
            place, key = (_category(row), row.hops), path_key(row.path)
            if not row.hops:
                refused[row.id] = BadReply("no_path", "it has no path, so its length is not known")
            elif not wanted:
                refused[row.id] = BadReply("hops_not_wanted", f"it has {row.hops} hops, of which none are wanted")
            elif self.one_per_path and key in paths:
                refused[row.id] = BadReply("path_taken", "another item of this path was taken")
            elif taken[place] >= wanted:
                refused[row.id] = BadReply("quota_full", f"{wanted} items of {place[0]}, {place[1]} hops are taken")
            else:
                taken[place] += 1
                paths.add(key)
        return refused

    def _binned(self, row: QA) -> QA:
        category = _category(row)
        named = row if row.category == category else replace(row, category=category).identified()
        return named if row.pass_rate is None else replace(named, difficulty=difficulty_of(row.pass_rate, self.bins))


def _category(row: QA) -> str:
    return row.category or row.domain or "none"
