"""What each source of a mix is worth: the same student without it, on the same questions, seed by seed.

One student is trained up to where its learning rate begins to fall. From there it is forked: once with the whole mix,
and once for each source with that source left out and the others in its place, each with several seeds for the order of
the data. What a source gave is the measure with the whole mix less the measure without it, paired by question and by
seed::

    source    measure          gain                      per million tokens   per million tokens asked
    made      gold_logprob     +0.412 [+0.330, +0.497]   +1.37                +0.85
    web       gold_logprob     -0.015 [-0.060, +0.031]   -0.05                nothing was asked

A negative gain says that the others would have made better use of its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mashbill.errors import StoreError
from train.evaluate import EvalResult
from train.intervals import DRAWS, Interval

MEASURES = {
    "choice_accuracy": ("choice", "correct"),
    "short_exact": ("short", "correct"),
    "gold_logprob": ("", "gold_logprob"),
}
"""Measure -> kind of question (all where empty) and the field of a marked question."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SourceGain:
    """What leaving one source out of the last part of a training did to one measure."""

    source: str
    measure: str
    questions: int
    seeds: int
    with_it: float
    without_it: float
    gain: Interval
    """With it less without it; a 95 % interval over questions and seeds."""
    by_seed: tuple[float, ...]
    tokens: int
    """Of the source, in one fork with the whole mix."""
    asked_tokens: int
    """What its rows cost: tokens that models read and wrote to make all of them; 0 where nothing was asked."""

    @property
    def per_million_tokens(self) -> float:
        """Gain for each million tokens trained on."""
        return self.gain.value * 1e6 / self.tokens

    @property
    def per_million_asked(self) -> float | None:
        """Gain for each million tokens asked; None where nothing was."""
        return self.gain.value * 1e6 / self.asked_tokens if self.asked_tokens else None


def source_gains(
    source: str,
    whole: Sequence[EvalResult],
    without: Sequence[EvalResult],
    *,
    tokens: int,
    asked_tokens: int = 0,
    seed: int = 0,
) -> list[SourceGain]:
    """The gains of one source by every measure that the questions have; one evaluation for each seed, in one order.

    Raises:
        StoreError: when the students were asked other questions.
    """
    if len({one.questions for one in (*whole, *without)}) != 1 or len(whole) != len(without) or not whole:
        raise StoreError(f"source {source}: its students were not asked the same questions, once for each seed")
    found = []
    for measure, (kind, field) in MEASURES.items():
        mine, others = (_values(results, kind, field) for results in (whole, without))
        if not mine.shape[1]:
            continue
        changes = mine - others
        found.append(
            SourceGain(
                source=source,
                measure=measure,
                questions=mine.shape[1],
                seeds=len(whole),
                with_it=float(mine.mean()),
                without_it=float(others.mean()),
                gain=over_both(changes, seed=seed),
                by_seed=tuple(float(one) for one in changes.mean(axis=1)),
                tokens=tokens,
                asked_tokens=asked_tokens,
            )
        )
    return found


def _values(results: Sequence[EvalResult], kind: str, field: str) -> Floats:
    return np.array(
        [[float(getattr(row, field)) for row in one.rows if not kind or row.kind == kind] for one in results]
    )


def over_both(changes: Floats, *, seed: int, draws: int = DRAWS) -> Interval:
    """The mean of (seeds, questions) with a percentile bootstrap that draws seeds and questions anew.

    Drawing questions alone would call a difference sure that another order of the data undoes. With one seed it is the
    interval over questions, and says nothing of seeds.

    >>> over_both(np.array([[1.0, 1.0], [1.0, 1.0]]), seed=0)
    Interval(value=1.0, low=1.0, high=1.0)
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    seeds, questions = changes.shape
    means = np.empty(draws)
    for at in range(draws):
        weights = np.bincount(rng.integers(0, questions, questions), minlength=questions)
        rows = rng.integers(0, seeds, seeds)
        means[at] = (changes[rows] @ weights).mean() / questions
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(changes.mean()), float(low), float(high))
