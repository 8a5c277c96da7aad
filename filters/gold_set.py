r"""Gold sets: texts whose marks are known, to see what a judge's marks are worth.

A file holds one text a line, with what a judge is shown by tag, the marks, and which texts belong together::

    {"group": "g1", "kind": "detail", "query": "What is brine?", "evidence": "…", "text": "Brine is …",
     "marks": {"relevance": 5, "brevity": 5, "factuality": 3}}

The one that comes with Mashbill, ``knowledge``, has 56 texts on eight questions, written for this purpose: for each a
good answer, and others with one fault of a known kind (a false statement, a false detail, an aside, another subject,
padding), so that their marks follow from how they were made. It is small and plain: a judge that fails on it is not to
be trusted, and one that passes should still be checked on rows of one's own.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from filters.rubric_file import Rubric
from mashbill.errors import InputError


class _Line(BaseModel):
    model_config = ConfigDict(extra="allow")

    group: str = ""
    kind: str = ""
    marks: dict[str, int | str]


@dataclass(frozen=True, slots=True)
class GoldItem:
    """A text with its marks."""

    shown: Mapping[str, str]
    """What a judge is shown, by tag."""
    marks: Mapping[str, str]
    """Dimension -> level; a dimension that nothing can be said of is absent."""
    group: str = ""
    kind: str = ""
    """What was done to it, e.g. ``padded``."""

    @property
    def length(self) -> int:
        """Characters of the text that is judged: the last tag's."""
        return len(list(self.shown.values())[-1])


@dataclass(frozen=True, slots=True)
class GoldPair:
    """Two texts on one question, of which one is better and in nothing worse."""

    better: GoldItem
    worse: GoldItem


def read_gold(rubric: Rubric, path: Path | None = None) -> list[GoldItem]:
    """The items of a gold set for a rubric: a file, or the one that comes with Mashbill under the rubric's name.

    Raises:
        InputError: when there is none, or a line is no item for this rubric; with the line.
    """
    if path is None:
        path = Path(str(importlib.resources.files("filters") / "gold" / f"{rubric.name}.jsonl"))
        if not path.is_file():
            raise InputError(f"no gold set comes with the rubric {rubric.name}; write one and give it with --gold")
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read the gold set: {error.strerror}", path=path) from error
    items = [_item(rubric, line, path, number) for number, line in enumerate(lines, 1) if line.strip()]
    if not items:
        raise InputError("holds no item", path=path)
    return items


def _item(rubric: Rubric, line: bytes, path: Path, number: int) -> GoldItem:
    try:
        row = _Line.model_validate(orjson.loads(line))
    except (orjson.JSONDecodeError, ValidationError) as error:
        said = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
        where = f"{'.'.join(map(str, said['loc'])) or 'the line'}: {said['msg']}" if said else str(error)
        raise InputError(f"is no gold item: {where}", path=path, line=number) from error
    extra = row.model_extra or {}
    marks = {name: str(mark) for name, mark in row.marks.items()}
    strange = [name for name, mark in marks.items() if mark not in rubric.levels or name not in rubric.dimensions]
    if strange or not marks:
        wanted = f"marks of {', '.join(rubric.dimensions)}, each one of {', '.join(rubric.levels)}"
        found = f"{strange[0]} is {marks[strange[0]]}" if strange else "it has no mark"
        raise InputError(f"{found}; the rubric {rubric.name} has {wanted}", path=path, line=number)
    shown = {tag: str(extra.get(tag, "")) for tag in rubric.shown}
    if lacking := [tag for tag, text in shown.items() if not text.strip() and tag not in rubric.optional]:
        raise InputError(f"lacks {lacking[0]}, which the rubric {rubric.name} shows a judge", path=path, line=number)
    return GoldItem(shown, marks, row.group, row.kind)


def pairs_of(rubric: Rubric, items: Sequence[GoldItem]) -> list[GoldPair]:
    """Pairs of one group, each of a text that none of its group is better than, and one that it is better than."""
    groups: dict[str, list[GoldItem]] = {}
    for item in items:
        if item.group:
            groups.setdefault(item.group, []).append(item)
    return [pair for own in groups.values() for pair in _pairs(rubric, own)]


def _pairs(rubric: Rubric, items: Sequence[GoldItem]) -> Iterator[GoldPair]:
    for better in items:
        if any(_better(rubric, other, better) for other in items):
            continue
        yield from (GoldPair(better, worse) for worse in items if _better(rubric, better, worse))


def _better(rubric: Rubric, one: GoldItem, other: GoldItem) -> bool:
    both = [name for name in one.marks if name in other.marks]
    gaps = [rubric.levels.index(one.marks[name]) - rubric.levels.index(other.marks[name]) for name in both]
    return bool(gaps) and min(gaps) >= 0 and max(gaps) > 0
