"""Values of a row by the names of their columns, and the files that a source of rows reads.

``Row("a.jsonl:7", 7, {"question": " Who? "})``, column ``question`` -> ``"Who?"``; column ``qestion`` -> the reason
``no_column`` with the nearest name. Nothing is guessed: a column that is named must be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from mashbill.errors import InputError
from mashbill.records import join_texts
from mashbill.registry import nearest
from mashbill.sources.row_files import KINDS, ON_DISK, Row
from mashbill.step import BadInput


class BadRow(Exception):
    """A row that cannot be a record: a countable reason, and what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def at(self, row: Row) -> BadInput:
        """As the source gives it."""
        return BadInput(row.where, self.reason, self.detail, row.line)


def value_of(row: Row, column: str) -> Any:
    """The value of a column that must be there.

    Raises:
        BadRow: ``no_column``, with the nearest names.
    """
    if column not in row.values:
        found = join_texts(sorted(row.values), 20)
        raise BadRow("no_column", f"has no field {column!r}{nearest(column, row.values)}; its fields are {found}")
    return row.values[column]


def text_of(row: Row, column: str, what: str) -> str:
    """The text of a column that must hold some.

    Raises:
        BadRow: ``no_<what>`` where it holds none, ``no_column``.
    """
    found = value_of(row, column)
    if not isinstance(found, str) or not found.strip():
        raise BadRow(f"no_{what}", f"the field {column!r} must be text; found {shown(found)}")
    return found.replace("\r\n", "\n").strip()


def optional_text(row: Row, column: str) -> str:
    """The text of a column, which may hold nothing; no column gives none."""
    if not column:
        return ""
    found = value_of(row, column)
    return "" if found is None else str(found).replace("\r\n", "\n").strip()


def shown(value: object) -> str:
    """A value for a message: its first characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def row_files(root: Path, glob: str, what: str) -> list[Path]:
    """Every file of rows under a path, by name.

    Raises:
        InputError: when there is none; `what` says what was looked for.
    """
    if not root.exists():
        raise InputError("no such file or folder; `path` is taken relative to the bill", path=root)
    found = [root] if root.is_file() else list(_there(root, glob))
    files = [path for path in found if path.suffix.lower() in KINDS]
    if not files:
        others = join_texts(sorted({path.suffix or path.name for path in found})) or "nothing"
        raise InputError(
            f"has no {what}: looked for {', '.join(KINDS)} matching {glob!r} and found {others}", path=root
        )
    return files


def other_files(root: Path, glob: str) -> list[Path]:
    """Every file of another kind that `glob` names, but for what `datasets` writes beside the rows."""
    if root.is_file():
        return []
    return [path for path in _there(root, glob) if path.suffix.lower() not in KINDS and path.name not in ON_DISK]


def check_glob(glob: str) -> None:
    """Refuse a pattern that names no file under the path.

    Raises:
        ValueError: when it is empty or absolute.
    """
    if not glob.strip() or PurePosixPath(glob).is_absolute() or PureWindowsPath(glob).anchor:
        raise ValueError(f"glob is {glob!r}; it is taken relative to `path`, as '**/*.jsonl'")


def _there(root: Path, glob: str) -> Iterator[Path]:
    found = [
        path
        for path in root.glob(glob)
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    yield from sorted(found, key=lambda path: path.relative_to(root).as_posix())
