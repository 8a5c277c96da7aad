"""The answer of a new question: several draws and their majority, then a second engine that edits the work.

Three draws answer ``12``, ``12 marks``, ``15`` -> ``12`` by two of three, with the first draw's reasons -> the editor
writes them anew and ends in ``12`` -> kept. Did it end in ``13``, one more draw would be taken: if that says ``12`` the
unedited work stays, and if not the question is rejected, ``refinement_changed_answer``.

Checked where it can be: numbers and units by value, options by what they name, every equation that is written out, code
by the writer's tests in a sandbox. No text of a model is run in this process.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from mashbill.ask import Answer, Ask
from mashbill.engine import Sampling, system, user
from mashbill.errors import BadReply, BillError
from mashbill.matching import Matcher, matcher
from mashbill.records import QA, Verdict
from synth.boostqa_prompts import REFINE_PROMPT, REFINE_SYSTEM, SOLVE
from synth.boostqa_trail import Trail
from synth.graders import MAIN, engine_of, roles
from synth.rationale_checks import Checking, vote_of
from synth.rationale_draws import Attempt, Drawing
from synth.rationale_prompts import MARK, shown_question
from synth.rationale_reading import read_marked
from synth.templates import check_places, fill

REFINES = Sampling(temperature=0.0, max_tokens=1024)
"""Greedy: editing wants no variety."""


@dataclass(frozen=True, kw_only=True)
class Answering(Drawing, Checking):
    """Fields and asking of the second half: from a question to an answer that several draws agree on."""

    draws: int = 3
    """How often each teacher answers each question."""
    instruction: str = SOLVE
    refine: bool = True
    """Whether a second engine edits the reasons; without it they stay as they were drawn: the ablation."""
    refiner: str = "refiner"
    """Role of the engine that edits."""
    refining: Sampling = REFINES
    refine_system: str = REFINE_SYSTEM
    refine_prompt: str = REFINE_PROMPT
    """Gets {question} and {work}."""
    adjudicate: bool = True
    """Whether one more draw decides where the editor changed the final answer; without it the question is rejected."""
    same_engine_ok: bool = False
    """Whether the editor may be one of the teachers' engines. One model shares its own mistakes, so by default not."""

    def __post_init__(self) -> None:
        """Refuse fields that mean nothing."""
        Drawing.__post_init__(self)
        Checking.__post_init__(self)
        check_places("refine_prompt", self.refine_prompt, {"question", "work"}, {"question", "work"})
        if self.answer_only:
            raise ValueError("answer_only is true; boostqa writes answers with their reasons")
        if self.form == "json":
            raise ValueError("form is json; answers of boostqa are read behind a mark or from a fenced block")
        if self.refine and not self.refiner:
            raise ValueError(f"refiner is empty; name a role, {MAIN} for the main engine, or say refine: false")

    def engines(self) -> Sequence[str]:
        """The teachers, the graders and the editor besides the main engine."""
        return roles(self.teachers, self.grading.graders, (self.refiner,) if self.refine else ())

    def matcher_for(self, record: QA) -> Matcher:
        """Code by its tests, options by what they name, numbers by value, all else by words; `matcher` overrules."""
        if record.kind == "code":
            return matcher("code_tests")
        if self.matcher is None and not record.options and matcher("numeric").reads(record.answer):
            return matcher("numeric")
        return super().matcher_for(record)

    async def answered(self, record: QA, tests: str, ask: Ask, trail: Trail) -> QA:
        """The question with the answer that the draws agree on and the reasons for it.

        Raises:
            BadReply: ``no_majority``, ``tests_fail`` for code, the fault of the last draw where none could be used,
                ``refinement_changed_answer``, or what a grader says.
        """
        self._differ(ask)
        gold = (tests,) if record.kind == "code" else ()
        attempts = await self.attempts(record, ask, gold)
        trail.answers += [one.answer for one in attempts if one.answer is not None]
        attempts = [self.checked(one, record) for one in attempts]
        best = self._agreed(attempts, record)
        best = await self.graded(best, record, (), self.grading, ask)
        if not best.usable:
            raise best.reject()
        assert best.worked is not None
        said = self._by_writer(best.worked.answer, record, tests)
        trail.overruled = said.outcome != "pass"
        row = dataclasses.replace(
            record,
            answer=best.worked.answer,
            rationale=best.worked.rationale,
            verdicts=(*best.verdicts, said),
        )
        return await self._refined(row, best, tests, ask, trail) if self.refine else row

    def _agreed(self, attempts: Sequence[Attempt], record: QA) -> Attempt:
        """The first draw that says what most of them say."""
        if record.kind == "code":
            return self._passing(attempts)
        compares = self.matcher_for(record)
        if vote_of(attempts, compares, record) is not None:
            attempts = self.voted(attempts, compares, record)
        usable = next((one for one in attempts if one.usable), None)
        if usable is not None and len(attempts) > 1 and vote_of(attempts, compares, record) is None:
            listed = ", ".join(repr(one.worked.answer[:40]) for one in attempts if one.worked is not None)
            raise BadReply("no_majority", f"the draws say {listed}", asks=_asks(attempts))
        if usable is None:
            # What the most telling draw was refused for: the one whose answer most say, if there is one.
            wrong = [one for one in attempts if one.bad is not None and one.bad.reason != "minority_answer"]
            raise (wrong or list(attempts))[0].reject()
        return usable

    def _passing(self, attempts: Sequence[Attempt]) -> Attempt:
        """The first draw of code that passes the tests, where enough draws do."""
        share = sum(one.right for one in attempts) / len(attempts)
        usable = next((one for one in attempts if one.usable and one.right), None)
        if usable is None or share < self.majority:
            said = next((one.bad.detail for one in attempts if one.bad is not None), "")
            raise BadReply(
                "tests_fail",
                f"{share:.0%} of {len(attempts)} draws pass the tests, {self.majority:.0%} wanted; {said}",
                asks=_asks(attempts),
            )
        return usable.passed("self_consistency", f"{share:.2f} of {len(attempts)}")

    def _by_writer(self, answer: str, record: QA, tests: str) -> Verdict:
        """What the draws say of the writer's own answer."""
        compares = self.matcher_for(record)
        match = compares.compare(record.answer, tests if record.kind == "code" else answer, record.options)
        if match.same:
            return Verdict(name="writer_answer", outcome="pass")
        detail = f"the writer said {record.answer[:80]!r}, the draws {answer[:80]!r}"
        return Verdict(name="writer_answer", outcome="fail", detail=detail)

    async def _refined(self, row: QA, best: Attempt, tests: str, ask: Ask, trail: Trail) -> QA:
        edited = await self._edited(row, ask, trail)
        if not edited.usable or edited.worked is None:
            trail.refinement = "unusable"
            detail = "" if edited.bad is None else f"{edited.bad.reason}: {edited.bad.detail}"
            return _noted(row, Verdict(name="refinement", outcome="error", detail=detail))
        compares = self.matcher_for(row)
        gold = tests if row.kind == "code" else row.answer
        if compares.compare(edited.worked.answer, gold, row.options).same:
            trail.refinement = "kept"
            kept = edited.worked.answer if row.kind == "code" else row.answer
            return _noted(
                dataclasses.replace(row, rationale=edited.worked.rationale, answer=kept),
                Verdict(name="refinement", outcome="pass"),
            )
        changed = f"the editor changed {row.answer[:80]!r} to {edited.worked.answer[:80]!r}"
        if self.adjudicate and await self._upheld(row, best, gold, ask, trail):
            trail.refinement = "upheld"
            detail = f"{changed}; a further draw upheld the first, so the work is unedited"
            return _noted(row, Verdict(name="refinement", outcome="fail", detail=detail))
        trail.refinement = "changed"
        raise BadReply("refinement_changed_answer", changed, text=trail.answers[-1].text, asks=trail.keys)

    async def _edited(self, row: QA, ask: Ask, trail: Trail) -> Attempt:
        """The edited work, read and checked as a draw is."""
        last = f"```python\n{row.answer}```" if row.kind == "code" else f"{MARK} {row.answer}"
        work = f"{row.rationale}\n{last}".replace("</", "< /")
        asked = fill(self.refine_prompt, question=shown_question(row, self.task).replace("</", "< /"), work=work)
        empty = Attempt(self.refiner, 0, self.shown(row))
        try:
            answer: Answer[str] = await ask(
                [system(self.refine_system), user(asked)], sampling=self.refining, engine=engine_of(self.refiner)
            )
            trail.answers.append(answer)
            worked = read_marked(answer, self.matcher_for(row), answer_only=False)
        except BadReply as bad:
            return dataclasses.replace(empty, bad=bad)
        return self.checked(dataclasses.replace(empty, answer=answer, worked=worked), row)

    async def _upheld(self, row: QA, best: Attempt, gold: str, ask: Ask, trail: Trail) -> bool:
        """Whether one more draw of the first teacher says what the draws said."""
        question = self.asked(row, best.shown)
        further = await self.drawn(question, row, (gold,), Attempt(self.teachers[0], self.draws, best.shown), ask)
        if further.answer is not None:
            trail.answers.append(further.answer)
        return further.usable and further.right

    def _differ(self, ask: Ask) -> None:
        if not self.refine or self.same_engine_ok:
            return
        engines = {role: ask.asker if role == MAIN else ask.askers.get(role) for role in (self.refiner, *self.teachers)}
        editor = engines[self.refiner]
        for role in self.teachers:
            asker = engines[role]
            if editor is not None and asker is not None and editor.identity == asker.identity:
                raise BillError(
                    f"the refiner {self.refiner} and the teacher {role} are one engine, {asker.identity}, and it would "
                    "edit its own mistakes; give one of them another model under `engines`, or set same_engine_ok: true"
                )


def _noted(row: QA, verdict: Verdict) -> QA:
    return dataclasses.replace(row, verdicts=(*row.verdicts, verdict))


def _asks(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for one in attempts if one.answer is not None for key in one.answer.keys))
