"""Questions to ask a student, read from JSON Lines; a broken line is named by file and line.

::

    {"id": "q1", "document": "09ab…", "kind": "choice", "question": "What did the Salt Guild tax?",
     "options": ["salt", "barrels", "river traffic", "oak"], "answer": "river traffic", "hops": 1}
    {"id": "q2", "document": "09ab…", "kind": "short", "question": "Who led the Salt Guild?",
     "answer": "Ora Venn", "aliases": ["Venn"], "hops": 2}
    {"id": "q3", "question": "Three bags at four marks each?", "answers": ["12", "twelve"], "matcher": "numeric"}

A line without `kind` is a choice where it has options and a short answer where not; `answers` is the answer with its
aliases. `context` is given to read before the question, and `matcher` says which answers are the same, for answers that
are written (`train.generate_eval`). Rows of a question stream become questions by `question_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mashbill.errors import InputError


class Question(BaseModel):
    """One question; a choice has its options, a short answer its aliases."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=1)
    document: str = ""
    kind: Literal["choice", "short"]
    question: str = Field(min_length=1)
    options: tuple[str, ...] = ()
    answer: str = Field(min_length=1)
    aliases: tuple[str, ...] = ()
    hops: int = Field(default=1, ge=1)
    context: str = ""
    matcher: str | dict[str, dict[str, Any]] = ""
    """For written answers; empty takes the evaluation's."""

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        answers = filled.pop("answers", None)
        if answers is not None:
            if "answer" in filled or not isinstance(answers, list) or not answers:
                raise ValueError("`answers` is a list of the answer and its aliases, and stands in place of `answer`")
            filled |= {"answer": answers[0], "aliases": [*answers[1:], *filled.get("aliases", ())]}
        filled.setdefault("kind", "choice" if filled.get("options") else "short")
        return filled

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "short":
            return self
        if len(self.options) < 2 or len(set(self.options)) < len(self.options):
            raise ValueError(f"a choice wants two or more different options, found {list(self.options)}")
        if not all(option.strip() for option in self.options):
            raise ValueError("an option is empty")
        if self.answer not in self.options:
            raise ValueError(f"the answer {self.answer!r} is not among the options {list(self.options)}")
        return self

    @property
    def golds(self) -> tuple[str, ...]:
        """The answer and its aliases."""
        return (self.answer, *self.aliases)


def question_of(row: Mapping[str, Any]) -> Question:
    """A row of kind QA as a question.

    >>> question_of({"id": "6f", "question": "Two?", "answer": "2", "accepted": ["2", "two"], "path": []}).golds
    ('2', 'two')
    """
    return Question(
        id=row["id"],
        document=row.get("source_id") or "",
        kind="choice" if row.get("options") else "short",
        question=row["question"],
        options=tuple(row.get("options") or ()),
        answer=row["answer"],
        aliases=tuple(one for one in row.get("accepted") or () if one != row["answer"]),
        hops=max(1, len(row.get("path") or ())),
        context=row.get("context") or "",
    )


def read_questions(path: Path) -> list[Question]:
    """All questions of a file.

    Raises:
        InputError: for a missing or empty file, a broken line, or an id that comes twice.
    """
    try:
        # Not `splitlines`, which cuts at U+2028 and others that may stand in a JSON text.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the questions cannot be read: {error}", path=path) from error
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        question = _parse(line, path, number)
        if question.id in seen:
            raise InputError(
                f"id {question.id!r} is on line {seen[question.id]} already; ids pair the answers of two students",
                path=path,
                line=number,
            )
        seen[question.id] = number
        questions.append(question)
    if not questions:
        raise InputError("has no questions; one JSON object a line is wanted", path=path)
    return questions


def _parse(line: str, path: Path, number: int) -> Question:
    try:
        return Question.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = f"{where}: {first['msg']}" if where else first["msg"]
        raise InputError(
            f"{message}; wanted is an object with id, question, answer (or answers), and options for a choice",
            path=path,
            line=number,
        ) from error
