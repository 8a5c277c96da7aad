r"""One row to what is asked and what is answered, as text; or the reason why it cannot be learned.

A row of kind QA, under ``answer_only``::

    {"id": "6f1c…", "question": "What did the guild tax?", "options": ["salt", "oak"], "answer": "salt", …}
    ->  Asked(question="What did the guild tax?\n\nA) salt\nB) oak", context="")  ->  "salt"

Reasons, which are counted in the plan's manifest and listed in its ``rejected.parquet``: ``no_question``,
``no_answer``, ``no_rationale``, ``too_many_options``, ``answer_not_an_option``; `train.example_tokens` adds
``special_token``, ``changed_by_template`` and ``too_long``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mashbill.fingerprint import content_id
from mashbill.qa_text import LETTERS, letter_of, lettered
from mashbill.records import QA, Instruction, Rationale, Record
from train.supervision import EXPLAIN, Supervision

COLUMNS: Mapping[type[Record], tuple[str, ...]] = {
    QA: ("question", "context", "options", "rationale", "answer"),
    Rationale: ("question", "context", "options", "rationale", "answer"),
    Instruction: ("text", "context", "response"),
}
"""What of a row is read, besides id, source_id and domain; a column that a type lacks is empty."""


@dataclass(frozen=True)
class Asked:
    """A question as the student is given it, before any template."""

    question: str
    """With its options beneath, one a line, lettered."""
    context: str = ""
    """What is given to read before it."""


@dataclass(frozen=True)
class Example:
    """A row to learn: one completion for each view."""

    asked: Asked
    completions: Mapping[str, str]
    question_id: str
    """The same for rows that ask the same of the same context with the same options, in whatever order those stand."""


@dataclass(frozen=True)
class Unusable:
    """A row that cannot be learned, and why."""

    reason: str
    detail: str = ""


def asked(question: str, options: Sequence[str] = (), context: str = "") -> Asked:
    r"""A question with its options, as training and use write it.

    >>> asked("Which?", ["salt", "oak"]).question
    'Which?\n\nA) salt\nB) oak'

    Raises:
        IndexError: for more options than letters.
    """
    stripped = [option.strip() for option in options]
    return Asked("\n\n".join(part for part in (question.strip(), lettered(stripped)) if part), context.strip())


def example_of(row: Mapping[str, Any], kind: type[Record], spec: Supervision) -> Example | Unusable:
    """What a row is under a target."""
    text = {name: (row.get(name) or "") for name in ("question", "context", "rationale", "answer")}
    if issubclass(kind, Instruction):
        text |= {"question": row.get("text") or "", "answer": row.get("response") or ""}
    text = {name: value.strip() for name, value in text.items()}
    if not text["question"]:
        return Unusable("no_question")
    if not text["answer"]:
        return Unusable("no_answer")
    options = row.get("options") or ()
    if len(options) > len(LETTERS):
        return Unusable("too_many_options", f"{len(options)} options; there are {len(LETTERS)} letters")
    if spec.choices == "letter" and options:
        text["answer"] = _letter(text["answer"], options)
        if not text["answer"]:
            return Unusable("answer_not_an_option", f"{row['answer']!r} is none of {list(options)}")
    reasons = spec.target != "answer_only" and not issubclass(kind, Instruction)
    if reasons and not text["rationale"]:
        return Unusable("no_rationale")
    completions = {view: _completion(view, text, spec, reasons=reasons) for view in spec.views}
    # With the options: "Which of these is true?" is another question with others.
    question_id = content_id("question", text["question"], text["context"], *sorted(map(str.strip, options)))
    return Example(asked(text["question"], options, text["context"]), completions, question_id)


def _letter(answer: str, options: Sequence[str]) -> str:
    """The letter of an answer that is an option's text, or its letter already; else empty."""
    folded = [option.strip().casefold() for option in options]
    if answer.casefold() in folded:
        return letter_of(folded.index(answer.casefold()))
    return answer if len(answer) == 1 and answer in LETTERS[: len(options)] else ""


def _completion(view: str, text: Mapping[str, str], spec: Supervision, *, reasons: bool) -> str:
    if view == EXPLAIN:
        return text["rationale"]
    if spec.target == "full_cot" and reasons:
        return f"{spec.rationale_lead}{text['rationale']}{spec.answer_lead}{text['answer']}"
    return text["answer"]
