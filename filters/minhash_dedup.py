"""Remove documents that say nearly the same words as one that is kept.

One row in -> out: two texts of 200 words that differ in five -> the one with the higher score, then the lower id, is
kept, the other rejected, ``near_duplicate``, with ``kept_id`` and ``value`` = their exact Jaccard similarity.

MinHash with bands only proposes pairs (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.4); each decision
is made on exact Jaccard similarities of the shingle sets. Rows are taken best first; one goes when a row already kept
is similar enough, and stays otherwise. So every removed row has a kept row that it was measured against, a chain
a ~ b ~ c of unlike ends keeps both ends, and doing it again removes nothing. Union of pairs into clusters would lose
all three of these.

Two thresholds. Across documents 0.75, where datatrove's 14 x 8 bands and FineWeb's lie. Between texts made from one
source document 0.9: EntiGraph tells one document many times over in different pairings, and that overlap is what the
method is for (Yang et al. 2024, arXiv 2409.07431); a threshold of 0.75 would delete the method's benefit.

Memory: 8 bytes for each row and band (168 with the defaults) and about 100 for its id, plus the shingle hashes of
the rows that share a band with another row. Texts are read again for those rows only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from filters.hashing import Hashes
from filters.keep_order import COLUMNS, ORDER_SCHEMA, in_order, order_columns
from filters.lsh_buckets import ALONE, Buckets, Removal, near_duplicates, shared_buckets
from filters.minhash_signature import band_keys, bands_for, signatures
from filters.removal import frame_of, outputs
from filters.shingles import BOILERPLATE, Shingles, comparable, shingles
from mashbill.errors import BillError
from mashbill.records import Document
from mashbill.step import DatasetStep, PartOutput, Parts


@dataclass(frozen=True, kw_only=True)
class MinhashDedup(DatasetStep[Document, Document]):
    """Keeps one of several nearly equal documents: the best scored, then the lowest id."""

    threshold: float = 0.75
    """Jaccard similarity from which two rows of different sources are duplicates."""
    within_source_threshold: float = 0.9
    """The same for two rows made from one source document."""
    shingle_words: int = 5
    num_perm: int = 128
    seed: int = 1
    recall: float = 0.95
    """Least share of pairs at the lower threshold that the bands must find."""
    boilerplate: tuple[str, ...] = BOILERPLATE
    """Regular expressions (Rust syntax) for what is taken out before two texts are compared."""
    score: str = ""
    """The name of a score; the highest is kept. Empty: the lowest id is kept."""

    def __post_init__(self) -> None:
        """Refuse settings under which no pair could be found."""
        for name in ("threshold", "within_source_threshold", "recall"):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise BillError(f"minhash_dedup has {name} {value}; it must be above 0 and at most 1")
        if self.shingle_words < 1 or self.num_perm < 1:
            raise BillError("minhash_dedup needs shingle_words and num_perm of at least 1")
        try:
            self.bands()
        except ValueError as error:
            raise BillError(f"minhash_dedup: {error}") from error

    def bands(self) -> tuple[int, int]:
        """Bands and rows of the index."""
        return bands_for(min(self.threshold, self.within_source_threshold), self.num_perm, self.recall)

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        yield from outputs(parts, self._removed(parts), step=self.name, kind=Document, reason="near_duplicate")

    def _removed(self, parts: Parts) -> pl.DataFrame:
        """The removal list (see `filters.removal`)."""
        rows, buckets = self._index(parts)
        candidates = in_order(rows.filter(np.any(buckets != ALONE, axis=1)))
        ids = dict(candidates.select("number", "id").iter_rows())
        found = near_duplicates(
            candidates["number"].to_list(),
            buckets,
            self._shingle_sets(parts, candidates),
            dict(candidates.select("number", "source_id").iter_rows()),
            threshold=self.threshold,
            within_source_threshold=self.within_source_threshold,
        )
        gone = pl.DataFrame(
            [(gone.row, ids[gone.kept], gone.similarity, self._detail(gone)) for gone in found],
            schema={"number": pl.UInt32, "kept_id": pl.String, "value": pl.Float64, "detail": pl.String},
            orient="row",
        )
        return rows.join(gone, on="number").select("part", "row", "kept_id", "value", "detail")

    def _detail(self, gone: Removal) -> str:
        limit = f"{self.within_source_threshold} within one source" if gone.same_source else str(self.threshold)
        return f"similarity {gone.similarity:.3f} over {self.shingle_words}-word shingles, limit {limit}"

    def _index(self, parts: Parts) -> tuple[pl.DataFrame, Buckets]:
        """All rows, numbered as they are read, and the buckets they share."""
        bands, rows = self.bands()
        frames, keys = [pl.DataFrame(schema=ORDER_SCHEMA)], [np.zeros((0, bands), dtype=np.uint64)]
        empty = [np.zeros(0, dtype=np.bool_)]
        for index in range(len(parts)):
            table = parts.table(index, [*COLUMNS, "text"])
            frames.append(order_columns(table, index, self.score))
            for part in self._shingles(table):
                keys.append(band_keys(signatures(part, self.num_perm, self.seed), bands, rows))
                empty.append(np.diff(part.bounds) == 0)
        buckets = shared_buckets(np.concatenate(keys))
        buckets[np.concatenate(empty)] = ALONE
        return pl.concat(frames).with_row_index("number"), buckets

    def _shingle_sets(self, parts: Parts, candidates: pl.DataFrame) -> dict[int, Hashes]:
        """The shingle sets of the candidates, by number; their texts are read again, part by part."""
        sets: dict[int, Hashes] = {}
        for (index, *_), rows in candidates.sort("number").partition_by("part", as_dict=True).items():
            table = parts.table(int(index), ["text"]).take(rows["row"].to_arrow())
            every = (made for part in self._shingles(table) for made in part.sets())
            sets.update(zip(rows["number"].to_list(), every, strict=True))
        return sets

    def _shingles(self, table: pa.Table) -> Iterator[Shingles]:
        texts = frame_of(table.select(["text"])).select(comparable("text", self.boilerplate))["text"]
        return shingles(texts, self.shingle_words)
