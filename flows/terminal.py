r"""What is common to everything shown on a terminal: one console, safe text, readable numbers.

Texts come from files and models, so they are never read as markup, and control characters are shown, not obeyed:

>>> plain("a\x1b[31mred")
'a\\x1b[31mred'
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 160
"""Columns where there is no terminal: a table in a file or a pipe must not be cut at 80."""


def console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: no markup, no guessed colours."""
    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPED_WIDTH
    return made


def plain(text: str) -> str:
    """Text without control characters; line ends and tabs stay, others are written as escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else _escape(one) for one in text)


def _escape(one: str) -> str:
    # Format and private characters (soft hyphen, joiners) do nothing to a terminal and belong to their languages.
    return one if ord(one) > 0x9F else f"\\x{ord(one):02x}"


def excerpt(text: str, most: int = 200) -> str:
    r"""The beginning of a text on one line.

    >>> excerpt("Salt\n\n  and lamps", most=9)
    'Salt and…'
    """
    line = " ".join(plain(text[: most * 4]).split())
    return line if len(line) <= most and len(text) <= most * 4 else line[: most - 1].rstrip() + "…"


def short(identifier: str) -> str:
    """The first characters of an id or fingerprint: enough to name one."""
    return identifier[:12]


def number(value: int) -> str:
    """With thousands separated."""
    return f"{value:,}"


def some(count: int, noun: str) -> str:
    """A number of things.

    >>> some(1, "part"), some(1200, "part")
    ('1 part', '1,200 parts')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(count: int) -> str:
    """Bytes for a reader.

    >>> size(999), size(1500), size(12_000_000)
    ('999 B', '1.5 kB', '12.0 MB')
    """
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> list[str]:
    """Columns padded to their widest cell; the first ones, names, at the left, and numbers at the right."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [heads, *rows]
    ]


def date(seconds: float) -> str:
    """A local date and minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = (), wide: str = "") -> Table:
    """A plain table: heads, no lines; columns named in `right` are aligned right, only `wide` is ever wrapped."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    right = set(right)
    for head in heads:
        table.add_column(
            head,
            justify="right" if head in right else "left",
            no_wrap=head != wide,
            overflow="fold" if head == wide else "ellipsis",
        )
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table
