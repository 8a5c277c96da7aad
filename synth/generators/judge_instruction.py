r"""Instructions judged for validity and self-consistency, each from 1 to 5, and kept above a threshold.

An instruction -> the same row with its marks, or a reject with the judge's reason::

    {"text": "Sum up the notes in French.", "scores": [{"name": "validity", "value": 5.0}, {"name": "consistency", …}],
     "verdicts": [{"name": "validity", "outcome": "pass", "detail": "5: It asks for the same thing."}, …], …}

TCIA's step 5 (arXiv 2508.20374): validity is relevance to the task, nothing taken for granted and intent kept;
self-consistency is no open or hidden contradiction and nothing ambiguous. The paper names no threshold: 4 on both is
ours, and the histogram in the manifest says what another would have kept. A mark that did not come is no mark: the row
is rejected for that, ``validity_not_judged``, and never counts as zero.
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
from mashbill.step import Generator, settle
from mashbill.store import Stored
from synth.graders import JUDGING, MAIN, engine_of, roles
from synth.instruction_checks import DETAIL
from synth.instruction_prompts import CONSISTENCY, JUDGE_SYSTEM, VALIDITY, Mark, between
from synth.templates import check_places, fill

DIMENSIONS = ("validity", "consistency")


@dataclass(frozen=True, kw_only=True)
class JudgeInstruction(Generator[Instruction, Instruction]):
    """Marks instructions and keeps those that are valid and consistent."""

    judge_system: str = JUDGE_SYSTEM
    validity: str = VALIDITY
    """Gets {task_type}, {base_query} and {instruction}."""
    consistency: str = CONSISTENCY
    """Gets {instruction}."""
    min_validity: int = 4
    min_consistency: int = 4
    judge: str = MAIN
    """Role of the engine that judges."""
    sampling: Sampling = JUDGING

    def __post_init__(self) -> None:
        """Refuse thresholds that are no marks."""
        for name in ("min_validity", "min_consistency"):
            if not 1 <= getattr(self, name) <= 5:
                raise ValueError(f"{name} is {getattr(self, name)}; a mark is a whole number from 1 to 5")
        check_places("validity", self.validity, {"task_type", "base_query", "instruction"}, {"instruction"})
        check_places("consistency", self.consistency, {"instruction"}, {"instruction"})

    def engines(self) -> Sequence[str]:
        """The judge besides the main engine."""
        return roles((self.judge,))

    async def make(self, record: Instruction, ask: Ask) -> Iterable[Instruction | BadReply]:
        """The row with both marks."""
        if not record.text.strip():
            raise BadReply("no_text", "there is no instruction to judge; put compose_instruction before this step")
        parts = {
            "task_type": between(record.task_type) or "not named",
            "base_query": between(record.base_query) or "not known",
            "instruction": between(record.text),
        }
        asked = [self._mark(fill(template, **parts), ask) for template in (self.validity, self.consistency)]
        marks = await settle(asked)
        verdicts = [self._verdict(name, mark) for name, mark in zip(DIMENSIONS, marks, strict=True)]
        answers = [mark for mark in marks if not isinstance(mark, BadReply)]
        if wrong := [one for one in verdicts if not one.passed]:
            worst = next((one for one in wrong if one.outcome == "fail"), wrong[0])
            raise BadReply(
                f"low_{worst.name}" if worst.outcome == "fail" else f"{worst.name}_not_judged",
                worst.detail,
                text=record.text,
                asks=tuple(key for one in answers for key in one.keys),
                verdicts=(*record.verdicts, *verdicts),
            )
        scores = [Score(name=name, value=float(one.value.score)) for name, one in zip(DIMENSIONS, answers, strict=True)]
        return [
            replace(
                record,
                verdicts=(*record.verdicts, *verdicts),
                scores=(*record.scores, *scores),
                # What holds the text stays the one that is named; the marks came after it.
                made=replace(record.made, asks=(*(key for one in answers for key in one.keys), *record.made.asks)),
            )
        ]

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """For the manifest: how many instructions got each mark, those that were not kept too."""
        del source
        return {"marks": histogram(made)}

    async def _mark(self, asked: str, ask: Ask) -> Answer[Mark]:
        prompt = [system(self.judge_system), user(asked)]
        return await ask(prompt, returns=Mark, sampling=self.sampling, engine=engine_of(self.judge))

    def _verdict(self, name: str, mark: Answer[Mark] | BadReply) -> Verdict:
        if isinstance(mark, BadReply):
            return Verdict(name=name, outcome="error", detail=f"{mark.reason}: {mark.detail}"[:DETAIL])
        least, score = getattr(self, f"min_{name}"), mark.value.score
        detail = f"{score}: {' '.join(mark.value.reason.split())}"[:DETAIL]
        return Verdict(name=name, outcome="pass" if score >= least else "fail", detail=detail)


def histogram(made: Stored) -> dict[str, dict[str, int]]:
    """Dimension -> mark -> instructions, from rows and rejects; what got no mark is ``none``."""
    found = {name: Counter[str]() for name in DIMENSIONS}
    for index in range(len(made)):
        for table in (made.table(index), made.rejects(index)):
            for verdicts in table.column("verdicts").to_pylist():
                for one in verdicts:
                    if one["name"] in found:
                        mark = "none" if one["outcome"] == "error" else one["detail"].partition(":")[0]
                        found[one["name"]][mark] += 1
    return {name: dict(sorted(counts.items())) for name, counts in found.items()}
