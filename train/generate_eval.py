"""Evaluation by writing: questions are asked as the student was taught, and what it writes is judged.

A student taught with `target: full_cot`, 200 questions, one greedy answer and 8 samples each -> `out` gets every answer
as a row of `written.parquet` (`train.written`) and, written last, the sums with 95 % intervals as `written.json`::

    {"overall": {"accuracy": {"value": 0.61, "low": 0.54, "high": 0.68}, "pass_at": {"8": {…}}, …}, "slices": […]}

Choices among options by likelihood are `train.evaluate`'s. What is asked here needs no options, and a student that
reasons before it answers can be judged in no other way.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mashbill.disk import write_json, write_parquet
from mashbill.errors import StoreError
from mashbill.fingerprint import fingerprint, seed_of
from mashbill.matching.load import available
from train.examples import asked as asked_text
from train.hardware import Hardware
from train.identity import student_identity, template_identity
from train.prompt_form import prompt_form
from train.questions import Question
from train.recipe import StudentSpec
from train.sampler import Asked, Sampler, Text
from train.student import Student, load_model
from train.supervision import Supervision
from train.tokenizer import load_tokenizer
from train.world import World
from train.write_measures import WriteMeasures, measure_written
from train.write_spec import WriteSpec
from train.written import GREEDY, Judge, Written, judges_of

SUMS, ANSWERS = "written.json", "written.parquet"

PLAIN = Supervision(target="answer_only", template="plain")
"""How a student is asked that was not tuned on questions: ``Question: … Answer:``."""

ROW_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("id", "document", "kind")),
        pa.field("hops", pa.int32(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("question", "gold")),
        pa.field("draw", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        *(pa.field(name, pa.string()) for name in ("answer", "vote")),
        *(pa.field(name, pa.string(), nullable=False) for name in ("outcome", "finish")),
        pa.field("tokens", pa.int32(), nullable=False),
    ]
)


class Writes(Protocol):
    """What is needed of a sampler; `train.sampler.Sampler` is one."""

    def write(self, asked: Sequence[Asked]) -> list[Text]:
        """An answer to each prompt, in the same order."""
        ...


@dataclass(frozen=True, kw_only=True)
class WriteSlice:
    """The questions of one document, number of hops, or kind."""

    by: str
    value: str
    measures: WriteMeasures


@dataclass(frozen=True, kw_only=True)
class WriteResult:
    """What one student wrote to one set of questions."""

    identity: str
    """The hash of student, questions, spec and supervision; empty for a student that is only in memory."""
    questions: str
    """The hash of the questions: two results compare only where it is the same."""
    ks: tuple[int, ...]
    seed: int
    overall: WriteMeasures
    slices: tuple[WriteSlice, ...]
    rows: tuple[Written, ...]

    def write(self, out: Path) -> None:
        """Rows first, then the sums: a directory with `written.json` is finished."""
        write_parquet(out / ANSWERS, pa.Table.from_pylist(list(map(_plain, self.rows)), schema=ROW_SCHEMA))
        sums: dict[str, Any] = {name: getattr(self, name) for name in ("identity", "questions", "ks", "seed")}
        slices = [_plain(one) for one in self.slices]
        write_json(out / SUMS, {**sums, "overall": _plain(self.overall), "slices": slices})

    @classmethod
    def read(cls, out: Path) -> WriteResult:
        """A finished evaluation; its sums are taken again from its rows.

        Raises:
            StoreError: when there is none.
        """
        try:
            kept = json.loads((out / SUMS).read_bytes())
            rows = [Written(**row) for row in pq.read_table(out / ANSWERS).to_pylist()]
        except (OSError, ValueError) as error:
            raise StoreError(f"{out}: has no finished evaluation by writing ({error}); evaluate again") from error
        return _result(rows, kept["identity"], kept["questions"], tuple(kept["ks"]), kept["seed"])


def evaluate_written(
    student: Path | Student,
    questions: Sequence[Question],
    *,
    spec: WriteSpec,
    supervision: Supervision | None = None,
    hardware: Hardware | None = None,
    batch_tokens: int = 32_768,
    out: Path | None = None,
) -> WriteResult:
    """Let a student (a checkpoint directory, or one in memory) write answers to questions.

    `supervision` is the one it was tuned with: its template, its prefix of use and what leads to the answer. None is a
    student that was not tuned on questions: it is asked plainly, and since nobody taught it to end, its answer ends
    with the line unless the spec has its own `stop`. A finished evaluation of the same in `out` is returned without
    loading the model.

    Raises:
        InputError: for a question whose right answer its matcher cannot read.
        BillError: for a template that the student does not have.
        StoreError: when `out` holds another evaluation.
    """
    if supervision is None:
        supervision, spec = PLAIN, spec if spec.stop else dataclasses.replace(spec, stop=("\n",))
    judges = judges_of(questions, spec, supervision)
    digest = fingerprint([question.model_dump() for question in questions])
    identity = ""
    if isinstance(student, Path):
        own = StudentSpec(path=student)
        who = (student_identity(own), template_identity(own))
        whole = {"student": who, "questions": digest, "spec": spec, "supervision": supervision}
        identity = fingerprint({**whole, "matchers": _matcher_versions()})
    if out is not None and identity and (found := _finished(out, identity)):
        return found
    loaded = student if isinstance(student, Student) else Student(load_model(student), load_tokenizer(student))
    _place(loaded, hardware or Hardware())
    rows = write_all(loaded, questions, judges, spec=spec, supervision=supervision, batch_tokens=batch_tokens)
    result = _result(rows, identity, digest, spec.k if spec.samples else (), spec.seed)
    if out is not None:
        result.write(out)
    return result


def _matcher_versions() -> dict[str, int]:
    """Of all matchers: a question may name any, and one that judges otherwise makes another evaluation."""
    return {name: kind.version for name, kind in available().items()}


def write_all(
    student: Student,
    questions: Sequence[Question],
    judges: Mapping[str, Judge],
    *,
    spec: WriteSpec,
    supervision: Supervision,
    batch_tokens: int = 32_768,
) -> list[Written]:
    """Every answer to every question: the greedy one first, then the samples in order."""
    form = prompt_form(supervision, student.tokenizer)
    prompts = [form.prompt(asked_text(one.question, one.options, one.context)) for one in questions]
    ids = [tuple(one) for one in form.prompt_ids(prompts)]

    def sampler(temperature: float, top_p: float) -> Writes:
        return Sampler(
            model=student.model,
            tokenizer=student.tokenizer,
            most_tokens=spec.most_tokens,
            temperature=temperature,
            top_p=top_p,
            stop=spec.stop,
            batch_tokens=batch_tokens,
        )

    greedy = sampler(0.0, 1.0).write([Asked(one) for one in ids]) if spec.greedy else []
    drawn = sampler(spec.temperature, spec.top_p).write(
        [
            Asked(one, seed_of("write", spec.seed, question.id, draw))
            for question, one in zip(questions, ids, strict=True)
            for draw in range(spec.samples)
        ]
    )
    rows: list[Written] = []
    for at, question in enumerate(questions):
        own = {GREEDY: greedy[at]} if spec.greedy else {}
        own |= {draw: drawn[at * spec.samples + draw] for draw in range(spec.samples)}
        rows.extend(_judged(question, judges[question.id], own))
    return rows


def _judged(question: Question, judge: Judge, texts: Mapping[int, Text]) -> list[Written]:
    judged = {draw: judge.judge(question, text) for draw, text in texts.items()}
    votes = dict(zip(judged, judge.votes(question, [answer for answer, _ in judged.values()]), strict=True))
    return [
        Written(
            id=question.id,
            document=question.document,
            kind=question.kind,
            hops=question.hops,
            question=question.question,
            gold=question.answer,
            draw=draw,
            text=text.text,
            answer=judged[draw][0],
            vote=votes[draw],
            outcome=judged[draw][1],
            finish=text.finish,
            tokens=text.tokens,
        )
        for draw, text in texts.items()
    ]


def _place(student: Student, hardware: Hardware) -> None:
    from train.loop import pick_device

    student.model.to(pick_device(hardware, World()), torch.float32).eval()


def _finished(out: Path, identity: str) -> WriteResult | None:
    if not (out / SUMS).is_file():
        return None
    found = WriteResult.read(out)
    if found.identity != identity:
        raise StoreError(
            f"{out}: holds what another student wrote, or other questions or another spec; give another directory"
        )
    return found


def _result(rows: Sequence[Written], identity: str, questions: str, ks: tuple[int, ...], seed: int) -> WriteResult:
    slices = []
    for by in ("document", "hops", "kind"):
        for value in sorted({getattr(row, by) for row in rows}):
            own = [row for row in rows if getattr(row, by) == value]
            slices.append(
                WriteSlice(by=by, value=str(value), measures=measure_written(own, ks, seed=seed, draws=SLICE_DRAWS))
            )
    return WriteResult(
        identity=identity,
        questions=questions,
        ks=ks,
        seed=seed,
        overall=measure_written(rows, ks, seed=seed),
        slices=tuple(slices),
        rows=tuple(rows),
    )


SLICE_DRAWS = 1_000
"""Resamples for a slice: there may be one for each of a thousand documents."""


def _plain(value: Written | WriteMeasures | WriteSlice) -> dict[str, Any]:
    return dataclasses.asdict(typing.cast(Any, value))
