"""The ``star`` section of a bill: a student that learns from its own right answers, round by round.

::

    student: {path: seeded}
    star:
      from: problems                 # a stream of questions with their answers
      rounds: 4
      steps: 40                      # optimiser steps of the first round
      growth: 1.2                    # each round takes so many times the steps of the one before
      sequence_length: 256
      batch: 8
      learning_rate: 1.0e-4
      template: plain                # fields of `train.supervision.Supervision`; the target is full_cot
      draw: {task: maths, draws: 4, hint_draws: 1}      # fields of the step `teacher_rationale`
    evaluate: {questions: test.jsonl, validation: validation.jsonl, write: {matcher: numeric}}

40 steps and 1.2 are those of the code of STaR (2203.14465); its other fields are as under ``train``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.training_section import Evaluation, read_evaluation, read_student
from flows.writing_section import question_stream
from mashbill.bill import Bill
from mashbill.matching import MARKERS
from mashbill.registry import load
from mashbill.section import Section
from mashbill.step import Generator
from train.plan import PlanSpec
from train.recipe import StudentSpec, TrainRecipe
from train.supervision import Supervision
from train.write_spec import WriteSpec

OWN = ("from", "rounds", "steps", "growth", "draw")
PLANNED = ("sequence_length", "batch", "seed")
SHOWN = ("template", "system", "rationale_lead", "answer_lead", "choices", "per_question", "max_length")
"""Fields of a supervision that mean something under ``full_cot``."""
MOST_ROUNDS = 100


@dataclass(frozen=True, kw_only=True)
class Star:
    """Everything that decides the loop."""

    stream: str
    rounds: int
    steps: int
    growth: float
    drawing: Generator[Any, Any]
    """The step `teacher_rationale`, as it is in round 0."""
    plan: PlanSpec
    """Its `tokens` are those of one optimiser step."""
    recipe: TrainRecipe
    supervision: Supervision
    student: StudentSpec
    evaluation: Evaluation
    write: WriteSpec

    def steps_of(self, number: int) -> int:
        """Optimiser steps of a round, from 0: with 40 and 1.2 they are 40, 48, 58 and 69."""
        return round(self.steps * self.growth**number)


def read_star(bill: Bill) -> Star | None:
    """The loop of a bill, checked; None when it has none.

    Raises:
        BillError: with file and line.
    """
    section = bill.section("star")
    if section is None:
        return None
    recipe = [one.name for one in dataclasses.fields(TrainRecipe)]
    section.only([*dict.fromkeys([*OWN, *PLANNED, *SHOWN, *recipe])], required=("from", "rounds"))
    stream = question_stream(_only_from(section), bill)
    rounds, steps = section.at("rounds").as_(int), section.get("steps", 40).as_(int)
    growth = section.get("growth", 1.2).as_(float)
    if not 1 <= rounds <= MOST_ROUNDS:
        section.at("rounds").fail(f"from 1 to {MOST_ROUNDS} are wanted; found {rounds}")
    if steps < 1:
        section.at("steps").fail(f"at least one optimiser step is wanted; found {steps}")
    if not growth >= 1:
        section.at("growth").fail(f"is what the steps are multiplied with each round, 1 or more; found {growth:g}")
    evaluation = read_evaluation(bill)
    if evaluation is None or evaluation.validation is None:
        section.fail("chooses a round by `evaluate.validation`: name a file of questions there")
    if evaluation.stream:
        section.fail("wants the questions of the test in a file; `evaluate.questions` names a stream")
    seeded = {"seed": bill.seed, **section.value}
    plan = _part(section, {**seeded, "tokens": 1}, ("tokens", *PLANNED)).build(PlanSpec)
    supervision = _part(section, {**section.value, "target": "full_cot"}, ("target", *SHOWN)).build(Supervision)
    if not any(marker in supervision.answer_lead.lower() for marker in MARKERS):
        section.at("answer_lead").fail(
            f"what leads to the answer must be one of the marks it is found by: {', '.join(MARKERS)}"
        )
    return Star(
        stream=stream,
        rounds=rounds,
        steps=steps,
        growth=growth,
        drawing=section.get("draw", {}).build(load("step", "teacher_rationale")),
        plan=dataclasses.replace(plan, tokens=plan.sequence_length * plan.batch),
        recipe=_part(section, seeded, recipe).build(TrainRecipe),
        supervision=supervision,
        student=read_student(bill),
        evaluation=evaluation,
        write=evaluation.writing.write or WriteSpec(),
    )


def _only_from(section: Section) -> Section:
    return dataclasses.replace(section, value={"from": section.value["from"]})


def _part(section: Section, values: Mapping[str, Any], names: tuple[str, ...] | list[str]) -> Section:
    return dataclasses.replace(section, value={name: values[name] for name in names if name in values})
