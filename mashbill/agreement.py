"""How often two judges agree beyond chance, from labels or from the rows of a finished step.

Forty items that two graders saw, 20 passed by both, 15 failed by both, 5 passed by the first alone ->

    {"first, second": {"items": 40, "agree": 0.875, "kappa": 0.75, "no_verdict": 0,
                       "both_pass": 20, "first_alone": 5, "second_alone": 0, "both_fail": 15}}

What was refused counts with what was kept: of rows alone, which both graders passed, agreement would always be 1.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mashbill.runtime import NO_FAULT
from mashbill.store import Stored

GRADER = "grader:"
"""How the verdict of a grader is named, before its role."""
WAYS = {
    "both_pass": ("pass", "pass"),
    "first_alone": ("pass", "fail"),
    "second_alone": ("fail", "pass"),
    "both_fail": ("fail", "fail"),
}
"""What two graders can say of one item, by who passed it."""


def cohens_kappa(labels: Sequence[tuple[str, str]], agree: Sequence[bool] | None = None) -> float | None:
    """Agreement beyond chance, from 1 (always) over 0 (as their frequencies give) to below; None where chance is all.

    Cohen (1960): (p_o - p_e) / (1 - p_e). `agree` says which pairs agree, where that is not equality of the labels.

    >>> cohens_kappa([("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")])
    0.5
    """
    one, two = Counter(ours for ours, _ in labels), Counter(theirs for _, theirs in labels)
    total = len(labels)
    # In whole numbers up to the division: shares that add up to 1 in theory must do so here.
    chance = sum(one[label] * two[label] for label in one)
    if chance == total * total:
        return None
    agreed = sum(ours == theirs for ours, theirs in labels) if agree is None else sum(agree)
    return (agreed * total - chance) / (total * total - chance)


def weighted_kappa(ours: Sequence[int], theirs: Sequence[int], levels: int) -> float | None:
    """Agreement of two judges on levels from 0, a difference of d levels counting d squared; None where chance is all.

    Cohen (1968) with quadratic weights: 1 - (mean squared difference) / (that of the same marks paired at random).

    >>> weighted_kappa([0, 1, 2, 3], [0, 1, 2, 2], 4), weighted_kappa([0, 3], [3, 0], 4)
    (0.875, -1.0)
    """
    if any(not 0 <= level < levels for level in (*ours, *theirs)):
        raise ValueError(f"a level is outside 0 to {levels - 1}")
    one, two = Counter(ours), Counter(theirs)
    chance = sum(one[a] * two[b] * (a - b) ** 2 for a in one for b in two)
    if not chance:
        return None
    found = sum((a - b) ** 2 for a, b in zip(ours, theirs, strict=True))
    return 1.0 - found * len(ours) / chance


def grader_agreement(made: Stored) -> dict[str, dict[str, Any]]:
    """For each two graders of a finished step how often they agreed, from its rows and its rejects.

    An attempt that says what an earlier one said was judged once and counts once; what was written with the answer in
    sight is judged by other criteria and does not count.
    """
    said: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for verdicts in _verdicts(made):
        graded = {name.removeprefix(GRADER): outcome for name, outcome in verdicts if name.startswith(GRADER)}
        for one, two in itertools.combinations(sorted(graded), 2):
            said.setdefault((one, two), []).append((graded[one], graded[two]))
    return {f"{one}, {two}": _agreement(pairs) for (one, two), pairs in sorted(said.items())}


def _agreement(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    answered = [pair for pair in pairs if set(pair) <= {"pass", "fail"}]
    kappa = cohens_kappa(answered) if answered else None
    return {
        "items": len(answered),
        "agree": round(sum(one == two for one, two in answered) / len(answered), 4) if answered else None,
        "kappa": None if kappa is None else round(kappa, 4),
        "no_verdict": len(pairs) - len(answered),
        **{name: answered.count(pair) for name, pair in WAYS.items()},
    }


_READ = ("verdicts", "reason", "hinted")


def _verdicts(made: Stored) -> Iterator[list[tuple[str, str]]]:
    for index in range(len(made)):
        for table in (made.table(index), made.rejects(index)):
            if "verdicts" not in table.column_names:
                continue  # rows of another type, or rejects from before they had verdicts
            for row in table.select([name for name in _READ if name in table.column_names]).to_pylist():
                reason = row.get("reason", "")
                if not (row.get("hinted") or reason in NO_FAULT or reason.startswith("hinted_")):
                    yield [(one["name"], one["outcome"]) for one in row["verdicts"]]
