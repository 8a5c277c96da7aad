"""Keep some pieces of knowledge of each source: the relevant and brief ones, the truest of these, and of them a draw.

Thirty passages of one source with relevance, brevity and factuality as scores, ``take: 5`` -> the 20 most relevant,
those of them that are brief enough, the 10 truest of those, and 5 of these drawn in proportion to factuality.

    curate:
      - judge: {rubric: knowledge}
      - top_then_sample: {take: 5}

Knowledge Card's selection (arXiv 2305.09955): top 2k, then sample k, so that not the same few always win. Drawn
*without* replacement here (the published code draws with, so one passage may come twice), by a hash of the row's id. A
row that lacks a score is rejected for that and never counted as 0. Two passes; about 100 bytes a row are held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from filters.chosen import chosen_output
from filters.removal import frame_of
from filters.row_text import id_hashes, named_score
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import DatasetStep, PartOutput, Parts


@dataclass(frozen=True, kw_only=True)
class TopThenSample(DatasetStep[Record, Record]):
    """Keeps relevant, brief and true rows of each source: the top 2k, then k of them drawn."""

    take: int = 5
    """Rows that stay of each group: k, 5 in the paper (n3)."""
    most_relevant: int = 20
    """Rows that are looked at of each group, the most relevant; the paper's n2."""
    least_brevity: float = 0.0
    """Rows below it go. The paper shortens long passages instead; write them shorter before they are judged."""
    per: Literal["source", "question", "all"] = "source"
    """What a group is: rows of one source document, of one question, or all."""
    relevance: str = "judge_relevance"
    """The name of the score; empty: rows are not sorted by relevance."""
    brevity: str = "judge_brevity"
    """The name of the score; empty: rows are not sorted by brevity."""
    factuality: str = "judge_factuality"
    """The name of the score that rows are taken and drawn by."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that keep nothing."""
        if self.take < 1 or self.most_relevant < self.take or not self.factuality:
            raise ValueError(
                f"take is {self.take} of the {self.most_relevant} most relevant, by {self.factuality!r}; wanted are 1 "
                "or more of as many at least, by a score"
            )

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        schema = {"part": pl.Int64, "row": pl.Int64, "why": pl.String}
        whole = pl.concat([pl.DataFrame(schema=schema), self._judged(parts).select(*schema)]).sort("part", "row")
        for index in range(len(parts)):
            table = parts.table(index)
            reasons = whole.filter(pl.col("part") == index)["why"].to_list()
            yield chosen_output(table, reasons, step=self.name, value=named_score(table, self.factuality))

    def _judged(self, parts: Parts) -> pl.DataFrame:
        """Part, row and reason of each row; the reason is empty where it stays."""
        rows = pl.concat([self._read(parts, index) for index in range(len(parts))])
        lacks = pl.any_horizontal(pl.col("relevance", "brevity", "factuality").is_nan())
        rows = rows.with_columns(why=pl.when(lacks).then(pl.lit("no_score")).otherwise(pl.lit("")))
        rows = self._limited(rows, "relevance", self.most_relevant, "less_relevant")
        too_long = (pl.col("why") == "") & (pl.col("brevity") < self.least_brevity)
        rows = rows.with_columns(why=pl.when(too_long).then(pl.lit("too_long")).otherwise("why"))
        rows = self._limited(rows, "factuality", 2 * self.take, "less_factual")
        return self._limited(rows, "drawn", self.take, "not_drawn")

    @staticmethod
    def _limited(rows: pl.DataFrame, by: str, most: int, reason: str) -> pl.DataFrame:
        """Of what is left of each group only so many stay, the highest; equal ones by their hash."""
        left = rows.filter(pl.col("why") == "").sort([by, "hash"], descending=[True, False])
        past = left.filter(pl.int_range(pl.len()).over("group") >= most).select("part", "row", past=True)
        joined = rows.join(past, on=["part", "row"], how="left")
        return joined.with_columns(why=pl.when(pl.col("past")).then(pl.lit(reason)).otherwise("why")).drop("past")

    def _read(self, parts: Parts, index: int) -> pl.DataFrame:
        table = parts.table(index)
        if self.per == "question" and "question" not in table.column_names:
            raise BillError(f"{self.name} groups by question, and the rows it read have none; set per: source")
        column = {"source": "source_id", "question": "question"}.get(self.per)
        groups = frame_of(table.select([column]))[column] if column else pl.repeat("", table.num_rows, eager=True)
        hashes = id_hashes(table, self.seed)
        truth = named_score(table, self.factuality)
        nothing = np.zeros(table.num_rows)
        return pl.DataFrame(
            {
                "part": np.full(table.num_rows, index, dtype=np.int64),
                "row": np.arange(table.num_rows, dtype=np.int64),
                "group": groups.rename("group"),
                "hash": hashes,
                "relevance": named_score(table, self.relevance) if self.relevance else nothing,
                "brevity": named_score(table, self.brevity) if self.brevity else nothing,
                "factuality": truth,
                "drawn": draw_keys(hashes, truth),
            }
        )


def draw_keys(hashes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Keys whose k highest are a draw of k without replacement in proportion to the weights.

    Efraimidis and Spirakis (2006): u^(1/w) with u even in (0, 1); here its logarithm, so that small weights do not all
    become 0. What has no weight comes last.
    """
    even = (hashes.astype(np.float64) + 1.0) / (2.0**64 + 2.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weights > 0, np.log(even) / weights, -np.inf)
