"""The fields of a bill's ``train`` section that make it supervised tuning, and LoRA's.

::

    train:
      tokens: 400_000
      target: multitask              # answer_only, multitask or full_cot; without it whole texts are read
      alpha: 0.7
      template: plain
      lora: {r: 16, alpha: 16}
      arms: {worked: {worked: 1}}    # streams of QA, Rationale or Instruction rows

Fields of `train.supervision.Supervision` stand side by side with those of the plan and the recipe.
"""

from __future__ import annotations

import dataclasses

from mashbill.bill import Bill
from mashbill.records import QA, Document, Instruction, Rationale, Record, schema_of
from mashbill.section import Section
from mashbill.step import DatasetGenerator, DatasetStep, Generator
from train.identity import has_chat_template
from train.recipe import Lora, StudentSpec
from train.render import RenderSpec
from train.supervision import ONLY_WITH, TARGETS, Supervision, refusal

SUPERVISED_FIELDS = tuple(one.name for one in dataclasses.fields(Supervision))


def read_supervision(section: Section, student: StudentSpec) -> Supervision | None:
    """What of the ``train`` section is about completions; None where whole texts are read.

    Raises:
        BillError: for a field that means nothing without `target`, or under another one, with file and line.
    """
    given = [name for name in SUPERVISED_FIELDS if name in section]
    if "target" not in section:
        if given:
            section.at(given[0]).fail(
                f"is about completions; say `target` too ({', '.join(TARGETS)}), or leave it out to train on texts"
            )
        return None
    spec = dataclasses.replace(section, value={name: section.value[name] for name in given}).build(Supervision)
    for name in given:
        if ONLY_WITH.get(name, spec.target) != spec.target:
            section.at(name).fail(f"means something under target {ONLY_WITH[name]} alone; the target is {spec.target}")
    if "render" in section:
        section.at("render").fail("says how whole texts are written out; under a `target` it is `template` that does")
    if spec.template == "chat" and not has_chat_template(student):
        section.at("template" if "template" in section else "target").fail(
            f"the student {student.name} has no chat template; say `template: plain`"
        )
    return spec


def read_lora(section: Section) -> Lora | None:
    """LoRA's settings; None where all weights are trained."""
    return section.at("lora").build(Lora) if "lora" in section else None


def kind_of(bill: Bill, name: str) -> type[Record]:
    """The record type of the rows of a stream, or of a source."""
    if name not in bill.streams:
        return bill.sources[name].writes
    origin = bill.streams[name].origins[0]
    kind: type[Record] = bill.sources[origin].writes if origin in bill.sources else kind_of(bill, origin)
    for step in bill.streams[name].steps:
        if isinstance(step, Generator | DatasetStep | DatasetGenerator) and step.writes is not Record:
            kind = step.writes
    return kind


def check_rows(section: Section, kind: type[Record], supervision: Supervision | None, render: RenderSpec) -> None:
    """Whether a student can learn from rows of a type.

    Raises:
        BillError: when not, at the place that names the stream.
    """
    if supervision is None:
        if issubclass(kind, QA | Rationale) and render.questions is not None:
            return
        if issubclass(kind, QA | Rationale | Instruction):
            as_text = (
                "" if issubclass(kind, Instruction) else ", or `render: {questions: {}}` to read them as plain text"
            )
            section.fail(
                f"its rows are {kind.__name__}, which have a question and an answer; say `target` "
                f"({', '.join(TARGETS)}) to tune on their completions{as_text}"
            )
        if "text" not in schema_of(kind).names:
            section.fail(f"its rows are {kind.__name__} and have no text; a student reads Document rows")
    elif issubclass(kind, Document):
        section.fail(
            f"its rows are {kind.__name__}, whole texts, and target {supervision.target} learns completions; "
            "leave `target` out, or name a stream of QA, Rationale or Instruction rows"
        )
    elif why := refusal(kind, supervision.target):
        section.fail(why)
