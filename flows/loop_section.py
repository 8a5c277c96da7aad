"""The ``loop`` section of a bill: train, find what is weak, write more of it, and again.

::

    student: {scratch: {layers: 2, width: 96, heads: 4}, tokenizer: words}
    loop:
      rounds: 4
      tokens: 4000                       # new ones, of each round; or `rows`
      recipes: [notes, drills]           # streams of the bill: ways to make rows
      weak: {by: domain, gamma: 2}       # cells, entities, relations, constraints, or columns of the questions
      validation: validation.jsonl       # what is weak, when to stop and which round is best
      test: test.jsonl                   # read when that is decided, once
      control: uniform
      train: {tokens: 20000, sequence_length: 128, batch: 8, learning_rate: 2.0e-3}

Under ``train`` stand fields of the plan, the recipe, supervised tuning and LoRA as they do in the bill's own ``train``;
there are no arms. Each round's student learns from the same number of tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.loop_questions import AskedQuestion, SealedTest, read_asked, refuse_shared
from flows.loop_spec import LoopSpec, Weak
from flows.supervised_section import SUPERVISED_FIELDS, check_rows, kind_of, read_lora, read_supervision
from flows.training_section import Training, part_of, read_render, read_replay, read_student
from mashbill.bill import Bill
from mashbill.errors import UserError
from mashbill.records import QA, Record, schema_of
from mashbill.registry import load, nearest
from mashbill.section import Section
from mashbill.step import DatasetStep
from train.eval_spec import EvalSpec
from train.plan import PlanSpec
from train.recipe import TrainRecipe

MADE, EARLIER = "made", "earlier"
"""Streams of a round's plan: rows that the loop made, and with ``start: last`` those of the rounds before."""
ELSEWHERE = ("shares", "replay", "replay_share", "curriculum", "when_exhausted", "max_repetitions")


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Everything that decides a loop, and nothing of its test: that is in a `SealedTest` beside it."""

    name: str
    spec: LoopSpec
    weak: Weak
    kind: type[Record]
    """Of the rows that all recipes make."""
    dedup: DatasetStep[Any, Any]
    """Takes out what is there already; its `against` is set for each round."""
    training: Training
    """Of one plan, `MADE`, whose tokens are a round's."""
    asking: EvalSpec
    validation: Path
    asked: tuple[AskedQuestion, ...] = field(repr=False)

    @property
    def identity(self) -> object:
        """What decides what a round makes and learns."""
        return (self.spec, self.weak, self.training.plans[MADE].identity, self.training.identity, self.asking)


def read_loop(bill: Bill) -> tuple[Loop, SealedTest] | None:
    """The loop of a bill and its test, checked; None when it has none.

    Raises:
        BillError: with file and line.
    """
    section = bill.section("loop")
    if section is None:
        return None
    names = [one.name for one in dataclasses.fields(LoopSpec)]
    others = ("weak", "validation", "test", "train", "dedup", "ask")
    section.only([*names, *others], required=("rounds", "recipes", "weak", "validation", "test", "train"))
    own = part_of(section, {"seed": bill.seed, **section.value}, names)
    spec = own.build(LoopSpec)
    weak, kind = _weak(section.at("weak")), _kind(section, spec, bill)
    training = _training(section.at("train"), bill, spec, kind)
    validation, test = (_questions(section.at(name), bill) for name in ("validation", "test"))
    asked = read_asked(validation, weak.grouping)
    if not any(one.groups for one in asked):
        section.at("weak").get("by").fail(
            f"none of the {len(asked)} questions in {validation.name} is in a group by {', '.join(weak.by)}; their "
            f"lines have {', '.join(asked[0].row)}"
        )
    _check_sources(section, spec, weak, bill)
    sealed = refuse_shared(asked, validation, test)
    loop = Loop(
        name=bill.name,
        spec=spec,
        weak=weak,
        kind=kind,
        dedup=_dedup(section.get("dedup", "minhash_dedup"), bill),
        training=training,
        asking=section.get("ask", {}).build(EvalSpec),
        validation=validation,
        asked=tuple(asked),
    )
    return loop, sealed


def _weak(section: Section) -> Weak:
    """A single column stands for a list of one."""
    if not isinstance(section.value, Mapping):
        section.fail("is {by: …}: cells, entities, relations, constraints, or columns of the validation questions")
    listed = {name: [value] if isinstance(value, str) else value for name, value in section.value.items()}
    return dataclasses.replace(section, value=listed).build(Weak)


def _kind(section: Section, spec: LoopSpec, bill: Bill) -> type[Record]:
    """The type of record that the recipes make, all the same."""
    kinds = {}
    for name in spec.recipes:
        if name not in bill.streams:
            section.at("recipes").fail(
                f"no stream is called {name!r}{nearest(name, bill.streams)}; there are: {', '.join(bill.streams)}"
            )
        kinds[name] = kind_of(bill, name)
    first = spec.recipes[0]
    for name, kind in kinds.items():
        if kind is not kinds[first]:
            section.at("recipes").fail(
                f"{name} makes {kind.__name__} and {first} makes {kinds[first].__name__}; a round is one release, and "
                "a release holds one type of record"
            )
    for name in spec.from_errors:
        if (reads := _read_by(bill, name)) is not QA:
            section.at("from_errors").fail(
                f"{name} reads {reads.__name__}, and a confident error is a question (QA); name a recipe that reads QA"
            )
    return kinds[first]


def _read_by(bill: Bill, name: str) -> type[Record]:
    """The record type that a stream takes."""
    return kind_of(bill, bill.streams[name].origins[0])


def _check_sources(section: Section, spec: LoopSpec, weak: Weak, bill: Bill) -> None:
    """Whether what each recipe reads can be told apart by the groups."""
    for name in spec.recipes:
        reads = _read_by(bill, name)
        if name in spec.from_errors:
            continue
        try:
            weak.grouping.columns(schema_of(reads).names)
        except ValueError as error:
            section.at("weak").fail(
                f"the rows that {name} takes are {reads.__name__} and {error}, by which groups are told apart; name "
                "columns that they have in `source`, in the order of `by`"
            )


def _training(section: Section, bill: Bill, spec: LoopSpec, kind: type[Record]) -> Training:
    plan_names = [one.name for one in dataclasses.fields(PlanSpec) if one.name not in ELSEWHERE]
    recipe_names = [one.name for one in dataclasses.fields(TrainRecipe)]
    fields = dict.fromkeys([*plan_names, *recipe_names, *SUPERVISED_FIELDS, "replay", "render", "lora"])
    section.only(list(fields), required=("tokens",))
    seeded = {"seed": spec.seed, **section.value}
    student = read_student(bill)
    supervision = read_supervision(section, student)
    render = read_render(section)
    check_rows(section, kind, supervision, render)
    plan, kinds = part_of(section, seeded, plan_names).build(PlanSpec), {MADE: kind, EARLIER: kind}
    replay = read_replay(section.at("replay"), bill) if "replay" in section else None
    if replay is not None:
        kinds[replay.source] = kind_of(bill, replay.source)
        check_rows(section.at("replay").at("from"), kinds[replay.source], supervision, render)
        plan = dataclasses.replace(plan, replay=replay.source, replay_share=replay.share)
    return Training(
        student=student,
        recipe=part_of(section, seeded, recipe_names).build(TrainRecipe),
        render=render,
        replay=replay,
        plans={MADE: dataclasses.replace(plan, shares={MADE: 1.0})},
        kinds=kinds,
        supervision=supervision,
        lora=read_lora(section),
    )


def _questions(section: Section, bill: Bill) -> Path:
    path = (bill.folder / section.as_(str)).resolve()
    if not path.is_file():
        section.fail(f"no such file: {path}; wanted are questions, one JSON object a line")
    return path


def _dedup(section: Section, bill: Bill) -> DatasetStep[Any, Any]:
    name, fields = section.named()
    try:
        cls = load("step", name, bill.folders)
    except UserError as error:
        section.fail(str(error))
    known = {one.name for one in dataclasses.fields(cls)}
    if not issubclass(cls, DatasetStep) or "against" not in known:
        section.fail(f"{name} cannot take out what an earlier round has; exact_dedup and minhash_dedup can")
    if "against" in fields:
        fields.at("against").fail("is the loop's to set: the rows of the rounds before")
    step: DatasetStep[Any, Any] = fields.build(cls)
    return step
