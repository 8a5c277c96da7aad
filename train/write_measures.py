"""Sums over written answers: accuracy, pass@k, votes, length, and why answers do not count.

One entry of `written.json`::

    {"questions": 200, "accuracy": {"value": 0.61, "low": 0.54, "high": 0.675}, "pass_at": {"1": {…}, "4": {…}},
     "majority_at": {"4": {…}}, "tokens": {"value": 62.1, …}, "sample_outcomes": {…},
     "outcomes": {"right": 0.61, "wrong": 0.36, "truncated": 0.03}}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from train.intervals import DRAWS, Interval, bootstrap, wilson
from train.pass_at_k import majority, majority_at_k, pass_at_k
from train.written import GREEDY, OUTCOMES, Written


@dataclass(frozen=True, kw_only=True)
class WriteMeasures:
    """What the answers to a set of questions say; None and empty where none were asked for."""

    questions: int
    accuracy: Interval | None
    """Share of greedy answers that are right, with Wilson's interval."""
    pass_at: Mapping[str, Interval]
    """k -> mean over questions of the unbiased pass@k, with a bootstrap interval over questions."""
    majority_at: Mapping[str, Interval]
    """k -> how often the vote of k samples is right, with a bootstrap interval over questions."""
    tokens: Interval | None
    """Written for one answer: greedy where there are greedy answers, else samples."""
    outcomes: Mapping[str, float]
    """Share of the greedy answers by outcome."""
    sample_outcomes: Mapping[str, float]
    """Share of the samples by outcome."""


def by_question(rows: Iterable[Written]) -> dict[str, list[Written]]:
    """The answers to each question, in order."""
    found: dict[str, list[Written]] = {}
    for row in rows:
        found.setdefault(row.id, []).append(row)
    return found


def measure_written(rows: Sequence[Written], ks: Sequence[int], *, seed: int, draws: int = DRAWS) -> WriteMeasures:
    """Sum up written answers."""
    groups = by_question(rows)
    greedy = [row for row in rows if row.draw == GREEDY]
    samples = [[row for row in own if row.draw != GREEDY] for own in groups.values()]
    drawn = all(samples) and bool(samples)
    lengths = [float(row.tokens) for row in greedy] or [
        sum(row.tokens for row in own) / len(own) for own in samples if own
    ]
    return WriteMeasures(
        questions=len(groups),
        accuracy=wilson(sum(row.right for row in greedy), len(greedy)) if greedy else None,
        pass_at={str(k): bootstrap([_pass(own, k) for own in samples], seed=seed, draws=draws) for k in ks}
        if drawn
        else {},
        majority_at={str(k): bootstrap([_vote(own, k) for own in samples], seed=seed, draws=draws) for k in ks if k > 1}
        if drawn
        else {},
        tokens=bootstrap(lengths, seed=seed, draws=draws) if lengths else None,
        outcomes=_shares(greedy),
        sample_outcomes=_shares([row for own in samples for row in own]),
    )


def _pass(own: Sequence[Written], k: int) -> float:
    return pass_at_k(samples=len(own), right=sum(row.right for row in own), k=k)


def _vote(own: Sequence[Written], k: int) -> float:
    right = {row.vote for row in own if row.right}
    return majority_at_k([row.vote for row in own], right.__contains__, k)


def _shares(rows: Sequence[Written]) -> dict[str, float]:
    counts = Counter(row.outcome for row in rows)
    return {name: counts[name] / len(rows) for name in OUTCOMES if counts[name]}


def chosen(own: Sequence[Written]) -> tuple[Written | None, float | None]:
    """What a student says to a question, and how sure it is.

    With samples the answer most of them gave and its share of all of them; without, the greedy answer, of whose
    certainty nothing is known. None where it gave no answer.
    """
    samples = [row for row in own if row.draw != GREEDY]
    if not samples:
        greedy = next((row for row in own if row.answer is not None), None)
        return greedy, None
    vote, share = majority([row.vote for row in samples])
    return next((row for row in samples if row.vote == vote and vote is not None), None), share
