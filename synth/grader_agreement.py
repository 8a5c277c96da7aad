"""How often two graders agree, beyond what chance would do: the four-way table of each pair and Cohen's kappa.

Four attempts judged by two graders, both passed two, both failed one, the second alone failed one -> ``both_pass`` 2,
``both_fail`` 1, ``second_fails`` 1, agreement 0.75, kappa 0.5. An attempt that one of them did not answer is in
``unanswered`` and in no other number.

A kappa near 0 says that two graders agree no more than coins of their own bias: their joint verdict is then worth
little, however many rows pass. kappa = (p_o - p_e) / (1 - p_e) (Cohen 1960).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from mashbill.runtime import NO_FAULT
from mashbill.store import Stored

Outcomes = Mapping[str, str]
"""Grader -> ``pass``, ``fail`` or ``error``, of one attempt."""
_PREFIX = "grader:"


def agreement(judged: Iterable[Outcomes]) -> list[dict[str, Any]]:
    """One row of figures for each pair of graders that judged an attempt together, in the order of their names.

    >>> yes, no = {"a": "pass", "b": "pass"}, {"a": "fail", "b": "fail"}
    >>> agreement([yes, yes, no, {"a": "pass", "b": "fail"}, {"a": "pass", "b": "error"}])[0]["kappa"]
    0.5
    """
    tables: dict[tuple[str, str], Counter[tuple[str, str]]] = {}
    for one in judged:
        for pair in combinations(sorted(one), 2):
            tables.setdefault(pair, Counter())[one[pair[0]], one[pair[1]]] += 1
    return [_figures(pair, tables[pair]) for pair in sorted(tables)]


def _figures(pair: tuple[str, str], table: Counter[tuple[str, str]]) -> dict[str, Any]:
    both, neither = table["pass", "pass"], table["fail", "fail"]
    first, second = table["fail", "pass"], table["pass", "fail"]
    answered = both + neither + first + second
    return {
        "graders": list(pair),
        "both_pass": both,
        "first_fails": first,
        "second_fails": second,
        "both_fail": neither,
        "unanswered": table.total() - answered,
        "agreement": round((both + neither) / answered, 4) if answered else None,
        "kappa": _kappa(both, neither, first, second),
    }


def _kappa(both: int, neither: int, first: int, second: int) -> float | None:
    """None where it is not defined: nothing was judged, or each grader said one and the same thing of everything."""
    count = both + neither + first + second
    if not count:
        return None
    observed = (both + neither) / count
    passed = (both + second) * (both + first) / count**2
    failed = (neither + first) * (neither + second) / count**2
    chance = passed + failed
    return None if chance >= 1 else round((observed - chance) / (1 - chance), 4)


def judged_of(made: Stored) -> Iterator[Outcomes]:
    """What graders said of each attempt of a step, kept or rejected.

    Attempts with the answer in sight are left out, since others judge them, and so are draws that say what an earlier
    one said: that is one judgement.
    """
    for index in range(len(made)):
        for row in made.table(index, ["hinted", "verdicts"]).to_pylist():
            if not row["hinted"]:
                yield _outcomes(row["verdicts"])
        for row in made.rejects(index).select(["reason", "verdicts"]).to_pylist():
            if row["reason"] not in NO_FAULT and not row["reason"].startswith("hinted_"):
                yield _outcomes(row["verdicts"])


def _outcomes(verdicts: Sequence[Mapping[str, str]]) -> Outcomes:
    return {one["name"].removeprefix(_PREFIX): one["outcome"] for one in verdicts if one["name"].startswith(_PREFIX)}
