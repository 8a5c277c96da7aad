r"""Answers that keep constraints, as code checks them: an instruction has many right answers and no one gold text.

``{keeps: {constraints: ["Use at most two bullet points", "Answer in French"]}}``: any answer that keeps both is right.
A line of questions for a student, whose `answer` is one that does, as an example and as a test of the constraints::

    {"id": "m1", "context": "Ora: two pans leak.", "question": "Write the minutes. Use at most two bullet points.",
     "answer": "- Two pans leak.", "matcher": {"keeps": {"constraints": ["Use at most two bullet points"]}}}

A constraint that code cannot check (`mashbill.constraints.checker_of`) is refused when the questions are read, not
after the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mashbill.constraints import Checker, available, checker_of
from mashbill.errors import BadReply
from mashbill.matching.base import Matcher
from mashbill.matching.match import Match
from mashbill.records import Verdict


@dataclass(frozen=True, kw_only=True)
class Keeps(Matcher):
    """Holds all answers for right that keep every constraint."""

    constraints: tuple[str, ...] = ()
    """In plain English."""

    def __post_init__(self) -> None:
        if not self.constraints:
            raise ValueError(
                "keeps has no constraint to check; name some, e.g. constraints: [Use at most two sentences]"
            )
        for one in self.constraints:
            if checker_of(one) is None:
                raise ValueError(f"code cannot check the constraint {one!r}; leave it out, or say it in other words")

    @cached_property
    def checkers(self) -> tuple[Checker, ...]:
        """One for each constraint."""
        found = (checker_of(one) for one in self.constraints)
        return tuple(one for one in found if one is not None)

    def compare(self, answer: str, gold: str, options: Sequence[str] = ()) -> Match:
        """Whether both keep every constraint; what they say besides is not compared."""
        del options
        if (wrong := self._broken(gold)) is not None:
            return Match("gold_unreadable", f"{wrong.name}: {wrong.detail}")
        wrong = self._broken(answer)
        if wrong is None:
            return Match("same")
        return Match("error" if wrong.outcome == "error" else "different", f"{wrong.name}: {wrong.detail}")

    def revision(self) -> str:
        """The version, with those of the checkers."""
        return f"{self.version}:{'.'.join(str(kind.version) for _, kind in sorted(available().items()))}"

    def reads(self, answer: str) -> bool:
        """Whether it keeps every constraint."""
        return self._broken(answer) is None

    def final(self, text: str) -> str | BadReply:
        """The whole text: constraints hold for all that was written."""
        return text.strip() or BadReply("no_final_answer", "the answer holds no text")

    def _broken(self, answer: str) -> Verdict | None:
        """The first verdict that is no pass, a fail before an error."""
        verdicts = [verdict for one in self.checkers if not (verdict := one.check(answer)).passed]
        return next((one for one in verdicts if one.outcome == "fail"), verdicts[0] if verdicts else None)
