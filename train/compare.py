"""Two students on the same questions: the difference, how sure it is, and which questions changed.

Questions are paired, so what is hard for both cancels out: the interval of a paired difference is much narrower than
two intervals laid side by side.

::

    measure                before   after   difference (95 %)         won  lost  p
    choice_accuracy        0.310    0.455   +0.145 [+0.085, +0.205]    41    12  0.00008
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mashbill.errors import StoreError
from train.evaluate import EvalResult
from train.intervals import Interval, bootstrap, sign_test
from train.marking import Marked
from train.written import GREEDY

if TYPE_CHECKING:
    from train.generate_eval import WriteResult

Value = tuple[Marked, float]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One measure before and after."""

    measure: str
    questions: int
    before: float
    after: float
    difference: Interval
    """after - before, by paired bootstrap."""
    won: int
    """Questions that became right (or likelier)."""
    lost: int
    p: float
    """McNemar's exact test on won and lost."""

    def row(self) -> tuple[str, str, str, str, str]:
        """Cells for the model card: measure, before, after, difference, interval."""
        change = self.difference
        return (
            f"{self.measure} ({self.questions} questions)",
            f"{self.before:.3f}",
            f"{self.after:.3f}",
            f"{change.value:+.3f} (won {self.won}, lost {self.lost}, p = {self.p:.2g})",
            f"[{change.low:+.3f}, {change.high:+.3f}]",
        )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All measures that both have."""

    differences: tuple[Difference, ...]
    won: tuple[str, ...]
    """Ids of the questions that were wrong and are right, by the primary measure."""
    lost: tuple[str, ...]

    def table(self) -> list[tuple[str, str, str, str, str]]:
        """Rows for `train.model_card.model_card`."""
        return [difference.row() for difference in self.differences]


_MEASURES: dict[str, tuple[str, str]] = {
    "choice_accuracy": ("choice", "correct"),
    "choice_accuracy_sum": ("choice", "correct_sum"),
    "choice_accuracy_pmi": ("choice", "correct_pmi"),
    "short_exact": ("short", "correct"),
    "short_contained": ("short", "contained"),
    "gold_logprob": ("", "gold_logprob"),
}
"""Measure -> kind of question (all where empty) and the field of a marked question."""


def compare(before: EvalResult, after: EvalResult, *, seed: int = 0, by_document: bool = False) -> Comparison:
    """What changed from one student to another.

    `by_document` draws whole documents in the bootstrap: say so to speak about documents not asked about, since
    questions about one document are not independent of each other.

    Raises:
        StoreError: when the two were asked other questions, or judged by another primary.
    """
    if before.questions != after.questions or before.primary != after.primary:
        raise StoreError(
            f"compare: one evaluation has questions {before.questions[:8]} ({before.primary}) and the other "
            f"{after.questions[:8]} ({after.primary}); evaluate both students on one file with one spec"
        )
    pairs = list(zip(before.rows, after.rows, strict=True))
    found = []
    for measure, (kind, field) in _MEASURES.items():
        own = [(old, new) for old, new in pairs if not kind or old.kind == kind]
        if own:
            found.append(_difference(measure, field, own, seed=seed, by_document=by_document))
    return Comparison(
        differences=tuple(found),
        won=tuple(new.id for old, new in pairs if new.correct and not old.correct),
        lost=tuple(new.id for old, new in pairs if old.correct and not new.correct),
    )


def _difference(
    measure: str, field: str, pairs: Sequence[tuple[Marked, Marked]], *, seed: int, by_document: bool
) -> Difference:
    old = [float(getattr(row, field)) for row, _ in pairs]
    new = [float(getattr(row, field)) for _, row in pairs]
    return _paired(measure, old, new, seed=seed, groups=[row.document for row, _ in pairs] if by_document else None)


def compare_written(before: WriteResult, after: WriteResult, *, seed: int = 0) -> Difference | None:
    """What changed in the greedy answers of two students; None where there are none.

    Raises:
        StoreError: when the two were asked other questions.
    """
    if before.questions != after.questions:
        raise StoreError(
            f"compare: one student wrote answers to the questions {before.questions[:8]} and the other to "
            f"{after.questions[:8]}; evaluate both on one file"
        )
    old, new = ({row.id: float(row.right) for row in one.rows if row.draw == GREEDY} for one in (before, after))
    if not old or not new:
        return None
    return _paired("written accuracy", list(old.values()), [new[name] for name in old], seed=seed, groups=None)


def _paired(
    measure: str, old: Sequence[float], new: Sequence[float], *, seed: int, groups: Sequence[str] | None
) -> Difference:
    changes = [after - before for before, after in zip(old, new, strict=True)]
    won, lost = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
    return Difference(
        measure=measure,
        questions=len(old),
        before=sum(old) / len(old),
        after=sum(new) / len(new),
        difference=bootstrap(changes, seed=seed, groups=groups),
        won=won,
        lost=lost,
        p=sign_test(won=won, lost=lost),
    )
