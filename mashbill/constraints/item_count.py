r"""How many bullets, numbered items, headings, questions or table rows an answer has.

``"Use at most five bullet points"`` -> ``ItemCount(items="bullet points", bound=0..5)``, which an answer without any
bullet does not keep: one who asks for at most five wants some.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mashbill.constraints.base import Checker, Found
from mashbill.constraints.bound import Bound, bound_of, counted
from mashbill.constraints.counting import COUNTS
from mashbill.records import Verdict

Items = Literal["bullet points", "numbered items", "list items", "headings", "questions", "table rows", "table columns"]
_NAMES: Mapping[Items, str] = {
    "bullet points": r"(?:bullet(?:ed)?[ -](?:points?|items?)|bullets?)",
    "numbered items": r"numbered\ (?:points?|items?|steps?|entries|entry)",
    "list items": r"(?:list\ )?items?",
    "headings": r"(?:section\ )?(?:headings?|headers?|sub-?headings?)",
    "questions": r"questions?",
    "table rows": r"(?:table\ )?rows?",
    "table columns": r"(?:table\ )?columns?",
}
_BETWEEN = r"(?:(?:short|concise|brief|clear|main|key|distinct|separate|crisp|markdown|different)\ ){0,2}"
_PATTERNS = {items: re.compile(counted(name, _BETWEEN), re.IGNORECASE | re.VERBOSE) for items, name in _NAMES.items()}
_OTHER = re.compile(r"\b(?:first|last|next|top|each|every|these|those|other)\s+$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ItemCount(Checker):
    """Counts list items, headings, questions, or rows or columns of a table."""

    items: Items
    bound: Bound

    @classmethod
    def find(cls, text: str) -> Iterator[Found]:
        """Every bounded count of such things."""
        for items, pattern in _PATTERNS.items():
            for match in pattern.finditer(text):
                bound = bound_of(match)
                if bound is not None and not _OTHER.search(text[max(0, match.start() - 12) : match.start()]):
                    yield Found(*match.span(), cls(items=items, bound=bound))

    @property
    def slot(self) -> str:
        """What is counted."""
        return f"items:{self.items}"

    def said(self) -> str:
        """In plain English."""
        return f"{self.bound.said()} {self.items}"

    def judge(self, answer: str) -> Verdict:
        """Whether the count lies within the bound; none at all is kept only where none was asked for."""
        count = COUNTS[self.items](answer)
        if not count and self.bound.most != 0:
            return self.broken("none", f"the answer has no {self.items}, {self.bound.said()} wanted")
        if reason := self.bound.refuses(count):
            return self.broken(reason, f"{count} {self.items}, {self.bound.said()} wanted")
        return self.kept(f"{count} {self.items}")
