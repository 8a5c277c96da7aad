"""What lies under a root: steps, releases, students and reports, finished or not, by path, name or fingerprint.

``{root}/entigraph/5f0c…/manifest.json`` is the step `entigraph/5f0c`, also found as ``entigraph`` where there is one.
What a budget left of a step lies in folders of its own (`mashbill.partial`): by its name the step itself is meant, or
the last that stands of it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mashbill.errors import LedgerError, StoreError
from mashbill.lineage import find_rows
from mashbill.partial import lacking_of, whole_of
from mashbill.registry import nearest
from mashbill.store import MANIFEST, Manifest, Stored

Sort = Literal["step", "release", "student", "report"]
SHORTEST = 4
"""Characters of a fingerprint or id that may stand for the whole."""

NOT_STEPS = ("releases", "students", "plans", "reports", "evaluations")


@dataclass(frozen=True)
class Thing:
    """A folder under the root that a run wrote."""

    sort: Sort
    path: Path
    name: str
    """A step's label, a release's or student's name."""
    fingerprint: str

    @property
    def finished(self) -> bool:
        """Whether its last file is there."""
        return self._last.is_file()

    @property
    def _last(self) -> Path:
        return self.path / {"student": "result.json", "report": "report.json"}.get(self.sort, MANIFEST)

    @property
    def lacks(self) -> str:
        """Of a partial step, what it lacks; nothing for any other."""
        found = self._manifest()
        return str(found.notes["card"][0]) if found and lacking_of(found.identity) else ""

    @property
    def whole(self) -> str:
        """The fingerprint of the step that it is a part of: its own where it is none."""
        found = self._manifest()
        return whole_of(found.identity) or self.fingerprint if found else self.fingerprint

    def _manifest(self) -> Manifest | None:
        try:
            return Stored.open(self.path).manifest if self.sort == "step" and self.finished else None
        except StoreError:
            return None  # one that cannot be read is told of by whoever opens it

    @property
    def written(self) -> float:
        """When its last file, or the folder, was written: seconds since the epoch."""
        return (self._last if self.finished else self.path).stat().st_mtime

    @property
    def bytes(self) -> int:
        """What its files take on disk."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    @property
    def parts(self) -> list[Path]:
        """The parts of a step that are there, in order."""
        return sorted(self.path.glob("part-*.parquet"))

    def __str__(self) -> str:
        return f"{self.name}/{self.fingerprint[:12]}" if self.fingerprint else self.name


def steps(root: Path) -> list[Thing]:
    """Stored steps, the oldest first: what was made after what it was made from."""
    folders = (folder for folder in _folders(root) if folder.name not in NOT_STEPS)
    found = [
        Thing("step", place, folder.name, place.name)
        for folder in folders
        for place in _folders(folder)
        if _looks_like_a_step(place)
    ]
    return sorted(found, key=lambda one: (one.written, one.name))


def _looks_like_a_step(place: Path) -> bool:
    return (place / MANIFEST).is_file() or (place / "rejects").is_dir()


def releases(root: Path) -> list[Thing]:
    """Releases, the oldest first; one with a date is a folder ``name@date`` of its own."""
    dated = [Thing("release", one, one.name, "") for one in _folders(root / "releases") if "@" in one.name]
    return sorted([*_under("release", root / "releases"), *dated], key=lambda one: (one.written, one.name))


def reports(root: Path) -> list[Thing]:
    """Reports of what was measured, the oldest first."""
    return _under("report", root / "reports")


def students(root: Path) -> list[Thing]:
    """Trained students, and those under way, the oldest first."""
    place = root / "students"
    found = [Thing("student", one, one.name, "") for one in _folders(place) if _is_student(one)]
    nested = [Thing("student", p, f.name, p.name) for f in _folders(place) for p in _folders(f) if _is_student(p)]
    return sorted([*found, *nested], key=lambda one: (one.written, one.name))


def _is_student(place: Path) -> bool:
    return (place / "result.json").is_file() or (place / "metrics.jsonl").is_file()


def _under(sort: Sort, place: Path) -> list[Thing]:
    found = [
        Thing(sort, one, folder.name, one.name)
        for folder in _folders(place)
        if "@" not in folder.name
        for one in _folders(folder)
    ]
    return sorted(found, key=lambda one: (one.written, one.name))


def _folders(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from sorted(one for one in place.iterdir() if one.is_dir() and not one.name.startswith("."))


def find_thing(said: str, root: Path, sorts: Iterable[Sort] = ("step", "release", "student")) -> Thing | None:
    """The one thing that is meant by a path, a name, a fingerprint's beginning, or ``name/beginning``.

    Raises:
        StoreError: when several are meant, naming them; parts that a budget left of one step are not several.
    """
    listed = {"step": steps, "release": releases, "student": students}
    known = [one for sort in sorts for one in listed[sort](root)]
    found = [one for one in known if _means(said, one)]
    if not found and (outside := _at_path(Path(said))):
        found = [outside]
    if len(found) > 1:
        found = _one_of_each(found)
    if len(found) > 1:
        raise StoreError(
            f"{said!r} means {len(found)} things, the last one written last: {', '.join(map(_told, found))}; give "
            "name/fingerprint of one of them"
        )
    return found[0] if found else None


def _one_of_each(found: Iterable[Thing]) -> list[Thing]:
    """Of each step with parts of it beside it: itself where it is finished, else the last part of it that is."""
    steps: dict[tuple[Sort, str, str], list[Thing]] = {}
    for one in found:
        steps.setdefault((one.sort, one.name, one.whole), []).append(one)
    chosen = [max(ones, key=lambda one: (one.finished, not one.lacks, one.written)) for ones in steps.values()]
    return sorted(chosen, key=lambda one: one.written)


def _told(one: Thing) -> str:
    state = one.lacks or ("" if one.finished else "unfinished")
    return f"{one} ({state})" if state else str(one)


def _means(said: str, one: Thing) -> bool:
    if said == one.name or Path(said).absolute() == one.path.absolute():
        return True
    name, _, beginning = said.rpartition("/")
    return name in ("", one.name) and len(beginning) >= SHORTEST and one.fingerprint.startswith(beginning)


def _at_path(place: Path) -> Thing | None:
    """A step or release that lies under another root."""
    if place.is_dir() and _looks_like_a_step(place):
        return Thing("release" if (place / "data").is_dir() else "step", place, place.parent.name, place.name)
    return None


def the_thing(said: str, root: Path, sorts: Iterable[Sort] = ("step", "release", "student")) -> Thing:
    """The one thing that is meant.

    Raises:
        StoreError: when there is none, with the nearest names, or several.
    """
    sorts = tuple(sorts)
    found = find_thing(said, root, sorts)
    if found is None:
        raise StoreError(_nothing(said, root, sorts))
    return found


def find_thing_or_row(said: str, root: Path) -> Thing | None:
    """The one thing that is meant, or None when it is the beginning of a row's id.

    Raises:
        StoreError: when it is neither.
    """
    found = find_thing(said, root)
    if found is None:
        hexadecimal = len(said) >= SHORTEST and all(one in "0123456789abcdef" for one in said)
        if not hexadecimal:
            raise StoreError(_nothing(said, root, ("step", "release", "student")))
        find_rows(root, said)
    return found


def _nothing(said: str, root: Path, sorts: tuple[Sort, ...]) -> str:
    listed = {"step": steps, "release": releases, "student": students}
    names = sorted({one.name for sort in sorts for one in listed[sort](root)})
    if not names:
        return f"nothing is stored under {root}; run a bill first, or name another place with --root"
    what = " or ".join(sorts)
    return f"no {what} under {root} is called {said!r}{nearest(said, names)}; there are: {', '.join(names)}"


def replies_kept(ledger: Path) -> int:
    """How many replies a ledger holds; 0 when there is none. It is opened for reading only.

    Raises:
        LedgerError: when it cannot be read.
    """
    if not ledger.is_file():
        return 0
    try:
        with contextlib.closing(
            sqlite3.connect(f"{ledger.resolve().as_uri()}?mode=ro", uri=True, timeout=60)
        ) as reader:
            return int(reader.execute("SELECT count(*) FROM replies").fetchone()[0])
    except sqlite3.Error as error:
        raise LedgerError(
            f"{ledger}: cannot read the ledger: {error}; check that it is a ledger and may be read"
        ) from error
