"""What a writer's reply must be, and what is refused of it before anybody is asked to solve it.

``{"question": "Which of the lines in the figure above …?", "options": [], "answer": "the second"}`` -> reject
``not_self_contained``: whoever reads the finished row has no figure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel, Field

from mashbill.errors import BadReply
from mashbill.matching import Matcher, matcher
from mashbill.qa_text import option_key
from mashbill.records import QA
from synth.boostqa_likeness import likeness

MOST_OPTIONS = 10
LEAST_WORDS = 4
"""Of a question; ours: ``Define osmosis`` is a heading."""
_THING = (
    r"(?:figure|fig\.|diagram|graph|chart|image|picture|photo(?:graph)?|illustration|map|drawing|plot|table|passage|"
    r"text|article|excerpt|document|paragraph|context|list|code|data|dialogue|poem)"
)
_OTHER = r"(?:question|problem|exercise|example|item|part|section|chapter|lesson|lecture|solution|seed)"
_BEFORE = r"(?:previous|preceding|prior|earlier|above|aforementioned|original|given\s+seed|seed|source|sample)"
_POINTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:the|this|that|these|those)\s+{_THING}s?\s+(?:above|below|provided|attached|shown)\b",
        rf"\b(?:above|attached|accompanying|provided|aforementioned)\s+{_THING}s?\b",
        r"\b(?:in|from|on|see|per|using|refer(?:ring)?\s+to|according\s+to|based\s+on)\s+(?:the|this)\s+"
        r"(?:figure|diagram|chart|image|picture|photo(?:graph)?|illustration|passage|article|excerpt|document|lesson|"
        r"lecture|textbook)\b",
        r"\b(?:as\s+)?(?:shown|depicted|pictured|illustrated|mentioned|described|stated|discussed|defined)\s+"
        r"(?:above|below|earlier|previously)\b",
        rf"\b(?:the|this|that|your|an?)\s+{_BEFORE}\s+{_OTHER}s?\b",
        r"\b(?:figure|fig\.|table|equation|eq\.|exhibit)\s*\(?\d",
        r"[如见][下上左右]?图|[上下]图[中所]|上[文题述]|根据(?:短文|文章|材料)",
    )
)
_FOLLOWS = re.compile(rf"\bfollowing\s+{_THING}s?\b[^:\n]*(.*)", re.IGNORECASE | re.DOTALL)
_SHOWN_WORDS = 4
"""Words that must stand behind ``the following table:`` for it to be there."""


class Draft(BaseModel):
    """A question as a writer gives it; the answer is the final one alone."""

    question: str = Field(max_length=6000)
    options: list[str] = Field(default_factory=list, max_length=MOST_OPTIONS)
    answer: str = Field(max_length=4000)
    knowledge_points: list[str] = Field(default_factory=list, max_length=12)
    tests: str = Field(default="", max_length=8000)
    """For a task that wants code: Python assertions that a right answer passes."""


def check_draft(draft: Draft, seeds: Sequence[QA], most_alike: float) -> None:
    """Refuse a draft that nobody could answer, or that says a seed again.

    Raises:
        BadReply: ``question_too_short``, ``no_answer``, ``option_count``, ``options_repeat``, ``answer_not_option``,
            ``not_self_contained`` or ``number_swap``; the detail is written for the writer to mend it by.
    """
    if len(draft.question.split()) < LEAST_WORDS and not re.search(r"[^\x00-\x7f]", draft.question):
        raise BadReply("question_too_short", f"the question has fewer than {LEAST_WORDS} words: {draft.question!r}")
    if not draft.answer.strip():
        raise BadReply("no_answer", "the answer is empty")
    check_options(draft)
    if found := points_outside(draft.question):
        raise BadReply("not_self_contained", f"the question points at what its reader does not have: {found!r}")
    check_new(draft.question, seeds, most_alike)


def check_options(draft: Draft) -> None:
    """Refuse one option alone, options that repeat, and an answer that is none of them."""
    options = [" ".join(one.split()) for one in draft.options]
    if not options:
        return
    if len(options) == 1 or not all(options):
        raise BadReply("option_count", f"{sum(map(bool, options))} options; wanted are none, or two or more")
    seen = dict[tuple[str, ...], str]()
    for option in options:
        key = option_key(option)
        if key in seen:
            raise BadReply("options_repeat", f"{seen[key]!r} and {option!r} say the same")
        seen[key] = option
    if answer_option(draft) is None:
        raise BadReply("answer_not_option", f"the answer {draft.answer[:80]!r} names none of the options, or several")


def answer_option(draft: Draft) -> str | None:
    """The option that the answer names, by its letter or its text; None where it names none or several."""
    compares: Matcher = matcher("choice")
    options = [" ".join(one.split()) for one in draft.options]
    exact = [one for one in options if one == " ".join(draft.answer.split())]
    named = exact or [one for one in options if compares.compare(draft.answer, one, options).same]
    return named[0] if len(named) == 1 else None


def points_outside(question: str) -> str:
    """The words by which a question points at something that is not in it; empty where there are none.

    >>> points_outside("What is the slope of the line in the figure?")
    'in the figure'
    >>> points_outside("In the following table: tea 3, rye 4, oat 5, which costs most?")
    ''
    """
    for pattern in _POINTS:
        if found := pattern.search(question):
            return found[0]
    follows = _FOLLOWS.search(question)
    if follows and len(follows[1].split()) < _SHOWN_WORDS:
        return follows[0].strip()[:60]
    return ""


def check_new(question: str, seeds: Sequence[QA], most_alike: float) -> None:
    """Refuse a question that is a seed with other numbers, other names or a word changed."""
    for seed in seeds:
        alike = likeness(question, seed.question)
        if alike >= 1 or alike > most_alike:
            raise BadReply(
                "number_swap",
                f"with numbers and names left out it is alike to {alike:.2f} to a question it was made from: "
                f"{seed.question[:120]!r}",
            )


def draft_record(draft: Draft, seeds: Sequence[QA], **fields: object) -> QA:
    """A draft as a question made from its seeds; its answer is the option's text where there are options."""
    options = tuple(" ".join(one.split()) for one in draft.options)
    return seeds[0].child(
        QA,
        **{
            "parents": tuple(dict.fromkeys(seed.id for seed in seeds)),
            "kind": kind_of(draft),
            "question": draft.question.strip(),
            "options": options,
            "answer": (answer_option(draft) or draft.answer).strip(),
            **fields,
        },
    )


def kind_of(draft: Draft) -> str:
    """The format of a draft: ``choice``, ``code`` or ``open``."""
    return "choice" if draft.options else "code" if draft.tests.strip() else "open"
