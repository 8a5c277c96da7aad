"""The arms of a bill: each a student trained on its own mix at equal tokens, all asked the same held-out questions.

Where they lie, under the root::

    plans/tolvarey-entigraph/3b71…/      the order of the data
    students/tolvarey-entigraph/90ac…/   checkpoints, metrics, the model, its evaluation
    reports/tolvarey/51d2…/              report.json, report.md, benefit.png
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from flows.kitchen import Kitchen
from flows.teaching import signals_of, teach_arm
from flows.training_section import (
    BASE,
    Evaluation,
    Training,
    read_evaluation,
    read_hardware,
    read_student,
    read_training,
)
from flows.written_arms import Beside, beside, beside_identity, resolved
from mashbill.disk import file_digest
from mashbill.errors import BillError
from mashbill.fingerprint import fingerprint
from mashbill.release_manifest import ReleaseManifest, opened_shard
from mashbill.store import MANIFEST, Stored
from train.curriculum import Values
from train.example_tokens import Rejected, Room, example_tables
from train.examples import COLUMNS
from train.identity import checkpoint_dir, distill_identity, student_identity, template_identity
from train.job import Job
from train.plan import PlanSpec, build_plan
from train.plan_manifest import PlanManifest
from train.processes import train_job
from train.recipe import StudentSpec
from train.render import columns_of, token_tables
from train.result import TrainResult
from train.supervised_plan import SUPERVISED_FORMAT, build_supervised_plan
from train.supervision import Supervision, read_supervision

if TYPE_CHECKING:
    from train.evaluate import EvalResult
    from train.signal_fidelity import SignalFidelity
    from train.source_gain import SourceGain


@dataclass(frozen=True)
class Arm:
    """One trained student with the plan it was trained on."""

    name: str
    plan: PlanManifest
    result: TrainResult
    streams: Mapping[str, str]
    """Stream -> fingerprint of the stored rows that the plan was made from."""


@dataclass(frozen=True)
class Measured:
    """Everything a report is made of."""

    release: ReleaseManifest
    release_dir: Path
    arms: Mapping[str, Arm]
    evaluations: Mapping[str, EvalResult]
    """By arm, the base student among them; empty when the bill evaluates nothing."""
    training: Training | None = None
    beside: Beside | None = None
    """What is measured beside likelihoods: written answers, fidelity to a teacher."""
    gains: Sequence[SourceGain] = ()
    """What each source of the ablated arm gave; empty where none is left out."""
    signals: Mapping[str, Mapping[str, SignalFidelity]] = field(default_factory=dict)
    """Teacher -> arm -> how near it came to the teacher's probabilities; empty where no arm has a teacher."""
    questions: Path | None = None
    """The file of questions that were asked."""


async def measure(kitchen: Kitchen, release: Path) -> tuple[Path, list[str]]:
    """Train and evaluate every arm and write the report; a finished report is opened at once.

    Returns:
        The report's directory and the lines to print.
    """
    from flows.report import finished_report, write_report

    training, evaluation = read_training(kitchen.bill), await evaluation_of(kitchen, release)
    streams = await arm_streams(kitchen, training)
    identity = report_identity(kitchen, release, training, evaluation, streams)
    if evaluation is not None:
        identity |= await beside_identity(kitchen, evaluation)
    folder = kitchen.root / "reports" / kitchen.bill.name / fingerprint(identity)
    if (lines := finished_report(folder, release)) is None:
        await kitchen.engines.release()
        arms = {
            name: await train_arm(kitchen, release, training, name) for name in (training.plans if training else ())
        }
        evaluations, others = {}, None
        if evaluation is not None:
            tuned = training.supervision if training else None
            evaluations = await evaluate_arms(kitchen, evaluation, arms, tuned)
            others = await beside(kitchen, evaluation, models_of(kitchen, arms), evaluations, tuned)
        gains = await ablated(kitchen, release, training, evaluation)
        signals = await signals_of(kitchen, release, training, models_of(kitchen, arms)) if training else {}
        measured = Measured(
            release=ReleaseManifest.read(release),
            release_dir=release,
            arms=arms,
            evaluations=evaluations,
            training=training,
            beside=others,
            gains=gains,
            signals=signals,
            questions=None if evaluation is None else evaluation.questions,
        )
        lines = await asyncio.to_thread(write_report, folder, identity, measured)
    kitchen.run.report = str(folder)
    return folder, lines


async def ablated(
    kitchen: Kitchen, release: Path, training: Training | None, evaluation: Evaluation | None
) -> Sequence[SourceGain]:
    """What each source gave, where the bill asks for it."""
    if training is None or training.ablation is None or evaluation is None:
        return ()
    from flows.ablation import ablate

    return await ablate(kitchen, release, training, evaluation, training.ablation)


async def evaluation_of(kitchen: Kitchen, release: Path) -> Evaluation | None:
    """The evaluation of the bill, its questions in a file; None when it has none."""
    evaluation = read_evaluation(kitchen.bill)
    if evaluation is None or not evaluation.stream:
        return evaluation
    return await resolved(kitchen, evaluation, await asyncio.to_thread(held_out_sources, release))


async def arm_streams(kitchen: Kitchen, training: Training | None) -> dict[str, Stored]:
    """The stored rows of every stream the arms and the replay read."""
    if training is None:
        return {}
    wanted = {name for plan in training.plans.values() for name in plan.shares}
    streams = {name: await kitchen.stream(name) for name in sorted(wanted)}
    if training.replay is not None:
        name = training.replay.source
        streams[name] = await (kitchen.stream(name) if name in kitchen.bill.streams else kitchen.source(name))
    return streams


def report_identity(
    kitchen: Kitchen,
    release: Path,
    training: Training | None,
    evaluation: Evaluation | None,
    streams: Mapping[str, Stored],
) -> dict[str, object]:
    """What decides the report's numbers, hardware apart."""
    return {
        "release": release.name,
        "student": student_identity(read_student(kitchen.bill)),
        "template": template_identity(read_student(kitchen.bill)),
        # In order: each arm is compared with the one before it.
        "arms": [] if training is None else list(training.plans),
        "plans": {}
        if training is None
        else {name: fingerprint(plan.identity) for name, plan in training.plans.items()},
        "recipe": "" if training is None else fingerprint(training.identity),
        "streams": {name: stored.manifest.fingerprint for name, stored in streams.items()},
        "questions": "" if evaluation is None else file_digest(evaluation.questions),
        "evaluation": "" if evaluation is None else fingerprint(evaluation.spec),
    }


async def plan_arm(kitchen: Kitchen, release: Path, training: Training, name: str) -> Path:
    """The plan of one arm, made once; rows from held-out splits of the release never enter it."""
    kitchen.check()
    spec = training.plans[name]
    stored = await _stored_of(kitchen, training, name)
    held_out = await asyncio.to_thread(held_out_sources, release)
    identity = (
        spec.identity,
        training.render.identity,
        student_identity(training.student),
        template_identity(training.student),
        {stream: one.manifest.fingerprint for stream, one in stored.items()},
        sorted(held_out),
        *_supervised_identity(training),
    )
    folder = kitchen.root / "plans" / f"{kitchen.bill.name}-{training.controls.get(name, name)}" / fingerprint(identity)
    if not (folder / MANIFEST).is_file():
        await asyncio.to_thread(build_arm_plan, folder, spec, training, stored, held_out)
    return folder


async def _stored_of(kitchen: Kitchen, training: Training, name: str) -> dict[str, Stored]:
    """The stored rows of the streams of one arm."""
    streams, spec = await arm_streams(kitchen, training), training.plans[name]
    return {stream: streams[stream] for stream in [*spec.shares, *([spec.replay] if spec.replay else [])]}


def _supervised_identity(training: Training) -> tuple[object, ...]:
    """What else decides a supervised plan; nothing for a plan of texts."""
    if training.supervision is None:
        return ()
    return (SUPERVISED_FORMAT, training.supervision)


def build_arm_plan(
    folder: Path, spec: PlanSpec, training: Training, stored: Mapping[str, Stored], held_out: frozenset[str]
) -> None:
    """Write the plan of one arm over its streams' rows, without those of held-out source documents."""
    from train.prompt_form import prompt_form
    from train.student import student_tokenizer

    tokenizer, supervision = student_tokenizer(training.student), training.supervision
    values = None if spec.curriculum is None else Values(spec.curriculum)

    def rows_of(name: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        if values is None or name == spec.replay:
            return _training_rows(stored[name], held_out, name, columns)
        columns = [*dict.fromkeys([*columns, values.curriculum.column])]
        return values.noted(_training_rows(stored[name], held_out, name, columns), name)

    if supervision is None:
        tables = {
            name: token_tables(rows_of(name, columns_of(training.kinds[name])), tokenizer, training.render)
            for name in stored
        }
        build_plan(tables, spec=spec, out=folder, tokenizer=tokenizer.identity, values=values)
        return
    form, rejected = prompt_form(supervision, tokenizer), Rejected()
    room = Room(
        spec.sequence_length, spec.batch, min(spec.sequence_length, supervision.max_length or spec.sequence_length)
    )
    examples = {}
    for name in stored:
        kind = training.kinds[name]
        rows = rows_of(name, ("id", "source_id", "domain", *COLUMNS[kind]))
        examples[name] = example_tables(rows, kind, form, room, stream=name, rejected=rejected)
    build_supervised_plan(
        examples,
        spec=spec,
        supervision=supervision,
        out=folder,
        tokenizer=tokenizer.identity,
        rejected=rejected,
        values=values,
    )


def _training_rows(stored: Stored, held_out: frozenset[str], name: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    kept = 0
    for index in range(len(stored)):
        stored.verify(index)
        table = stored.table(index, list(columns))
        table = table.filter(pc.invert(pc.is_in(table.column("source_id"), pa.array(held_out, pa.string()))))
        kept += table.num_rows
        if table.num_rows:
            yield table
    if not kept:
        raise BillError(f"stream {name}: every row comes from a held-out source document; lower `release.splits`")


def held_out_sources(release: Path) -> frozenset[str]:
    """Ids of the source documents of every split but ``train``.

    Raises:
        StoreError: when the release is unfinished or its rows are gone.
    """
    manifest = ReleaseManifest.read(release)
    found: set[str] = set()
    for name, split in manifest.splits.items():
        if name != "train":
            for shard in split.shards:
                with opened_shard(release, shard, verify=True) as file:
                    found.update(file.read(columns=["source_id"]).column("source_id").to_pylist())
    return frozenset(found)


async def train_arm(
    kitchen: Kitchen, release: Path, training: Training | None, name: str, start: TrainResult | None = None
) -> Arm:
    """Train the student of one arm, or go on where it stopped; `start` is a finished run that it goes on from."""
    assert training is not None
    plan = await plan_arm(kitchen, release, training, name)
    manifest = PlanManifest.read(plan)
    stored = await _stored_of(kitchen, training, name)
    streams = {stream: one.manifest.fingerprint for stream, one in sorted(stored.items())}
    lora = () if training.lora is None else (training.lora,)
    after = () if start is None else (start.fingerprint,)
    distill = training.distills.get(name)
    taught = () if distill is None else (distill_identity(distill, training.student),)
    run = fingerprint((manifest.hash, student_identity(training.student), training.recipe, *lora, *after, *taught))
    out = kitchen.root / "students" / f"{kitchen.bill.name}-{name}" / run

    def step(event: dict[str, object]) -> None:
        kitchen.progress.training({"name": f"train {name}", **event})

    job = Job(
        plan_dir=plan,
        out=out,
        student=training.student,
        recipe=training.recipe,
        hardware=read_hardware(kitchen.settings),
        dataset=", ".join(f"{stream} {digest}" for stream, digest in streams.items()),
        lora=training.lora,
        start=None if start is None else start.out,
        distill=distill,
        columns=await teach_arm(kitchen, training, name, plan),
    )
    result = await asyncio.to_thread(train_job, job, progress=step, stopping=lambda: kitchen.stopping)
    return Arm(name, manifest, result, streams)


async def evaluate_arms(
    kitchen: Kitchen, evaluation: Evaluation, arms: Mapping[str, Arm], tuned: Supervision | None
) -> dict[str, EvalResult]:
    """The base student and every arm, asked the same questions; `tuned` is how the arms were."""
    models = models_of(kitchen, arms)
    return {name: await evaluate_arm(kitchen, evaluation, name, model, tuned) for name, model in models.items()}


def models_of(kitchen: Kitchen, arms: Mapping[str, Arm]) -> dict[str, Path]:
    """The checkpoint of the base student, where it is one, and of every arm."""
    base = checkpoint_dir(read_student(kitchen.bill)) if read_student(kitchen.bill).scratch is None else None
    models = {} if base is None else {BASE: base}
    models.update({name: arm.result.model_dir for name, arm in arms.items()})
    return models


async def evaluate_arm(
    kitchen: Kitchen, evaluation: Evaluation, name: str, model: Path, tuned: Supervision | None
) -> EvalResult:
    """One student on the questions; the student before training is asked as the arms are."""
    from train.evaluate import evaluate

    kitchen.check()
    spec = evaluation.spec
    supervision = read_supervision(model) or tuned
    place = fingerprint(
        (file_digest(evaluation.questions), spec, supervision, template_identity(StudentSpec(path=model)))
    )
    folder = "evaluations" if name == BASE else "students"
    who = fingerprint(student_identity(read_student(kitchen.bill))) if name == BASE else model.parent.name
    owner = BASE if name == BASE else f"{kitchen.bill.name}-{name}"
    out = kitchen.root / folder / owner / who / f"evaluation-{place[:12]}"
    return await asyncio.to_thread(
        evaluate,
        model,
        evaluation.questions,
        spec=spec,
        supervision=supervision,
        hardware=read_hardware(kitchen.settings),
        out=out,
    )
