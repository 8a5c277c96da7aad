"""Which rows two data sets have in common, and which were added, removed, changed or judged anew.

Rows are the same where their ids are, since an id is made of content. A row of the one and a row of the other are **one
that changed** where one was made of the other by a step that asks nobody (`repair_text`, `redact_pii`), where both were
so made of one row, where both are what stands at one place of a source, or where both ask the same; each only if there
is one such row on each side. Every comparison is of columns: a million rows take seconds.

    id 6f1c… in both, another score      -> judged anew
    id 09ab… in A, id 77ab… with parents [09ab…] in B -> changed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from flows.diff_side import Side
from mashbill.errors import StoreError
from mashbill.records import Document, schema_of

ASKED = ("question", "prompt", "text")
KEYS = ("id", "parents", "source_id", "source", "made")
PAIRS = {"a": pl.String, "b": pl.String, "side": pl.String}


@dataclass(frozen=True)
class Difference:
    """Rows by what became of them; `a` and `b` are ids in the one and the other."""

    both: int
    """Rows in both."""
    moved: int
    """Rows in both that are in another split."""
    anew: pl.DataFrame
    """Rows in both whose other columns differ: ``id`` and ``columns``."""
    changed: pl.DataFrame
    """``a``, ``b``, ``columns``, and ``side``: whose step changed it."""
    removed: pl.DataFrame
    """``id``, with `KEYS`, of those in A alone."""
    added: pl.DataFrame
    """The same of those in B alone."""
    rows: tuple[int, int]


def compare(a: Side, b: Side) -> Difference:
    """Compare the rows of two sides.

    Raises:
        StoreError: when they hold rows of different types.
    """
    if a.kind is not b.kind:
        raise StoreError(f"{a} holds {a.kind.__name__} and {b} holds {b.kind.__name__}; compare rows of one type")
    # Of a source row the source is the row itself, so its id is there once more.
    names = [name for name in schema_of(a.kind).names if name not in ("id", "source_id")]
    asked = next((name for name in ASKED if name in names and a.kind is not Document), "")
    columns = [*KEYS, *([asked] if asked else [])]
    one, two = (_light(side.frame(columns), asked) for side in (a, b))
    on = ["id", "nth"]
    both = one.join(two.select(*on, other="split"), on=on)
    removed, added = one.join(two, on=on, how="anti"), two.join(one, on=on, how="anti")
    pairs = _pairs(removed, added)
    shared = both.select(a="id", b="id", side=pl.lit("")).unique()
    apart = _columns(a, b, pl.concat([shared, pairs]), names)
    anew = apart.filter(pl.col("a") == pl.col("b")).select("columns", id="a")
    changed = pairs.join(apart.drop("side"), on=["a", "b"], how="left")
    return Difference(
        both=both.height,
        moved=both.filter(
            (pl.col("split") != pl.col("other")) & (pl.col("split") != "") & (pl.col("other") != "")
        ).height,
        anew=anew,
        changed=changed,
        removed=removed.join(pairs, left_on="id", right_on="a", how="anti"),
        added=added.join(pairs, left_on="id", right_on="b", how="anti"),
        rows=(one.height, two.height),
    )


def _light(frame: pl.DataFrame, asked: str) -> pl.DataFrame:
    """The keys of each row, what it asks as a hash, and which step made it."""
    asks = pl.col(asked).str.to_lowercase().hash(1) if asked else pl.lit(None, pl.UInt64)
    made = pl.col("made").struct
    return frame.with_columns(
        asked=asks, by=made.field("step"), replied=made.field("asks").list.len() > 0, only=_only_parent()
    ).drop("made", *([asked] if asked and asked != "asked" else []))


def _only_parent() -> pl.Expr:
    return pl.when(pl.col("parents").list.len() == 1).then(pl.col("parents").list.first())


def _pairs(removed: pl.DataFrame, added: pl.DataFrame) -> pl.DataFrame:
    """Rows of the one and the other that are one row that changed; none is in two pairs."""
    found = pl.DataFrame(schema=PAIRS)
    read = ~pl.col("replied")  # no model's: a row that was read, whatever was mended in it since
    quiet = pl.col("only").is_not_null() & ~pl.col("replied")
    ways = [
        ("b", removed.select(key="id", a="id"), added.filter(quiet).select(key="only", b="id")),
        ("a", removed.filter(quiet).select(key="only", a="id"), added.select(key="id", b="id")),
        ("b", removed.filter(quiet).select(key="only", a="id"), added.filter(quiet).select(key="only", b="id")),
        ("b", removed.filter(read).select(key="source", a="id"), added.filter(read).select(key="source", b="id")),
        ("b", removed.select(key="asked", a="id"), added.select(key="asked", b="id")),
    ]
    for side, left, right in ways:
        left = _single(left.join(found, on="a", how="anti"))
        right = _single(right.join(found, on="b", how="anti"))
        found = pl.concat([found, left.join(right, on="key").select("a", "b", side=pl.lit(side))])
    return found


def _single(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows whose key no other row has."""
    known = rows.filter(pl.col("key").is_not_null() & (pl.col("key").cast(pl.String) != ""))
    return known.filter(pl.len().over("key") == 1)


def _columns(a: Side, b: Side, pairs: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Of pairs the columns that differ, as one text; pairs that are equal are left out."""
    if pairs.is_empty():
        return pl.DataFrame(schema={**PAIRS, "columns": pl.String})
    # A few columns at a time: hashes of all are little, the columns themselves may be all of the data.
    marks = pairs
    for name in names:
        left = _hashes(a, name).join(pairs.select(id="a").unique(), on="id", how="semi")
        right = _hashes(b, name).join(pairs.select(id="b").unique(), on="id", how="semi")
        joined = pairs.join(left, left_on="a", right_on="id", how="left", maintain_order="left")
        joined = joined.join(right, left_on="b", right_on="id", how="left", maintain_order="left", suffix="_b")
        differs = joined.select(pl.when(pl.col("hash") != pl.col("hash_b")).then(pl.lit(name)).alias(name))
        marks = marks.with_columns(differs)
    said = marks.select(
        "a", "b", "side", columns=pl.concat_str([pl.col(name) for name in names], separator=", ", ignore_nulls=True)
    )
    return said.filter(pl.col("columns") != "")


def _hashes(side: Side, name: str) -> pl.DataFrame:
    column = schema_of(side.kind).field(name).type
    plain = not (pa.types.is_list(column) or pa.types.is_struct(column))
    value = pl.col(name) if plain else pl.struct(name).struct.json_encode()
    return side.frame(["id", name]).filter(pl.col("nth") == 0).select("id", hash=value.hash(1))
