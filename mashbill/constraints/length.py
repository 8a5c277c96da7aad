r"""How long an answer is, or each of its parts: words, sentences, characters, paragraphs, lines.

``"Write at most 50 words."`` -> ``Length(unit="words", bound=0..50)``; ``"Each bullet must have fewer than 10 words"``
-> the same of every bullet. "In 300 words" means about as many, "in 3 sentences" exactly three.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mashbill.constraints.base import Checker, Found
from mashbill.constraints.bound import Bound, bound_of, counted
from mashbill.constraints.counting import COUNTS, bullets, lines, numbered, paragraphs, sentences
from mashbill.records import Verdict

Unit = Literal["words", "sentences", "characters", "paragraphs", "lines"]
Part = Literal["answer", "bullet point", "item", "sentence", "paragraph", "line"]

_UNIT = r"(?:words?|sentences?|characters?|paragraphs?|lines?)"
_ADJECTIVE = r"(?:(?:short|concise|brief|clear|complete|full|simple|single|separate|well-written)\ ){0,2}"
_PART = r"(?P<part>bullet\ points?|bullets?|list\ items?|items?|sentences?|paragraphs?|lines?)"
_WHOLE = re.compile(counted(_UNIT, _ADJECTIVE), re.IGNORECASE | re.VERBOSE)
_EACH = re.compile(rf"\b(?:each|every)\ {_PART}\ (?:\w+\ ){{0,4}}?{counted(_UNIT)}", re.IGNORECASE | re.VERBOSE)
_PER = re.compile(rf"{counted(_UNIT)}\ (?:per|each|(?:for|in)\ (?:each|every))\ {_PART}\b", re.IGNORECASE | re.VERBOSE)
_NOT_ALL = re.compile(
    r"\b(?:first|last|next|top|each|every|these|those|other|opening|closing|title|heading|summary\ of)\s+$",
    re.IGNORECASE,
)

PARTS: Mapping[str, Callable[[str], list[str]]] = {
    "answer": lambda text: [text],
    "bullet point": bullets,
    "item": lambda text: [*bullets(text), *numbered(text)],
    "sentence": sentences,
    "paragraph": paragraphs,
    "line": lines,
}


@dataclass(frozen=True, kw_only=True)
class Length(Checker):
    """Counts the words, sentences, characters, paragraphs or lines of the answer or of each of its parts."""

    unit: Unit
    bound: Bound
    of: Part = "answer"

    @classmethod
    def find(cls, text: str) -> Iterator[Found]:
        """Every bounded count of words, sentences, characters, paragraphs or lines."""
        taken = list[tuple[int, int]]()
        for pattern in (_EACH, _PER, _WHOLE):
            for match in pattern.finditer(text):
                start, end = match.span()
                if any(start < other_end and other < end for other, other_end in taken):
                    continue
                unit = _plural(match["unit"])
                bound = bound_of(match, rough=unit in ("words", "characters"))
                part = _part(match["part"]) if pattern is not _WHOLE else "answer"
                whole = pattern is _WHOLE and _NOT_ALL.search(text[max(0, start - 20) : start])
                if bound is not None and not whole:
                    taken.append((start, end))
                    yield Found(start, end, cls(unit=unit, bound=bound, of=part))

    @property
    def slot(self) -> str:
        """The unit, and what is measured in it."""
        return f"length:{self.unit}:{self.of}"

    def said(self) -> str:
        """In plain English."""
        one = self.bound.least == self.bound.most == 1
        said = f"{self.bound.said()} {self.unit.removesuffix('s') if one else self.unit}"
        return said if self.of == "answer" else f"each {self.of} has {said}"

    def judge(self, answer: str) -> Verdict:
        """Whether the count, or every part's, lies within the bound."""
        parts = PARTS[self.of](answer)
        if not parts:
            return self.broken("no_parts", f"the answer has no {self.of}")
        for part in parts:
            count = COUNTS[self.unit](part)
            if reason := self.bound.refuses(count):
                return self.broken(reason, f"{count} {self.unit}, {self.bound.said()} wanted: {part[:60]!r}")
        return self.kept()


def _plural(said: str) -> Unit:
    units: dict[str, Unit] = {
        "word": "words",
        "sentence": "sentences",
        "character": "characters",
        "paragraph": "paragraphs",
        "line": "lines",
    }
    return units[said.casefold().removesuffix("s")]


def _part(said: str) -> Part:
    parts: dict[str, Part] = {
        "bullet point": "bullet point",
        "bullet": "bullet point",
        "list item": "item",
        "item": "item",
        "sentence": "sentence",
        "paragraph": "paragraph",
        "line": "line",
    }
    return parts[said.casefold().removesuffix("s")]
