"""Where a student is weak: accuracy by group with its interval, and what it gets wrong while it is sure.

Thirty questions in three groups -> one line a group::

    >>> answers = [Answered(groups=(name,), right=at < right, sure=-0.1)
    ...            for name, right in (("salt", 9), ("lamps", 2)) for at in range(10)]
    >>> for one in group_scores(answers, smoothing=4):
    ...     print(one.name, one.asked, one.accuracy, round(one.smoothed, 3), round(one.low, 2), round(one.high, 2))
    lamps 10 0.2 0.3 0.06 0.51
    salt 10 0.9 0.8 0.6 0.98

What counts is the smoothed accuracy: as if each group had been asked `smoothing` more questions and had got the overall
share of them right, so that a group of two questions proves little. Intervals are Wilson's, of what was measured.

A wrong answer is a *confident error* when the student finds it at least as likely as it finds the answers that it gets
right, on average: what PGKD (2411.05045, section 3.3) calls hard negatives and puts into the teacher's prompt.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from mashbill.intervals import wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One question that a student was asked."""

    groups: tuple[str, ...]
    right: bool
    sure: float | None = None
    """Log-probability for each character of the answer it gave; None where nobody measured it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupScore:
    """One group of questions."""

    name: str
    asked: int
    right: int
    accuracy: float
    low: float
    high: float
    """Wilson's 95 % interval."""
    smoothed: float
    """What counts as its accuracy where a budget is shared out."""
    confident_errors: int


def group_scores(answers: Sequence[Answered], *, smoothing: float) -> list[GroupScore]:
    """Every group by name; a question of two groups counts in both, one of none only in the overall accuracy.

    Raises:
        ValueError: for a smoothing below 0.
    """
    if smoothing < 0:
        raise ValueError(f"smoothing is {smoothing}; it is a number of questions, 0 or more")
    confident, overall = set(confident_errors(answers)), accuracy_of(answers)
    members = defaultdict[str, list[int]](list)
    for at, one in enumerate(answers):
        for name in one.groups:
            members[name].append(at)
    found = []
    for name, own in sorted(members.items()):
        right = sum(answers[at].right for at in own)
        sure = wilson(right, len(own))
        found.append(
            GroupScore(
                name=name,
                asked=len(own),
                right=right,
                accuracy=sure.value,
                low=sure.low,
                high=sure.high,
                smoothed=(right + smoothing * overall) / (len(own) + smoothing),
                confident_errors=len(confident.intersection(own)),
            )
        )
    return found


def accuracy_of(answers: Sequence[Answered]) -> float:
    """The share that is right; 0 of none."""
    return sum(one.right for one in answers) / len(answers) if answers else 0.0


def confident_errors(answers: Sequence[Answered]) -> list[int]:
    """The places of the confident errors, surest first; none where nothing that was right was measured.

    >>> confident_errors([Answered(groups=(), right=True, sure=-1.0), Answered(groups=(), right=False, sure=-0.5),
    ...                   Answered(groups=(), right=False, sure=-3.0)])
    [1]
    """
    right = [one.sure for one in answers if one.right and one.sure is not None]
    if not right:
        return []
    limit = statistics.fmean(right)
    wrong = [(-one.sure, at) for at, one in enumerate(answers) if not one.right and one.sure is not None]
    return [at for doubt, at in sorted(wrong) if -doubt >= limit]
