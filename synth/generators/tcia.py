r"""Task-centric instruction augmentation: from sets of constraints back to instructions with inputs and answers.

A row of a search, a set of constraints without a text -> rows to train on::

    {"text": "", "task_type": "meeting minutes", "base_query": "Write the minutes.", "hop": 2,
     "constraints": [{"text": "{transcript}", "category": "input_placeholder"}, {"text": "At most five bullets", …}]}
    -> {"text": "Write the minutes of this meeting in at most five bullets.\nOra: The pans leak. …",
        "response": "- Two pans leak; Venn mends them by Friday.", "hop": 2, "scores": […], "verdicts": […], …}

TCIA (arXiv 2508.20374) holds task type and base query fixed and varies the constraints alone, with constraints that
real instructions of the same task type carry. Its steps, and where each is here:

1. decompose a corpus into task type, base query and constraints: `decompose`
2. a database of tasks by type: `instruction_database`
3. breadth-first search over sets of constraints: `constraint_search`
4. back to an instruction (compose, verify each constraint, refine): `compose_instruction`
5. validity and self-consistency judged, then paired with inputs: `judge_instruction`, `pair_contexts`
6. several responses, five marks each, the best kept: `best_response`

This step does 4 to 6 for each row of 3. The same four steps one after another in a bill make the same kind of rows and
store what each of them kept, which is what `mashbill tcia report` reads hop by hop; use this one where a single stored
step is wanted. `fixed_instruction` and `evolve_instruction` are the two baselines, `on_task` the measure of drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mashbill.ask import Ask
from mashbill.errors import BadReply
from mashbill.records import Instruction
from mashbill.step import Generator, settle
from mashbill.store import Stored
from synth.generators.best_response import BestResponse
from synth.generators.compose_instruction import ComposeInstruction
from synth.generators.judge_instruction import JudgeInstruction, histogram
from synth.instruction_checks import RESPONSE
from synth.judge_errors import judge_errors
from synth.response_candidates import wins

COMPOSE, JUDGE, RESPOND = ComposeInstruction(), JudgeInstruction(), BestResponse()


@dataclass(frozen=True, kw_only=True)
class TCIA(Generator[Instruction, Instruction]):
    """Writes, judges, pairs and answers the instruction of each set of constraints."""

    pair: Generator[Instruction, Instruction]
    """`pair_contexts`, or another step that gives an instruction its inputs."""
    compose: Generator[Instruction, Instruction] = COMPOSE
    judge: Generator[Instruction, Instruction] = JUDGE
    respond: Generator[Instruction, Instruction] = RESPOND

    def engines(self) -> Sequence[str]:
        """Those of its four steps."""
        return tuple(dict.fromkeys(role for step in self.steps for role in step.engines()))

    @property
    def steps(self) -> tuple[Generator[Instruction, Instruction], ...]:
        """The four, in order."""
        return (self.compose, self.judge, self.pair, self.respond)

    async def make(self, record: Instruction, ask: Ask) -> Iterable[Instruction | BadReply]:
        """What comes out of the last step, and every attempt that failed in any of them."""
        rows, failed = [record], list[BadReply]()
        for step in self.steps:
            made = await settle((self._made(step, row, ask) for row in rows), apart=True)
            outcomes = [one for some in made for one in _listed(some)]
            failed += [one for one in outcomes if isinstance(one, BadReply)]
            rows = [one for one in outcomes if isinstance(one, Instruction)]
        return [*rows, *failed]

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """For the manifest: marks, wins of each writer, and how often the judge was wrong where code knows."""
        del source
        return {
            "marks": histogram(made),
            "wins": wins(made),
            "judge_errors": {"instructions": judge_errors(made, "1"), "responses": judge_errors(made, RESPONSE)},
        }

    async def _made(
        self, step: Generator[Instruction, Instruction], row: Instruction, ask: Ask
    ) -> list[Instruction | BadReply]:
        return list(await step.make(row, ask.of(row.id)))


def _listed(made: list[Instruction | BadReply] | BadReply) -> list[Instruction | BadReply]:
    return [made] if isinstance(made, BadReply) else made
