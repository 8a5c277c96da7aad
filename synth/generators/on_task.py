r"""Whether instructions are still of their task, as a judge sees it; nothing is rejected for it.

An instruction -> the same row with the verdict ``on_task``: pass, fail, or error where the judge did not answer. The
share of passes by hop is one of the two properties that TCIA (arXiv 2508.20374) is measured by: rewriting drifts away
from the task hop by hop, a search over constraints should not. `mashbill tcia report` reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mashbill.ask import Ask
from mashbill.engine import Sampling, system, user
from mashbill.errors import BadReply
from mashbill.records import Instruction, Verdict
from mashbill.step import Generator
from mashbill.store import Stored
from synth.graders import JUDGING, MAIN, engine_of, roles
from synth.instruction_checks import DETAIL
from synth.instruction_prompts import JUDGE_SYSTEM, ON_TASK, YesNo, between
from synth.templates import check_places, fill

NAME = "on_task"


@dataclass(frozen=True, kw_only=True)
class OnTask(Generator[Instruction, Instruction]):
    """Asks a judge whether each instruction is still of its task."""

    judge_system: str = JUDGE_SYSTEM
    question: str = ON_TASK
    """Gets {base_query}, {task_type} and {instruction}."""
    judge: str = MAIN
    """Role of the engine that judges."""
    sampling: Sampling = JUDGING

    def __post_init__(self) -> None:
        """Refuse a question that does not show what it asks about."""
        check_places("question", self.question, {"base_query", "task_type", "instruction"}, {"instruction"})

    def engines(self) -> Sequence[str]:
        """The judge besides the main engine."""
        return roles((self.judge,))

    async def make(self, record: Instruction, ask: Ask) -> Iterable[Instruction | BadReply]:
        """The row with its verdict."""
        if not record.text.strip():
            raise BadReply("no_text", "there is no instruction to judge")
        asked = fill(
            self.question,
            base_query=between(record.base_query) or "not known",
            task_type=between(record.task_type) or "not named",
            instruction=between(record.text),
        )
        keys: tuple[str, ...]
        try:
            prompt = [system(self.judge_system), user(asked)]
            answer = await ask(prompt, returns=YesNo, sampling=self.sampling, engine=engine_of(self.judge))
            outcome, keys = "pass" if answer.value.verdict == "yes" else "fail", answer.keys
            detail = " ".join(answer.value.reason.split())[:DETAIL]
        except BadReply as bad:
            outcome, detail, keys = "error", f"{bad.reason}: {bad.detail}"[:DETAIL], bad.asks
        verdict = Verdict(name=NAME, outcome=outcome, detail=detail)
        made = replace(record.made, asks=(*keys, *record.made.asks))
        return [replace(record, verdicts=(*record.verdicts, verdict), made=made)]

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """For the manifest: hop -> instructions judged, those on task, and those without a verdict."""
        del source
        found: dict[int, dict[str, int]] = {}
        for table in made:
            for hop, verdicts in zip(table["hop"].to_pylist(), table["verdicts"].to_pylist(), strict=True):
                counts = found.setdefault(hop, {"pass": 0, "fail": 0, "error": 0})
                for one in verdicts:
                    if one["name"] == NAME:
                        counts[one["outcome"]] += 1
        return {"on_task": {str(hop): found[hop] for hop in sorted(found)}}
