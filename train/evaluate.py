r"""Closed-book evaluation: does the student know what the documents said, without seeing them?

A choice is decided by the likelihood of each option after ``Question: …\nAnswer:``, a short answer by the likelihood
of the gold answer and by the greedy continuation. A student that was tuned on questions is asked as it was tuned. `out`
gets every question as a row of `questions.parquet`::

    {"id": "q1", "kind": "choice", "document": "09ab…", "hops": 1, "answer": "river traffic", "given": "salt",
     "correct": false, "gold_logprob": -2.91, "correct_sum": false, "correct_pmi": true, "chance": 0.25, …}

so that "which question changed?" can be read, and the sums with 95 % intervals as `evaluation.json`, written last.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mashbill.disk import write_json, write_parquet
from mashbill.errors import StoreError
from mashbill.fingerprint import fingerprint
from train.asking import Asking, ByForm, ByText
from train.eval_spec import Choosing, EvalSpec
from train.hardware import Hardware
from train.identity import student_identity, template_identity
from train.marking import Marked, mark_choice, mark_short
from train.measures import Measures, Slice, measure, slices_of
from train.prompt_form import prompt_form
from train.questions import Question, read_questions
from train.recipe import StudentSpec
from train.scoring import Scorer
from train.student import Student, load_model
from train.supervision import Supervision, read_supervision
from train.tokenizer import load_tokenizer
from train.world import World

EVALUATION, QUESTIONS = "evaluation.json", "questions.parquet"


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """One student on one set of questions."""

    identity: str
    """The hash of student, questions and spec; empty for a student that is only in memory."""
    questions: str
    """The hash of the questions: two results compare only where it is the same."""
    primary: Choosing
    seed: int
    chance: float | None
    """Accuracy of guessing among the options; None where there are no choices."""
    overall: Measures
    slices: tuple[Slice, ...]
    """By document, hops and kind."""
    rows: tuple[Marked, ...]

    def write(self, out: Path) -> None:
        """Rows first, then the sums: a directory with `evaluation.json` is finished."""
        rows = [{**dataclasses.asdict(row), "option_logprobs": list(row.option_logprobs)} for row in self.rows]
        write_parquet(out / QUESTIONS, pa.Table.from_pylist(rows, schema=ROW_SCHEMA))
        sums = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "rows"}
        write_json(
            out / EVALUATION, {**sums, "overall": _plain(self.overall), "slices": list(map(_plain, self.slices))}
        )

    @classmethod
    def read(cls, out: Path) -> EvalResult:
        """A finished evaluation; its sums are taken again from its rows.

        Raises:
            StoreError: when there is none.
        """
        try:
            kept = json.loads((out / EVALUATION).read_bytes())
            table = pq.read_table(out / QUESTIONS).to_pylist()
        except (OSError, ValueError) as error:
            raise StoreError(f"{out}: has no finished evaluation ({error}); evaluate again") from error
        rows = [Marked(**{**row, "option_logprobs": tuple(row["option_logprobs"])}) for row in table]
        return _result(rows, kept["primary"], kept["identity"], kept["questions"], seed=kept["seed"])


ROW_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("id", "document", "kind")),
        pa.field("hops", pa.int32(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("question", "answer")),
        pa.field("correct", pa.bool_(), nullable=False),
        pa.field("gold_logprob", pa.float64(), nullable=False),
        pa.field("given", pa.string(), nullable=False),
        *(pa.field(name, pa.bool_()) for name in ("correct_per_character", "correct_sum", "correct_pmi", "contained")),
        pa.field("chance", pa.float64()),
        pa.field("option_logprobs", pa.list_(pa.float64()), nullable=False),
    ]
)


def evaluate(
    student: Path | Student,
    questions: Path,
    *,
    spec: EvalSpec | None = None,
    supervision: Supervision | None = None,
    hardware: Hardware | None = None,
    batch_tokens: int = 4096,
    out: Path | None = None,
) -> EvalResult:
    """Ask a student (a checkpoint directory, or one in memory) every question of a JSON Lines file.

    `supervision` is how a student is asked that was tuned on questions: what stands beside a checkpoint
    (`prompting.json`), unless given. A prompt of the spec's own goes before it.

    A finished evaluation of the same student, questions and spec in `out` is returned without loading the model.

    Raises:
        InputError: for a broken question, with its file and line.
        StoreError: when `out` holds another evaluation.
    """
    spec = spec or EvalSpec()
    asked = read_questions(questions)
    digest = fingerprint([question.model_dump() for question in asked])
    if supervision is None and isinstance(student, Path):
        supervision = read_supervision(student)
    if spec.prompt:
        supervision = None
    identity = ""
    if isinstance(student, Path):
        own = StudentSpec(path=student)
        who = (student_identity(own), template_identity(own), supervision)
        identity = fingerprint({"student": who, "questions": digest, "spec": spec})
    if out is not None and identity and (found := _finished(out, identity)):
        return found
    loaded = student if isinstance(student, Student) else Student(load_model(student), load_tokenizer(student))
    tokenizer = loaded.tokenizer
    asking = ByText(spec, tokenizer) if supervision is None else ByForm(prompt_form(supervision, tokenizer), tokenizer)
    rows = _ask(_scorer(loaded, hardware or Hardware(), batch_tokens), asking, asked, spec)
    result = _result(rows, spec.primary, identity, digest, seed=spec.seed)
    if out is not None:
        result.write(out)
    return result


def _finished(out: Path, identity: str) -> EvalResult | None:
    if not (out / EVALUATION).is_file():
        return None
    found = EvalResult.read(out)
    if found.identity != identity:
        raise StoreError(
            f"{out}: holds the evaluation of another student, other questions or another spec; give another directory"
        )
    return found


def _scorer(student: Student, hardware: Hardware, batch_tokens: int) -> Scorer:
    from train.loop import pick_device

    device = pick_device(hardware, World())
    # float32 throughout: two options are often closer than bf16 can tell apart.
    student.model.to(device, torch.float32).eval()
    return Scorer(student.model, student.tokenizer, batch_tokens)


def _ask(scorer: Scorer, asking: Asking, questions: Sequence[Question], spec: EvalSpec) -> list[Marked]:
    choices = [question for question in questions if question.kind == "choice"]
    shorts = [question for question in questions if question.kind == "short"]
    said = {question.id: asking.said(question) for question in choices}
    # One call for everything, so that batches are full whatever the mix.
    requests = asking.answered([(question, one) for question in choices for one in said[question.id]])
    requests += asking.unasked([one for question in choices for one in said[question.id]])
    requests += asking.answered([(question, gold) for question in shorts for gold in question.golds])
    scores = iter(scorer.scored(requests))
    likely = {question.id: [next(scores) for _ in question.options] for question in choices}
    priors = {question.id: [next(scores) for _ in question.options] for question in choices}
    golds = {question.id: [next(scores) for _ in question.golds] for question in shorts}
    greedy = scorer.greedy(asking.prompts(shorts), most_tokens=spec.most_tokens)
    given = {question.id: asking.answer(text) for question, text in zip(shorts, greedy, strict=True)}
    return [
        mark_choice(question, likely[question.id], priors[question.id], spec.primary, said[question.id])
        if question.kind == "choice"
        else mark_short(question, golds[question.id], given[question.id])
        for question in questions
    ]


def _result(rows: Sequence[Marked], primary: Choosing, identity: str, questions: str, *, seed: int) -> EvalResult:
    chances = [row.chance for row in rows if row.chance is not None]
    return EvalResult(
        identity=identity,
        questions=questions,
        primary=primary,
        seed=seed,
        chance=sum(chances) / len(chances) if chances else None,
        overall=measure(rows, seed=seed),
        slices=slices_of(rows, seed=seed),
        rows=tuple(rows),
    )


def _plain(value: Measures | Slice) -> dict[str, object]:
    return dataclasses.asdict(value)
