r"""Questions with answers as plain text, for training on whole texts: several templates, and no mark of a chat.

A row ->

    mathematics/algebra

    Question: A fence of 60 m encloses a rectangle. What is its largest area?
    With sides a and 30 - a the area is a * (30 - a). It is largest at a = 15. 15 * 15 = 225.
    Answer: 225 m^2

Which template a row gets is drawn from its id, so it does not depend on the others. A line of a template whose places
are all empty is left out: a question without options has no line for them. For mid-training, where such text is mixed
with general text and read by a student that was not tuned to chat (arXiv 2508.01326; its own templates are not public).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mashbill.errors import BillError
from mashbill.fingerprint import seed_of
from mashbill.qa_text import lettered

TEMPLATES = (
    "Question: {question}\n{options}\n{rationale}\nAnswer: {answer}",
    "{question}\n{options}\n\n{rationale}\n\nThe answer is {answer}.",
    "Problem\n{question}\n{options}\n\nSolution\n{rationale}\nResult: {answer}",
    "Q: {question}\n{options}\nA: {rationale}\nSo the answer is {answer}.",
    "Exercise. {question}\n{options}\n\nWorked answer. {rationale}\nFinal answer: {answer}",
)
QUESTION_COLUMNS = ("context", "question", "options", "rationale", "answer")
"""What of a row is written out, besides its domain; `discipline` too, where its type has one."""
_PLACES = frozenset({"question", "options", "rationale", "answer"})
_PLACE = re.compile(r"\{([a-z_]+)\}")
_CHAT = re.compile(r"<\|[^|>]{1,30}\|>|\[/?INST\]|<</?SYS>>|</?s>|^\s*(?:user|assistant|system|human)\s*:", re.I | re.M)


@dataclass(frozen=True, kw_only=True)
class QuestionText:
    """How rows with a question and an answer are written out as text."""

    templates: tuple[str, ...] = TEMPLATES
    """Each with {question} and {answer}, and {options} and {rationale} where they are to stand; a context stands before
    the question. A row gets one of them."""
    rationale: bool = True
    """Whether the reasons are read too."""
    seed: int = 0
    """Draws the template, with the row's id."""

    def __post_init__(self) -> None:
        """Refuse templates that lack the question or the answer, or look like a chat."""
        if not self.templates:
            raise BillError("render: templates is empty; leave it out for those that there are, or give one")
        for template in self.templates:
            places = set(_PLACE.findall(template))
            wrong = sorted(places - _PLACES) or sorted({"question", "answer"} - places)
            if wrong:
                has = "has no place" if wrong[0] not in _PLACES else "lacks"
                raise BillError(f"render: the template {template!r} {has} {{{wrong[0]}}}; places are {_listed()}")
            if found := _CHAT.search(template):
                raise BillError(
                    f"render: the template {template!r} has {found[0].strip()!r}, a mark of a chat; plain text has "
                    "none: take it out, or tune on completions with `target`"
                )

    def template_of(self, row_id: str) -> str:
        """The template of a row."""
        return self.templates[seed_of("render", self.seed, row_id) % len(self.templates)]


def question_text(row: Mapping[str, Any], spec: QuestionText) -> str:
    r"""A row with a question and an answer as text, without its domain.

    >>> row = {"id": "a", "question": "Is salt white?", "options": ["yes", "no"], "answer": "yes."}
    >>> question_text(row, QuestionText(templates=("{question}\n{options}\n{rationale}\nThe answer is {answer}.",)))
    'Is salt white?\nA) yes\nB) no\nThe answer is yes.'
    """
    options: Sequence[str] = row.get("options") or ()
    values = {
        "question": "\n\n".join(part for part in (_text(row, "context"), _text(row, "question")) if part),
        "options": lettered(options),
        "rationale": _text(row, "rationale") if spec.rationale else "",
        "answer": _text(row, "answer"),
    }
    if "\n" in values["answer"]:  # code: it begins on a line of its own
        values["answer"] = f"\n{values['answer']}"
    lines = [_filled(line, values) for line in spec.template_of(str(row["id"])).split("\n")]
    text = "\n".join(line for line in lines if line is not None)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _filled(line: str, values: Mapping[str, str]) -> str | None:
    """A line of a template; None where it has places and all are empty."""
    places = _PLACE.findall(line)
    if places and not any(values[place] for place in places):
        return None
    if values["answer"].endswith("."):  # a full stop of the template's own is one too many
        line = line.replace("{answer}.", "{answer}")
    return _PLACE.sub(lambda place: values[place[1]], line)


def _text(row: Mapping[str, Any], name: str) -> str:
    return (row.get(name) or "").strip()


def _listed() -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(_PLACES))
