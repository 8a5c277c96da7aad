"""``mashbill ls``: what is stored under the root, and what a bill can name.

STEP                     KIND      READ  KEPT  REJECTED  PARTS  SIZE     WRITTEN
read_documents/09ab77c0  Document    12    12         0      1  41.2 kB  2026-03-01 10:12
entigraph/5f0c11d2       Document    12   241        33      1  310.4 kB 2026-03-01 11:40
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from flows.stored import Thing, releases, replies_kept, reports, steps, students
from flows.terminal import console, date, excerpt, grid, number, size
from mashbill.errors import StoreError, UserError
from mashbill.registry import Found, available, nearest

if TYPE_CHECKING:
    from mashbill.settings import Settings

ROLES = {"sources": "source", "generators": "generator", "filters": "filter", "dataset-steps": "dataset step"}
STORED = ("steps", "releases", "students", "reports")


def render_list(what: str, settings: Settings, folders: Sequence[Path]) -> None:
    """Print a list; with no name, everything that is stored.

    Raises:
        UserError: for a list that there is none of.
    """
    known = (*STORED, *ROLES, "engines")
    if what and what not in known:
        raise UserError(f"there is no list of {what!r}{nearest(what, known)}; there are: {', '.join(known)}")
    if what in ("", *STORED):
        _stored(what, settings)
    elif what == "engines":
        _named(list(available("engine").values()))
    else:
        _named([one for one in available("step", folders).values() if role_of(one, folders) == ROLES[what]])


def role_of(found: Found, folders: Sequence[Path] = ()) -> str:
    """A step's role, from its file; imported only where its base classes are not the kernel's own."""
    if found.role != "engine":
        return found.role
    from mashbill.registry import load
    from mashbill.step import DatasetGenerator, DatasetStep, Filter, Generator, Source

    cls = load("step", found.name, folders)
    kinds = {
        Source: "source",
        Generator: "generator",
        DatasetGenerator: "generator",
        Filter: "filter",
        DatasetStep: "dataset step",
    }
    return next((role for kind, role in kinds.items() if issubclass(cls, kind)), "step")


def _named(found: Sequence[Found]) -> None:
    rows = [[one.name, _types(one), one.summary] for one in found]
    if any(kinds for _, kinds, _ in rows):
        console().print(grid(["NAME", "READS → WRITES", "WHAT"], rows, wide="WHAT"))
    else:
        console().print(grid(["NAME", "WHAT"], [[name, what] for name, _, what in rows], wide="WHAT"))


def _types(found: Found) -> str:
    inside = next((base.split("[", 1)[1].rstrip("]") for base in found.bases if "[" in base), "")
    kinds = [one.strip() for one in inside.split(",") if one.strip()]
    first = "files" if found.role == "source" else kinds[0] if kinds else ""
    return f"{first} → {kinds[-1]}" if kinds else ""


def _stored(what: str, settings: Settings) -> None:
    tables: dict[str, tuple[list[Thing], Callable[[list[Thing]], Table]]] = {
        "steps": (steps(settings.root), _steps),
        "releases": (releases(settings.root), _releases),
        "students": (students(settings.root), _students),
        "reports": (reports(settings.root), _reports),
    }
    shown = [(name, *pair) for name, pair in tables.items() if what in ("", name)]
    out = console()
    if not any(things for _, things, _ in shown):
        out.print(f"no {what or 'steps or releases'} under {settings.root}; `mashbill run BILL` makes them")
    for index, (_, things, table) in enumerate(one for one in shown if one[1]):
        out.print(*([""] if index else []), table(things), sep="\n")
    if not what and settings.ledger.is_file():
        kept = f"{replies_kept(settings.ledger):,} replies, {size(settings.ledger.stat().st_size)}"
        out.print(f"\nledger {settings.ledger}: {kept}")


def _steps(things: list[Thing]) -> Table:
    numbers = ["READ", "KEPT", "REJECTED", "PARTS", "SIZE"]
    rows = [[str(one), *_step(one), size(one.bytes), date(one.written)] for one in things]
    return grid(["STEP", "KIND", *numbers, "WRITTEN"], rows, right=numbers)


def _step(one: Thing) -> list[str]:
    from mashbill.store import Stored

    if not one.finished:
        return ["unfinished", "", "", "", number(len(one.parts))]
    try:
        manifest = Stored.open(one.path).manifest
    except StoreError:
        # A list must show what is broken too; `mashbill show` says what is wrong with it.
        return ["unreadable", "", "", "", number(len(one.parts))]
    counts = manifest.counts
    return [
        manifest.kind,
        number(counts.read),
        number(counts.kept),
        number(counts.rejects),
        number(len(manifest.parts)),
    ]


def _releases(things: list[Thing]) -> Table:
    rows = [[str(one), *_release(one), size(one.bytes), date(one.written)] for one in things]
    return grid(["RELEASE", "KIND", "VERSION", "ROWS", "SPLITS", "SIZE", "WRITTEN"], rows, right=["ROWS", "SIZE"])


def _release(one: Thing) -> list[str]:
    from pydantic import ValidationError

    from mashbill.release_manifest import ReleaseManifest

    if not one.finished:
        return ["unfinished", "", "", ""]
    try:
        manifest = ReleaseManifest.read(one.path)
    except ValidationError:
        return ["unreadable", "", "", ""]
    splits = ", ".join(f"{name} {number(split.rows)}" for name, split in manifest.splits.items())
    return [manifest.kind, manifest.version, number(manifest.rows), splits]


def _students(things: list[Thing]) -> Table:
    rows = [[_student_name(one), *_student(one), size(one.bytes), date(one.written)] for one in things]
    return grid(
        ["STUDENT", "FROM", "STEPS", "TOKENS", "LOSS", "SIZE", "WRITTEN"], rows, right=["STEPS", "TOKENS", "SIZE"]
    )


def _reports(things: list[Thing]) -> Table:
    rows = [[str(one), (one.path / "report.md").as_posix(), date(one.written)] for one in things]
    return grid(["REPORT", "READ", "WRITTEN"], rows, wide="READ")


def _student_name(one: Thing) -> str:
    return str(one) if one.fingerprint else one.name


def _student(one: Thing) -> list[str]:
    if not one.finished:
        return ["unfinished", "", "", ""]
    try:
        said = json.loads((one.path / "result.json").read_bytes())
        loss = f"{said['first_loss']:.3f} → {said['final_loss']:.3f}"
        return [excerpt(str(said["student"]), 40), number(said["steps"]), number(said["tokens"]), loss]
    except (ValueError, KeyError, TypeError):
        return ["unreadable", "", "", ""]
