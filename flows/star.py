"""STaR: a student works questions out, learns from what it got right, and begins again from where it started.

One round (Zelikman et al., 2203.14465):

1. The student of the round before draws rationales for every question. The verified ones are kept.
2. Questions it got wrong are asked again with the answer shown (rationalisation). A rationale that then reaches the
   answer and does not speak of it is kept; the hint is in no field of the row, so it is in no prompt that is learned.
3. The *base* student, not the last one, is trained on this round's rows. Going on from the last one, the paper found,
   overfits; the steps grow by a fifth each round in place of that.

The round with the best accuracy on validation questions is chosen, and it alone is asked the test's::

    round  questions  drawn right  by hint  steps  validation accuracy
    0            500          112       61     40  0.31 [0.25, 0.38]
    1            500          201       84     48  0.44 [0.37, 0.51]

Under the root: plans and students as those of arms, ``…-star-0`` and on, and the report in ``reports/{bill}-star``.
What is finished is opened, so a run that was stopped goes on.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.kitchen import Kitchen, Outcome
from flows.star_section import Star, read_star
from flows.student_engine import StudentEngine
from flows.training_section import read_hardware
from mashbill.card import table
from mashbill.disk import file_digest, write_bytes, write_json
from mashbill.engine import Engine
from mashbill.errors import BillError
from mashbill.execute import execute
from mashbill.fingerprint import fingerprint
from mashbill.records import QA, Rationale, from_table
from mashbill.runtime import RejectPolicy
from mashbill.store import Stored
from train.example_tokens import Rejected, Room, example_tables
from train.examples import Asked, asked
from train.identity import checkpoint_dir, student_identity
from train.questions import read_questions
from train.run import train_student
from train.supervised_plan import build_supervised_plan

if TYPE_CHECKING:
    from train.generate_eval import WriteResult

REPORT, READABLE = "star.json", "star.md"
ALL_MAY_FAIL = RejectPolicy(share=1.0)
"""A student that gets nothing right says something; a round without a row is stopped by name."""

MakeEngine = Callable[[Path, Mapping[str, Asked]], Engine]
"""A student's directory and what it will be asked -> an engine."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round gave."""

    number: int
    questions: int
    right: int
    """Questions for which a drawn rationale was kept."""
    hinted: int
    """Questions for which none was, and one with the answer shown was."""
    given: int
    """Questions that came with a rationale of their own."""
    rows: int
    rejected: Mapping[str, int]
    steps: int
    final_loss: float
    model: Path
    validation: WriteResult

    def plain(self) -> dict[str, Any]:
        """For the report; no path, so that two roots give the same bytes."""
        names = ("number", "questions", "right", "hinted", "given", "rows", "steps", "final_loss")
        numbers = {name: getattr(self, name) for name in names}
        return {
            **numbers,
            "rejected": dict(self.rejected),
            "validation": dataclasses.asdict(self.validation.overall),
        }


async def bootstrap(kitchen: Kitchen, make_engine: MakeEngine | None = None) -> Outcome:
    """All rounds of a bill's ``star`` section and their report.

    Raises:
        BillError: for a bill without that section, a question that is also tested, or a round that kept nothing.
    """
    star = read_star(kitchen.bill)
    if star is None:
        raise BillError("has no `star` section; docs/evaluation.md shows one", path=kitchen.bill.path)
    questions = await kitchen.stream(star.stream)
    records = [record for index in range(len(questions)) for record in from_table(questions.table(index), QA)]
    _refuse_tested(star, records, kitchen.bill.path)
    make_engine = make_engine or _student_engine(kitchen, star)
    base = await asyncio.to_thread(base_model, kitchen.root, star)
    rounds: list[Round] = []
    model = base
    for number in range(star.rounds):
        rounds.append(await one_round(kitchen, star, number, questions, make_engine(model, prompts(star, records))))
        model = rounds[-1].model
    return await asyncio.to_thread(_report, kitchen, star, questions, rounds, base)


def prompts(star: Star, records: list[QA]) -> dict[str, Asked]:
    """The last message of every prompt that the step can send -> what it asks, in the form the student was taught."""
    step: Any = star.drawing  # the class is found by name: `flows` names no generator
    found = {}
    for record in records:
        shown = step.shown(record)
        for hint in ("", *(step.hint.replace("{answer}", gold) for gold in step.gold_of(record)[:1])):
            question = f"{record.question}\n\n{hint}" if hint else record.question
            context = "\n\n".join(part for part in (shown.block.strip(), record.context) if part)
            found[step.asked(record, shown, hint)[-1].content] = asked(question, record.options, context)
    return found


async def one_round(kitchen: Kitchen, star: Star, number: int, questions: Stored, engine: Engine) -> Round:
    """Draw, keep, train from the base, and ask the validation questions."""
    kitchen.check()
    drawing: Any = star.drawing
    step = dataclasses.replace(drawing, round=number)
    async with kitchen.asking(engine, step) as runtime:
        stored = await execute(step, questions, runtime, ALL_MAY_FAIL)
    if not stored.manifest.counts.kept:
        reasons = ", ".join(f"{reason} {count}" for reason, count in stored.manifest.counts.rejected.items())
        raise BillError(
            f"star: round {number} kept no rationale ({reasons}): the student cannot begin by itself. Give some "
            "questions a rationale of their own, or a student that solves some of them",
            path=kitchen.bill.path,
        )
    return await asyncio.to_thread(_trained, kitchen, star, number, stored)


def _trained(kitchen: Kitchen, star: Star, number: int, stored: Stored) -> Round:
    from train.generate_eval import evaluate_written
    from train.prompt_form import prompt_form
    from train.student import student_tokenizer

    name = f"{kitchen.bill.name}-star-{number}"
    tokenizer, steps = student_tokenizer(star.student), star.steps_of(number)
    form, rejected = prompt_form(star.supervision, tokenizer), Rejected()
    length = star.plan.sequence_length
    room = Room(length, star.plan.batch, min(length, star.supervision.max_length or length))
    spec = dataclasses.replace(star.plan, tokens=star.plan.tokens * steps)
    identity = (spec.identity, star.supervision, stored.manifest.fingerprint, tokenizer.identity)
    plan_dir = kitchen.root / "plans" / name / fingerprint(identity)
    manifest = build_supervised_plan(
        {"own": example_tables(stored, Rationale, form, room, stream="own", rejected=rejected)},
        spec=spec,
        supervision=star.supervision,
        out=plan_dir,
        tokenizer=tokenizer.identity,
        rejected=rejected,
    )
    run = fingerprint((manifest.hash, student_identity(star.student), star.recipe))
    result = train_student(
        plan_dir=plan_dir,
        student=star.student,  # the base, every round
        recipe=star.recipe,
        hardware=read_hardware(kitchen.settings),
        out=kitchen.root / "students" / name / run,
        progress=_watched(kitchen, number),
        stopping=lambda: kitchen.stopping,
        dataset=f"own {stored.manifest.fingerprint}",
    )
    assert star.evaluation.validation is not None
    validation = evaluate_written(
        result.model_dir,
        read_questions(star.evaluation.validation),
        spec=star.write,
        supervision=star.supervision,
        hardware=read_hardware(kitchen.settings),
        out=result.out / f"validation-{_place(star, star.evaluation.validation)}",
    )
    return Round(
        number=number,
        **_yield(stored),
        rejected=stored.manifest.counts.rejected,
        steps=manifest.steps,
        final_loss=result.final_loss,
        model=result.model_dir,
        validation=validation,
    )


def _yield(stored: Stored) -> dict[str, int]:
    rows = [
        row for part in range(len(stored)) for row in stored.table(part, ["parents", "teacher", "hinted"]).to_pylist()
    ]
    by = {"given": set[str](), "hinted": set[str](), "right": set[str]()}
    for row in rows:
        kind = "given" if row["teacher"] == "gold" else "hinted" if row["hinted"] else "right"
        by[kind].add(row["parents"][0])
    counts = {kind: len(questions) for kind, questions in by.items()}
    return {**counts, "rows": len(rows), "questions": stored.manifest.counts.read}


def base_model(root: Path, star: Star) -> Path:
    """The directory of the student that every round begins from; one from scratch is written down first."""
    if star.student.scratch is None:
        return checkpoint_dir(star.student)
    from train.student import load_student, save_student

    place = root / "students" / "base" / fingerprint((student_identity(star.student), star.plan.sequence_length))
    if not (place / "config.json").is_file():
        aside = place.with_name(f".{place.name}.tmp")
        save_student(load_student(star.student, context=star.plan.sequence_length), aside)
        aside.rename(place)
    return place


def best_of(rounds: list[Round]) -> Round:
    """The round with the highest validation accuracy; of equals the first."""

    def accuracy(one: Round) -> float:
        overall = one.validation.overall
        found = overall.accuracy or overall.pass_at["1"]
        return found.value

    return max(rounds, key=accuracy)


def _report(kitchen: Kitchen, star: Star, questions: Stored, rounds: list[Round], base: Path) -> Outcome:
    from train.generate_eval import evaluate_written

    chosen = best_of(rounds)
    tested = {
        name: evaluate_written(
            model,
            read_questions(star.evaluation.questions),
            spec=star.write,
            supervision=star.supervision,
            hardware=read_hardware(kitchen.settings),
            out=out / f"written-{_place(star, star.evaluation.questions)}",
        ).overall
        for name, model, out in (
            ("base", base, kitchen.root / "evaluations" / "base" / fingerprint(student_identity(star.student))),
            (f"round {chosen.number}", chosen.model, chosen.model.parent),
        )
    }
    identity = (questions.manifest.fingerprint, star.drawing, star.supervision, star.recipe, star.rounds, star.steps,
                star.growth, student_identity(star.student), _place(star, star.evaluation.questions))  # fmt: skip
    folder = kitchen.root / "reports" / f"{kitchen.bill.name}-star" / fingerprint(identity)
    heads = ["round", "questions", "drawn right", "by hint", "given", "rows", "steps", "loss", "validation accuracy"]
    rows = [
        [one.number, one.questions, one.right, one.hinted, one.given, one.rows, one.steps, f"{one.final_loss:.3f}",
         str(one.validation.overall.accuracy or one.validation.overall.pass_at["1"])]
        for one in rounds
    ]  # fmt: skip
    said = [f"{name}: {one.accuracy or one.pass_at['1']} on the test" for name, one in tested.items()]
    text = f"{table(heads, rows)}\n\nChosen by validation: round {chosen.number}. {'; '.join(said)}."
    write_bytes(folder / READABLE, f"# {kitchen.bill.name}: rounds of its own\n\n{text}\n".encode())
    write_json(
        folder / REPORT,
        {
            "rounds": [one.plain() for one in rounds],
            "chosen": chosen.number,
            "test": {name: dataclasses.asdict(one) for name, one in tested.items()},
        },
    )
    lines = "\n".join([f"round {chosen.number} of {len(rounds)} chosen: {chosen.model}", *said])
    return Outcome(None, folder, lines)


def _place(star: Star, questions: Path) -> str:
    return fingerprint((file_digest(questions), star.write, star.supervision))[:12]


def _watched(kitchen: Kitchen, number: int) -> Callable[[dict[str, object]], None]:
    def step(event: dict[str, object]) -> None:
        kitchen.progress.training({"name": f"train round {number}", **event})

    return step


def _student_engine(kitchen: Kitchen, star: Star) -> MakeEngine:
    def make(model: Path, asks: Mapping[str, Asked]) -> Engine:
        hardware = read_hardware(kitchen.settings)
        return StudentEngine(model=model, supervision=star.supervision, asks=asks, hardware=hardware)

    return make


def _refuse_tested(star: Star, records: list[QA], bill: Path) -> None:
    """What is learned from cannot be tested by."""
    assert star.evaluation.validation is not None
    learned = {" ".join(f"{one.context} {one.question}".casefold().split()) for one in records}
    for path in (star.evaluation.questions, star.evaluation.validation):
        for question in read_questions(path):
            if " ".join(f"{question.context} {question.question}".casefold().split()) in learned:
                raise BillError(
                    f"star: {path.name} asks {json.dumps(question.question)[:120]}, which the stream {star.stream!r} "
                    "teaches; take it out of one of them",
                    path=bill,
                )
