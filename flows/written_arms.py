"""What the arms write, and how faithful they are to their teacher: the parts of an evaluation beside likelihoods.

Beside ``evaluation-…`` in a student's directory lies ``written-…``: every answer as a row of `written.parquet`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from flows.kitchen import Kitchen
from flows.training_section import BASE, Evaluation, read_hardware, read_student
from flows.writing_section import Writing, check_apart
from mashbill.disk import file_digest, write_bytes
from mashbill.errors import BillError, InputError
from mashbill.fingerprint import fingerprint
from mashbill.records import schema_of
from mashbill.store import Stored
from train.fidelity import Fidelity, fidelity
from train.identity import student_identity, template_identity
from train.predictions import Predictions, of_marked, of_rationales, of_written, read_predictions
from train.questions import Question, question_of, read_questions
from train.recipe import StudentSpec
from train.supervision import Supervision, read_supervision
from train.write_spec import WriteSpec
from train.written import judges_of

if TYPE_CHECKING:
    from train.evaluate import EvalResult
    from train.generate_eval import WriteResult

_PLAIN = Supervision(target="answer_only", template="plain")


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What was measured beside likelihoods, by arm."""

    written: Mapping[str, WriteResult]
    """Empty when nothing was to be written."""
    fidelity: Mapping[str, Fidelity]
    """Empty when there is no teacher to compare with."""


async def write_arm(
    kitchen: Kitchen, questions: Path, spec: WriteSpec, name: str, model: Path, tuned: Supervision | None
) -> WriteResult:
    """What one student writes; the student before training is asked as the arms are."""
    from train.generate_eval import evaluate_written

    kitchen.check()
    supervision = read_supervision(model) or tuned
    place = fingerprint((file_digest(questions), spec, supervision, template_identity(StudentSpec(path=model))))
    if name == BASE:
        who = fingerprint(student_identity(read_student(kitchen.bill)))
        out = kitchen.root / "evaluations" / BASE / who / f"written-{place[:12]}"
    else:
        out = model.parent / f"written-{place[:12]}"
    return await asyncio.to_thread(
        evaluate_written,
        model,
        read_questions(questions),
        spec=spec,
        supervision=supervision,
        hardware=read_hardware(kitchen.settings),
        out=out,
    )


async def beside(
    kitchen: Kitchen,
    evaluation: Evaluation,
    models: Mapping[str, Path],
    marked: Mapping[str, EvalResult],
    tuned: Supervision | None,
) -> Beside:
    """Everything that every arm writes, and each arm beside the teacher."""
    writing, questions = evaluation.writing, evaluation.questions
    written = {}
    if writing.write is not None:
        for name, model in models.items():
            written[name] = await write_arm(kitchen, questions, writing.write, name, model, tuned)
    if not writing.compares:
        return Beside(written=written, fidelity={})
    asked = read_questions(questions)
    judges = judges_of(asked, writing.write or WriteSpec(), _PLAIN)
    teacher = await _teacher(kitchen, writing, asked)
    said: dict[str, Predictions] = {name: of_written(result.rows) for name, result in written.items()}
    if not said:
        said = {name: of_marked(result.rows, asked) for name, result in marked.items()}
    try:
        found = {name: fidelity(ours, teacher, asked, judges, bins=writing.bins) for name, ours in said.items()}
    except ValueError as error:
        raise BillError(f"evaluate.teacher: {error}", path=kitchen.bill.path) from error
    return Beside(written=written, fidelity=found)


async def _teacher(kitchen: Kitchen, writing: Writing, asked: Sequence[Question]) -> Predictions:
    judges = judges_of(asked, writing.write or WriteSpec(), _PLAIN)
    if writing.teacher is not None:
        return read_predictions(writing.teacher, asked, judges)
    stored = await kitchen.stream(writing.teacher_stream)
    columns = ["parents", "question", "context", "answer", "draw", "draws"]
    rows = [row for index in range(len(stored)) for row in stored.table(index, columns).to_pylist()]
    return of_rationales(rows, asked, judges)


async def beside_identity(kitchen: Kitchen, evaluation: Evaluation) -> dict[str, str]:
    """What decides the numbers beside likelihoods; nothing where nothing is measured."""
    writing = evaluation.writing
    found = {} if writing.write is None else {"write": fingerprint(writing.write)}
    if writing.teacher is not None:
        found |= {"teacher": file_digest(writing.teacher), "bins": str(writing.bins)}
    if writing.teacher_stream:
        stored = await kitchen.stream(writing.teacher_stream)
        found |= {"teacher": stored.manifest.fingerprint, "bins": str(writing.bins)}
    return found


async def resolved(kitchen: Kitchen, evaluation: Evaluation, held_out: frozenset[str]) -> Evaluation:
    """The evaluation with its questions in a file, those of a stream among them."""
    if not evaluation.stream:
        return evaluation
    stored = await kitchen.stream(evaluation.stream)
    path = await asyncio.to_thread(held_out_questions, kitchen.root, stored, held_out)
    section = kitchen.bill.section("evaluate")
    if evaluation.validation is not None and section is not None:
        await asyncio.to_thread(check_apart, section.at("validation"), evaluation.validation, path)
    return dataclasses.replace(evaluation, questions=path)


_ASKED = ("id", "source_id", "question", "options", "answer", "accepted", "path", "context")
_CELL = ("discipline", "difficulty")


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    """A question as it stands in a file, with its cell where the row has one."""
    return question_of(row).model_dump() | {name: row[name] for name in _CELL if row.get(name)}


def held_out_questions(root: Path, stored: Stored, held_out: frozenset[str]) -> Path:
    """The rows of a question stream whose source documents were held out, as a file of questions.

    Such rows never enter a plan, so nothing of them is learned.

    Raises:
        BillError: when there is none.
    """
    manifest, names = stored.manifest, schema_of(stored.kind).names
    lines = []
    for index in range(len(stored)):
        table = stored.table(index, [*_ASKED, *(one for one in _CELL if one in names)])
        kept = table.filter(pc.is_in(table.column("source_id"), pa.array(sorted(held_out), pa.string())))
        lines += [json.dumps(_line(row), ensure_ascii=False) for row in kept.to_pylist()]
    if not lines:
        raise BillError(
            f"evaluate.questions: no row of {manifest.step} comes from a held-out source document; raise "
            "`release.splits`, or release the stream"
        )
    digest = fingerprint((manifest.fingerprint, sorted(held_out)))
    path = root / "questions" / manifest.step / f"{digest}.jsonl"
    if not path.is_file():
        write_bytes(path, ("\n".join(lines) + "\n").encode())
    try:
        read_questions(path)
    except InputError as error:
        raise BillError(f"evaluate.questions: a row of {manifest.step} is no question: {error}") from error
    return path
