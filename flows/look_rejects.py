"""``mashbill rejects``: how many rows a step rejected for which reason, and those rows.

REASON     ROWS  SHARE  FOR EXAMPLE
truncated    30    91%  the last sentence has no end
refusal       3     9%  opens with "I'm sorry"
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from flows.stored import Thing, the_thing
from flows.terminal import console, excerpt, grid, number, plain, short, some
from mashbill.errors import StoreError
from mashbill.records import join_texts
from mashbill.registry import nearest

SHOWN = 10


def render_rejects(said: str, root: Path, *, reason: str = "", rows: int | None = None, as_json: bool = False) -> None:
    """Print a step's rejects: the reasons, then rows; or every row as JSON.

    Raises:
        StoreError: when there is no such step, or no such reason in it.
    """
    thing = the_thing(said, root, ["step"])
    table = _reasons(thing)
    if reason and reason not in table["reason"].to_list():
        known = table["reason"].to_list()
        there = f"there are: {join_texts(known, 30)}" if known else "it rejected nothing"
        raise StoreError(f"{thing}: rejected nothing as {reason!r}{nearest(reason, known)}; {there}")
    if as_json:
        for row in _rows(thing, reason, rows):
            typer.echo(orjson.dumps(row).decode())
        return
    _render(thing, table, reason, SHOWN if rows is None else rows, console())


def _files(thing: Thing) -> list[Path]:
    # Of an unfinished step too: a run that stops for too many rejects sends its reader here.
    return sorted((thing.path / "rejects").glob("part-*.parquet"))


def _tables(thing: Thing, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
    """The rejects of each written part, then those of parts that were under way when the step was stopped."""
    written = [pl.Series("id", [], dtype=pl.String)]
    for path in _files(thing):
        table = _read(path, columns)
        written.append(table["id"])
        yield table
    stopped = thing.path / "rejects" / "stopped.parquet"
    if stopped.is_file():
        # It has all that the stopped run rejected, those of parts it had written too.
        yield _read(stopped, columns).filter(~pl.col("id").is_in(pl.concat(written).implode()))


def _read(path: Path, columns: list[str] | None) -> pl.DataFrame:
    try:
        return pl.DataFrame(pl.from_arrow(pq.read_table(path, columns=columns, partitioning=None)))
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(f"{path}: cannot be read ({error}); remove it and run the bill again") from error


def _reasons(thing: Thing) -> pl.DataFrame:
    """Reason, rows, and one detail for each, the commonest first."""
    columns = ["id", "reason", "step", "detail"]
    tables = list(_tables(thing, columns))
    empty = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return (
        pl.concat([empty, *tables])
        .group_by("reason", "step")
        .agg(rows=pl.len(), detail=pl.col("detail").first())
        .sort(["rows", "reason"], descending=[True, False])
    )


def _rows(thing: Thing, reason: str, most: int | None) -> Iterator[dict[str, Any]]:
    left = most
    for table in _tables(thing):
        for row in (table.filter(pl.col("reason") == reason) if reason else table).iter_rows(named=True):
            if left is not None:
                if left <= 0:
                    return
                left -= 1
            yield row


def _render(thing: Thing, table: pl.DataFrame, reason: str, rows: int, out: Console) -> None:
    total = int(table["rows"].sum())
    if not total:
        out.print(f"{thing} rejected nothing{'' if thing.finished else ' so far: it is unfinished'}")
        return
    out.print(Text(str(thing), "bold"), f"rejected {some(total, 'row')}{_unfinished(thing)}")
    lines = (
        [one["reason"], one["step"], number(one["rows"]), f"{one['rows'] / total:.0%}", excerpt(one["detail"], 120)]
        for one in table.iter_rows(named=True)
    )
    out.print(
        grid(["REASON", "STEP", "ROWS", "SHARE", "FOR EXAMPLE"], lines, right=["ROWS", "SHARE"], wide="FOR EXAMPLE")
    )
    shown = 0
    for row in _rows(thing, reason, rows):
        shown += 1
        _row(row, out)
    of = int(table.filter(pl.col("reason") == reason)["rows"].sum()) if reason else total
    if shown < of:
        only = f" --reason {reason}" if reason else ""
        out.print(f"\n{number(of - shown)} more: `mashbill rejects {thing}{only} -n {of}`")


def _unfinished(thing: Thing) -> str:
    return "" if thing.finished else "; it is unfinished, so these are not all"


def _row(row: dict[str, Any], out: Console) -> None:
    out.print()
    about = "; ".join(row["subjects"])
    head = [row["reason"], short(row["id"]), row["source"], excerpt(about, 60)]
    out.print(Text("  ".join(plain(one) for one in head if one), "bold"))
    value = "" if row["value"] is None else f" ({row['value']:g})"
    duplicate = f" of {short(row['kept_id'])}" if row["kept_id"] else ""
    if row["detail"] or value or duplicate:
        out.print(Padding(Text(excerpt(row["detail"], 300) + duplicate + value), (0, 0, 0, 2), expand=False))
    if row["text"]:
        out.print(Padding(Text(excerpt(row["text"], 300), "dim"), (0, 0, 0, 2), expand=False))
