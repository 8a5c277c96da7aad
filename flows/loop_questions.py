"""The questions of a loop: those it may look at, and those it may not before its end.

A line of the validation file, with the columns that groups are made of::

    {"id": "v7", "question": "Who led the Salt Guild?", "options": ["Ora Venn", "Pell"], "answer": "Ora Venn",
     "domain": "guilds"}

The validation questions decide what is written, when the loop stops and which round is best, so they measure nothing
(PGKD, 2411.05045: what is found by them flows into the prompts). The test's do: `SealedTest` gives them out once, to a
choice that is on disk. When a bill is read, the test is compared with the validation questions and refused where it
shares one; nothing of it is kept but the digest of the file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mashbill.disk import file_digest, write_bytes
from mashbill.errors import BillError, InputError, StoreError
from mashbill.groups import Grouping
from mashbill.records import QA, Verdict, from_rows, join_texts, to_row
from mashbill.step import BadInput, Source
from mashbill.weakness import Answered, confident_errors
from train.questions import Question, read_questions

LEAST_WORDS = 5
"""Words from which a question that stands within a text is taken for that question; shorter ones stand there by chance,
and are only looked for among questions."""
STUDENT = "student"
"""The verdict of a question that a student got wrong; its detail is what it answered."""


@dataclass(frozen=True)
class AskedQuestion:
    """A validation question with its groups."""

    question: Question
    row: Mapping[str, Any] = field(repr=False)
    """Its line, as it was read."""
    groups: tuple[str, ...]


def read_asked(path: Path, grouping: Grouping) -> list[AskedQuestion]:
    """The validation questions.

    Raises:
        InputError: for a broken line.
    """
    questions = read_questions(path)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    return [
        AskedQuestion(question, row, grouping.of_question(row)) for question, row in zip(questions, lines, strict=True)
    ]


def question_key(question: str, context: str = "") -> str:
    """What makes two questions the same: their words, whatever the case and the spaces.

    >>> question_key("Who  led it?") == question_key("who led it?")
    True
    """
    return " ".join(f"{context} {question}".casefold().split())


def repeated(said: Mapping[str, str], keys: Iterable[str]) -> set[str]:
    """Which of some questions a row asks, or says within its text; `said` has its ``question`` or its ``text``.

    >>> sorted(repeated({"text": "He asked: who has led the guild ? Ora."}, ["who has led the guild ?", "who ?"]))
    ['who has led the guild ?']
    """
    if "question" in said:
        asked = question_key(said["question"], said.get("context", ""))
        bare = question_key(said["question"])
        return {key for key in keys if key in (asked, bare)}
    text = f" {question_key(said.get('text', ''))} "
    return {key for key in keys if len(key.split()) >= LEAST_WORDS and f" {key} " in text}


@dataclass
class SealedTest:
    """The test, given out once, to a loop that has chosen; no stage of a loop holds one."""

    _path: Path = field(repr=False)
    digest: str
    opened: bool = False

    def unseal(self, choice: Path, copy: Path) -> Path:
        """A copy of the questions, for a choice that is written down; the file itself is opened once.

        Raises:
            StoreError: when no choice is on disk, or it was given out before.
            InputError: when the file is not the one that was compared with the validation questions.
        """
        if not choice.is_file():
            raise StoreError(f"{choice}: no round is chosen yet, and the test is read after that")
        if self.opened:
            raise StoreError("the test was read already; it is read once, by the chosen round")
        self.opened = True
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read any more: {error.strerror}", path=self._path) from error
        if hashlib.sha256(data).hexdigest() != self.digest:
            raise InputError("changed since the loop began; run it again to have it checked anew", path=self._path)
        write_bytes(copy, data)
        return copy


def refuse_shared(asked: Sequence[AskedQuestion], validation: Path, test: Path) -> SealedTest:
    """The test, sealed, if it asks nothing that the validation questions ask.

    Raises:
        BillError: naming the questions that are in both.
    """
    digest = file_digest(test)
    known: dict[str, str] = {}
    for each in asked:
        known.setdefault(question_key(each.question.question, each.question.context), each.question.id)
    shared = [
        f"{known[key]} and {one.id} ({json.dumps(one.question[:60], ensure_ascii=False)})"
        for one in read_questions(test)
        if (key := question_key(one.question, one.context)) in known
    ]
    if shared:
        raise BillError(
            f"loop: {validation.name} and {test.name} share {len(shared)} "
            f"question{'s' * (len(shared) > 1)}: {join_texts(shared)}; what the loop is steered by cannot measure it, "
            "so take them out of one of the two"
        )
    return SealedTest(test, digest)


@dataclass(frozen=True)
class Validated:
    """What a student made of the validation questions."""

    answers: tuple[Answered, ...]
    given: tuple[str, ...]
    """What it answered, question by question."""
    asked: tuple[AskedQuestion, ...]

    @property
    def right(self) -> int:
        """How many it got right."""
        return sum(one.right for one in self.answers)

    @property
    def accuracy(self) -> float:
        """The share."""
        return self.right / len(self.answers)

    def errors(self) -> list[QA]:
        """Its confident errors as rows, surest first, each with what it answered as a verdict."""
        found = []
        for at in confident_errors(self.answers):
            said = Verdict(name=STUDENT, outcome="fail", detail=self.given[at])
            found.append(dataclasses.replace(as_qa(self.asked[at]), verdicts=(said,)))
        return found

    def tried(self) -> list[QA]:
        """All of them as rows that were tried, for a step that makes its own budget of pass rates."""
        return [
            dataclasses.replace(as_qa(asked), pass_rate=float(answer.right))
            for asked, answer in zip(self.asked, self.answers, strict=True)
        ]


def as_qa(asked: AskedQuestion) -> QA:
    """A validation question as a row, with its labels."""
    one, row = asked.question, asked.row
    difficulty = row.get("difficulty")
    return QA.new(
        kind="validation",
        question=one.question,
        context=one.context,
        options=one.options,
        answer=one.answer,
        accepted=one.golds if one.aliases else (),
        discipline=str(row.get("discipline") or ""),
        is_stem=row.get("is_stem"),
        difficulty=difficulty if isinstance(difficulty, int) else None,
        domain=str(row.get("domain") or ""),
        category=str(row.get("category") or ""),
        grade=str(row.get("grade") or ""),
    )


@dataclass(frozen=True, kw_only=True)
class AnsweredQuestions(Source[QA]):
    """Validation questions as rows, from a file that a loop has written."""

    def files(self, root: Path) -> list[Path]:
        """The one file."""
        return [root]

    def read(self, path: Path, name: str) -> Iterator[QA | BadInput]:
        """Every line is a row."""
        lines = path.read_text(encoding="utf-8").split("\n")
        yield from from_rows((json.loads(line) for line in lines if line), QA)

    @staticmethod
    def write(path: Path, rows: Iterable[QA]) -> None:
        """Write such a file."""
        lines = [json.dumps(to_row(row), ensure_ascii=False, sort_keys=True) + "\n" for row in rows]
        write_bytes(path, "".join(lines).encode())
