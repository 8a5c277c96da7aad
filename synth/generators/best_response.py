r"""The best of several responses to an instruction, by five marks from five separate prompts.

An instruction with its input -> the row with the response whose marks have the highest mean; the others are rejects
that can be read, ``not_best``::

    {"text": "Sum up …", "response": "- Two pans leak …", "scores": [{"name": "quality", "value": 4.0}, …,
     {"name": "mean_mark", "value": 4.4}], "verdicts": [{"name": "best:second", "outcome": "pass",
     "detail": "draw 1 of 1, mean 4.40, second best 4.20"}, {"name": "code:r.1", "outcome": "pass"}, …], …}

TCIA's step 6 (arXiv 2508.20374): four writers, one response each, five marks from 1 to 5, the highest mean kept. It is
a ranking, so the best of four bad ones would stay: the floors are ours. A mark that did not come is no zero: the
response is out, ``mark_missing``. A tie goes to the writer named first. What code can check of the constraints
is checked before any mark is asked for, and beside it the judge is asked the same, to tell how often it is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mashbill.ask import Ask
from mashbill.engine import Sampling
from mashbill.errors import BadReply
from mashbill.records import Instruction
from mashbill.step import Generator, settle
from mashbill.store import Stored
from synth.graders import JUDGING, MAIN, roles
from synth.instruction_checks import RESPONSE
from synth.judge_errors import judge_errors
from synth.response_candidates import Candidate, Marking, kept_row, lost, wins


@dataclass(frozen=True, kw_only=True)
class BestResponse(Generator[Instruction, Instruction]):
    """Has several responses written and keeps the best one, if it is good enough."""

    writers: tuple[str, ...] = (MAIN,)
    """Roles of the engines that answer, ``main`` for the main engine."""
    draws: int = 1
    """Responses of each writer: several seeds of one engine stand in for several engines."""
    system: str = ""
    """The system prompt of the writers; empty for none."""
    marking: Marking = Marking()
    """Who marks, by which prompts, and the floors."""
    code_decides: bool = True
    """Whether a response that breaks a constraint by code is out, ``constraint_broken``, whatever the judge says."""
    judge_constraints: bool = True
    """Whether the judge is asked about the constraints that code checks too: one ask a response, for its error rate."""
    sampling: Sampling = Sampling(temperature=0.7, max_tokens=1024)
    judging: Sampling = JUDGING

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        if not self.writers or "" in self.writers or len(set(self.writers)) < len(self.writers):
            raise ValueError(
                f"writers is {list(self.writers)}; name one engine or more, each once ({MAIN} is the main one)"
            )
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}; each writer answers once at least")
        if self.draws > 1 and self.sampling.temperature == 0:
            raise ValueError(f"draws is {self.draws} at temperature 0, where every draw is the same")

    def engines(self) -> Sequence[str]:
        """The writers and the judge besides the main engine."""
        return roles(self.writers, (self.marking.judge,))

    async def make(self, record: Instruction, ask: Ask) -> Iterable[Instruction | BadReply]:
        """The best response, and every other as a reject with its reason."""
        if not record.text.strip():
            raise BadReply("no_text", "there is no instruction to answer; put compose_instruction before this step")
        turns = [(role, draw) for role in self.writers for draw in range(self.draws)]
        tried = await settle(self._candidate(record, role, draw, ask) for role, draw in turns)
        usable = [one for one in tried if isinstance(one, Candidate)]
        # The first of equal means: writers in the order of the bill, then draws.
        best = max(usable, key=lambda one: one.mean, default=None)
        others = sorted((one.mean for one in usable if one is not best), reverse=True)
        made = list[Instruction | BadReply]()
        for one in tried:
            if isinstance(one, BadReply):
                made.append(one)
            elif one is best:
                made.append(kept_row(record, one, self.draws, others[0] if others else None))
            else:
                made.append(lost(one, record, best.mean if best else 0.0))
        return made

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """For the manifest: responses and wins of each writer, and how often the judge was wrong where code knows."""
        del source
        return {"wins": wins(made), "judge_errors": judge_errors(made, RESPONSE)}

    async def _candidate(self, record: Instruction, role: str, draw: int, ask: Ask) -> Candidate:
        written = await self.marking.written(record, self.system, role, draw, self.sampling, ask)
        return await self.marking.marked(
            record,
            written,
            ask,
            self.judging,
            code_decides=self.code_decides,
            judge_constraints=self.judge_constraints,
        )
