"""Disciplines in two levels, read from a file that a user can replace.

An entry of the file names its parent or has none; a sub-field is STEM when its field is, unless it says otherwise::

    - {name: mathematics, stem: true, about: "numbers, shapes, structures, chance"}
    - {name: algebra, parent: mathematics, about: "equations, functions, sequences"}

    -> Discipline(field="mathematics", name="algebra", is_stem=True, …), known on rows as ``mathematics/algebra``

The one that comes with Mashbill, ``isced_f``, follows UNESCO's ISCED Fields of Education and Training 2013 in words and
groups of our own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mashbill.errors import BillError
from mashbill.fingerprint import content_id
from mashbill.registry import nearest
from mashbill.section import Section

OURS = Path(__file__).parent / "taxonomies" / "isced_f.yaml"
_ENTRY = ("name", "parent", "stem", "about", "codes")


@dataclass(frozen=True, slots=True)
class Discipline:
    """A sub-field, or a field that has none."""

    field: str
    name: str
    """Empty where a field has no sub-fields."""
    is_stem: bool
    about: str = ""

    @property
    def label(self) -> str:
        """As rows carry it."""
        return f"{self.field}/{self.name}" if self.name else self.field


@dataclass(frozen=True)
class Taxonomy:
    """All disciplines, in the order of their file."""

    name: str
    disciplines: tuple[Discipline, ...]

    @functools.cached_property
    def by_label(self) -> Mapping[str, Discipline]:
        """Label -> discipline."""
        return {one.label: one for one in self.disciplines}

    @property
    def fields(self) -> tuple[str, ...]:
        """The upper level, each once, in order."""
        return tuple(dict.fromkeys(one.field for one in self.disciplines))

    @property
    def digest(self) -> str:
        """What the taxonomy says, as identity: where its file lies is none."""
        return content_id(self.name, [[one.field, one.name, one.is_stem, one.about] for one in self.disciplines])

    def find(self, label: str) -> Discipline:
        """The discipline of a label.

        Raises:
            KeyError: with the nearest label.
        """
        found = self.by_label.get(label)
        if found is None:
            raise KeyError(f"{self.name} has no discipline {label!r}{nearest(label, self.by_label)}")
        return found

    def listed(self) -> str:
        """The disciplines as a prompt shows them, one a line."""
        return "\n".join(f"- {one.label}: {one.about}" if one.about else f"- {one.label}" for one in self.disciplines)


def field_of(discipline: str) -> str:
    """The upper level of a row's discipline.

    >>> field_of("mathematics/algebra"), field_of("law"), field_of("")
    ('mathematics', 'law', '')
    """
    return discipline.split("/", 1)[0]


def load_taxonomy(file: str = "") -> Taxonomy:
    """The taxonomy of a YAML or JSON file; the one that comes with Mashbill where none is given.

    Raises:
        BillError: with file and line: a file that is not there or is no list of disciplines, one that names a
            discipline twice, a parent that is not there, a cycle, a third level, or no discipline at all.
    """
    path = Path(file) if file else OURS
    if not path.is_file():
        raise BillError("no such file; give a list of disciplines (YAML or JSON), or leave it out", path=path)
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _read(path: Path, written: int) -> Taxonomy:
    del written  # part of what is remembered: a file that was edited is read anew
    whole = Section.load(path)
    whole.only(("name", "disciplines"), required=("name", "disciplines"))
    entries = [one.only(_ENTRY, required=("name",)) for one in whole.at("disciplines").list()]
    if not entries:
        whole.at("disciplines").fail("names no discipline; give at least one, as {name: mathematics, stem: true}")
    return Taxonomy(whole.at("name").as_(str), tuple(_disciplines(_named(entries))))


def _named(entries: Sequence[Section]) -> dict[str, Section]:
    found: dict[str, Section] = {}
    for entry in entries:
        name = entry.at("name").as_(str)
        if not name.strip() or "/" in name or name != name.strip():
            entry.at("name").fail(f"is a name without '/' and without space around it; found {name!r}")
        same = next((other for other in found if other.casefold() == name.casefold()), None)
        if same is not None:
            entry.at("name").fail(f"{name!r} is there already, in line {found[same].line}; rename one of them")
        found[name] = entry
    return found


def _disciplines(entries: Mapping[str, Section]) -> list[Discipline]:
    parents = {name: entry.get("parent", "").as_(str) for name, entry in entries.items()}
    for name in entries:
        _check_way_up(name, parents, entries)
    with_children = set(parents.values())
    made = []
    for name, entry in entries.items():
        upper = parents[name]
        if name in with_children:
            continue
        inherited = entries[upper].get("stem", False) if upper else Section(False, entry.path)
        stem = entry.get("stem", inherited.value).as_(bool)
        about = entry.get("about", "").as_(str)
        entry.get("codes", []).as_(list)
        made.append(Discipline(upper or name, name if upper else "", stem, about))
    return made


def _check_way_up(name: str, parents: Mapping[str, str], entries: Mapping[str, Section]) -> None:
    way = [name]
    while upper := parents[way[-1]]:
        place = entries[way[-1]].at("parent")
        if upper not in parents:
            place.fail(f"no discipline is called {upper!r}{nearest(upper, parents)}; add it, or name another parent")
        way.append(upper)
        if upper in way[:-1]:
            place.fail(f"goes round in a circle: {' → '.join(way)}; a field at the top has no parent")
    if len(way) > 2:
        entries[name].at("parent").fail(
            f"there are two levels, field and sub-field; this is a third: {' → '.join(way)}; name {way[-1]!r} instead"
        )
