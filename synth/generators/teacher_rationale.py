r"""Worked answers by teachers: drawn several times, checked one by one, and kept with how often they were right.

A question -> the rationale it came with, if any, and one row for each draw that holds::

    {"task": "maths", "question": "Ora sells 3 bags of salt at 4 marks each. How many marks?", "gold": "12",
     "rationale": "Each bag costs 4 marks. 3 * 4 = 12", "answer": "12", "teacher": "main", "draw": 2, "draws": 4,
     "pass_rate": 0.75, "distinct": 2, "skeleton": "3*4=12", …}

After "Knowledge distillation using frontier open-source LLMs" (arXiv 2410.18588: prompts by task), "Distilling
step-by-step" (2305.02301), RFT (2308.01825: many draws, pooled teachers, equations checked, ways of reasoning counted)
and STaR (2203.14465: `hint_draws`). Their code keeps what argues for a wrong answer, runs the text of a model to check
an equation, or ends at the first reply it cannot parse; here each of these is a reason with a count.

What to train on (answer, rationale, or both) is not decided here: the row has both. Which of the rows to keep are
filters' to say: `skeleton_dedup`, `farthest_rationales`, `pass_rate_band`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mashbill.agreement import grader_agreement
from mashbill.ask import Ask
from mashbill.errors import BadReply
from mashbill.records import QA, Rationale
from mashbill.step import Generator
from mashbill.store import Stored
from synth.graders import FAITHFUL, Grading, roles
from synth.rationale_checks import Checking, vote_of
from synth.rationale_draws import Attempt, Drawing, check_hint, hint_of
from synth.rationale_hint import hint_leak
from synth.rationale_prompts import HINT
from synth.rationale_rows import counted_ways, own_rationale, rationale_of, without_repeats


@dataclass(frozen=True, kw_only=True)
class TeacherRationale(Drawing, Checking, Generator[QA, Rationale]):
    """Draws worked answers to a question from one or several teachers and keeps those that hold."""

    version: ClassVar[int] = 2

    keep_gold: bool = True
    """Give the rationale that a question came with too, first: sampled rows are added to it, never put in its place."""
    hint_draws: int = 0
    """For questions that no draw got right: draws with the right answer shown (STaR's rationalisation). They are marked
    `hinted`, kept only when they reach the answer and do not speak of it, and the hint is in no field of the row."""
    hint: str = HINT
    """Follows the question in the prompt of a hinted draw; gets {answer}."""
    faithfulness: Grading = Grading(criteria=FAITHFUL)
    """Who judges hinted rationales besides `grading`: one who knows the answer can write anything before it."""
    round: int = 0
    """Which round of bootstrapping this is; written on the rows."""

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        Drawing.__post_init__(self)
        Checking.__post_init__(self)
        check_hint(self.hint)
        if self.hint_draws < 0 or self.round < 0:
            raise ValueError(f"hint_draws is {self.hint_draws} and round {self.round}; neither may be below 0")
        if self.hint_draws > 1 and self.sampling.temperature == 0:
            raise ValueError(f"hint_draws is {self.hint_draws} at temperature 0, where every draw is the same")
        if self.hint_draws and not self.compared:
            raise ValueError(f"hint_draws is {self.hint_draws}, but answers of the task {self.task} are not compared")

    def engines(self) -> Sequence[str]:
        """The teachers and the graders besides the main engine."""
        return roles(self.teachers, self.grading.graders, self.faithfulness.graders if self.hint_draws else ())

    async def make(self, record: QA, ask: Ask) -> Iterable[Rationale | BadReply]:
        """The question's own rationale, then the draws in order, then the hinted ones."""
        gold = self.gold_of(record)
        attempts = [self.checked(one, record) for one in await self.attempts(record, ask, gold)]
        share = self._pass_rate(record, attempts, gold)
        if not gold and self.compared:
            attempts = self.voted(attempts, self.matcher_for(record), record)
        attempts = await self.all_graded(attempts, record, gold, self.grading, ask)
        hinted = list[Attempt]()
        if self.hint_draws and gold and not any(one.usable for one in attempts):
            hinted = await self._hinted(record, ask, gold)
        made = [self._row(record, one, len(attempts), share, hinted=False) for one in attempts]
        made += [self._row(record, one, len(attempts), share, hinted=True) for one in hinted]
        if self.keep_gold and not self.answer_only:
            own = own_rationale(record, self.task, self.name, round=self.round, draws=len(attempts), pass_rate=share)
            made = [*([own] if own else []), *made]
        labels = self.matcher_for(record) if self.answer_only and self.compared else None
        return counted_ways(without_repeats(made, labels))

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """For the manifest: how often each two graders agreed on what they were both asked about."""
        found = grader_agreement(made) if len(self.grading.graders) > 1 else {}
        return {"graders": found} if found else {}

    def _pass_rate(self, record: QA, attempts: Sequence[Attempt], gold: Sequence[str]) -> float | None:
        """Of all draws, those with the right answer; without a gold answer, those with the most frequent one.

        One draw without a gold answer agrees with itself: that measures nothing.
        """
        if gold:
            return sum(one.right for one in attempts) / len(attempts)
        if not self.compared or len(attempts) < 2:
            return None
        vote = vote_of(attempts, self.matcher_for(record), record)
        return 0.0 if vote is None else vote.share

    async def _hinted(self, record: QA, ask: Ask, gold: Sequence[str]) -> list[Attempt]:
        hint = hint_of(self.hint, gold[0])
        drawn = await self.attempts(record, ask, gold, hint=hint, draws=self.hint_draws)
        attempts = [self._unleaked(self.checked(one, record), gold[0]) for one in drawn]
        for grading in (self.grading, self.faithfulness):
            attempts = await self.all_graded(attempts, record, gold, grading, ask)
        return attempts

    def _unleaked(self, attempt: Attempt, answer: str) -> Attempt:
        if not attempt.usable or attempt.worked is None:
            return attempt
        found = hint_leak(f"{attempt.worked.rationale}\n{attempt.worked.answer}", self.hint, answer)
        return attempt.rejected("hint_leaked", found) if found else attempt.passed("hint_hidden")

    def _row(
        self, record: QA, attempt: Attempt, draws: int, share: float | None, *, hinted: bool
    ) -> Rationale | BadReply:
        if attempt.bad is not None or attempt.worked is None or attempt.answer is None:
            bad = attempt.reject()
            reason = f"hinted_{bad.reason}" if hinted else bad.reason
            return BadReply(
                reason, bad.detail, text=bad.text, asks=bad.asks, subjects=bad.subjects, verdicts=bad.verdicts
            )
        return rationale_of(
            record,
            self.task,
            round=self.round,
            rationale=attempt.worked.rationale,
            answer=attempt.worked.answer,
            teacher=attempt.teacher,
            draw=attempt.draw,
            draws=draws,
            pass_rate=share,
            hinted=hinted,
            exemplars=attempt.shown.ids,
            verdicts=attempt.verdicts,
            made=attempt.answer.made(),
        )
