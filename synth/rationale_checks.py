"""What a worked answer must pass, cheapest first, each with a reason of its own.

Four draws of a question whose gold answer is 12: one cut off, one with the answer 11, one that writes ``3 * 4 = 13``
and one that holds -> rejects ``truncated``, ``wrong_answer``, ``wrong_arithmetic``, and one row.

The order is that of cost: what the reply is, its answer, its equations, its words, the other draws, other models.
Reading and options come before (`synth.rationale_draws`), so an attempt that gets here has an answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from mashbill.ask import Ask
from mashbill.errors import BadReply
from mashbill.matching import Matcher
from mashbill.matching.checks import check_arithmetic, check_leaks, reason_of
from mashbill.records import QA, Verdict
from mashbill.step import Step, settle
from synth.graders import Case, Grading, check_graded
from synth.rationale_draws import Attempt
from synth.rationale_language import length_of, other_language
from synth.rationale_prompts import shown_question

MAJORITY = 0.6
"""Share of the draws that must agree where there is no gold answer; a start (ours), to be set by one's own data."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What the draws of a question agree on."""

    answer: str
    share: float
    """Of all draws, those that could not be read included."""


@dataclass(frozen=True, kw_only=True)
class Checking(Step):
    """Fields and checks of worked answers."""

    arithmetic: bool = True
    """Whether every equation that a rationale writes must hold (RFT, arXiv 2308.01825)."""
    leaks: bool = True
    """Whether a rationale that refuses, or speaks of what it was shown or of an answer it was given, is out."""
    names: tuple[str, ...] = ()
    """Names of the teacher and its maker: a rationale that says one is out, or the student would take it for its own.
    """
    same_language: bool = True
    """Whether a rationale in another language than its question is out."""
    max_words: int = 400
    """Words of a rationale, characters where a script has no spaces: a longer one goes in circles; raise it for
    teachers that think at length."""
    majority: float = MAJORITY
    """Where there is no gold answer: the share of all draws that must agree. One draw alone agrees with itself."""
    grading: Grading = Grading()
    """Other models that must each pass what is left."""

    def __post_init__(self) -> None:
        """Refuse limits that mean nothing."""
        if not 0 < self.majority <= 1:
            raise ValueError(f"majority is {self.majority}; it is a share, above 0 and at most 1")
        if self.max_words < 1:
            raise ValueError(f"max_words is {self.max_words}; it must be 1 or more")

    def checked(self, attempt: Attempt, record: QA) -> Attempt:
        """The attempt after the checks that look at it alone."""
        if not attempt.usable or attempt.worked is None:
            return attempt
        attempt = _answered(attempt)
        rationale = attempt.worked.rationale if attempt.worked is not None else ""
        if not attempt.usable or not rationale:
            return attempt
        count = length_of(rationale)
        if count > self.max_words:
            return attempt.rejected("too_long", f"{count} words, at most {self.max_words}")
        if self.same_language and (wrong := other_language(rationale, shown_question(record, ""))):
            return attempt.rejected("other_language", wrong)
        if self.arithmetic:
            attempt = _with(attempt, check_arithmetic(rationale))
        if self.leaks and attempt.usable:
            attempt = _with(attempt, check_leaks(rationale, names=self.names))
        return attempt

    async def graded(self, attempt: Attempt, record: QA, gold: Sequence[str], grading: Grading, ask: Ask) -> Attempt:
        """The attempt after the graders, who are asked about nothing that is out already."""
        if not (attempt.usable and grading.graders and attempt.worked is not None):
            return attempt
        case = Case(
            question=record.question,
            answer=attempt.worked.answer,
            options=record.options,
            evidence=record.context,
            trace=attempt.worked.rationale,
            gold=gold[0] if gold else "",
        )
        verdicts = await grading.grade(case, ask)
        attempt = dataclasses.replace(attempt, verdicts=(*attempt.verdicts, *verdicts))
        try:
            check_graded(verdicts)
        except BadReply as bad:
            return attempt.rejected(bad.reason, bad.detail)
        return attempt

    async def all_graded(
        self, attempts: Sequence[Attempt], record: QA, gold: Sequence[str], grading: Grading, ask: Ask
    ) -> list[Attempt]:
        """Every attempt after the graders, in order."""
        graded = await settle(self.graded(one, record, gold, grading, ask) for one in attempts)
        return [one for one in graded if isinstance(one, Attempt)]

    def voted(self, attempts: Sequence[Attempt], matcher: Matcher, record: QA) -> list[Attempt]:
        """The attempts that give the answer most draws agree on, where enough of them do; the others are out."""
        vote = vote_of(attempts, matcher, record)
        return [self._voted(one, vote, matcher, record, len(attempts)) for one in attempts]

    def _voted(self, one: Attempt, vote: Vote | None, matcher: Matcher, record: QA, draws: int) -> Attempt:
        if not one.usable or one.worked is None:
            return one
        if vote is None or vote.share < self.majority:
            share = "none" if vote is None else f"{vote.share:.0%}"
            return one.rejected("no_majority", f"{share} of {draws} draws agree, {self.majority:.0%} wanted")
        if not matcher.compare(one.worked.answer, vote.answer, record.options).same:
            return one.rejected("minority_answer", f"{one.worked.answer[:80]!r}, and most say {vote.answer[:80]!r}")
        return one.passed("self_consistency", f"{vote.share:.2f} of {draws}") if draws > 1 else one


def vote_of(attempts: Sequence[Attempt], matcher: Matcher, record: QA) -> Vote | None:
    """The most frequent answer; None where none could be read, or where two are equally frequent."""
    groups: list[tuple[str, int]] = []
    for one in attempts:
        if one.worked is None or not one.allowed or not matcher.reads(one.worked.answer):
            continue
        said = one.worked.answer
        at = next((at for at, (kept, _) in enumerate(groups) if matcher.compare(said, kept, record.options).same), None)
        if at is None:
            groups.append((said, 1))
        else:
            groups[at] = (groups[at][0], groups[at][1] + 1)
    groups.sort(key=lambda group: -group[1])  # stable: of equals the one that was said first
    if not groups or (len(groups) > 1 and groups[0][1] == groups[1][1]):
        return None
    return Vote(groups[0][0], groups[0][1] / len(attempts))


def _answered(attempt: Attempt) -> Attempt:
    match = attempt.match
    if match is None:
        return attempt
    if match.same:
        return attempt.passed("answer")
    reasons = {"unreadable": "answer_unreadable", "gold_unreadable": "gold_unreadable", "error": "comparison_error"}
    reason = reasons.get(match.outcome, "unit_mismatch" if match.detail.startswith("unit_mismatch") else "wrong_answer")
    return attempt.rejected(reason, match.detail)


def _with(attempt: Attempt, verdict: Verdict) -> Attempt:
    """The attempt with a check's verdict, or out by it; that there was nothing to check is no verdict on it."""
    if verdict.passed:
        return dataclasses.replace(attempt, verdicts=(*attempt.verdicts, verdict))
    reason = reason_of(verdict)
    return attempt if reason == "nothing_to_check" else attempt.rejected(reason, verdict.detail)
