r"""Questions as they come, made alike: numbering off, options out of the text, the answer as the option it names.

``"12. Which burns?\nA) salt\nB) oil"`` with the answer ``"B"`` ->

    Which burns?    options salt, oil    answer oil
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Sequence

from mashbill.errors import BadReply
from mashbill.matching import matcher
from mashbill.qa_text import LETTERS, option_key
from mashbill.records import QA
from mashbill.words import words

_NUMBERING = re.compile(
    r"\A(?:(?:question|q|problem|exercise|ex)\b\.?\s*\d{0,4}\s*[.:)\]]\s*|\(?\d{1,4}[.)]\s+(?=[^\W\d]))", re.IGNORECASE
)
_ANSWER = re.compile(r"\A(?:(?:the\s+)?(?:correct\s+|right\s+|final\s+)?answer(?:\s+is|\s*:))\s*:?\s*", re.IGNORECASE)
_LETTERED = re.compile(r"\A\(?([A-Za-z])[).:\]]\s+(.*\S)\s*\Z")
_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\n{3,}")


def seed_of_question(qa: QA, *, need_answer: bool = True) -> QA:
    """The question as all seeds are written; its id is that of what it now says.

    Raises:
        BadReply: ``empty_question``, ``no_answer``, ``repeated_option`` or ``answer_no_option``, with what was found.
    """
    question = _without(_NUMBERING, tidied(qa.question))
    options = tuple(tidied(one) for one in qa.options)
    if not options:
        question, options = _split(question)
    options = _without_letters(options)
    if not words(question):
        raise BadReply("empty_question", f"holds no words: {qa.question[:80]!r}", text=qa.question)
    _refuse_repeats(options, question)
    answers = [_without(_ANSWER, tidied(one)) for one in (qa.answer, *qa.accepted)]
    answers = list(dict.fromkeys(one for one in answers if one))
    if not answers and need_answer:
        raise BadReply("no_answer", "has no answer, so nobody can say what a student gets right", text=question)
    answers = [_option(one, options, question) for one in answers]
    made = dataclasses.replace(
        qa,
        question=question,
        options=options,
        context=tidied(qa.context),
        rationale=tidied(qa.rationale),
        answer=answers[0] if answers else "",
        accepted=tuple(dict.fromkeys(answers)) if len(answers) > 1 else (),
    )
    if made == qa:
        return qa
    return dataclasses.replace(made, parents=(qa.id,)).identified()


def tidied(text: str) -> str:
    r"""Unicode form C, one kind of line end, no space at the ends of lines nor runs of it but in lines of code.

    >>> tidied("  How\u00a0 many?\r\n\r\n\r\n\r\nSay. "), tidied("def f():\n    return  1 ")
    ('How many?\n\nSay.', 'def f():\n    return  1')
    """
    plain = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    # What is indented is code, where blanks mean something.
    lines = (line if line[:1].isspace() else _BLANKS.sub(" ", line) for line in plain.strip().split("\n"))
    return _LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines))


def question_key(qa: QA) -> tuple[str, ...]:
    """What two questions have in common that ask the same: words of context and question, and the set of options."""
    options = sorted(" ".join(option_key(one)) for one in qa.options)
    return (" ".join(words(qa.context)), " ".join(words(qa.question)) or qa.question, *options)


def _without(head: re.Pattern[str], text: str) -> str:
    """The text without what stands at its head, however often: ``1. Q: Who?`` -> ``Who?``."""
    while match := head.match(text):
        text = text[match.end() :].strip()
    return text


def _split(question: str) -> tuple[str, tuple[str, ...]]:
    """The question without the options that stand below it, one a line and lettered from A on."""
    lines = [line for line in question.split("\n") if line]
    found = list[str]()
    while lines and (match := _LETTERED.match(lines[-1])):
        found.insert(0, match[1].upper() + match[2])
        lines.pop()
    letters = "".join(one[0] for one in found)
    if len(found) < 2 or letters != LETTERS[: len(found)]:
        return question, ()
    return "\n".join(lines), tuple(one[1:] for one in found)


def _without_letters(options: tuple[str, ...]) -> tuple[str, ...]:
    """Options without the letters they begin with, where each begins with its own."""
    matches = [_LETTERED.match(one) for one in options]
    said = "".join(match[1].upper() for match in matches if match is not None)
    if len(options) < 2 or said != LETTERS[: len(options)]:
        return options
    return tuple(match[2] for match in matches if match is not None)


def _refuse_repeats(options: Sequence[str], question: str) -> None:
    first: dict[tuple[str, ...], str] = {}
    for one in options:
        before = first.setdefault(option_key(one), one)
        if before is not one:
            raise BadReply("repeated_option", f"the options {before!r} and {one!r} say the same", text=question)


def _option(answer: str, options: Sequence[str], question: str) -> str:
    """The option that an answer names, or the answer where there are no options."""
    if not options:
        return answer
    named = [one for one in options if matcher("choice").compare(answer, one, tuple(options)).same]
    if len(named) != 1:
        raise BadReply(
            "answer_no_option",
            f"the answer {answer[:80]!r} names {len(named)} of the {len(options)} options, 1 wanted",
            text=question,
        )
    return named[0]
