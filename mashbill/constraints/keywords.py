r"""Words and phrases that an answer must have, must not have, or must have so many times.

``'Include the words "salt" and "oil"'`` -> ``Keywords(words=("salt", "oil"))``; ``'Do not mention "cheese"'`` ->
``Keywords(words=("cheese",), bound=0..0)``; ``'Use the word "guild" at least twice'`` -> a bound from 2. Only words in
quotation marks are read: what an unquoted list takes in cannot be told. They are found whole, in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mashbill.constraints.base import Checker, Found
from mashbill.constraints.bound import Bound, bound_of, counted
from mashbill.records import Verdict
from mashbill.words import track, words

QUOTED = r"""(?:"[^"\n]{1,80}"|“[^”\n]{1,80}”|«[^»\n]{1,80}»|(?<!\w)['‘][^'’\n]{1,80}['’](?!\w))"""
"""Something in quotation marks, as part of a regular expression."""
_LIST = rf"(?P<quoted>{QUOTED}(?:(?:,?\s*(?:and|or|&)\s*|,\s*){QUOTED}){{0,9}})"
_KIND = (
    r"(?:(?:the|these|this|following|exact|any)\s+){0,3}(?:(?:key)?words?|phrases?|terms?|names?|expressions?)?\s*:?\s*"
)
_NOT = r"(?:do\s+not|don['’]t|never|must\s+not|should\s+not|cannot|may\s+not)"
_EXCLUDE = re.compile(
    rf"\b(?:(?:{_NOT}\s+(?:use|include|mention|say|contain|write)|(?:avoid|without|excluding|refrain\s+from|omit)"
    rf"(?:\s+(?:using|mentioning|including|the\s+use\s+of))?)\s+(?:any\s+of\s+)?{_KIND}{_LIST}"
    rf"|{_KIND}(?P<before>{QUOTED})\s+(?:must|should|may|does)\s+not\s+(?:appear|occur|be\s+(?:used|mentioned|included)))",
    re.IGNORECASE,
)
_INCLUDE = re.compile(
    rf"\b(?:includ(?:e|es|ing)|mention(?:s|ing)?|contain(?:s|ing)?|us(?:e|es|ing)|incorporat(?:e|es|ing)|with)\s+"
    rf"(?:both\s+|all\s+of\s+)?{_KIND}{_LIST}"
    rf"|\b{_KIND}(?P<before>{QUOTED})\s+(?:must|should)\s+(?:appear|occur|be\s+(?:used|mentioned|included))",
    re.IGNORECASE,
)
_TIMES = re.compile(
    rf"\b(?:(?:use|include|mention|repeat|contain|write)s?\s+)?(?:the\s+)?(?:(?:key)?word|phrase|term|name)?\s*"
    rf"(?P<quoted>{QUOTED})\s+(?:must\s+|should\s+)?(?:appears?\s+|be\s+used\s+|occurs?\s+)?"
    rf"(?:(?:(?P<lead>at\s+least|at\s+most|exactly|no\s+more\s+than|only)\s+)?(?P<few>once|twice|thrice)\b"
    rf"|(?x:{counted('times?')}))",
    re.IGNORECASE,
)
_DENIED = re.compile(r"(?:\bnot|n['’]t|\bnever|\bavoid|\bwithout)\s+(?:\w+\s+){0,2}$", re.IGNORECASE)
ONCE = Bound(least=1)
"""There at all."""
_FEW = {"once": 1, "twice": 2, "thrice": 3}
_MARKS = "\"“”«»'‘’"


@dataclass(frozen=True, kw_only=True)
class Keywords(Checker):
    """Counts each of the words or phrases."""

    words: tuple[str, ...]
    bound: Bound = ONCE
    """How often each is to be there."""

    def __post_init__(self) -> None:
        if not self.words or not all(words(one) for one in self.words):
            raise ValueError(f"keywords names {list(self.words)}; each must hold a letter or figure")

    @classmethod
    def find(cls, text: str) -> Iterator[Found]:
        """Every quoted word that is wanted, unwanted, or counted."""
        for match in _TIMES.finditer(text):
            if bound := _times(match):
                yield from cls._found(match, bound)
        for match in _EXCLUDE.finditer(text):
            yield from cls._found(match, Bound(most=0))
        for match in _INCLUDE.finditer(text):
            if not _DENIED.search(text[max(0, match.start() - 30) : match.start()]):
                yield from cls._found(match, Bound(least=1))

    @classmethod
    def _found(cls, match: re.Match[str], bound: Bound) -> Iterator[Found]:
        said = match["quoted"] or match.groupdict().get("before") or ""
        listed = tuple(sorted({one.strip(_MARKS).strip() for one in re.findall(QUOTED, said)}))
        if listed and all(words(one) for one in listed):
            yield Found(*match.span(), cls(words=listed, bound=bound))

    @property
    def slot(self) -> str:
        """The words, in any case."""
        return f"keywords:{'|'.join(sorted(one.casefold() for one in self.words))}"

    def said(self) -> str:
        """In plain English."""
        listed = " and ".join(f'"{one}"' for one in self.words)
        if self.bound == Bound(most=0):
            return f"do not use {listed}"
        if self.bound == Bound(least=1):
            return f"include {listed}"
        return f"use {listed} {self.bound.said()} times"

    def judge(self, answer: str) -> Verdict:
        """Whether each is there as often as it should."""
        said = track(words(answer))
        for one in self.words:
            count = said.count(track(words(one)))
            if reason := self.bound.refuses(count):
                named = {"too_few": "keyword_missing", "too_many": "keyword_unwanted"}[reason]
                return self.broken(named, f"{one!r} stands there {count} times, {self.bound.said()} wanted")
        return self.kept()


def _times(match: re.Match[str]) -> Bound | None:
    if not match["few"]:
        return bound_of(match)
    count, lead = _FEW[match["few"].casefold()], " ".join((match["lead"] or "").casefold().split())
    if lead in ("at most", "no more than"):
        return Bound(most=count)
    return Bound(least=count) if lead == "at least" else Bound(least=count, most=count)
