r"""Marks that an answer must not use, must end with, or must stand between.

``"Do not use any commas"`` -> ``Punctuation(mark="commas", where="nowhere")``; ``"End with a question mark"``; ``"Wrap
the answer in double quotation marks"``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mashbill.constraints.base import Checker, Found
from mashbill.records import Verdict

Where = Literal["nowhere", "end", "around"]
_MARKS: Mapping[str, tuple[str, str]] = {
    "commas": (r"commas?", r"[,，、]"),
    "exclamation marks": (r"exclamation\s+(?:marks?|points?)", r"[!！]"),
    "question marks": (r"question\s+marks?", r"[?？]"),
    "semicolons": (r"semi-?colons?", r"[;；]"),
    "full stops": (r"(?:full\s+stops?|periods?)", r"\.(?=\s|$|[\"'”’)])|。"),
    "quotation marks": (r"(?:double\s+)?(?:quotation\s+marks?|quotes)", r"[\"“”«»]"),
    "parentheses": (r"(?:parenthes[ei]s|brackets)", r"[()（）]"),
    "dashes": (r"(?:em[ -])?dashes", r"[–—]"),
    "digits": (r"(?:digits?|numerals?)", r"\d"),
    "emojis": (r"emojis?", "[\u2600-\u27bf\U0001f300-\U0001faff]"),
}
"""For each sort of mark how it is named and how it is found."""
_NAMED = "|".join(f"(?P<m{at}>{named})" for at, (named, _) in enumerate(_MARKS.values()))
_NOWHERE = re.compile(
    r"\b(?:no|without|avoid(?:ing)?|refrain\s+from|"
    r"(?:do\s+not|don['’]t|never|must\s+not|should\s+not|may\s+not|cannot)\s+(?:use|include|contain|write|have))"
    rf"\s+(?:(?:using|any|the|use|of)\s+){{0,4}}(?:{_NAMED})\b",
    re.IGNORECASE,
)
_END = re.compile(rf"\bend(?:s|ing)?\s+(?:\w+\s+){{0,3}}?(?:with|in)\s+an?\s+(?:{_NAMED})\b", re.IGNORECASE)
_AROUND = re.compile(
    rf"\b(?:wrap|wrapped|enclose|enclosed|surround|put|inside|between)\s+(?:\w+\s+){{0,5}}?(?:{_NAMED})\b",
    re.IGNORECASE,
)
_DENIED = re.compile(r"(?:\bnot|n['’]t|\bnever|\bavoid|\bwithout|\beach\s+\w+|\bevery\s+\w+)\s+(?:\w+\s+){0,2}$", re.I)


@dataclass(frozen=True, kw_only=True)
class Punctuation(Checker):
    """Looks for a mark in the answer, at its end, or at both of its edges."""

    mark: str
    """One of those it knows: ``commas``, ``question marks``, ``quotation marks``, …"""
    where: Where = "nowhere"

    def __post_init__(self) -> None:
        if self.mark not in _MARKS:
            raise ValueError(f"{self.mark!r} is no mark this checker knows: {', '.join(_MARKS)}")
        if self.where == "around" and self.mark != "quotation marks":
            raise ValueError(f"an answer stands between quotation marks; found {self.mark!r}")

    @classmethod
    def find(cls, text: str) -> Iterator[Found]:
        """Every mark that is wanted or unwanted."""
        wheres: tuple[tuple[Where, re.Pattern[str]], ...] = (("nowhere", _NOWHERE), ("end", _END), ("around", _AROUND))
        for where, pattern in wheres:
            for match in pattern.finditer(text):
                mark = next(name for at, name in enumerate(_MARKS) if match[f"m{at}"])
                if where == "around" and mark != "quotation marks":
                    continue
                denied = where != "nowhere" and _DENIED.search(text[max(0, match.start() - 30) : match.start()])
                if not denied:
                    yield Found(*match.span(), cls(mark=mark, where=where))

    @property
    def slot(self) -> str:
        """The mark and its place."""
        return f"punctuation:{'' if self.where == 'end' else self.mark}:{self.where}"

    def said(self) -> str:
        """In plain English."""
        if self.where == "end":
            return (
                f"end with a {self.mark.removesuffix('s')}"
                if self.mark[0] not in "aeiou"
                else (f"end with an {self.mark.removesuffix('s')}")
            )
        return f"no {self.mark}" if self.where == "nowhere" else f"wrapped in {self.mark}"

    def judge(self, answer: str) -> Verdict:
        """Whether the mark is where it should be."""
        text, mark = answer.strip(), _MARKS[self.mark][1]
        if self.where == "nowhere":
            found = re.search(mark, text)
            return self.broken("mark_unwanted", f"{text[: found.end()][-40:]!r}") if found else self.kept()
        if self.where == "end":
            holds = re.search(rf"(?:{mark})[\"'”’)\]*_]*\Z", text) is not None
        else:
            holds = len(text) > 2 and text[0] in '"“«' and text[-1] in '"”»'
        return self.kept() if holds else self.broken("mark_missing", f"{text[-40:]!r}, {self.said()} wanted")
