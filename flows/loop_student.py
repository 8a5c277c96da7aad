"""The student of a round: its plan, its training, and what it makes of the validation questions.

Round 2 of a loop of 20,000 tokens a round -> the base student after 20,000 tokens of the rows of rounds 1 and 2, and
its answers to 200 questions, each with how sure it was::

    plans/notes-loop-round-2/…   students/notes-loop-round-2/…/validation-3c1f…

With ``start: last`` it is the student of round 1 after 20,000 tokens, half of them of round 1's rows and half of round
2's. Beginning anew on all rows is the default: a student that goes on from its last self under rows chosen for its
faults forgets what it knew, and small gains and losses of early rounds stay in its weights, so that a curve over rounds
would mix what the data did with what more steps did.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.arms import build_arm_plan
from flows.kitchen import Kitchen
from flows.loop_questions import Validated
from flows.loop_section import EARLIER, MADE, Loop
from flows.training_section import read_hardware
from mashbill.disk import file_digest
from mashbill.fingerprint import fingerprint
from mashbill.join import join
from mashbill.runtime import Runtime
from mashbill.store import MANIFEST, Stored
from mashbill.weakness import Answered
from train.example_tokens import Rejected, Room, example_tables
from train.identity import checkpoint_dir, student_identity, template_identity
from train.job import Job
from train.plan import PlanSpec
from train.plan_manifest import PlanManifest
from train.processes import train_job
from train.recipe import StudentSpec
from train.render import columns_of, token_tables
from train.supervised_plan import SUPERVISED_FORMAT
from train.supervision import read_supervision

if TYPE_CHECKING:
    from train.evaluate import EvalResult
    from train.marking import Marked


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A student and what it was trained on."""

    model: Path
    """A Hugging Face checkpoint."""
    tokens: int
    steps: int
    final_loss: float


def tokens_of(loop: Loop, stored: Stored) -> dict[str, int]:
    """Row -> the tokens that the student reads of it; rows that it cannot learn from are left out."""
    from train.prompt_form import prompt_form
    from train.student import student_tokenizer

    training, tokenizer = loop.training, student_tokenizer(loop.training.student)
    tables = (stored.table(index) for index in range(len(stored)))
    if training.supervision is None:
        columns = columns_of(loop.kind)
        found = token_tables((one.select(columns) for one in tables), tokenizer, training.render)
    else:
        form, room = prompt_form(training.supervision, tokenizer), _room(loop)
        found = example_tables(tables, loop.kind, form, room, stream=MADE, rejected=Rejected())
    lengths: Counter[str] = Counter()
    for table in found:
        sizes = table.column("tokens").combine_chunks().value_lengths()
        for name, size in zip(table.column("record_id").to_pylist(), sizes.to_pylist(), strict=True):
            lengths[name] += size
    return dict(lengths)


def _room(loop: Loop) -> Room:
    plan, supervision = loop.training.plans[MADE], loop.training.supervision
    assert supervision is not None
    longest = min(plan.sequence_length, supervision.max_length or plan.sequence_length)
    return Room(plan.sequence_length, plan.batch, longest)


def base_student(root: Path, loop: Loop) -> Path:
    """The checkpoint of the student before any round; one from scratch is written down first."""
    student = loop.training.student
    if student.scratch is None:
        return checkpoint_dir(student)
    from train.student import load_student, save_student

    length = loop.training.plans[MADE].sequence_length
    place = root / "students" / "base" / fingerprint((student_identity(student), length))
    if not (place / "config.json").is_file():
        aside = place.with_name(f".{place.name}.tmp")
        save_student(load_student(student, context=length), aside)
        aside.rename(place)
    return place


async def train_on(
    kitchen: Kitchen, loop: Loop, name: str, rows: Mapping[str, Sequence[Stored]], *, tokens: int, start: Path | None
) -> Trained:
    """A student after so many tokens of these rows; `start` is a checkpoint, None the base.

    `rows` are those of `MADE`, and those of `EARLIER` where some of the tokens are to be earlier rounds'.
    """
    kitchen.check()
    await kitchen.engines.release()
    stored = {stream: await asyncio.to_thread(_together, kitchen, ones) for stream, ones in rows.items()}
    if (replay := loop.training.replay) is not None:
        bill = kitchen.bill
        general = kitchen.stream if replay.source in bill.streams else kitchen.source
        stored[replay.source] = await general(replay.source)
    earlier = loop.spec.earlier if EARLIER in rows else 0.0
    shares = {MADE: 1 - earlier, **({EARLIER: earlier} if earlier else {})}
    stored = {stream: one for stream, one in stored.items() if stream in shares or stream != EARLIER}
    spec = dataclasses.replace(loop.training.plans[MADE], tokens=tokens, shares=shares)
    plan = await asyncio.to_thread(_planned, kitchen, loop, name, spec, stored)
    student = loop.training.student if start is None else StudentSpec(path=start)
    run = fingerprint(
        (PlanManifest.read(plan).hash, student_identity(student), loop.training.recipe, loop.training.lora)
    )

    def step(event: dict[str, object]) -> None:
        kitchen.progress.training({"name": f"train {name}", **event})

    job = Job(
        plan_dir=plan,
        out=kitchen.root / "students" / name / run,
        student=student,
        recipe=loop.training.recipe,
        hardware=read_hardware(kitchen.settings),
        dataset=", ".join(f"{stream} {one.manifest.fingerprint}" for stream, one in sorted(stored.items())),
        lora=loop.training.lora,
    )
    result = await asyncio.to_thread(train_job, job, progress=step, stopping=lambda: kitchen.stopping)
    return Trained(model=result.model_dir, tokens=result.tokens, steps=result.steps, final_loss=result.final_loss)


def _together(kitchen: Kitchen, ones: Sequence[Stored]) -> Stored:
    return ones[0] if len(ones) == 1 else join(ones, Runtime(root=kitchen.root))


def _planned(kitchen: Kitchen, loop: Loop, name: str, spec: PlanSpec, stored: Mapping[str, Stored]) -> Path:
    training = loop.training
    identity = (
        spec.identity,
        training.render.identity,
        student_identity(training.student),
        template_identity(training.student),
        {stream: one.manifest.fingerprint for stream, one in stored.items()},
        *(() if training.supervision is None else (SUPERVISED_FORMAT, training.supervision)),
    )
    folder = kitchen.root / "plans" / name / fingerprint(identity)
    if not (folder / MANIFEST).is_file():
        build_arm_plan(folder, spec, training, stored, frozenset())
    return folder


async def validated(kitchen: Kitchen, loop: Loop, model: Path) -> Validated:
    """What a student makes of the validation questions; measured once."""
    result = await asked(kitchen, loop, model, loop.validation)
    given = {one.question.id: one.question for one in loop.asked}
    answers = tuple(
        Answered(groups=one.groups, right=mark.correct, sure=_sure(mark, given[mark.id].options))
        for one, mark in zip(loop.asked, result.rows, strict=True)
    )
    return Validated(answers, tuple(mark.given for mark in result.rows), loop.asked)


async def asked(kitchen: Kitchen, loop: Loop, model: Path, questions: Path) -> EvalResult:
    """A student on a file of questions, asked as it was trained."""
    from train.evaluate import evaluate

    kitchen.check()
    supervision = read_supervision(model) or loop.training.supervision
    own = StudentSpec(path=model)
    place = fingerprint((file_digest(questions), loop.asking, supervision, template_identity(own)))[:12]
    out = kitchen.root / "evaluations" / "loop" / student_identity(own)
    return await asyncio.to_thread(
        evaluate,
        model,
        questions,
        spec=loop.asking,
        supervision=supervision,
        hardware=read_hardware(kitchen.settings),
        out=out / place,
    )


def _sure(mark: Marked, options: Sequence[str]) -> float | None:
    """How likely it found the option it chose, for each character; of a written answer nobody measured it."""
    if not mark.option_logprobs or mark.given not in options:
        return None
    return mark.option_logprobs[options.index(mark.given)] / len(mark.given)
