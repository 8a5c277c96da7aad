r"""Take out lines, or paragraphs, that many documents share: menus, notices, signatures, licences.

One row in -> out: ``"Home | About | Contact us today\nThe guild sold salt."``, where two other documents have the
first line too -> ``"The guild sold salt."`` under a new id, with the old one as parent; a document of nothing else is
rejected, ``nothing_left``.

A line counts once for each document. It is repeated when at least `documents` of them have it, compared in Unicode
form C, lower case, with runs of white space as one space; lines shorter than `min_chars` are left alone, since braces
and one-word answers are nobody's boilerplate. With `keep_first` the best scored document (then the lowest id) keeps
it, as CCNet's paragraph dedup keeps the first (Wenzek et al. 2020, arXiv 1911.00359); C4 likewise keeps one of each
three-sentence span (Raffel et al. 2020, section 2.2). What was taken out is counted in the manifest, with the lines
that most documents share.

Memory: 12 bytes for each line of each document, beyond `memory_mb` on disk, and worked on in slices by hash. Two lines
of 64-bit hashes meet by chance with probability 3e-4 among 10^8 different ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa

from filters.keep_order import ORDER_SCHEMA, columns_of, in_order, order_columns
from filters.near_duplicates import MEGABYTE, by_part
from filters.rewrite import column_of, kind_of, rewritten
from filters.spool import Spool
from filters.text_buffer import Ints
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import DatasetStep, PartOutput, Parts

SLICES = 16
SHOWN = 20
BREAKS = {"line": "\n", "paragraph": "\n\n"}


@dataclass(frozen=True, kw_only=True)
class RepeatedLines(DatasetStep[Record, Record]):
    """Removes lines or paragraphs that several documents share; a row that changes gets a new id."""

    unit: Literal["line", "paragraph"] = "line"
    """Between newlines, or between blank lines (two newlines)."""
    documents: int = 3
    """How many documents must have it."""
    keep_first: bool = True
    """Whether the best of those documents keeps it."""
    min_chars: int = 20
    """Characters of a line that may go, at least."""
    column: str = "text"
    score: str = ""
    """The name of a score; the document with the highest keeps the line. Empty: the one with the lowest id."""
    memory_mb: int = field(default=1024, metadata={"identity": False})
    """Megabytes (10^6 bytes) for the lines' hashes before they go to disk; rows are the same with any."""

    def __post_init__(self) -> None:
        """Refuse what would take out lines that only one document has."""
        if self.documents < 2:
            raise BillError(f"repeated_lines has documents {self.documents}; a line is repeated from 2 on")
        if self.memory_mb < 1:
            raise BillError(f"repeated_lines has memory_mb {self.memory_mb}; it must be at least 1")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        if len(parts):
            column_of(parts.table(0), self.column, self.name)
        repeated, starts = self._repeated(parts)
        top = set(repeated.sort("count", "hash", descending=[True, False]).head(SHOWN)["hash"].to_list())
        for index in range(len(parts)):
            table = parts.table(index)
            texts = column_of(table, self.column, self.name)
            units = self._units(texts).with_columns(row=pl.col("row").cast(pl.Int64) + int(starts[index]))
            units = units.join(repeated, on="hash", how="left", maintain_order="left").with_columns(
                gone=pl.col("count").is_not_null() & (pl.col("owner") != pl.col("row")).fill_null(True)
            )
            stays = units.filter(~pl.col("gone")).group_by("row", maintain_order=True).agg("unit")
            lines = dict(stays.iter_rows())
            gone = units.filter("gone")
            changed = set(gone["row"].to_list())
            new = [
                BREAKS[self.unit].join(lines.get(row, ())).strip("\n") if row in changed else text
                for row, text in enumerate(texts.to_list(), start=int(starts[index]))
            ]
            empty = [row in changed and not text.strip() for row, text in enumerate(new, start=int(starts[index]))]
            output = rewritten(table, {self.column: new}, {"nothing_left": empty}, self.name)
            yield PartOutput(output.kept, output.rejects, self._noted(gone, top))

    def _noted(self, gone: pl.DataFrame, top: set[int]) -> Mapping[str, int]:
        named = Counter(
            " ".join(unit.split())[:80] for unit, key in gone.select("unit", "hash").iter_rows() if key in top
        )
        counts = {
            "rows_changed": gone["row"].n_unique(),
            f"{self.unit}s_removed": len(gone),
            "chars_removed": int(gone["unit"].str.len_chars().sum()),
        }
        return counts | {f"removed: {unit}": count for unit, count in named.items()}

    def _units(self, texts: pl.Series) -> pl.DataFrame:
        """The lines of each text with their hashes; null for those that are left alone."""
        unit = pl.col("unit")
        normal = unit.str.normalize("NFC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
        frame = pl.DataFrame({"unit": texts}).with_row_index("row").with_columns(unit.str.split(BREAKS[self.unit]))
        return frame.explode("unit").with_columns(
            hash=pl.when(normal.str.len_chars() >= max(self.min_chars, 1)).then(normal.hash(seed=0))
        )

    def _repeated(self, parts: Parts) -> tuple[pl.DataFrame, Ints]:
        """Hash, documents and keeper of each line that goes, and where each part's rows begin."""
        starts, spools = [0], [Spool(2, np.uint64, self.memory_mb * MEGABYTE // SLICES) for _ in range(SLICES)]
        found = [pl.DataFrame(schema={"hash": pl.UInt64, "row": pl.Int64, "count": pl.UInt32})]
        try:
            for index in range(len(parts)):
                texts = column_of(parts.table(index, [self.column]), self.column, self.name)
                pairs = self._units(texts).drop_nulls("hash").unique(["row", "hash"], maintain_order=True)
                rows = pairs.select(pl.col("hash"), pl.col("row").cast(pl.UInt64) + starts[-1]).to_numpy()
                share = (rows[:, 0] >> np.uint64(60)).astype(np.int64)
                for at, spool in enumerate(spools):
                    spool.append(rows[share == at])
                starts.append(starts[-1] + len(texts))
            for spool in spools:
                frame = pl.DataFrame({"hash": spool.column(0), "row": spool.column(1).astype(np.int64)})
                counted = frame.with_columns(count=pl.len().over("hash"))
                found.append(counted.filter(pl.col("count") >= self.documents))
        finally:
            for spool in spools:
                spool.__exit__(None, None, None)
        return self._owned(parts, pl.concat(found), np.array(starts)), np.array(starts)

    def _owned(self, parts: Parts, found: pl.DataFrame, starts: Ints) -> pl.DataFrame:
        if not self.keep_first or found.is_empty():
            return found.group_by("hash").agg(pl.col("count").first()).with_columns(owner=pl.lit(None, dtype=pl.Int64))
        rows = found["row"].unique().sort().to_numpy()
        columns = columns_of(kind_of(parts.table(0)))
        frames = [pl.DataFrame(schema=ORDER_SCHEMA)]
        for index, some in by_part(rows, starts):
            table = parts.table(index, list(columns)).take(pa.array(some)).combine_chunks()
            frames.append(order_columns(table, index, self.score))
        ranks = in_order(pl.concat(frames).with_columns(number=pl.Series(rows, dtype=pl.Int64)))
        ranked = ranks.with_row_index("rank").select(pl.col("number").alias("row"), "rank")
        best = found.join(ranked, on="row").sort("rank").group_by("hash", maintain_order=True)
        return best.agg(pl.col("count").first(), owner=pl.col("row").first())
