"""The first rows of a stored input, in an order that a hash draws: enough of them, and no more.

Twenty rows, eight wanted -> those eight whose hashes come first, in their own order and parts; the other twelve are
rejected ``over_accept``. The first eight are always among the first nine, so what was asked about a small draw is asked
about no more when the draw grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import polars as pl

from mashbill.fingerprint import content_id
from mashbill.records import RECORD_TYPES, Record, Reject
from mashbill.row_size import BYTES, Measure, sizes
from mashbill.step import DatasetStep, PartOutput, Parts, conform, reject_table
from mashbill.store import Stored

SHORT, LEFT = "the source gave no more", "not all of its records were asked to the end"
"""How the card says that less stands than was wanted, and why."""


@dataclass(frozen=True, kw_only=True)
class TakeFirst(DatasetStep[Record, Record]):
    """Keeps rows in the order of a hash until there is enough."""

    kind: str
    """The record type of the rows, by name."""
    rows: int = 0
    """As many rows; 0 counts tokens."""
    tokens: int = 0
    """Rows until so many tokens are there; the row that fills it is taken too."""
    measure: Measure = BYTES
    """What counts tokens."""
    reason: Literal["over_accept", "not_asked"] = "over_accept"
    """Why the other rows are rejected."""
    seed: int = 0
    partial: bool = field(default=False, metadata={"identity": False})
    """Whether a budget or the provider ended a step before: then that is why there is no more."""

    whole: ClassVar[frozenset[str]] = frozenset({"over_accept"})
    """Reasons whose rejects hold the row, since it was made for them; what was not asked about stands in the input."""

    def __post_init__(self) -> None:
        """Refuse what says nothing."""
        if (self.rows > 0) == (self.tokens > 0) or min(self.rows, self.tokens) < 0:
            raise ValueError(f"rows is {self.rows} and tokens {self.tokens}; one of them is wanted, of 1 or more")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        taken = self._taken(parts)
        for index in range(len(parts)):
            table = parts.table(index)
            frame = pl.DataFrame(table)
            chosen = taken.filter(part=index)["row"].sort()
            rest = frame.with_row_index("__row").filter(~pl.col("__row").is_in(chosen.implode())).drop("__row")
            yield PartOutput(kept=table.take(chosen.to_arrow()), rejects=self._rejects(rest, RECORD_TYPES[self.kind]))

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """How much was wanted and how much there is."""
        if self.reason == "not_asked":
            read = source.manifest.counts.kept
            return {"card": [f"{made.manifest.counts.kept:,} of {read:,} records were asked about, as many as it took"]}
        had = self._amount(made)
        wanted, unit = (self.rows, "rows") if self.rows else (self.tokens, self.measure.name)
        said = f"{wanted:,} {unit} were to be accepted, and {had:,} stand"
        return {
            "accepted": {"wanted": wanted, "unit": unit, "have": had, "met": had >= wanted},
            "card": [said if had >= wanted else f"{said}: {LEFT if self.partial else SHORT}"],
        }

    def _amount(self, made: Stored) -> int:
        if self.rows:
            return made.manifest.counts.kept
        frames = (pl.DataFrame(table) for table in made)
        return sum(int(sizes(frame, made.kind, self.measure).sum()) for frame in frames)

    def _taken(self, parts: Parts) -> pl.DataFrame:
        """Part and row of each row that is taken."""
        frames = []
        for index in range(len(parts)):
            columns = None if self.tokens else ["id"]
            frame = pl.DataFrame(parts.table(index, columns))
            size = (
                sizes(frame, RECORD_TYPES[self.kind], self.measure)
                if self.tokens
                else pl.repeat(1, frame.height, eager=True)
            )
            order = [content_id("accept", self.seed, row) for row in frame["id"]]
            frames.append(
                pl.DataFrame(
                    {"order": order, "size": size.cast(pl.Int64)}, schema={"order": pl.String, "size": pl.Int64}
                )
                .with_columns(part=pl.lit(index))
                .with_row_index("row")
            )
        if not frames:
            return pl.DataFrame({"part": [], "row": []})
        # The same row may stand in two parts: its place decides then.
        ordered = pl.concat(frames).sort("order", "part", "row")
        before = pl.col("size").cum_sum() - pl.col("size")
        return ordered.filter(before < (self.rows or self.tokens))

    def _rejects(self, rest: pl.DataFrame, kind: type[Record]) -> Any:
        table = reject_table(rest, step=self.name, kind=kind, reason=pl.lit(self.reason))
        if self.reason in self.whole:
            return table
        empty = pl.lit("")
        return conform(pl.DataFrame(table).with_columns(text=empty, record=empty), Reject)
