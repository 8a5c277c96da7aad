"""One response on its way: written, checked by code, marked in five dimensions, kept or lost.

Used by `synth.generators.best_response`. Marks are verdicts ``mark:quality`` whose detail begins with the number.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mashbill.ask import Answer, Ask
from mashbill.engine import Sampling, system, user
from mashbill.errors import BadReply
from mashbill.records import Instruction, Score, Verdict
from mashbill.step import settle
from mashbill.store import Stored
from synth.graders import MAIN, engine_of
from synth.instruction_checks import DETAIL, RESPONSE, coded_response, judged
from synth.instruction_prompts import CONSTRAINTS_KEPT, Checks, Mark, between, numbered
from synth.response_prompts import (
    DIMENSIONS,
    FOLLOWING,
    HELPFULNESS,
    QUALITY,
    RESPONSE_SYSTEM,
    TRUTHFULNESS,
    UNCERTAINTY,
)
from synth.templates import check_places, fill

MEAN = "mean_mark"
BEST = "best:"
"""How the verdict on a response that was marked is named, before its writer's role."""


@dataclass(frozen=True, slots=True)
class Writing:
    """A response as it was written, and by whom."""

    role: str
    draw: int
    answer: Answer[str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A response with its five marks, above the floors."""

    writing: Writing
    marks: Mapping[str, int]
    verdicts: tuple[Verdict, ...]
    answers: tuple[Answer[Any], ...]

    @property
    def mean(self) -> float:
        """The mean of the marks."""
        return fmean(self.marks.values())


@dataclass(frozen=True, kw_only=True)
class Marking:
    """Who marks responses and by what; a field of a step, set in a bill as ``marking: {judge: judge, min_mean: 4}``."""

    judge: str = MAIN
    """Role of the engine that marks."""
    judge_system: str = RESPONSE_SYSTEM
    quality: str = QUALITY
    helpfulness: str = HELPFULNESS
    following: str = FOLLOWING
    uncertainty: str = UNCERTAINTY
    truthfulness: str = TRUTHFULNESS
    constraints: str = CONSTRAINTS_KEPT
    """Asks which constraints a response keeps; gets {instruction}, {constraints} and {response}."""
    min_mean: float = 3.5
    """The mean of the five marks a response must have; ours, since the paper only ranks."""
    min_each: int = 3
    """What every one of the five must be at least."""

    def __post_init__(self) -> None:
        """Refuse floors no response could reach, and prompts that do not show it."""
        if not 1 <= self.min_mean <= 5 or not 1 <= self.min_each <= 5:
            raise ValueError(f"min_mean is {self.min_mean} and min_each {self.min_each}; marks go from 1 to 5")
        for name in DIMENSIONS:
            places = {"instruction", "response"}
            check_places(name, getattr(self, name), places, places)
        check_places("constraints", self.constraints, _PLACES, _PLACES)

    async def written(
        self, record: Instruction, opening: str, role: str, draw: int, sampling: Sampling, ask: Ask
    ) -> Writing:
        """One response, whole."""
        asked = user(*(f"{part}\n\n" if at == 0 and record.context else part for at, part in enumerate(_shown(record))))
        prompt = [*([system(opening)] if opening else []), asked]
        answer = await ask(prompt, sampling=sampling, engine=engine_of(role), draw=draw)
        if answer.finish_reason == "length":
            tokens = answer.reply.completion_tokens
            raise BadReply("truncated", f"cut off after {tokens} tokens", text=answer.text, asks=answer.keys)
        return Writing(role, draw, answer)

    async def marked(
        self,
        record: Instruction,
        writing: Writing,
        ask: Ask,
        judging: Sampling,
        *,
        code_decides: bool,
        judge_constraints: bool,
    ) -> Candidate:
        """The response with its marks.

        Raises:
            BadReply: ``constraint_broken``, ``mark_missing`` or ``below_floor``, with all verdicts.
        """
        response = writing.answer.text.strip()
        verdicts, answers = coded_response(record.constraints, response), list[Answer[Any]]([writing.answer])

        def bad(reason: str, detail: str) -> BadReply:
            keys = tuple(dict.fromkeys(key for one in answers for key in one.keys))
            own = (*record.verdicts, *verdicts)
            return BadReply(reason, f"{writing.role}: {detail}"[:1000], text=response, asks=keys, verdicts=own)

        if judge_constraints and any(one.outcome != "error" for one in verdicts):
            verdicts += await self._audit(record, response, ask, judging, answers)
        broken = [one.detail for one in verdicts if one.name.startswith("code:") and one.outcome == "fail"]
        if broken and code_decides:
            raise bad("constraint_broken", "; ".join(broken))
        marks = await settle(self._mark(name, record, response, ask, judging) for name in DIMENSIONS)
        given = dict[str, int]()
        for name, mark in zip(DIMENSIONS, marks, strict=True):
            verdicts.append(self._verdict(name, mark))
            if not isinstance(mark, BadReply):
                given[name] = mark.value.score
                answers.append(mark)
        if len(given) < len(DIMENSIONS):
            raise bad("mark_missing", ", ".join(name for name in DIMENSIONS if name not in given))
        candidate = Candidate(writing, given, tuple(verdicts), tuple(answers))
        if candidate.mean < self.min_mean or min(given.values()) < self.min_each:
            said = ", ".join(f"{name} {mark}" for name, mark in given.items())
            raise bad("below_floor", f"mean {candidate.mean:.2f}: {said}")
        return candidate

    async def _audit(
        self, record: Instruction, response: str, ask: Ask, judging: Sampling, answers: list[Answer[Any]]
    ) -> list[Verdict]:
        asked = fill(
            self.constraints,
            instruction=between("\n\n".join(_shown(record))),
            constraints=numbered(record.constraints),
            response=between(response),
        )
        try:
            longer = dataclasses.replace(judging, max_tokens=max(judging.max_tokens, AUDIT_TOKENS))
            prompt = [system(self.judge_system), user(asked)]
            answer = await ask(prompt, returns=Checks, sampling=longer, engine=engine_of(self.judge))
        except BadReply as bad:
            return judged(bad, record.constraints, RESPONSE)
        answers.append(answer)
        return judged(answer.value, record.constraints, RESPONSE)

    async def _mark(self, name: str, record: Instruction, response: str, ask: Ask, judging: Sampling) -> Answer[Mark]:
        shown = between("\n\n".join(_shown(record)))
        asked = fill(getattr(self, name), instruction=shown, response=between(response))
        prompt = [system(self.judge_system), user(asked)]
        return await ask(prompt, returns=Mark, sampling=judging, engine=engine_of(self.judge))

    def _verdict(self, name: str, mark: Answer[Mark] | BadReply) -> Verdict:
        if isinstance(mark, BadReply):
            return Verdict(name=f"mark:{name}", outcome="error", detail=f"{mark.reason}: {mark.detail}"[:DETAIL])
        detail = f"{mark.value.score}: {' '.join(mark.value.reason.split())}"[:DETAIL]
        return Verdict(
            name=f"mark:{name}", outcome="pass" if mark.value.score >= self.min_each else "fail", detail=detail
        )


AUDIT_TOKENS = 1200
"""A judge of many constraints has much to say."""
_PLACES = frozenset({"instruction", "constraints", "response"})


def _shown(record: Instruction) -> list[str]:
    """What is given to read, if anything, then the instruction."""
    return [part for part in (record.context.strip(), record.text.strip()) if part]


def kept_row(record: Instruction, best: Candidate, draws: int, second: float | None) -> Instruction:
    """The row with the best response."""
    runner_up = "" if second is None else f", second best {second:.2f}"
    detail = f"draw {best.writing.draw + 1} of {draws}, mean {best.mean:.2f}{runner_up}"
    marks = [Score(name=name, value=float(mark)) for name, mark in best.marks.items()]
    return dataclasses.replace(
        record,
        parents=(record.id,),
        response=best.writing.answer.text.strip(),
        verdicts=(
            *record.verdicts,
            *best.verdicts,
            Verdict(name=f"{BEST}{best.writing.role}", outcome="pass", detail=detail),
        ),
        scores=(*record.scores, *marks, Score(name=MEAN, value=best.mean)),
        made=best.writing.answer.made(*best.answers[1:]),
    ).identified()


def lost(one: Candidate, record: Instruction, best: float) -> BadReply:
    """A good response that another was better than, or named before."""
    detail = f"draw {one.writing.draw + 1}, mean {one.mean:.2f}; the best has {best:.2f}"
    verdict = Verdict(name=f"{BEST}{one.writing.role}", outcome="fail", detail=detail)
    return BadReply(
        "not_best",
        f"{one.writing.role}: {detail}",
        text=one.writing.answer.text.strip(),
        asks=tuple(dict.fromkeys(key for answer in one.answers for key in answer.keys)),
        verdicts=(*record.verdicts, *one.verdicts, verdict),
    )


def wins(made: Stored) -> dict[str, dict[str, float | int]]:
    """Role -> responses that were marked and above the floors, those that were best, and its share of all wins."""
    tried, won = Counter[str](), Counter[str]()
    for index in range(len(made)):
        for table in (made.table(index), made.rejects(index)):
            for verdicts in table.column("verdicts").to_pylist():
                for one in verdicts:
                    if one["name"].startswith(BEST):
                        role = one["name"].removeprefix(BEST)
                        tried[role] += 1
                        won[role] += one["outcome"] == "pass"
    total = won.total()
    return {
        role: {"marked": tried[role], "won": won[role], "share": round(won[role] / total, 4) if total else 0.0}
        for role in _sorted(tried)
    }


def _sorted(counts: Mapping[str, int]) -> Sequence[str]:
    return sorted(counts)
