"""A written item read from a reply, and whether it has the form of one; before a word of thinking is paid for.

A reply ``<question>…</question><options>A) oak … D) salt</options><answer>D</answer>`` -> a draft with the stem, four
options without their letters, and the answer's place among them.

The filter is that of arXiv 2507.13966: failed or truncated, template not matched (a tag missing, not four options, the
answer not among them), artefacts (code, drawings), near-duplicate options. On a narrow graph the last alone rejected
about a third of the items in a re-implementation of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from pydantic import BaseModel, Field

from mashbill.errors import BadReply
from mashbill.qa_text import option_key
from mashbill.words import singular, words

OPTIONS = 4

_LETTERED = re.compile(r"^\s*(?:[-*•]\s*)?\(?([A-Za-z])[).:]\s+(.*\S)\s*$")
_NUMBERED = re.compile(r"^\s*(?:[-*•]\s*)?\(?(\d)[).:]\s+(.*\S)\s*$")
_BULLET = re.compile(r"^\s*[-*•]\s*(.*\S)\s*$")
_ARTEFACTS = (
    re.compile(r"```|~~~"),
    re.compile(r"[─-╿▀-▟]{2,}"),  # box drawing and block elements
    re.compile(r"^[\s|+/\\_=*#<>.-]*[|+/\\_=*#<>-]{4,}[\s|+/\\_=*#<>.-]*$", re.MULTILINE),
    re.compile(r"</?[a-z_]{2,}>"),
    re.compile(r"\b(?:def \w+\(|import \w+\n|console\.log|printf\()"),
)


class Item(BaseModel):
    """What a reply in JSON must be."""

    question: str = Field(min_length=1)
    options: list[str] = Field(min_length=OPTIONS, max_length=OPTIONS)
    answer: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Draft:
    """A written item, not yet shuffled."""

    question: str
    options: tuple[str, ...]
    right: int
    """The answer's place among the options."""

    @property
    def answer(self) -> str:
        """The right option's text."""
        return self.options[self.right]


def read_tags(text: str) -> Draft:
    """The item in a tagged reply.

    Raises:
        BadReply: ``template_not_matched``, ``option_count`` or ``answer_not_option``.
    """
    question, block, answer = (_between(text, tag) for tag in ("question", "options", "answer"))
    return draft_of(question, [_option(line) for line in block.splitlines() if line.strip()], answer)


def draft_of(question: str, options: Sequence[str], answer: str) -> Draft:
    """A draft from its three parts, which may still carry letters.

    Raises:
        BadReply: ``template_not_matched`` for an empty part, ``option_count``, ``answer_not_option``.
    """
    stem = " ".join(question.split())
    if not stem:
        raise BadReply("template_not_matched", "the question is empty")
    texts = _unlettered_all(options)
    if len(texts) != OPTIONS or not all(texts):
        full = sum(bool(text) for text in texts)
        raise BadReply("option_count", f"{full} options, {OPTIONS} wanted")
    return Draft(stem, texts, _place(answer, texts))


def check_form(draft: Draft, near: float) -> None:
    """Refuse an item with artefacts or with two options that are nearly one.

    Raises:
        BadReply: ``artefact`` or ``near_duplicate_options``.
    """
    check_artefacts("\n".join((draft.question, *draft.options)))
    for at, one in enumerate(draft.options):
        for other in draft.options[:at]:
            likeness = alike(one, other)
            if likeness >= near:
                raise BadReply("near_duplicate_options", f"{other!r} and {one!r} are alike to {likeness:.2f}")


def check_artefacts(text: str) -> None:
    """Refuse code, drawings and stray tags.

    Raises:
        BadReply: ``artefact``, with what was found.
    """
    for pattern in _ARTEFACTS:
        found = pattern.search(text)
        if found:
            raise BadReply("artefact", f"it holds {found[0].strip()[:40]!r}")


def alike(one: str, other: str) -> float:
    """How alike two options are, from 0 to 1: the same words in any order are one option.

    >>> alike("Salt guild", "the guild of salt"), alike("type 1", "type 2") < 0.9, alike("oak", "salt") < 0.5
    (1.0, True, True)
    """
    if option_key(one) == option_key(other):
        return 1.0
    folded = [[singular(word) for word in words(text) if word not in _SMALL] or words(text) for text in (one, other)]
    return SequenceMatcher(None, " ".join(folded[0]), " ".join(folded[1]), autojunk=False).ratio()


_SMALL = frozenset({"the", "a", "an", "of"})


def _between(text: str, tag: str) -> str:
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL | re.IGNORECASE)
    if len(found) != 1 or not found[0].strip():
        raise BadReply("template_not_matched", f"{len(found)} filled <{tag}> parts, 1 wanted")
    return str(found[0]).strip()


def _option(line: str) -> str:
    return line.strip()


def _unlettered_all(options: Sequence[str]) -> tuple[str, ...]:
    """Options without their letters, where they have letters: ``E. coli`` among names of its kind keeps its own."""
    lines = tuple(" ".join(option.split()) for option in options)
    for pattern, first in ((_LETTERED, "a"), (_NUMBERED, "1")):
        found = [pattern.match(line) for line in lines]
        marks = [one[1].casefold() for one in found if one]
        if len(marks) == len(lines) and marks == [chr(ord(first) + at) for at in range(len(lines))]:
            return tuple(one[2] for one in found if one)
    bulleted = [_BULLET.match(line) for line in lines]
    return tuple(one[1] for one in bulleted if one) if all(bulleted) else lines


def _unlettered(option: str) -> str:
    option = " ".join(option.split())
    for pattern in (_LETTERED, _NUMBERED):
        found = pattern.match(option)
        if found:
            return found[2]
    found = _BULLET.match(option)
    return found[1] if found else option


def _place(answer: str, options: Sequence[str]) -> int:
    folded = [option.casefold() for option in options]
    texts = (" ".join(answer.split()).casefold(), _unlettered(answer).casefold())
    for text in texts:
        if folded.count(text) == 1:
            return folded.index(text)
    letter = re.fullmatch(r"\W*([A-Da-d])\W*", answer) or re.match(r"\W*([A-Da-d])[).:]\s", answer)
    if letter:
        return "ABCD".index(letter[1].upper())
    raise BadReply("answer_not_option", f"the answer {answer!r} is none of {list(options)}")
