"""Sums over marked questions: accuracies with Wilson's interval, likelihoods with a bootstrap, whole and by slice.

A slice of `evaluation.json`::

    {"by": "hops", "value": "2", "measures": {"questions": 40, "choice_accuracy": {"value": 0.45, "low": 0.31,
     "high": 0.6}, "choice_accuracy_sum": {…}, "choice_accuracy_pmi": {…}, "gold_logprob": {…}, …}}
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from train.intervals import DRAWS, Interval, bootstrap, wilson
from train.marking import Marked

SLICE_DRAWS = 1_000
"""Resamples for a slice: there may be one for each of a thousand documents."""


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What a set of questions says; None where the set has no question of that kind."""

    questions: int
    choices: int
    shorts: int
    choice_accuracy: Interval | None
    """By the primary choosing."""
    choice_accuracy_per_character: Interval | None
    choice_accuracy_sum: Interval | None
    choice_accuracy_pmi: Interval | None
    short_exact: Interval | None
    short_contained: Interval | None
    gold_logprob: Interval
    """Per token of the answer, mean over questions of both kinds: moves long before an accuracy does."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The questions of one document, number of hops, or kind."""

    by: str
    value: str
    measures: Measures


def measure(rows: Sequence[Marked], *, seed: int, draws: int = DRAWS) -> Measures:
    """Sum up marked questions."""
    choices = [row for row in rows if row.kind == "choice"]
    shorts = [row for row in rows if row.kind == "short"]
    logprobs = [row.gold_logprob for row in rows]
    return Measures(
        questions=len(rows),
        choices=len(choices),
        shorts=len(shorts),
        choice_accuracy=_share(row.correct for row in choices),
        choice_accuracy_per_character=_share(row.correct_per_character for row in choices),
        choice_accuracy_sum=_share(row.correct_sum for row in choices),
        choice_accuracy_pmi=_share(row.correct_pmi for row in choices),
        short_exact=_share(row.correct for row in shorts),
        short_contained=_share(row.contained for row in shorts),
        gold_logprob=bootstrap(logprobs, seed=seed, draws=draws),
    )


def _share(marks: Iterable[bool | None]) -> Interval | None:
    listed = [bool(mark) for mark in marks]
    return wilson(sum(listed), len(listed)) if listed else None


def slices_of(rows: Sequence[Marked], *, seed: int) -> tuple[Slice, ...]:
    """Every value of document, hops and kind with its own sums, in order."""
    found = []
    for by in ("document", "hops", "kind"):
        values = sorted({getattr(row, by) for row in rows})
        for value in values:
            own = [row for row in rows if getattr(row, by) == value]
            found.append(Slice(by=by, value=str(value), measures=measure(own, seed=seed, draws=SLICE_DRAWS)))
    return tuple(found)
