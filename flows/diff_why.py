"""Why a row of one data set is not in another: which step let it go, and for what reason.

A row of A that B has not is looked for along B's way, from its sources on: among the rejects of each step, then among
its rows. What was rejected says so; what stands in the last step was over its share; what was made by a model and is
nowhere was made otherwise, or what it was made from had gone before; what no source of B holds is no part of it.
"""

from __future__ import annotations

import polars as pl

from flows.diff_side import Side, heirs_of, ids_of, rejects_of
from mashbill.store import Stored

WHY = {"id": pl.String, "why": pl.String}


def why_absent(rows: pl.DataFrame, other: Side) -> pl.DataFrame:
    """For each row of one side that the other has not: ``id`` and ``why``, what became of it there."""
    left = rows.select("id", "by", "only").unique("id", maintain_order=True)
    known = _heirs(left, other)
    found = pl.DataFrame(schema=WHY)
    for step in other.way:
        found = _more(found, known.join(_rejected(step), on="heir").select("id", "why"))
    for step in reversed(other.way):
        found = _more(found, known.join(_kept(step, other), on="heir").select("id", "why"))
    rest = left.join(found, on="id", how="anti")
    found = _more(found, _parents_gone(rest, other))
    rest = left.join(found, on="id", how="anti")
    return _more(found, rest.select("id", why=_nowhere(other)))


def _heirs(rows: pl.DataFrame, other: Side) -> pl.DataFrame:
    """Each row with every row that it became on the other's way, itself first: ``id`` and ``heir``."""
    known = rows.select("id", heir="id")
    newest = known
    for step in other.way:
        newest = newest.join(heirs_of(step), left_on="heir", right_on="of").select("id", heir="id_right")
        known = pl.concat([known, newest]).unique(maintain_order=True)
        newest = known
    return known


def _more(found: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    return pl.concat(
        [found, new.select("id", "why").unique("id", maintain_order=True).join(found, on="id", how="anti")]
    )


def _rejected(step: Stored) -> pl.DataFrame:
    return rejects_of(step).select(heir="id", why=pl.format("{} rejected it: {}", "step", "reason"))


def _kept(step: Stored, side: Side) -> pl.DataFrame:
    """Rows that a step kept and that are not in what it ends in."""
    after = [one.manifest.step for one in side.way if step.manifest.fingerprint in one.manifest.inputs.values()]
    why = f"{after[0]} made others of it" if after else "it was over its stream's share"
    return ids_of(step).select(heir="id", why=pl.lit(why))


def _parents_gone(rows: pl.DataFrame, other: Side) -> pl.DataFrame:
    """Made rows whose only parent the other side rejected."""
    made = rows.filter(pl.col("only").is_not_null())
    schema = {"heir": pl.String, "why": pl.String}
    gone = pl.concat([pl.DataFrame(schema=schema), *map(_rejected, other.way)]).unique("heir", keep="first")
    joined = made.join(gone, left_on="only", right_on="heir")
    return joined.select("id", why=pl.format("what it was made from went: {}", "why"))


def _nowhere(other: Side) -> pl.Expr:
    if not other.whole:
        return pl.lit("not known: the steps that led there are not all under this root")
    made = pl.col("by") != ""
    return (
        pl.when(made)
        .then(pl.format("{} did not make it", "by"))
        .when(pl.col("only").is_not_null())
        .then(pl.lit("what it was made from is another text there, or a step changed it otherwise"))
        .otherwise(pl.lit("no source there holds it"))
    )
