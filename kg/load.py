"""Triples from files: tab-separated lines of head, relation and tail.

One line in, one triple out::

    alga<TAB>isa<TAB>entity

    Triple(head="alga", relation="isa", tail="entity", source="umls.tsv:3")

A line that is no triple stops with its file and line. A triple that stands twice is given once; a `Tally` counts both.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mashbill.errors import InputError
from mashbill.records import Triple

FIELDS = ("head", "relation", "tail")


@dataclass(slots=True)
class Tally:
    """What was read: ``lines == triples + duplicates + blank``."""

    lines: int = 0
    triples: int = 0
    duplicates: int = 0
    """Lines that say what an earlier line of the file said."""
    blank: int = 0
    first_duplicate: str = ""
    """Where the first of them stands."""


def read_triples(path: Path, tally: Tally | None = None) -> Iterator[Triple]:
    """The distinct triples of a file, in its order; only what tells duplicates apart is kept in memory.

    Spaces around a field are not part of it. `tally`, when it is given, is filled in while the triples are read.

    Raises:
        InputError: with file and line, for a line that is not UTF-8 or has not three fields with something in each,
            and for a file that is absent or has no triple at all.
    """
    tally = Tally() if tally is None else tally
    seen: set[tuple[str, ...]] = set()
    for number, line in _lines(path):
        tally.lines += 1
        fields = _fields(line, path, number)
        if fields is None:
            tally.blank += 1
        elif fields in seen:
            tally.duplicates += 1
            tally.first_duplicate = tally.first_duplicate or f"{path.name}:{number}"
        else:
            seen.add(fields)
            tally.triples += 1
            yield Triple.new(**dict(zip(FIELDS, fields, strict=True)), source=f"{path.name}:{number}")
    if not seen:
        raise InputError("has no triple; wanted lines of head, relation and tail with tabs between", path=path)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as handle:
            for number, line in enumerate(handle, start=1):
                yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
    except FileNotFoundError:
        raise InputError("no such file of triples", path=path) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from error


def _fields(line: bytes, path: Path, number: int) -> tuple[str, ...] | None:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 (byte {error.start + 1} of the line)", path=path, line=number) from None
    if not text.strip():
        return None
    fields = tuple(field.strip() for field in text.split("\t"))
    if len(fields) != len(FIELDS):
        raise InputError(
            f"has {len(fields)} columns; wanted three with tabs between: {', '.join(FIELDS)}", path=path, line=number
        )
    for name, field in zip(FIELDS, fields, strict=True):
        if not field:
            raise InputError(f"has no {name}; wanted something in each of {', '.join(FIELDS)}", path=path, line=number)
    return fields
