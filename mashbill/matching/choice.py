"""The same option, named by its letter, its text or both.

With the options ``Paris``, ``Rome``: ``"(B)"``, ``"b. Rome"``, ``"option B"`` and ``"Rome, since …"`` -> the second.
``"B) Paris"`` -> unreadable, ``letter_and_text_disagree``: it would be right by one reading and wrong by the other.

A text that only mentions an option ("it is not Rome") is not read. Without options only letters are compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mashbill.matching.base import Matcher
from mashbill.matching.final_answer import plain
from mashbill.matching.match import Match

_LETTER = re.compile(
    r"\A(?:(?:the\s+)?(?:correct\s+)?(?:option|choice|answer)(?:\s+is)?\s*:?\s*)?[(\[]?([a-z])(?:[)\].:]+\s*|\s+[-–—]\s+|\Z)"
    r"(.*)\Z",
    re.DOTALL,
)
_DENIES = re.compile(r"(?:not|never|no|is\s+(?:not|wrong|incorrect|false))\b(?!\s*,)")
_CHANGES = re.compile(
    r"\W*(?:or|and/or|nor|no\b|wait|actually|maybe|perhaps|and\s+\(?[a-z]\b\)?|is\s+(?:not|wrong|incorrect|false))\b"
)
_REASON = re.compile(r"\W*(?:since|because|as|for|which|where|not|rather\s+than|unlike|instead\s+of)\b")
_BRACKETED = re.compile(r"(?<![a-z])([a-z])[)\]]")
_WORDS = re.compile(r"[^\W_]+")
_CLAUSE = re.compile(r"[,;.:(\n–—]")


@dataclass(frozen=True, slots=True)
class _Unread:
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Choice(Matcher):
    """Compares choices among the options a question offered."""

    letters: bool = True
    """Whether an option may be named by its letter, A for the first."""

    def compare(self, answer: str, gold: str, options: Sequence[str] = ()) -> Match:
        """Whether both name one option; either may be a letter or an option's text."""
        normal = [plain(option) for option in options]
        two = self._read(gold, normal)
        if isinstance(two, _Unread):
            return Match("gold_unreadable", f"{two.reason}: {two.detail}")
        one = self._read(answer, normal)
        if isinstance(one, _Unread):
            return Match("unreadable", f"{one.reason}: {one.detail}")
        return Match("same") if one == two else Match("different", f"{_letter(one)} is not {_letter(two)}")

    def _read(self, text: str, options: Sequence[str]) -> int | _Unread:
        said = plain(text)
        if not said:
            return _Unread("empty", "it holds no text")
        by_text = [index for index, option in enumerate(options) if option == said]
        if len(by_text) > 1:
            return _Unread("two_options", f"{said[:60]!r} is the text of {' and '.join(map(_letter, by_text))}")
        match = _LETTER.match(said) if self.letters else None
        by_letter = ord(match[1]) - ord("a") if match else -1
        if by_text:
            if match and not match[2] and by_letter < len(options) and by_letter != by_text[0]:
                return _Unread("two_options", f"{said!r} is a letter and the text of another option")
            return by_text[0]
        if match:
            return _of_letter(by_letter, plain(match[2]), options)
        clause, *rest = map(plain, _CLAUSE.split(said, maxsplit=1))
        by_clause = [index for index, option in enumerate(options) if option == clause]
        if len(by_clause) == 1:
            if rest and (other := _another("".join(rest), by_clause[0], options)):
                return _Unread("two_options", f"{_letter(by_clause[0])}, and then {other!r}")
            return by_clause[0]
        return _Unread("no_option", f"{said[:60]!r} is neither a letter nor the text of an option")


def _of_letter(index: int, rest: str, options: Sequence[str]) -> int | _Unread:
    if options and index >= len(options):
        return _Unread("no_option", f"{_letter(index)} of {len(options)} options")
    if not rest or (options and rest == options[index]):
        return index
    clause, *after = map(plain, _CLAUSE.split(rest, maxsplit=1))
    named = next((option for option in (rest, clause) if option in options), None)
    if named is not None and named != options[index]:
        return _Unread("letter_and_text_disagree", f"{_letter(index)} is not {named[:60]!r}")
    if _DENIES.match(rest) or (len(rest) == 1 and rest.isalpha()):
        return _Unread("no_option", f"{_letter(index)}, and then {rest[:60]!r}")
    if other := _another("".join(after) if named is not None else rest, index, options):
        return _Unread("two_options", f"{_letter(index)}, and then {other!r}")
    return index


def _another(rest: str, chosen: int, options: Sequence[str]) -> str:
    """What a text behind a choice says of another one, "" where that is a reason and not a choice."""
    if _CHANGES.match(rest):
        return rest[:60]
    if _REASON.match(rest):
        return ""
    for letter in _BRACKETED.findall(rest):
        if ord(letter) - ord("a") != chosen and (not options or ord(letter) - ord("a") < len(options)):
            return f"({letter})"
    words = f" {' '.join(_WORDS.findall(rest))} "
    for index, option in enumerate(options):
        name = " ".join(_WORDS.findall(option))
        if index != chosen and name and f" {name} " in words and option != options[chosen]:
            return option[:60]
    return ""


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else str(index + 1)
