"""Remove rows that say nearly the same words as one that is kept: documents, questions, instructions, any record type.

One row in -> out: two texts of 200 words that differ in five -> the one with the higher score, then the lower id, is
kept, the other rejected, ``near_duplicate``, with ``kept_id``, ``value`` = their exact Jaccard similarity, and
``cluster`` = the id of the best of all rows that similarities connect.

MinHash with bands only proposes pairs (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.4); each decision
is made on exact Jaccard similarities of the shingle sets. Rows are taken best first; one goes when a row already kept
is similar enough, and stays otherwise. So every removed row has a kept row that it was measured against, a chain
a ~ b ~ c of unlike ends keeps both ends, and doing it again removes nothing. Union of pairs into clusters would lose
all three of these; it says in ``cluster`` what hangs together, and decides nothing.

Two thresholds. Across documents 0.75, where datatrove's 14 x 8 bands and FineWeb's lie. Between texts made from one
source document 0.9: EntiGraph tells one document many times over in different pairings, and that overlap is what the
method is for (Yang et al. 2024, arXiv 2409.07431); a threshold of 0.75 would delete the method's benefit.

Questions are compared by what they ask (`filters.compared_text`), and two that are answered differently are no
duplicates, however alike they read: one word can ask for something else. `exact_dedup` finds true conflicts.

Memory: `memory_mb` bounds the band keys (8 bytes for each row and band), the shingles (8 bytes for each word), and the
sets that are judged at once; what is beyond goes to temporary files. Without a bound stay 16 bytes a row and about 200
a candidate. Texts are read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from filters.compared_text import kind_of_parts
from filters.indexes import Indexes
from filters.minhash_signature import bands_for
from filters.near_duplicates import Found, near_duplicates
from filters.near_report import near_report
from filters.removal import outputs
from filters.shingles import BOILERPLATE
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored


@dataclass(frozen=True, kw_only=True)
class MinhashDedup(DatasetStep[Record, Record]):
    """Keeps one of several nearly equal rows: the best scored, then the lowest id."""

    version = 2

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
    against: str | tuple[str, ...] = field(default="", metadata={"identity": False, "file": True})
    """An index of earlier releases (`mashbill dedup index`), or several, relative to the bill; their rows come before
    all others."""
    against_digest: str = ""
    """What they hold: set by itself, since its content is identity and where it lies is not."""
    ray: str = field(default="", metadata={"identity": False})
    """The address of a Ray cluster to do it on (``local`` starts one here); rows are the same. Empty: this process."""
    memory_mb: int = field(default=1024, metadata={"identity": False})
    """Megabytes (10^6 bytes) for keys and shingles before they go to disk; rows are the same with any."""

    def __post_init__(self) -> None:
        """Refuse settings under which no pair could be found, and look at the index.

        Raises:
            BillError: for such settings.
            InputError: for an index that is absent or unfinished.
        """
        for name in ("threshold", "within_source_threshold", "recall"):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise BillError(f"minhash_dedup has {name} {value}; it must be above 0 and at most 1")
        for name in ("shingle_words", "num_perm", "memory_mb"):
            if getattr(self, name) < 1:
                raise BillError(f"minhash_dedup has {name} {getattr(self, name)}; it must be at least 1")
        try:
            self.bands()
        except ValueError as error:
            raise BillError(f"minhash_dedup: {error}") from error
        object.__setattr__(self, "against_digest", Indexes.open(self.against).digest)

    def bands(self) -> tuple[int, int]:
        """Bands and rows of the index."""
        return bands_for(min(self.threshold, self.within_source_threshold), self.num_perm, self.recall)

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        found = self.removals(parts)
        kind = kind_of_parts(parts)
        yield from outputs(parts, found.removed, step=self.name, kind=kind, noted=found.noted)

    def removals(self, parts: Parts) -> Found:
        """The rows that go, without writing anything (see `filters.removal`)."""
        if self.ray:
            from filters.minhash_ray import near_duplicates_on_ray

            return near_duplicates_on_ray(self, parts, kind_of_parts(parts))
        return near_duplicates(self, parts, kind_of_parts(parts))

    def report(self, source: Stored, stored: Stored) -> Mapping[str, Any]:
        """Clusters and removal rates, for the manifest."""
        return near_report(source, stored)

    def detail(self, similarity: float, same_source: bool) -> str:
        """What a removed row's reject says."""
        limit = f"{self.within_source_threshold} within one source" if same_source else str(self.threshold)
        return f"similarity {similarity:.3f} over {self.shingle_words}-word shingles, limit {limit}"

    def details(self, removed: pl.DataFrame) -> pl.Series:
        """The same for many rows with `value` and `same_source`."""
        rows = removed.select("value", "same_source").iter_rows()
        return pl.Series([self.detail(value, same) for value, same in rows], dtype=pl.String)
