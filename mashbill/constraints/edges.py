r"""How an answer begins or ends.

``'Start with "Dear members,"'`` -> ``Edges(text="Dear members,", at="start")``; ``'End with the phrase "Over."'``.
Compared without case and without white space, quotation marks or Markdown at the edge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mashbill.constraints.base import Checker, Found
from mashbill.constraints.keywords import QUOTED
from mashbill.records import Verdict
from mashbill.words import words

_WHAT = r"(?:(?:the|this|following|exact)\s+){0,3}(?:words?|phrase|sentence|text|line)?\s*:?\s*"
_PATTERNS = {
    "start": re.compile(
        rf"\b(?:start|begin|open)(?:s|ing)?\s+(?:(?:it|your|the|answer|response|reply|text)\s+){{0,2}}with\s+{_WHAT}"
        rf"(?P<quoted>{QUOTED})",
        re.IGNORECASE,
    ),
    "end": re.compile(
        rf"\b(?:end|finish|close|conclude)(?:s|ing)?\s+(?:(?:it|your|the|answer|response|reply|text)\s+){{0,2}}with\s+"
        rf"{_WHAT}(?P<quoted>{QUOTED})",
        re.IGNORECASE,
    ),
}
_DENIED = re.compile(r"(?:\bnot|n['’]t|\bnever|\bavoid|\beach\s+\w+|\bevery\s+\w+)\s+(?:\w+\s+){0,2}$", re.IGNORECASE)
_EDGE = "\"“”«»'‘’*_#` \t\n"


@dataclass(frozen=True, kw_only=True)
class Edges(Checker):
    """Compares the first or last words."""

    text: str
    at: Literal["start", "end"]

    def __post_init__(self) -> None:
        if not words(self.text):
            raise ValueError(f"edges: {self.text!r} holds no letter or figure to begin or end with")

    @classmethod
    def find(cls, text: str) -> Iterator[Found]:
        """Every beginning or end that is asked for in quotation marks."""
        for at, pattern in _PATTERNS.items():
            for match in pattern.finditer(text):
                said = match["quoted"][1:-1].strip()
                if words(said) and not _DENIED.search(text[max(0, match.start() - 30) : match.start()]):
                    yield Found(*match.span(), cls(text=said, at="start" if at == "start" else "end"))

    @property
    def slot(self) -> str:
        """Which end."""
        return f"edges:{self.at}"

    def said(self) -> str:
        """In plain English."""
        return f'{self.at} with "{self.text}"'

    def judge(self, answer: str) -> Verdict:
        """Whether the text stands there."""
        have = " ".join(answer.strip(_EDGE).casefold().split())
        want = " ".join(self.text.strip(_EDGE).casefold().split())
        holds = have.startswith(want) if self.at == "start" else have.rstrip(".!").endswith(want.rstrip(".!"))
        shown = answer.strip()[:60] if self.at == "start" else answer.strip()[-60:]
        return self.kept() if holds else self.broken(f"other_{self.at}", f"{shown!r}, {self.text!r} wanted")
