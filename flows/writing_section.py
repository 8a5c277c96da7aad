"""What a bill's ``evaluate`` section says of written answers, of a teacher to compare with, and of validation.

::

    evaluate:
      questions: test.jsonl               # or {from: facts}: rows of a stream whose documents were held out
      validation: validation.jsonl        # what anything is chosen by; no question stands in both
      write: {samples: 8, k: [1, 8], most_tokens: 200, matcher: numeric}
      teacher: teacher.jsonl              # or {from: worked}: rows of kind Rationale
      bins: 10

Choosing by test questions is how a published result becomes a guess: the code of Distilling step-by-step (2305.02301)
hands its trainer the test set. Here the two are files of their own, and a question in both is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.supervised_section import kind_of
from mashbill.bill import Bill
from mashbill.calibration import BINS
from mashbill.records import QA, Rationale, Record
from mashbill.registry import nearest
from mashbill.section import Section
from train.questions import Question, read_questions
from train.supervision import Supervision
from train.write_spec import WriteSpec
from train.written import judges_of

WRITING_FIELDS = ("write", "teacher", "validation", "bins")
_ANY = Supervision(target="answer_only", template="plain")


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What is asked besides likelihoods."""

    write: WriteSpec | None = None
    """None where nothing is written."""
    teacher: Path | None = None
    """A file of the teacher's predictions."""
    teacher_stream: str = ""
    """A stream of its rationales."""
    bins: int = BINS
    """Of the calibration."""

    @property
    def compares(self) -> bool:
        """Whether there is a teacher."""
        return self.teacher is not None or bool(self.teacher_stream)


def read_writing(section: Section, bill: Bill, questions: Path | None) -> Writing:
    """The fields above, checked; `questions` are those of the test where they are a file.

    Raises:
        BillError: with file and line.
        InputError: for a question whose right answer its matcher cannot read.
    """
    write = section.at("write").build(WriteSpec) if "write" in section else None
    asked = [] if questions is None else read_questions(questions)
    if write is not None:
        # Now, not after the training.
        judges_of(asked, write, _ANY)
    bins = section.get("bins", BINS).as_(int)
    if bins < 1:
        section.at("bins").fail(f"at least one bin is wanted; found {bins}")
    teacher, stream = _teacher(section, bill)
    return Writing(write=write, teacher=teacher, teacher_stream=stream, bins=bins)


def read_validation(section: Section, bill: Bill, questions: Path | None) -> Path | None:
    """The file that choices are made by; None where there is none.

    Raises:
        BillError: when it is missing, or has a question of the test.
    """
    if "validation" not in section:
        return None
    path = _file(section.at("validation"), bill)
    if questions is None:
        read_questions(path)  # those of a stream are not known yet: `check_apart` is called when they are
    else:
        check_apart(section.at("validation"), path, questions)
    return path


def check_apart(section: Section, validation: Path, test: Path) -> None:
    """No question may stand in both files.

    Raises:
        BillError: at the section, with the question.
    """
    if both := _in_both(read_questions(validation), read_questions(test)):
        section.fail(f"{both!r} stands in the test too ({test}); what is chosen by a question cannot be tested by it")


def _in_both(one: list[Question], two: list[Question]) -> str:
    """A question of both lists, or nothing: by its text, since a copied line may have been given another id."""
    known = {_plain(question) for question in two}
    return next((question.question for question in one if _plain(question) in known), "")


def _plain(question: Question) -> tuple[str, str]:
    return (" ".join(question.context.casefold().split()), " ".join(question.question.casefold().split()))


def question_stream(section: Section, bill: Bill) -> str:
    """The stream of questions that ``{from: stream}`` names.

    Raises:
        BillError: when there is none, or its rows are no questions.
    """
    return _stream(section, bill, QA)


def _teacher(section: Section, bill: Bill) -> tuple[Path | None, str]:
    if "teacher" not in section:
        return None, ""
    teacher = section.at("teacher")
    if isinstance(teacher.value, str):
        return _file(teacher, bill), ""
    return None, _stream(teacher, bill, Rationale)


def _file(section: Section, bill: Bill) -> Path:
    path = (bill.folder / section.as_(str)).resolve()
    if not path.is_file():
        section.fail(f"no such file: {path}")
    return path


def _stream(section: Section, bill: Bill, wanted: type[Record]) -> str:
    section.only(("from",), required=("from",))
    name = section.at("from").as_(str)
    if name not in bill.streams:
        known = ", ".join(bill.streams)
        section.at("from").fail(f"no stream is called {name!r}{nearest(name, bill.streams)}; there are: {known}")
    kind = kind_of(bill, name)
    if not issubclass(kind, wanted):
        section.at("from").fail(f"its rows are {kind.__name__}; rows of kind {wanted.__name__} are wanted here")
    return name
