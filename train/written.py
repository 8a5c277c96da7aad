r"""One written answer and what was made of it; a row of `written.parquet`.

A student that was taught rationale and answer, asked ``2 + 3 * 4?``, drawn for the third time::

    {"id": "q1", "draw": 2, "text": " 3 * 4 = 12, and 2 + 12 = 14.\nAnswer: 14", "answer": "14", "vote": "14",
     "outcome": "right", "finish": "stop", "tokens": 21, …}

An answer that was cut short is never right, whatever stands in it: ``Answer: 12`` may have become 125.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from mashbill.errors import BadReply, InputError
from mashbill.matching import Matcher
from train.questions import Question
from train.supervision import Supervision
from train.write_spec import WriteSpec, judge_of

if TYPE_CHECKING:
    from train.sampler import Text

Outcome = Literal[
    "right", "wrong", "unreadable", "no_final_answer", "two_final_answers", "truncated", "no_room", "error"
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""``unreadable``: the matcher finds no such answer in it (a number was wanted); ``truncated``: longer than
`most_tokens`; ``no_room``: the student's context was full; ``error``: the matcher could not compare."""

GREEDY = -1
"""The `draw` of the greedy answer."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """One answer of one student to one question."""

    id: str
    document: str
    kind: str
    hops: int
    question: str
    gold: str
    draw: int
    """Which sample, from 0; -1 is the greedy answer."""
    text: str
    """All that was written."""
    answer: str | None
    """The final answer; None where there is none to be found."""
    vote: str | None
    """The first answer among the question's samples that is the same as this one: equal votes are equal text."""
    outcome: Outcome
    finish: str
    tokens: int

    @property
    def right(self) -> bool:
        """Whether it answers, and answers right."""
        return self.outcome == "right"


@dataclass(frozen=True)
class Judge:
    """Finds the final answer of a text and compares it with the gold ones."""

    matcher: Matcher
    whole: bool
    """A text that marks no answer is the answer: the student was taught to write nothing else."""

    @classmethod
    def of(cls, matcher: Matcher, supervision: Supervision) -> Judge:
        """For students of a target: what leads to the answer in training is what it is found by."""
        if supervision.target != "full_cot":
            return cls(matcher, whole=True)
        lead = supervision.answer_lead.strip()
        markers = matcher.markers if not lead or lead.lower() in matcher.markers else (lead, *matcher.markers)
        return cls(replace(matcher, markers=markers), whole=False)

    def check(self, question: Question) -> None:
        """A gold answer that the matcher cannot read would make every answer wrong.

        Raises:
            InputError: with the question's id.
        """
        for gold in question.golds:
            found = self.matcher.compare(gold, gold, question.options)
            if not found.same:
                raise InputError(
                    f"question {question.id!r}: the matcher {self.matcher.name} does not hold the answer {gold!r} for "
                    f"the same as itself ({found.outcome}: {found.detail}); name another `matcher`, or mend the answer"
                )

    def judge(self, question: Question, text: Text) -> tuple[str | None, Outcome]:
        """The final answer and what it is."""
        if text.finish != "stop":
            return None, "truncated" if text.finish == "length" else "no_room"
        answer = self._answer(text.text)
        if isinstance(answer, BadReply):
            return None, "two_final_answers" if answer.reason == "two_final_answers" else "no_final_answer"
        return answer, self.compare(question, answer)

    def compare(self, question: Question, answer: str) -> Outcome:
        """A final answer against the gold ones."""
        found = [self.matcher.compare(answer, gold, question.options) for gold in question.golds]
        if any(one.same for one in found):
            return "right"
        if any(one.outcome == "error" for one in found):
            return "error"
        return "unreadable" if all(one.outcome == "unreadable" for one in found) else "wrong"

    def _answer(self, text: str) -> str | BadReply:
        found = self.matcher.final(text)
        if self.whole and isinstance(found, BadReply) and found.reason == "no_final_answer":
            bare = text.strip()
            return bare or found
        return found

    def votes(self, question: Question, answers: Sequence[str | None]) -> list[str | None]:
        """For each answer the first one that is the same."""
        known: list[str] = []
        votes: list[str | None] = []
        for answer in answers:
            if answer is None:
                votes.append(None)
                continue
            first = next((one for one in known if self.same(one, answer, question)), None)
            if first is None:
                known.append(answer)
            votes.append(first or answer)
        return votes

    def same(self, one: str, two: str, question: Question) -> bool:
        """Whether two answers to a question are one."""
        return one == two or self.matcher.compare(two, one, question.options).same


def judges_of(questions: Sequence[Question], spec: WriteSpec, supervision: Supervision) -> dict[str, Judge]:
    """Question id -> who judges its answers; every right answer is tried on its own judge first.

    Raises:
        InputError: for a question whose right answer its matcher cannot read.
    """
    judges = {}
    for question in questions:
        named = judge_of(question.matcher) if question.matcher else spec.judge_for(question.options)
        judges[question.id] = Judge.of(named, supervision)
        judges[question.id].check(question)
    return judges
