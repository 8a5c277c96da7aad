"""What a student or a teacher says to each question, in one form, so that the two can be laid side by side.

From written answers, from option likelihoods, from a teacher's `Rationale` rows, or from a file of lines such as::

    {"id": "q1", "answer": "14", "confidence": 0.75}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mashbill.calibration import shares_of
from mashbill.errors import InputError
from train.marking import Marked
from train.questions import Question
from train.write_measures import by_question, chosen
from train.written import Judge, Written


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One answer to one question."""

    answer: str | None
    """None where no answer was given."""
    right: bool
    confidence: float | None = None
    """How sure it is of this answer, from 0 to 1; None where nothing is known of that."""
    shares: tuple[float, ...] = ()
    """The probability of each option; empty where there are none."""


Predictions = Mapping[str, Prediction]
"""Question id -> what is said to it."""


def of_written(rows: Sequence[Written]) -> dict[str, Prediction]:
    """The vote of a student's samples with its share, or its greedy answer where there are no samples."""
    found = {}
    for name, own in by_question(rows).items():
        best, share = chosen(own)
        found[name] = (
            Prediction(answer=None, right=False, confidence=share)
            if best is None
            else Prediction(answer=best.answer, right=best.right, confidence=share)
        )
    return found


def of_marked(rows: Sequence[Marked], questions: Sequence[Question]) -> dict[str, Prediction]:
    """The likeliest option of each choice with its probability among the options; short answers are left out.

    Always by the summed log-likelihood (`sum`), whatever the primary: log p / characters is no probability.
    """
    options = {question.id: question.options for question in questions}
    found = {}
    for row in rows:
        if row.kind == "choice":
            shares = shares_of(row.option_logprobs)
            best = shares.index(max(shares))
            answer = options[row.id][best]
            found[row.id] = Prediction(
                answer=answer, right=answer == row.answer, confidence=shares[best], shares=shares
            )
    return found


def of_rationales(
    rows: Iterable[Mapping[str, Any]], questions: Sequence[Question], judges: Mapping[str, Judge]
) -> dict[str, Prediction]:
    """A teacher's vote over its draws, from rows of kind Rationale; a question is known by its id or its text.

    Give the rows before any was dropped for being wrong: of a stream that verification has been over, every answer that
    is left is right. Draws that were rejected (cut, unparsable) have no row and no vote, but count among all `draws`.
    """
    by_id = {question.id: question for question in questions}
    by_text = {(question.question, question.context): question for question in questions}
    draws: dict[str, list[tuple[int, str, int]]] = {}
    for row in rows:
        named = (by_id[parent] for parent in row.get("parents") or () if parent in by_id)
        question = next(named, None) or by_text.get((row["question"], row.get("context") or ""))
        if question is not None:
            draws.setdefault(question.id, []).append((row.get("draw") or 0, row["answer"], row.get("draws") or 0))
    found = {}
    for name, own in draws.items():
        answers = [answer for _, answer, _ in sorted(own)]
        votes = judges[name].votes(by_id[name], answers)
        best = max(votes, key=votes.count)
        asked = max(len(own), *(count for _, _, count in own))
        found[name] = _answered(by_id[name], judges[name], best, votes.count(best) / asked)
    return found


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=1)
    answer: str | None
    confidence: float | None = Field(default=None, ge=0, le=1)


def read_predictions(path: Path, questions: Sequence[Question], judges: Mapping[str, Judge]) -> dict[str, Prediction]:
    """A teacher's answers from JSON lines; lines about other questions are passed over.

    Raises:
        InputError: for a line that is none, an id that comes twice, or a file that knows none of the questions.
    """
    by_id = {question.id: question for question in questions}
    found: dict[str, Prediction] = {}
    try:
        # Not `splitlines`, which cuts at U+2028 and others that may stand in a JSON text.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the predictions cannot be read: {error}", path=path) from error
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            line = _Line.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"{where or 'line'}: {first['msg']}; wanted is an object with id, answer and, if known, confidence",
                path=path,
                line=number,
            ) from error
        if line.id in found:
            raise InputError(f"id {line.id!r} comes twice; one answer to a question is wanted", path=path, line=number)
        if line.id in by_id:
            found[line.id] = _answered(by_id[line.id], judges[line.id], line.answer, line.confidence)
    if not found:
        raise InputError("answers none of the questions: no id of theirs stands in it", path=path)
    return found


def _answered(question: Question, judge: Judge, answer: str | None, confidence: float | None) -> Prediction:
    right = answer is not None and judge.compare(question, answer) == "right"
    return Prediction(answer=answer, right=right, confidence=confidence)
