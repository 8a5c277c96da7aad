"""How often a model solves each question: its difficulty, and whether it can teach anything.

A question with a gold answer, eight draws of which two are right -> the same question with ``pass_rate`` 0.25 and
``difficulty`` 4 of 5.

Rollout-based instance filtering (arXiv 2507.05386) drops the questions that a policy never solves (`pass_rate_band`
does); "Bottom-up domain-specific superintelligence" (arXiv 2507.13966) sorts its test items into five bins by the pass
rate of 16 samples. Ask the model that is to be trained: what is hard for a teacher is another question.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from mashbill.ask import Ask
from mashbill.difficulty import difficulty_of
from mashbill.errors import BadReply
from mashbill.records import QA
from mashbill.step import Generator
from synth.rationale_draws import Drawing


@dataclass(frozen=True, kw_only=True)
class PassRate(Drawing, Generator[QA, QA]):
    """Measures how often a model answers each question rightly."""

    draws: int = 8
    """How often each teacher is asked each question; the paper does not say its own number."""
    bins: int = 5
    """Grades of difficulty: 1 for what is nearly always solved, this for what is nearly never. 0 leaves it alone."""

    def __post_init__(self) -> None:
        """Refuse what measures nothing."""
        super().__post_init__()
        if self.bins < 0:
            raise ValueError(f"bins is {self.bins}; it must be 0 or more")
        if not self.compared:
            raise ValueError(f"answers of the task {self.task} are not compared, so none is right; name a matcher")

    async def make(self, record: QA, ask: Ask) -> Iterable[QA]:
        """The question with its pass rate."""
        gold = self.gold_of(record)
        if not gold:
            raise BadReply("no_gold", "the question has no gold answer, so nobody can say which draws are right")
        attempts = await self.attempts(record, ask, gold)
        answers = [one.answer for one in attempts if one.answer is not None]
        rate = sum(one.right for one in attempts) / len(attempts)
        measured = dataclasses.replace(
            record,
            parents=(record.id,),
            pass_rate=rate,
            difficulty=difficulty_of(rate, self.bins) if self.bins else record.difficulty,
            made=answers[-1].made(*answers[:-1]) if answers else dataclasses.replace(record.made, step=self.name),
        )
        return [measured.identified()]
