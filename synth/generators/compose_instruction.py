r"""The text of an instruction from its parts: composed, every constraint verified, refined, or given up.

A searched row -> the same row with its text::

    {"text": "", "base_query": "Sum up the meeting.", "constraints": [{"text": "Use at most five bullet points."}, …]}
    -> {"text": "Sum up the meeting below in no more than five bullet points. …", "scores": [{"name": "rounds", …}],
        "verdicts": [{"name": "judge:1.1", "outcome": "pass", …}, {"name": "code:1.1", "outcome": "pass", …}], …}

TCIA's way back (arXiv 2508.20374, step 4): three prompts, and a loop of verify and refine that ends when every
constraint has a yes, or in a discard. The paper does not say how many rounds; three is ours. What code can check is
checked by code as well, and a constraint that code holds to be altered or left out is a fault whatever the judge says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mashbill.ask import Answer, Ask
from mashbill.engine import Sampling, system, user
from mashbill.errors import BadReply
from mashbill.records import Instruction, Score, Verdict
from mashbill.step import Generator
from mashbill.store import Stored
from synth.graders import JUDGING, MAIN, engine_of, roles
from synth.instruction_checks import check_task, coded, faults, judged, strange_places
from synth.instruction_prompts import (
    COMPOSE,
    COMPOSE_SYSTEM,
    REFINE,
    VERIFY,
    VERIFY_SYSTEM,
    Checks,
    Composed,
    between,
    numbered,
)
from synth.judge_errors import judge_errors
from synth.placeholders import chat_mark_in
from synth.templates import check_places, fill

ROUNDS = "rounds"
"""The score that says how often the text was verified before every constraint had a yes."""


VERIFYING = replace(JUDGING, max_tokens=1200)
"""Greedy, with room for a reason on each of many constraints."""


@dataclass(frozen=True, kw_only=True)
class ComposeInstruction(Generator[Instruction, Instruction]):
    """Writes the instruction that states a request with all of its constraints and no others."""

    compose_system: str = COMPOSE_SYSTEM
    compose: str = COMPOSE
    """Gets {task_type}, {base_query} and {constraints}."""
    verify_system: str = VERIFY_SYSTEM
    verify: str = VERIFY
    """Gets {instruction} and {constraints}."""
    refine: str = REFINE
    """Gets {base_query}, {constraints}, {instruction} and {faults}."""
    rounds: int = 3
    """Verifications at most; after each but the last the text is refined."""
    writer: str = MAIN
    """Role of the engine that composes and refines."""
    verifier: str = MAIN
    """Role of the engine that verifies."""
    sampling: Sampling = Sampling(temperature=0.7, max_tokens=600)
    verifying: Sampling = VERIFYING

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; a text is verified once at least")
        check_places("compose", self.compose, _PARTS, {"base_query", "constraints"})
        check_places("verify", self.verify, {"instruction", "constraints"}, {"instruction", "constraints"})
        refine = {"base_query", "constraints", "instruction", "faults"}
        check_places("refine", self.refine, refine, refine)

    def engines(self) -> Sequence[str]:
        """The writer and the verifier besides the main engine."""
        return roles((self.writer, self.verifier))

    async def make(self, record: Instruction, ask: Ask) -> Iterable[Instruction | BadReply]:
        """The row with its text, or the reason why there is none."""
        check_task(record)
        parts = {
            "task_type": between(record.task_type) or "not named",
            "base_query": between(record.base_query),
            "constraints": numbered(record.constraints),
        }
        answers, verdicts = list[Answer[Any]](), list[Verdict]()
        wrong, text = list[tuple[int, str]](), ""
        for number in range(1, self.rounds + 1):
            try:
                answer = await self._written(parts, text, wrong, number - 1, ask)
                answers.append(answer)
                text = answer.value.instruction.strip()
                self._check_text(text, record)
                said = await self._verified(record, text, str(number), parts, ask, answers)
            except BadReply as bad:
                bad.asks = (*_keys(answers), *(key for key in bad.asks if key not in _keys(answers)))
                bad.text, bad.verdicts = bad.text or text, (*verdicts, *bad.verdicts)
                raise
            verdicts += said
            wrong = faults(record.constraints, said)
            if not wrong:
                return [self._row(record, text, number, verdicts, answers)]
        raise BadReply(
            _reason(verdicts, self.rounds),
            f"after {self.rounds} rounds: {'; '.join(fault for _, fault in wrong)}"[:1000],
            text=text,
            asks=_keys(answers),
            verdicts=tuple(verdicts),
        )

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """For the manifest: rounds to verify, and how often the judge was wrong where code knows."""
        del source
        rounds = Counter[str]()
        for table in made:
            for scores in table.column("scores").to_pylist():
                rounds.update(str(int(one["value"])) for one in scores if one["name"] == ROUNDS)
        return {"rounds": dict(sorted(rounds.items())), "judge_errors": judge_errors(made, "1")}

    async def _written(
        self, parts: dict[str, str], text: str, wrong: list[tuple[int, str]], draw: int, ask: Ask
    ) -> Answer[Composed]:
        if not text:
            asked = fill(self.compose, **parts)
        else:
            listed = "\n".join(between(fault) for _, fault in wrong)
            asked = fill(self.refine, **parts, instruction=between(text), faults=listed)
        prompt = [system(self.compose_system), user(asked)]
        # A draw of its own: a refinement that changed nothing would else be asked for again under the same key.
        return await ask(prompt, returns=Composed, sampling=self.sampling, draw=draw, engine=engine_of(self.writer))

    def _check_text(self, text: str, record: Instruction) -> None:
        if not text:
            raise BadReply("empty", "the instruction holds no text")
        if mark := chat_mark_in(text):
            raise BadReply("template_mark", f"{mark!r} would be read as a turn of the chat", text=text)
        if strange := strange_places(record, text):
            raise BadReply("placeholder_added", f"{strange[0]} is no placeholder of the task", text=text)

    async def _verified(
        self,
        record: Instruction,
        text: str,
        number: str,
        parts: dict[str, str],
        ask: Ask,
        answers: list[Answer[Any]],
    ) -> list[Verdict]:
        asked = fill(self.verify, instruction=between(text), constraints=parts["constraints"])
        prompt = [system(self.verify_system), user(asked)]
        said: Checks | BadReply
        try:
            answer = await ask(prompt, returns=Checks, sampling=self.verifying, engine=engine_of(self.verifier))
            answers.append(answer)
            said = answer.value
        except BadReply as bad:
            said = bad
        return [*judged(said, record.constraints, number), *coded(record, text, number)]

    def _row(
        self, record: Instruction, text: str, rounds: int, verdicts: list[Verdict], answers: list[Answer[Any]]
    ) -> Instruction:
        # The answer that holds the text is the last that was written, before its verification.
        written = next(one for one in reversed(answers) if isinstance(one.value, Composed))
        return replace(
            record,
            parents=(record.id,),
            text=text,
            verdicts=(*record.verdicts, *verdicts),
            scores=(*record.scores, Score(name=ROUNDS, value=float(rounds))),
            made=written.made(*(one for one in answers if one is not written)),
        ).identified()


_PARTS = frozenset({"task_type", "base_query", "constraints"})


def _keys(answers: Sequence[Answer[Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for one in answers for key in one.keys))


def _reason(verdicts: Sequence[Verdict], rounds: int) -> str:
    """Why the last round did not do, the plainest first."""
    last = [one for one in verdicts if one.name.partition(":")[2].startswith(f"{rounds}.")]
    if any(one.name.startswith("judge:") and one.outcome == "fail" for one in last):
        return "constraint_not_stated"
    if any(one.outcome == "fail" for one in last):
        return "constraint_changed"
    return "constraint_not_judged"
