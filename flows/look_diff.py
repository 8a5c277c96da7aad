"""``mashbill diff``: two releases or stored steps, which rows differ, and which step or reason made each difference.

A small/09ab…  1,200 rows    B small/77ab…  1,130 rows
1,080 rows in both

         ROWS  WHY                                      FOR EXAMPLE
removed    70  length rejected it: length_too_few_words  6f1c…  Too short.
changed    50  text, parents; by redact_pii              77ab…  Write to <EMAIL>
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import typer
from rich.console import Console
from rich.text import Text

from flows.diff_rows import Difference, compare
from flows.diff_side import Side, ids_of
from flows.diff_why import why_absent
from flows.stored import the_thing
from flows.terminal import console, excerpt, grid, number, short, some
from mashbill.disk import write_parquet
from mashbill.errors import SettingsError
from mashbill.records import schema_of

ROW = {"what": pl.String, "a": pl.String, "b": pl.String, "why": pl.String}
"""One difference: ``removed``, ``added``, ``changed`` or ``judged anew``, the ids in A and B, and why."""
TEXTS = ("text", "question", "prompt", "head")


def render_diff(said: tuple[str, str], root: Path, to: Path | None, *, as_json: bool) -> None:
    """Print what differs between two things.

    Raises:
        StoreError: when there is no such thing, or they hold rows of different types.
        SettingsError: when `to` is no Parquet file.
    """
    if to is not None and to.suffix != ".parquet":
        raise SettingsError(f"{to}: differences are written as Parquet; name a file that ends in .parquet")
    a, b = (Side(the_thing(one, root, ["step", "release"]), root) for one in said)
    difference = compare(a, b)
    rows = differences(difference, a, b)
    if to is not None:
        write_parquet(to, rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
    groups = rows.group_by("what", "why", maintain_order=True).agg(pl.len().alias("rows"), pl.col("a", "b").first())
    groups = groups.sort(
        pl.col("what").replace_strict(ORDER, return_dtype=pl.Int8), -pl.col("rows").cast(pl.Int64), "why"
    )
    settings = list(settings_apart(a, b))
    if as_json:
        counts = [{key: one[key] for key in ("what", "why", "rows")} for one in groups.iter_rows(named=True)]
        told = {"a": str(a), "b": str(b), "rows": difference.rows, "both": difference.both, "moved": difference.moved}
        typer.echo(orjson.dumps({**told, "differences": counts, "settings": settings}).decode())
        return
    _render(difference, groups, settings, (a, b), console())


ORDER = {"removed": 0, "added": 1, "changed": 2, "judged anew": 3}


def differences(difference: Difference, a: Side, b: Side) -> pl.DataFrame:
    """Every difference with its reason."""
    removed = why_absent(difference.removed, b).select(what=pl.lit("removed"), a="id", b=pl.lit(""), why="why")
    added = why_absent(difference.added, a).select(what=pl.lit("added"), a=pl.lit(""), b="id", why="why")
    steps = pl.concat([_first_step(difference.changed, side, letter) for side, letter in ((a, "a"), (b, "b"))])
    columns = pl.col("columns").fill_null("nothing but the id")
    by = pl.col("step").fill_null("an unknown step")
    changed = difference.changed.join(steps, on=["a", "b"], how="left").select(
        what=pl.lit("changed"),
        a="a",
        b="b",
        why=pl.when(pl.col("side") == "a")
        .then(pl.format("{}; {} did on the way to A", columns, by))
        .otherwise(pl.format("{}; by {}", columns, by)),
    )
    anew = difference.anew.select(what=pl.lit("judged anew"), a="id", b="id", why=pl.format("another {}", "columns"))
    return pl.concat([pl.DataFrame(schema=ROW), removed, added, changed, anew])


def _first_step(changed: pl.DataFrame, side: Side, letter: str) -> pl.DataFrame:
    """Of the rows that a side's step changed, the step in which each first stands."""
    left = changed.filter(side=letter).select("a", "b")
    found = pl.DataFrame(schema={"a": pl.String, "b": pl.String, "step": pl.String})
    for step in side.way if left.height else []:
        here = left.join(ids_of(step), left_on=letter, right_on="id", how="semi").join(found, on=["a", "b"], how="anti")
        found = pl.concat([found, here.with_columns(step=pl.lit(step.manifest.step))])
    return found


def settings_apart(a: Side, b: Side) -> Iterator[str]:
    """What is set otherwise on the ways to the two, a line each."""
    one, two = a.steps(), b.steps()
    for name in [*one, *(name for name in two if name not in one)]:
        if name not in two or name not in one:
            yield f"{name}: only on the way to {'A' if name in one else 'B'}"
            continue
        for key in sorted({*one[name], *two[name]}):
            before, after = one[name].get(key), two[name].get(key)
            if before != after:
                yield f"{name}: {key} {_setting(before, after)}"


def _setting(before: Any, after: Any) -> str:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
        return f"differ: {excerpt(', '.join(map(str, keys)), 100)}"
    return f"{excerpt(str(before), 60)} → {excerpt(str(after), 60)}"


def _render(
    difference: Difference, groups: pl.DataFrame, settings: list[str], sides: tuple[Side, Side], out: Console
) -> None:
    for letter, side, rows in zip("AB", sides, difference.rows, strict=True):
        out.print(Text(letter, "bold"), str(side), some(rows, "row"))
    moved = f", {number(difference.moved)} of them in another split" if difference.moved else ""
    out.print(f"{some(difference.both, 'row')} in both{moved}" if difference.both else "no row is in both")
    for line in settings:
        out.print(Text(f"  {line}"))
    if groups.is_empty():
        return
    examples = _examples(groups, sides)
    lines = (
        [
            one["what"],
            number(one["rows"]),
            one["why"],
            short(one["b"] or one["a"]),
            examples.get(one["b"] or one["a"], ""),
        ]
        for one in groups.iter_rows(named=True)
    )
    out.print()
    out.print(grid(["", "ROWS", "WHY", "ROW", "FOR EXAMPLE"], lines, right=["ROWS"], wide="WHY"))


def _examples(groups: pl.DataFrame, sides: tuple[Side, Side]) -> dict[str, str]:
    """The beginning of the text of one row of each group."""
    found: dict[str, str] = {}
    for side, column in zip(sides, ("a", "b"), strict=True):
        wanted = groups.filter(pl.col(column) != "")[column].to_list()
        names = [name for name in TEXTS if name in schema_of(side.kind).names][:1]
        if wanted and names:
            rows = side.frame(["id", *names]).filter(pl.col("id").is_in(wanted))
            found.update({row: excerpt(text or "", 60) for row, text in rows.select("id", names[0]).iter_rows()})
    return found
