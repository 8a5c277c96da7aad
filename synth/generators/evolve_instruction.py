r"""The second baseline of TCIA: an instruction rewritten hop by hop, in depth or in breadth, as Evol-Instruct does it.

A seed with its text -> one row for each hop of each chain::

    {"text": "Sum up the meeting and weigh the risks of each decision.", "hop": 1,
     "operations": [{"name": "deepen", "constraint": ""}], …}

WizardLM (arXiv 2304.12244) draws an operation by chance for each instruction and round. A rewriting that adds nothing,
speaks of itself, or holds no word is thrown away and the instruction goes into the next round as it was; here each of
these is a reject with its reason, and a hop that failed adds no hop. The fourth test, a response that is a refusal,
needs a response: `refusals` does it later. Nothing holds the rewriting to its task; how far it drifts is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mashbill.ask import Answer, Ask
from mashbill.engine import Sampling, system, user
from mashbill.errors import BadReply
from mashbill.fingerprint import seed_of
from mashbill.records import Instruction, Operation
from mashbill.step import Generator
from mashbill.words import words
from synth.evolve_prompts import EVOLVE_SYSTEM, OPERATIONS, SAME, TALK, Depth, Evolved
from synth.generators.fixed_instruction import plain_text
from synth.graders import JUDGING, MAIN, engine_of, roles
from synth.instruction_prompts import YesNo, between
from synth.placeholders import chat_mark_in
from synth.templates import fill

ALL: tuple[Depth, ...] = ("constrain", "deepen", "concretise", "reason", "broaden")


@dataclass(frozen=True, kw_only=True)
class EvolveInstruction(Generator[Instruction, Instruction]):
    """Rewrites an instruction again and again, a little harder or into another each time."""

    hops: int = 3
    """Rewritings of one chain."""
    chains: int = 1
    """Chains from each seed."""
    operations: tuple[Depth, ...] = ALL
    """Drawn from with equal chances."""
    evolve_system: str = EVOLVE_SYSTEM
    compare: bool = True
    """Whether a judge is asked if a rewriting still asks for the same, which throws it away."""
    judge: str = MAIN
    """Role of the engine that compares."""
    sampling: Sampling = Sampling(temperature=1.0, max_tokens=600)
    judging: Sampling = JUDGING

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        for name in ("hops", "chains"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not self.operations:
            raise ValueError(f"operations is empty; name some of {', '.join(ALL)}")
        if self.chains > 1 and self.sampling.temperature == 0:
            raise ValueError(f"chains is {self.chains} at temperature 0, where chains of equal operations are equal")

    def engines(self) -> Sequence[str]:
        """The judge besides the main engine."""
        return roles((self.judge,) if self.compare else ())

    async def make(self, record: Instruction, ask: Ask) -> Iterable[Instruction | BadReply]:
        """Each chain's rows and failed rewritings, in order; a row that two chains came to is given once."""
        if not record.text.strip():
            record = replace(record, text=plain_text(record))
        made = list[Instruction | BadReply]()
        seen = set[str]()
        for chain in range(self.chains):
            made += await self._chain(record, chain, seen, ask)
        return made

    async def _chain(self, record: Instruction, chain: int, seen: set[str], ask: Ask) -> list[Instruction | BadReply]:
        made, last = list[Instruction | BadReply](), record
        for number in range(self.hops):
            drawn = seed_of(record.id, self.name, f"{chain}/{number}") % len(self.operations)
            try:
                row = await self._rewritten(last, self.operations[drawn], chain * self.hops + number, record, ask)
            except BadReply as bad:
                made.append(bad)
                continue
            if row.id in seen:
                made.append(BadReply("repeats_a_draw", "another chain came to the same", text=row.text))
            else:
                seen.add(row.id)
                made.append(row)
            last = row
        return made

    async def _rewritten(
        self, last: Instruction, operation: Depth, draw: int, record: Instruction, ask: Ask
    ) -> Instruction:
        asked = fill(OPERATIONS[operation], instruction=between(last.text))
        prompt = [system(self.evolve_system), user(asked)]
        answer = await ask(prompt, returns=Evolved, sampling=self.sampling, draw=draw)
        text = answer.value.instruction.strip()
        _check_evolved(text, last.text, answer)
        before = list[Answer[Any]]()
        if self.compare:
            question = fill(SAME, before=between(last.text), after=between(text))
            compared = await ask(
                [system(self.evolve_system), user(question)],
                returns=YesNo,
                sampling=self.judging,
                engine=engine_of(self.judge),
            )
            if compared.value.verdict == "yes":
                keys = (*answer.keys, *compared.keys)
                raise BadReply("nothing_gained", compared.value.reason, text=text, asks=keys)
            before = [compared]
        return replace(
            record,
            parents=(record.id,),
            text=text,
            # What it asks for by now nobody has taken apart; its own constraints are the seed's no more.
            constraints=(),
            operations=(*last.operations, Operation(name=operation)),
            hop=last.hop + 1,
            made=answer.made(*before),
        ).identified()


def _check_evolved(text: str, before: str, answer: Answer[Any]) -> None:
    folded = text.casefold()
    reason, detail = "", ""
    if not words(text):
        reason, detail = "no_words", "it holds no word"
    elif words(text) == words(before):
        reason, detail = "nothing_gained", "it is the same text"
    elif talk := next((one for one in TALK if one in folded), ""):
        reason, detail = "speaks_of_itself", f"{talk!r}"
    elif mark := chat_mark_in(text):
        reason, detail = "template_mark", f"{mark!r} would be read as a turn of the chat"
    if reason:
        raise BadReply(reason, detail, text=text, asks=answer.keys)
