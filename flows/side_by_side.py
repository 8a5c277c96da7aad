"""A rejected row beside the one that was kept in its place, with the words marked in which they differ.

REJECTED 6f1c…                     KEPT 09ab…
The Salt Guild **sold** salt.      The Salt Guild **sells** salt.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from rich.table import Table
from rich.text import Text

from flows.terminal import plain, short

MOST = 1200
"""Characters of each text that are shown and compared."""
CONTEXT = 8
"""Equal words that are shown about a difference; more are left out."""
TEXTS = ("text", "question", "prompt")


def kept_texts(folder: Path, ids: Iterable[str]) -> dict[str, str]:
    """The texts of some rows of a stored step, by id."""
    wanted, found = set(ids), dict[str, str]()
    for path in sorted(folder.glob("part-*.parquet")) if wanted else []:
        names = pq.read_schema(path).names
        column = next((name for name in TEXTS if name in names), "")
        if column:
            rows = pl.DataFrame(pl.from_arrow(pq.read_table(path, columns=["id", column], partitioning=None)))
            here = rows.filter(pl.col("id").is_in(list(wanted)))
            found.update(dict(here.iter_rows()))
    return found


def side_by_side(rejected: tuple[str, str], kept: tuple[str, str]) -> Table:
    """Two rows, each its id and its text, in two columns."""
    left, right = marked(rejected[1][:MOST], kept[1][:MOST])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    table.add_column(f"REJECTED {short(rejected[0])}", ratio=1, overflow="fold")
    table.add_column(f"KEPT {short(kept[0])}", ratio=1, overflow="fold")
    table.add_row(left, right)
    return table


def marked(one: str, other: str) -> tuple[Text, Text]:
    """Two texts with what only one of them has set off; long stretches that are equal are cut to their ends.

    >>> [text.plain for text in marked("the guild sold salt", "the guild sells salt")]
    ['the guild [sold] salt', 'the guild [sells] salt']
    """
    left, right = (re.findall(r"\S+", plain(text)) for text in (one, other))
    made = Text(), Text()
    for kind, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        for text, words in zip(made, (left[a:b], right[c:d]), strict=True):
            if not words:
                continue
            said = " ".join(_shortened(words) if kind == "equal" else words)
            text.append(" " if text.plain else "")
            text.append(said if kind == "equal" else f"[{said}]", "" if kind == "equal" else "bold")
    return made


def _shortened(words: list[str]) -> list[str]:
    return words if len(words) <= 2 * CONTEXT + 1 else [*words[:CONTEXT], "…", *words[-CONTEXT:]]
