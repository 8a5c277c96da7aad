r"""How often a judge is wrong about constraints, where code knows better.

Verdicts ``judge:r.2`` pass and ``code:r.2`` fail on one row -> the judge passed what code says is broken::

    {"checked": 40, "wrong": 9, "error_rate": 0.225, "passed_wrongly": 8, "failed_wrongly": 1, "kappa": 0.41,
     "no_verdict": 2}

Kept rows and rejects count alike: of kept rows alone a judge would never be wrong. Only pairs where both answered can
be compared; what the judge did not answer is counted beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mashbill.agreement import cohens_kappa
from mashbill.store import Stored

YES_NO = frozenset({"pass", "fail"})


def judge_errors(made: Stored, round_: str) -> dict[str, Any]:
    """The judge against code over all rows and rejects of a finished step, in one round."""
    pairs, unanswered = list[tuple[str, str]](), 0
    for index in range(len(made)):
        for table in (made.table(index), made.rejects(index)):
            for verdicts in table.column("verdicts").to_pylist():
                ours, missing = compared(((one["name"], one["outcome"]) for one in verdicts), round_)
                pairs += ours
                unanswered += missing
    return counted(pairs, unanswered)


def compared(verdicts: Iterable[tuple[str, str]], round_: str) -> tuple[list[tuple[str, str]], int]:
    """Judge and code on each constraint that both answered, and how many the judge did not answer.

    >>> compared([("judge:1.1", "pass"), ("code:1.1", "fail"), ("judge:1.2", "error"), ("code:1.2", "pass")], "1")
    ([('pass', 'fail')], 1)
    """
    said = dict(verdicts)
    pairs, unanswered = list[tuple[str, str]](), 0
    for name, code in said.items():
        who, _, where = name.partition(":")
        if who != "code" or not where.startswith(f"{round_}.") or code not in YES_NO:
            continue
        judge = said.get(f"judge:{where}")
        if judge in YES_NO:
            pairs.append((str(judge), code))
        else:
            unanswered += judge is not None
    return pairs, unanswered


def counted(pairs: list[tuple[str, str]], unanswered: int) -> dict[str, Any]:
    """The counts and the rate; None where there was nothing to compare."""
    wrong = sum(judge != code for judge, code in pairs)
    kappa = cohens_kappa(pairs) if pairs else None
    return {
        "checked": len(pairs),
        "wrong": wrong,
        "error_rate": round(wrong / len(pairs), 4) if pairs else None,
        "passed_wrongly": pairs.count(("pass", "fail")),
        "failed_wrongly": pairs.count(("fail", "pass")),
        "kappa": None if kappa is None else round(kappa, 4),
        "no_verdict": unanswered,
    }
