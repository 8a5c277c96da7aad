"""Asking teachers a question several times, and reading what they reply: what all steps that need worked answers share.

A question, two teachers and two draws each -> four attempts, each of which holds what was worked out or why it cannot
be used::

    Attempt(teacher="main", draw=1, worked=Worked("3 * 4 = 12.", "12"), match=Match("same"), bad=None, …)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mashbill.ask import Answer, Ask
from mashbill.engine import Message, Sampling, system, user
from mashbill.errors import BadReply
from mashbill.matching import Match, Matcher, Spec, matcher, matcher_of
from mashbill.matching.load import spec_of
from mashbill.records import QA, Verdict
from mashbill.step import Step, settle
from synth.exemplars import FewShot, Shown
from synth.graders import MAIN, engine_of, roles
from synth.rationale_prompts import TASKS, Form, Task, question_text, shown_question
from synth.rationale_reading import Worked, read_marked, read_shaped, reply_shape
from synth.templates import check_places, fill

GOLD = "gold"
"""The teacher of the rationale that a question came with."""
NOT_ALLOWED = "answer_not_allowed"
REASONING = Sampling(temperature=0.7, max_tokens=512)
"""0.7 is RFT's (arXiv 2308.01825); its paths had at most 256 tokens of a shorter kind."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One draw of one teacher."""

    teacher: str
    draw: int
    shown: Shown
    answer: Answer[Any] | None = None
    worked: Worked | None = None
    match: Match | None = None
    """Its answer against the gold one; None where there is none or such answers are not compared."""
    bad: BadReply | None = None
    """Why it cannot be used."""
    verdicts: tuple[Verdict, ...] = ()

    @property
    def right(self) -> bool:
        """Whether its answer is the gold one, whatever else is wrong with it."""
        return self.match is not None and self.match.same

    @property
    def usable(self) -> bool:
        """Whether nothing is known against it."""
        return self.bad is None and self.worked is not None

    @property
    def allowed(self) -> bool:
        """Whether its answer is one of the options, where there are options: another is nobody's vote."""
        return self.bad is None or self.bad.reason != NOT_ALLOWED

    def rejected(self, reason: str, detail: str) -> Attempt:
        """The same attempt, with why it goes; text, asks and what it passed before stand in the reject row."""
        text = "" if self.answer is None else self.answer.text
        asks = () if self.answer is None else self.answer.keys
        return dataclasses.replace(self, bad=BadReply(reason, detail, text=text, asks=asks))

    def passed(self, name: str, detail: str = "") -> Attempt:
        """The same attempt with one more check that it passed."""
        return dataclasses.replace(self, verdicts=(*self.verdicts, Verdict(name=name, outcome="pass", detail=detail)))

    def reject(self) -> BadReply:
        """Why it goes, with who wrote it and what it was shown among the subjects."""
        assert self.bad is not None
        subjects = (f"teacher:{self.teacher}", f"draw:{self.draw}", *self.shown.subjects)
        bad = self.bad
        return BadReply(bad.reason, bad.detail, text=bad.text, asks=bad.asks, subjects=subjects, verdicts=self.verdicts)


@dataclass(frozen=True, kw_only=True)
class Drawing(Step):
    """Fields and asking shared by the steps that draw worked answers."""

    task: Task = "question"
    """What sort of question it is: decides the prompts, the form of a reply and the matcher where none is given."""
    answer_only: bool = False
    """Ask for the answer without reasons: labels to distil. Reasons cost tokens and are not free for students either
    (Jellyfish, arXiv 2312.01678, lost 17 to 27 points with them on tables)."""
    instruction: str = ""
    """The system prompt; empty takes the task's."""
    form: Form | None = None
    """How a reply shows its answer: ``marked`` or ``json``; null takes the task's."""
    matcher: Spec | None = None
    """What compares answers (`mashbill.matching`); null takes the task's, and ``choice`` where there are options."""
    teachers: tuple[str, ...] = (MAIN,)
    """Roles under ``engines`` in the bill, ``main`` for the main engine. Their draws are pooled: what several teachers
    write differs more than what one writes often (RFT: 41.7 with one model, 49.3 with several)."""
    draws: int = 1
    """How often each teacher is asked each question; the first ones stay when there are more."""
    few_shot: FewShot = FewShot()
    sampling: Sampling = REASONING

    def __post_init__(self) -> None:
        """Fill in what the task decides, and refuse what could make nothing."""
        defaults = TASKS[self.task]
        settle_field = object.__setattr__  # what is taken from the task is identity like what is given
        settle_field(
            self, "instruction", self.instruction or (defaults.direct if self.answer_only else defaults.reasoned)
        )
        settle_field(self, "form", self.form or defaults.form)
        if self.matcher is not None:
            settle_field(self, "matcher", spec_of(matcher_of(self.matcher)))
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}; it must be 1 or more")
        if not self.teachers or len(set(self.teachers)) < len(self.teachers) or "" in self.teachers:
            raise ValueError(
                f"teachers is {list(self.teachers)}; name one or more, each once, {MAIN} for the main engine"
            )
        if GOLD in self.teachers:
            raise ValueError(
                f"a teacher is called {GOLD}, which stands for the rationale a question came with; rename it"
            )
        if self.draws > 1 and self.sampling.temperature == 0:
            raise ValueError(
                f"draws is {self.draws} at temperature 0, where every draw is the same; raise sampling.temperature"
            )

    def engines(self) -> Sequence[str]:
        """The teachers besides the main engine."""
        return roles(self.teachers)

    @property
    def compared(self) -> bool:
        """Whether answers are compared at all: a reply in a conversation has no one right wording."""
        return self.matcher is not None or TASKS[self.task].matcher is not None

    def matcher_for(self, record: QA) -> Matcher:
        """What reads and compares the answers to a question."""
        if self.matcher is None and record.options:
            return matcher("choice", letters=self.task != "classification")
        return matcher_of(self.matcher or TASKS[self.task].matcher or "exact")

    def gold_of(self, record: QA) -> tuple[str, ...]:
        """The right answers; none where nobody knows them or such answers are not compared.

        Raises:
            BadReply: ``gold_unreadable`` when the gold answer does not equal itself: no reply could be right, so none
                is paid for.
        """
        gold = tuple(dict.fromkeys(one for one in (record.answer, *record.accepted) if one.strip()))
        if not self.compared or not gold:
            return ()
        compares = self.matcher_for(record)
        for one in gold:
            itself = compares.compare(one, one, record.options)
            if not itself.same:
                raise BadReply("gold_unreadable", f"{one[:80]!r}: {itself.detail or itself.outcome}", text=one)
        return gold

    async def attempts(
        self, record: QA, ask: Ask, gold: Sequence[str], *, hint: str = "", draws: int | None = None
    ) -> list[Attempt]:
        """Every draw of every teacher, in their order; `hint` follows the question in the prompt and stays there."""
        shown = self.shown(record)
        question = self.asked(record, shown, hint)
        pairs = [(teacher, draw) for teacher in self.teachers for draw in range(draws or self.draws)]
        found = await settle(self.drawn(question, record, gold, Attempt(*pair, shown), ask) for pair in pairs)
        return [one for one in found if isinstance(one, Attempt)]

    def shown(self, record: QA) -> Shown:
        """The worked examples for a question; it is looked up with its context, since labels are all asked alike."""
        return self.few_shot.choose([question_text(record.question, (), record.context)], record)

    def asked(self, record: QA, shown: Shown, hint: str = "") -> list[Message]:
        """The prompt: what many questions share comes first."""
        parts = [part for part in (shown.block, shown_question(record, self.task), hint and f"\n\n{hint}") if part]
        return [system(self.instruction), user(*parts)]

    async def drawn(
        self, question: list[Message], record: QA, gold: Sequence[str], empty: Attempt, ask: Ask
    ) -> Attempt:
        """One draw, compared with the right answers where there are any; what cannot be used says why."""
        try:
            answer, worked = await self._worked(question, record, empty, ask)
        except BadReply as bad:
            return dataclasses.replace(empty, bad=bad)
        attempt = dataclasses.replace(empty, answer=answer, worked=worked)
        compares = self.matcher_for(record)
        return _compared(_allowed(attempt, record, compares), record, gold, compares)

    async def _worked(
        self, question: list[Message], record: QA, empty: Attempt, ask: Ask
    ) -> tuple[Answer[Any], Worked]:
        engine = engine_of(empty.teacher)
        if self.form == "json":
            shape = reply_shape(record.options, self.answer_only)
            # One try: a reply of the wrong shape is a draw that failed, and asking again would bend the pass rate.
            shaped = await ask(question, returns=shape, sampling=self.sampling, draw=empty.draw, tries=1, engine=engine)
            return shaped, read_shaped(shaped)
        answer = await ask(question, sampling=self.sampling, draw=empty.draw, engine=engine)
        return answer, read_marked(answer, self.matcher_for(record), answer_only=self.answer_only)


def _allowed(attempt: Attempt, record: QA, compares: Matcher) -> Attempt:
    """The answer as the option it names; an answer that names none is out."""
    if not record.options or attempt.worked is None:
        return attempt
    said = attempt.worked.answer
    named = [option for option in record.options if compares.compare(said, option, record.options).same]
    if len(named) != 1:
        return attempt.rejected(NOT_ALLOWED, f"{said[:80]!r} names {len(named)} of the options, 1 wanted")
    return dataclasses.replace(attempt, worked=dataclasses.replace(attempt.worked, answer=named[0]))


def _compared(attempt: Attempt, record: QA, gold: Sequence[str], compares: Matcher) -> Attempt:
    if not gold or attempt.bad is not None or attempt.worked is None:
        return attempt
    matches = [compares.compare(attempt.worked.answer, one, record.options) for one in gold]
    best = next((match for match in matches if match.same), matches[0])
    return dataclasses.replace(attempt, match=best)


def hint_of(template: str, answer: str) -> str:
    """The hint for a prompt, with the answer filled in."""
    return fill(template, answer=answer)


def check_hint(template: str) -> None:
    """Refuse a hint that does not name the answer."""
    check_places("hint", template, {"answer"}, {"answer"})
