"""What every reader of triples gives: rows, and flaws where a piece of the file is none.

``salt,made_by,Ora`` on line 3 -> ``Row(3, "salt", "made_by", "Ora")``; ``salt,made_by`` -> ``Flaw(3, "ragged", …)``
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mashbill.errors import InputError
from mashbill.records import join_texts
from mashbill.registry import nearest

FIELDS = ("head", "relation", "tail")
OPTIONAL = ("evidence", "head_type", "tail_type")


class Row(NamedTuple):
    """One triple as a file says it."""

    line: int
    """Its line, from 1; in Parquet its row."""
    head: str
    relation: str
    tail: str
    evidence: str = ""
    head_type: str = ""
    tail_type: str = ""


class Flaw(NamedTuple):
    """A piece of a file that is no triple: where, a countable reason, and what was found."""

    line: int | None
    reason: str
    """``empty`` for a line with nothing on it, which is no fault."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of a file say what; `header` None: CSV has a line of names, tab-separated lines have none.

    In GraphML `relation` names an attribute of edges, and the types attributes of nodes.
    """

    head: str = "head"
    relation: str = "relation"
    tail: str = "tail"
    evidence: str = ""
    """The column of the text that states the triple; empty: there is none. So for the types."""
    head_type: str = ""
    tail_type: str = ""
    header: bool | None = None

    @property
    def named(self) -> dict[str, str]:
        """Field -> column, of those that have one."""
        return {field: getattr(self, field) for field in (*FIELDS, *OPTIONAL) if getattr(self, field)}

    def places(self, header: Sequence[str], path: Path, line: int | None = 1) -> dict[str, int]:
        """Field -> place of its column among those of a file.

        Raises:
            InputError: for a column that is not there or there twice, with the nearest that is.
        """
        # Parquet has names always; a line of three words may be a triple.
        bare = ", or say that the first line is a triple (`header: false`, `--no-header`)"
        bare = bare if line is not None and len(header) == len(FIELDS) else ""
        for column in self.named.values():
            if (count := list(header).count(column)) != 1:
                found = "has no column" if not count else f"has {count} columns called"
                hint = "" if count else nearest(column, header)
                raise InputError(
                    f"{found} {column!r}{hint}; its columns are {join_texts(list(header), 20)}: name those of head, "
                    f"relation and tail{bare}",
                    path=path,
                    line=line,
                )
        return {field: list(header).index(column) for field, column in self.named.items()}


def row_of(line: int, values: Mapping[str, str]) -> Row | Flaw:
    """A row of stripped names, or the flaw that one of them is empty. Evidence is as it stands."""
    row = Row(line, **{name: value if name == "evidence" else value.strip() for name, value in values.items()})
    for name, value in zip(FIELDS, row[1:4], strict=True):
        if not value:
            return Flaw(line, f"no_{name}", f"has no {name}; wanted something in each of {', '.join(FIELDS)}")
    return row


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers, a byte order mark taken off.

    Raises:
        InputError: for a file that is absent or cannot be read.
    """
    try:
        with path.open("rb") as handle:
            for number, line in enumerate(handle, start=1):
                yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> InputError:
    """What is said of a file that cannot be opened or read."""
    if isinstance(error, FileNotFoundError):
        return InputError("no such file of triples", path=path)
    return InputError(f"cannot be read: {error.strerror or error}", path=path)


def not_utf8(line: int, error: UnicodeDecodeError) -> Flaw:
    """The flaw of a line that is not text."""
    return Flaw(line, "not_utf8", f"is not UTF-8 (byte {error.start + 1} of the line); convert it (`iconv -t utf-8`)")
