"""What in a graph cannot all be true, or says one thing twice: found, counted, shown, and rejected where wanted.

``(Ora, born_in, Oskelby)`` and ``(Ora, born_in, Vintrack)`` with `born_in` functional -> a `two_tails` finding::

    "contradictions": {"two_tails": {"triples": 2, "examples": ["Ora | born_in | Oskelby, Vintrack"]}}

What a relation is like is the user's to say. What its edges look like is guessed (`kg.relation_kinds`) and put into the
report, to be confirmed: with ``use_guesses`` the guesses count as well, and the report says which they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from kg.relation_kinds import kinds_table, relation_kinds
from mashbill.records import Triple
from mashbill.step import DatasetStep, PartOutput, Parts, conform, reject_table
from mashbill.store import Stored

SHOWN = 5
"""Examples of each finding in the report."""
COLUMNS = ("head", "relation", "tail")


@dataclass(frozen=True, kw_only=True)
class Contradictions(DatasetStep[Triple, Triple]):
    """Reports triples that contradict each other, and rejects them where it is told to."""

    functional: tuple[str, ...] = ()
    """Relations of which a head has one tail (born_in): others are `two_tails`."""
    inverse_functional: tuple[str, ...] = ()
    """Relations of which a tail has one head (capital_of): others are `two_heads`."""
    asymmetric: tuple[str, ...] = ()
    """Relations that cannot run both ways (older_than): `both_ways`."""
    exclusive: tuple[tuple[str, ...], ...] = ()
    """Groups of relations of which one holds between two things (treats, causes): `exclusive_relations`."""
    inverses: Mapping[str, str] = field(default_factory=dict)
    """Pairs that say one thing (parent_of: child_of): what is said by both is reported as `said_by_inverse`."""
    symmetric: tuple[str, ...] = ()
    """Relations that hold both ways: an edge that is there both ways is reported as `said_both_ways`."""
    use_guesses: bool = False
    """Whether relations that look functional or inverse functional are taken to be."""
    reject: bool = False
    """Whether contradicting triples are rejected: of two tails or heads the one with more evidence stays, of equal ones
    none, since nothing says which is true; of the other findings all go. What is said twice always stays."""

    def __post_init__(self) -> None:
        """Refuse groups that exclude nothing, and relations said to be two things at once."""
        for group in self.exclusive:
            if len(set(group)) < 2:
                raise ValueError(f"exclusive has the group {list(group)}; it takes two relations or more")
        if both := sorted(set(self.symmetric) & set(self.asymmetric)):
            raise ValueError(f"{', '.join(both)} cannot be both symmetric and asymmetric")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """Each part, without what contradicts another triple if it is to be rejected."""
        edges = _edges(parts)
        found = pl.concat([one for name, one in self._found(edges).items() if name in REJECTED])
        bad = found.group_by(COLUMNS).agg(pl.col("reason").first(), pl.col("detail").first())
        for index in range(len(parts)):
            rows = pl.DataFrame(parts.table(index))
            marked = rows.join(bad, on=COLUMNS, how="left", maintain_order="left")
            out = pl.col("reason").is_not_null() if self.reject else pl.lit(False)
            rejects = marked.filter(out)
            yield PartOutput(
                kept=conform(marked.filter(~out), Triple),
                rejects=reject_table(
                    rejects, step=self.name, kind=Triple, reason=pl.col("reason"), detail=pl.col("detail")
                ),
            )

    def report(self, source: Stored, stored: Stored) -> dict[str, Any]:
        """Each finding with the number of its edges and some examples, and what relations look like."""
        del stored
        edges = _edges(source)
        shown = {
            name: {"triples": len(rows), "examples": rows["detail"].unique().sort()[:SHOWN].to_list()}
            for name, rows in self._found(edges).items()
            if len(rows)
        }
        kinds = kinds_table(relation_kinds(edges.select(COLUMNS).iter_rows()))
        named = {*self.functional, *self.inverse_functional, *self.asymmetric, *self.symmetric}
        named |= {*self.inverses, *self.inverses.values(), *(one for group in self.exclusive for one in group)}
        report = {"contradictions": shown, "relations_look": kinds, "guesses_used": self.use_guesses}
        # A name written otherwise than in the graph would find nothing and look like a clean graph.
        absent = sorted(named - set(edges["relation"].to_list()))
        return {**report, "relations_not_there": absent} if absent else report

    def _found(self, edges: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Every finding: its edges, with the reason and what a reader is told."""
        functional, inverse_functional = set(self.functional), set(self.inverse_functional)
        if self.use_guesses:
            kinds = relation_kinds(edges.select(COLUMNS).iter_rows())
            functional |= {one.name for one in kinds if one.functional}
            inverse_functional |= {one.name for one in kinds if one.inverse_functional}
        return {
            "two_tails": _rivals(edges, "two_tails", functional, "head", "tail", self.reject),
            "two_heads": _rivals(edges, "two_heads", inverse_functional, "tail", "head", self.reject),
            "both_ways": _both_ways(edges, "both_ways", self.asymmetric),
            "exclusive_relations": _exclusive(edges, self.exclusive),
            "said_both_ways": _both_ways(edges, "said_both_ways", self.symmetric),
            "said_by_inverse": _by_inverse(edges, self.inverses),
        }


REJECTED = ("two_tails", "two_heads", "both_ways", "exclusive_relations")
"""Findings that cannot be true; the others are merely said twice."""


def _edges(parts: Parts) -> pl.DataFrame:
    """The distinct edges, with how many pieces of evidence each has."""
    tables = [pl.DataFrame(parts.table(index, COLUMNS)) for index in range(len(parts))]
    return pl.concat(tables).group_by(COLUMNS).agg(pl.len().alias("evidence_rows")).sort(COLUMNS)


def _finding(rows: pl.DataFrame, reason: str, detail: pl.Expr) -> pl.DataFrame:
    return rows.select(*COLUMNS, reason=pl.lit(reason, dtype=pl.String), detail=detail.cast(pl.String)).sort(COLUMNS)


def _rivals(
    edges: pl.DataFrame, reason: str, relations: set[str], one: str, many: str, losers_only: bool
) -> pl.DataFrame:
    rows = edges.filter(pl.col("relation").is_in(sorted(relations)))
    group = [one, "relation"]
    rows = rows.with_columns(
        rivals=pl.col(many).sort().str.join(", ").over(group),
        several=pl.len().over(group),
        best=pl.col("evidence_rows").max().over(group),
    ).filter(pl.col("several") > 1)
    if losers_only:
        leaders = (pl.col("evidence_rows") == pl.col("best")).sum().over(group)
        rows = rows.filter((pl.col("evidence_rows") < pl.col("best")) | (leaders > 1))
    sides = {"head": pl.col("head"), "tail": pl.col("tail"), many: pl.col("rivals")}
    return _finding(rows, reason, pl.format("{} | {} | {}", sides["head"], pl.col("relation"), sides["tail"]))


def _both_ways(edges: pl.DataFrame, reason: str, relations: Sequence[str]) -> pl.DataFrame:
    rows = edges.filter(pl.col("relation").is_in(sorted(relations)) & (pl.col("head") != pl.col("tail")))
    back = rows.select(head="tail", relation="relation", tail="head")
    rows = rows.join(back, on=COLUMNS, how="semi")
    first, last = pl.min_horizontal("head", "tail"), pl.max_horizontal("head", "tail")
    return _finding(rows, reason, pl.format("{} | {} | {}, and back", first, pl.col("relation"), last))


def _exclusive(edges: pl.DataFrame, groups: Sequence[Sequence[str]]) -> pl.DataFrame:
    found = [_finding(edges.clear(), "exclusive_relations", pl.lit(""))]
    for group in groups:
        rows = edges.filter(pl.col("relation").is_in(sorted(group)))
        rows = rows.filter(pl.col("relation").n_unique().over("head", "tail") > 1)
        rows = rows.with_columns(said=pl.col("relation").unique().sort().str.join(", ").over("head", "tail"))
        detail = pl.format("{} | {} | {}", pl.col("head"), pl.col("said"), pl.col("tail"))
        found.append(_finding(rows, "exclusive_relations", detail))
    return pl.concat(found)


def _by_inverse(edges: pl.DataFrame, inverses: Mapping[str, str]) -> pl.DataFrame:
    pairs = pl.DataFrame(
        {"relation": list(inverses), "other": list(inverses.values())},
        schema={"relation": pl.String, "other": pl.String},
    )
    back = edges.select(head="tail", other="relation", tail="head")
    rows = edges.join(pairs, on="relation").join(back, on=["head", "other", "tail"], how="semi")
    detail = pl.format("{} | {} | {}, and as {}", *COLUMNS, "other")
    return _finding(rows, "said_by_inverse", detail)
