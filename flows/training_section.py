"""The ``student``, ``train`` and ``evaluate`` sections of a bill, as what `train/` takes.

::

    student: {model: smollm2-135m-instruct}
    train:
      tokens: 40000                         # each arm's, replay included
      sequence_length: 512
      batch: 8
      learning_rate: 1.0e-4
      replay: {from: general, share: 0.1}   # a source or stream of general text
      arms:                                 # arm -> {stream: share of tokens}
        raw: {raw: 1}
        entigraph: {entigraph: 1}
    evaluate: {questions: questions.jsonl}

Fields of `train.plan.PlanSpec` and `train.recipe.TrainRecipe` stand side by side under ``train``, and with ``target``
those of supervised tuning (`flows.supervised_section`). The arm ``base`` is the student before training and is always
there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.ablation_section import Ablation, read_ablation
from flows.distill_section import DISTILL, read_distills, with_controls
from flows.supervised_section import SUPERVISED_FIELDS, check_rows, kind_of, read_lora, read_supervision
from flows.writing_section import WRITING_FIELDS, Writing, question_stream, read_validation, read_writing
from mashbill.bill import Bill
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.registry import nearest
from mashbill.section import Section
from mashbill.settings import Settings
from train.curriculum import Curriculum
from train.distill_spec import Distill
from train.eval_spec import EvalSpec
from train.hardware import Hardware
from train.identity import distill_identity
from train.plan import PlanSpec
from train.questions import read_questions
from train.recipe import BYTES, Lora, StudentSpec, TrainRecipe
from train.render import RenderSpec
from train.render_qa import QuestionText
from train.supervision import Supervision

BASE = "base"


@dataclass(frozen=True, kw_only=True)
class Replay:
    """General text mixed in against forgetting: a stream or source, and its share of all tokens."""

    source: str
    share: float


@dataclass(frozen=True, kw_only=True)
class Training:
    """Everything that decides the arms of a bill."""

    student: StudentSpec
    recipe: TrainRecipe
    render: RenderSpec
    replay: Replay | None
    plans: Mapping[str, PlanSpec]
    """Arm -> plan; all at the same number of tokens."""
    kinds: Mapping[str, type[Record]] = dataclasses.field(default_factory=dict)
    """Stream or replay source -> the type of its rows."""
    supervision: Supervision | None = None
    """What of a row is learned; None for whole texts."""
    lora: Lora | None = None
    """None trains all weights."""
    ablation: Ablation | None = None
    """None leaves no source out."""
    distills: Mapping[str, Distill] = dataclasses.field(default_factory=dict)
    """Arm -> what it learns from a teacher; arms that learn from their text alone are not in it."""
    controls: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Arm without a teacher that was added -> the arm it is the control of, whose plan it has."""

    @property
    def identity(self) -> object:
        """What decides a student besides its plan's spec and itself; without what is not said."""
        said = [one for one in (self.supervision, self.lora, self.ablation) if one is not None]
        taught = {name: distill_identity(one, self.student) for name, one in self.distills.items()}
        return (self.recipe, self.render.identity, *said, *([taught] if taught else []))


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the arms are asked."""

    questions: Path
    """Where they stand; of a stream, nowhere before `flows.written_arms.resolved`."""
    spec: EvalSpec
    stream: str = ""
    """The stream whose held-out rows are the questions; empty where they are a file."""
    validation: Path | None = None
    """What anything is chosen by: never the questions."""
    writing: Writing = dataclasses.field(default_factory=Writing)


def read_training(bill: Bill) -> Training | None:
    """The training of a bill, checked; None when it has none.

    Raises:
        BillError: with file and line.
    """
    section = bill.section("train")
    if section is None:
        if "student" in bill.whole:
            read_student(bill)  # checked although nobody needs it yet: a bill is checked whole
        return None
    elsewhere = ("shares", "replay", "replay_share", "curriculum")
    plan_names = [one.name for one in dataclasses.fields(PlanSpec) if one.name not in elsewhere]
    recipe_names = [one.name for one in dataclasses.fields(TrainRecipe)]
    section.only(
        [
            *dict.fromkeys([*plan_names, *recipe_names, *SUPERVISED_FIELDS]),
            *("curriculum", "replay", "render", "lora", "arms", "ablation", DISTILL),
        ],
        required=("tokens", "arms"),
    )
    student = read_student(bill)
    supervision = read_supervision(section, student)
    replay = read_replay(section.at("replay"), bill) if "replay" in section else None
    seeded = {"seed": bill.seed, **section.value}
    plan = part_of(section, seeded, plan_names).build(PlanSpec)
    if replay is not None:
        plan = dataclasses.replace(plan, replay=replay.source, replay_share=replay.share)
    if "curriculum" in section:
        plan = dataclasses.replace(plan, curriculum=section.at("curriculum").build(Curriculum))
    if not section.at("arms").items():
        section.at("arms").fail("names no arm; wanted is arm -> {stream: share}, for example {made: {made: 1}}")
    plans = {name: dataclasses.replace(plan, shares=_arm(arm, name, bill)) for name, arm in section.at("arms").items()}
    render = read_render(section)
    kinds = {stream: kind_of(bill, stream) for one in plans.values() for stream in one.shares}
    for name, one in plans.items():
        for stream in one.shares:
            check_rows(section.at("arms").at(name).at(stream), kinds[stream], supervision, render)
    if plan.curriculum is not None:
        _check_order(section.at("curriculum").at("by"), plan.curriculum, kinds)
    if replay is not None:
        kinds[replay.source] = kind_of(bill, replay.source)
        check_rows(section.at("replay").at("from"), kinds[replay.source], supervision, render)
    recipe = part_of(section, seeded, recipe_names).build(TrainRecipe)
    distills = read_distills(section, bill, plans)
    plans, controls = with_controls(plans, distills)
    return Training(
        student=student,
        recipe=recipe,
        render=render,
        replay=replay,
        plans=plans,
        kinds=kinds,
        supervision=supervision,
        lora=read_lora(section),
        distills=distills,
        controls=controls,
        ablation=read_ablation(section, plans, recipe, asks="evaluate" in bill.whole),
    )


def read_student(bill: Bill) -> StudentSpec:
    """The student of a bill; its paths are relative to the bill."""
    section = bill.section("student")
    if section is None:
        bill.whole.fail("needs a `student` to evaluate or train (for example {model: smollm2-135m-instruct})")
    try:
        spec = section.build(StudentSpec)
    except BillError as error:
        if error.path is None:  # a nested part refused its values, and does not know where they stand
            section.fail(str(error))
        raise
    path = None if spec.path is None else (bill.folder / spec.path).resolve()
    tokenizer = spec.tokenizer
    if tokenizer is not None and tokenizer != BYTES:
        tokenizer = (bill.folder / tokenizer).resolve()
    return dataclasses.replace(spec, path=path, tokenizer=tokenizer)


def read_evaluation(bill: Bill) -> Evaluation | None:
    """The evaluation of a bill, or None when it has none."""
    section = bill.section("evaluate")
    if section is None:
        return None
    if "questions" not in section:
        section.fail("needs `questions`: a JSON lines file of held-out questions")
    asked = section.at("questions")
    stream = "" if isinstance(asked.value, str) else question_stream(asked, bill)
    questions = Path() if stream else (bill.folder / asked.as_(str)).resolve()
    if not stream and not questions.is_file():
        asked.fail(f"no such file: {questions}")
    if not {"train", "star"} & set(bill.whole.value) and read_student(bill).scratch is not None:
        section.fail("a student from scratch knows nothing before it is trained; add `train`, or take another student")
    # A broken question must not be found after the training, nor a student that is missing.
    read_student(bill)
    known = None if stream else questions
    if known is not None:
        read_questions(known)
    rest = {name: value for name, value in section.value.items() if name not in ("questions", *WRITING_FIELDS)}
    return Evaluation(
        questions=questions,
        spec=dataclasses.replace(section, value=rest).build(EvalSpec),
        stream=stream,
        validation=read_validation(section, bill, known),
        writing=read_writing(section, bill, known),
    )


def read_hardware(settings: Settings) -> Hardware:
    """How students are trained here: the ``[hardware]`` table of the settings."""
    return settings.section("hardware").build(Hardware)


def read_render(section: Section) -> RenderSpec:
    """How texts are written out; ``questions: {}`` takes every default."""
    render = section.get("render", {})
    if not isinstance(render.value, Mapping) or "questions" not in render:
        return render.build(RenderSpec)
    return render.build(RenderSpec, made={"questions": render.at("questions").build(QuestionText)})


def part_of(section: Section, values: Mapping[str, object], names: list[str]) -> Section:
    """Some of the fields of a section, to be built into what has those alone."""
    return dataclasses.replace(section, value={name: values[name] for name in names if name in values})


def read_replay(section: Section, bill: Bill) -> Replay:
    """The general text that is mixed in: a source or stream, and its share."""
    section.only(("from", "share"), required=("from", "share"))
    source, share = section.at("from").as_(str), section.at("share").as_(float)
    known = [*bill.streams, *bill.sources]
    if source not in known:
        section.at("from").fail(
            f"no stream or source is called {source!r}{nearest(source, known)}; there are: {', '.join(known)}"
        )
    if not 0 < share < 1:
        section.at("share").fail(f"must lie between 0 and 1; found {share}")
    return Replay(source=source, share=share)


def _check_order(section: Section, curriculum: Curriculum, kinds: Mapping[str, type[Record]]) -> None:
    for stream, kind in kinds.items():
        if why := curriculum.refusal(kind):
            section.fail(f"stream {stream}: {why}")


def _arm(section: Section, name: str, bill: Bill) -> Mapping[str, float]:
    if name == BASE:
        section.fail(f"{BASE!r} is the student before training and is always there; name this arm otherwise")
    if (
        not isinstance(name, str)
        or not name.strip(".")
        or not all(letter.isalnum() or letter in "-_." for letter in name)
    ):
        section.fail(f"an arm is the name of a folder: letters, digits, - _ . only; found {name!r}")
    if isinstance(section.value, Mapping):  # what it learns from a teacher stands beside its streams
        section = dataclasses.replace(section, value={k: v for k, v in section.value.items() if k != DISTILL})
    shares = section.as_(dict[str, float])
    for stream in shares:
        if stream not in bill.streams:
            known = ", ".join(bill.streams)
            section.at(stream).fail(
                f"no stream is called {stream!r}{nearest(stream, bill.streams)}; there are: {known}"
            )
    if not shares or any(share <= 0 for share in shares.values()):
        section.fail("an arm is {stream: share} with shares above 0")
    return shares
