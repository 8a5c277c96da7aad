"""``mashbill rejects``: how many rows a step rejected for which reason, and those rows.

REASON     ROWS  SHARE  FOR EXAMPLE
truncated    30    91%  the last sentence has no end
refusal       3     9%  opens with "I'm sorry"

Rows of every reason are shown, and a duplicate stands beside the row that was kept in its place.
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

from flows.side_by_side import TEXTS, kept_texts, side_by_side
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
    # Where a reason says all there is to say, the row itself is the example.
    example = pl.when(pl.col("detail") != "").then("detail").otherwise(pl.col("text").str.slice(0, 500)).alias("detail")
    tables = [one.select(*columns[:3], example) for one in _tables(thing, [*columns, "text"])]
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


def _of_each(thing: Thing, table: pl.DataFrame, most: int) -> list[dict[str, Any]]:
    """Rows of every reason in turn, the commonest reason first, and of each in the order they were read."""
    share = {(one["reason"], one["step"]): 0 for one in table.iter_rows(named=True)}
    left = min(most, int(table["rows"].sum()))
    while left > 0:
        for key, rows in zip(share, table["rows"].to_list(), strict=True):
            if left and share[key] < rows:
                share[key], left = share[key] + 1, left - 1
    found: dict[tuple[str, str], list[dict[str, Any]]] = {key: [] for key in share}
    for part in _tables(thing):
        for key, rows in share.items():
            here = part.filter(pl.col("reason") == key[0], pl.col("step") == key[1])
            found[key] += here.head(rows - len(found[key])).iter_rows(named=True)
        if all(len(found[key]) == rows for key, rows in share.items()):
            break
    return [row for rows in found.values() for row in rows]


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
    chosen = list(_rows(thing, reason, rows)) if reason or len(table) == 1 else _of_each(thing, table, rows)
    shown, kept = len(chosen), kept_texts(thing.path, {row["kept_id"] for row in chosen if row["kept_id"]})
    for row in chosen:
        _row(row, out, kept.get(row["kept_id"]))
    of = int(table.filter(pl.col("reason") == reason)["rows"].sum()) if reason else total
    if shown < of:
        only = f" --reason {reason}" if reason else ""
        out.print(f"\n{number(of - shown)} more: `mashbill rejects {thing}{only} -n {of}`")


def _unfinished(thing: Thing) -> str:
    if thing.lacks:
        return f"; it was {thing.lacks}"
    return "" if thing.finished else "; it is unfinished, so these are not all"


def _row(row: dict[str, Any], out: Console, kept: str | None) -> None:
    out.print()
    about = "; ".join(row["subjects"])
    head = [row["reason"], short(row["id"]), row["source"], excerpt(about, 60)]
    out.print(Text("  ".join(plain(one) for one in head if one), "bold"))
    value = "" if row["value"] is None else f" ({row['value']:g})"
    duplicate = f" of {short(row['kept_id'])}" if row["kept_id"] else ""
    if row["detail"] or value or duplicate:
        out.print(Padding(Text(excerpt(row["detail"], 300) + duplicate + value), (0, 0, 0, 2), expand=False))
    if kept is not None:
        text = row["text"] or _text_in(row["record"])
        out.print(Padding(side_by_side((row["id"], text), (row["kept_id"], kept)), (0, 0, 0, 2)))
    elif row["text"]:
        out.print(Padding(Text(excerpt(row["text"], 300), "dim"), (0, 0, 0, 2), expand=False))


def _text_in(record: str) -> str:
    """The text of a rejected row of a type that has no column of that name."""
    values = orjson.loads(record) if record else {}
    return str(next((values[name] for name in TEXTS if values.get(name)), ""))
