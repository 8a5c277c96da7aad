r"""The same things, in any order.

``"salt, barrels and oak"`` and ``"oak; salt; barrels"`` -> same; ``"salt, oak"`` and ``"salt, oak, tar"`` ->
different, ``missing: 'tar'``. Each thing is compared by a matcher of its own, so ``of: numeric`` takes ``1/2, 3`` and
``3, 0.5`` for the same.

A list is JSON, or parted by lines, else by semicolons, else by commas and "and". A comma between figures groups them
(``1,234``) and parts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from mashbill.matching.base import Matcher
from mashbill.matching.match import Match

MOST_ITEMS = 100
"""Pairs are compared, at most this many squared."""

_COMMA = re.compile(r",(?!\d{3}(?!\d))\s*(?:(?:and|or|&)\s+)?|\s+(?:and|&)\s+", re.IGNORECASE)
_SEMICOLON = re.compile(";")
_BULLET = re.compile(r"\A\s*(?:[-*•+]|\(?\d{1,3}[.)])\s+")
_SIGN_OR_BULLET = re.compile(r"\A\s*(?:[*•]|[-+](?!\s*[\d.$€£]))\s+")
"""On a line of its own, where "- 5" is less than nothing."""


@dataclass(frozen=True, kw_only=True)
class SetOf(Matcher):
    """Compares lists without regard to their order."""

    of: str = "exact"
    """The matcher of one thing, by name, with its defaults."""
    repeats: bool = False
    """Whether a thing that is named twice counts twice."""

    def __post_init__(self) -> None:
        if self.of == self.name:
            raise ValueError("of is 'set_of'; a set of sets is not read: name the matcher of one thing, as 'exact'")
        if self.of == "code_tests":
            raise ValueError("of is 'code_tests'; a list of things is no code, and each pair would be a run of its own")
        self._one()

    def revision(self) -> str:
        """Its own version and that of the matcher of one thing."""
        return f"{self.version}, {self.of} {self._one().revision()}"

    def compare(self, answer: str, gold: str, options: Sequence[str] = ()) -> Match:
        """Whether each thing of the one has its own in the other."""
        inner = self._one()
        ones, twos = self._items(answer, inner), self._items(gold, inner)
        for sort, items in (("gold_unreadable", twos), ("unreadable", ones)):
            if not 0 < len(items) <= MOST_ITEMS:
                found = f"{len(items)} things" if items else "empty"
                return Match("gold_unreadable" if sort == "gold_unreadable" else "unreadable", f"list_size: {found}")
        outcomes = [[inner.compare(one, two, options) for two in twos] for one in ones]
        for row, one in zip(outcomes, ones, strict=True):
            if all(match.outcome == "unreadable" for match in row):
                return Match("unreadable", f"{row[0].detail} ({one[:40]!r})")
        for index, two in enumerate(twos):
            if all(row[index].outcome == "gold_unreadable" for row in outcomes):
                return Match("gold_unreadable", f"{outcomes[0][index].detail} ({two[:40]!r})")
        same = [[match.same for match in row] for row in outcomes]
        matched = _pairs(same, len(twos))
        missing = [two for index, two in enumerate(twos) if index not in matched]
        extra = [one for index, one in enumerate(ones) if index not in matched.values()]
        if not missing and not extra:
            return Match("same")
        parts = [f"missing: {', '.join(map(repr, missing[:5]))}"] if missing else []
        return Match("different", "; ".join([*parts, f"extra: {', '.join(map(repr, extra[:5]))}"] if extra else parts))

    def _one(self) -> Matcher:
        # Imported here: the loader imports every matcher, this one too.
        from mashbill.matching.load import matcher

        return matcher(self.of)

    def _items(self, text: str, inner: Matcher) -> list[str]:
        items = parted(text)
        if self.repeats:
            return items[: MOST_ITEMS + 1]
        kept: list[str] = []
        for item in items:
            if len(kept) > MOST_ITEMS:
                break
            if item not in kept and not any(inner.compare(item, one).same for one in kept):
                kept.append(item)
        return kept


def parted(text: str) -> list[str]:
    r"""The things a text lists, in its order.

    >>> parted("salt, 1,234 barrels, and oak"), parted("- salt\n- oak"), parted('["a, b", "c"]')
    (['salt', '1,234 barrels', 'oak'], ['salt', 'oak'], ['a, b', 'c'])
    """
    stripped = text.strip()
    if stripped.startswith("[") and stripped.endswith("]"):
        try:
            found = orjson.loads(stripped)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, list):
            return [item if isinstance(item, str) else orjson.dumps(item).decode() for item in found]
    stripped, within = _opened(stripped)
    bullet = _BULLET if "\n" in stripped else _SIGN_OR_BULLET
    if "\n" in stripped:
        items = stripped.split("\n")
    else:
        items = _outside(_SEMICOLON, stripped, within)
        items = items if len(items) > 1 else _outside(_COMMA, stripped, within)
    return [item for piece in items if (item := bullet.sub("", piece).strip(" \t\r.,;"))]


def _opened(text: str) -> tuple[str, list[int]]:
    """A text without the brackets that all of it stands in, and how deep in brackets each sign of it is."""
    depths, depth = list[int](), 0
    for sign in text:
        depth = max(0, depth - (sign in "])}"))
        depths.append(depth)
        depth += sign in "[({"
    # One pair around it all: it closes at the last sign, and nowhere before.
    if len(text) > 1 and text[0] in "[({" and text[-1] in "])}" and depths[-1] == 0 and 0 not in depths[1:-1]:
        return text[1:-1], [one - 1 for one in depths[1:-1]]
    # A bracket that is never closed holds nothing together.
    return text, ([0] * len(depths) if depth else depths)


def _outside(pattern: re.Pattern[str], text: str, depths: Sequence[int]) -> list[str]:
    """Parted where the pattern stands outside of brackets: ``(1, 2), (3, 4)`` is two pairs, not four numbers."""
    items, start = list[str](), 0
    for match in pattern.finditer(text):
        if depths[match.start()] == 0:
            items.append(text[start : match.start()])
            start = match.end()
    return [*items, text[start:]]


def _pairs(same: Sequence[Sequence[bool]], width: int) -> dict[int, int]:
    """The largest pairing of the two sides (Kuhn 1955), gold index -> answer index.

    A tolerance is not transitive, so that taking the first that fits may leave one over that would have fitted.
    """
    matched: dict[int, int] = {}

    def place(one: int) -> bool:
        stack = [(one, iter(range(width)))]
        seen: set[int] = set()
        path: list[tuple[int, int]] = []
        while stack:
            row, columns = stack[-1]
            step = next((two for two in columns if same[row][two] and two not in seen), None)
            if step is None:
                stack.pop()
                if path:
                    path.pop()
                continue
            seen.add(step)
            path.append((row, step))
            if step not in matched:
                for left, right in path:
                    matched[right] = left
                return True
            stack.append((matched[step], iter(range(width))))
        return False

    for one in range(len(same)):
        place(one)
    return matched
