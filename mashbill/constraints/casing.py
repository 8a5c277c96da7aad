"""Whether an answer is in small letters, in capitals, or in title case.

``"All letters must be lowercase"`` -> ``Casing(case="lowercase")``; scripts without case keep any of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mashbill.constraints.base import Checker, Found
from mashbill.records import Verdict

Case = Literal["lowercase", "uppercase", "title case"]
_NO = (
    r"(?:no|without|avoid|(?:do\ not|don['’]t|never|must\ not|should\ not)\ (?:use|contain|include))"
    r"\ (?:any\ |using\ )?"
)
_SAYS: Mapping[Case, str] = {
    "lowercase": rf"{_NO}(?:capital|capitali[sz]ed|upper-?case|upper\ case)\ (?:letters|words)"
    r"|(?:all\ |only\ |entirely\ ){0,2}(?:in\ )?(?:all\ )?lower(?:-|\ )?case(?:\ letters)?",
    "uppercase": rf"{_NO}(?:lower-?case|lower\ case|small)\ letters"
    r"|(?:all\ |only\ |entirely\ ){0,2}(?:in\ )?(?:all\ )?(?:upper(?:-|\ )?case|all\ caps|block\ capitals|"
    r"capital\ letters|all\ capitals)(?:\ letters)?",
    "title case": r"(?:in\ )?title[ -]case",
}
_PATTERNS = {case: re.compile(rf"\b(?:{said})\b", re.IGNORECASE | re.VERBOSE) for case, said in _SAYS.items()}
_DENIED = re.compile(
    r"(?:\bno|\bnot|n['’]t|\bnever|\bwithout|\bavoid|\d|\b(?:more|fewer|less)\ than|\b(?:start|begin)s?)"
    r"\s+(?:\w+\s+){0,2}$",
    re.IGNORECASE,
)
_SMALL = frozenset(
    ["a", "an", "and", "as", "at", "but", "by", "for", "from", "in", "nor", "of", "on", "or", "the", "to", "up", "with"]
)
"""Words that a title leaves small."""


@dataclass(frozen=True, kw_only=True)
class Casing(Checker):
    """Looks at the case of every letter."""

    case: Case

    @classmethod
    def find(cls, text: str) -> Iterator[Found]:
        """Every case that is asked for of the whole answer."""
        for case, pattern in _PATTERNS.items():
            for match in pattern.finditer(text):
                if not _DENIED.search(text[max(0, match.start() - 30) : match.start()]):
                    yield Found(*match.span(), cls(case=case))

    @property
    def slot(self) -> str:
        """One answer, one case."""
        return "casing"

    def said(self) -> str:
        """In plain English."""
        return {"lowercase": "lowercase letters", "uppercase": "uppercase letters", "title case": "title case"}[
            self.case
        ]

    def judge(self, answer: str) -> Verdict:
        """Whether every letter, or every word of a title, has the case."""
        if not any(letter.isalpha() for letter in answer):
            return self.untold("no_letters", "the answer has no letter")
        for word in re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", answer):
            if self.case == "lowercase" and word != word.lower():
                return self.broken("capital_letter", f"{word!r}")
            if self.case == "uppercase" and word != word.upper():
                return self.broken("small_letter", f"{word!r}")
            if self.case == "title case" and word[0].islower() and word not in _SMALL:
                return self.broken("small_letter", f"{word!r} begins small")
        return self.kept()
