"""Rows whose vectors are too like that of a row that is kept: every pair, block by block.

One row in -> out: a row whose vector has a cosine of 0.97 with a better one -> ``{"part": 0, "row": 3, "kept_id":
"09ab…", "value": 0.97, "cluster": "09ab…", "reason": "semantic_duplicate", …}``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from filters.compared_text import answer_columns, answer_keys, compared_columns, compared_texts, read_columns
from filters.keep_order import ORDER_SCHEMA, columns_of, in_order, order_columns
from filters.near_duplicates import MEGABYTE, Found
from filters.near_rows import answer_codes
from filters.removal import CLUSTERED
from filters.text_buffer import Ints
from mashbill.embedding import load_embedder
from mashbill.errors import StoreError
from mashbill.records import Record
from mashbill.step import Parts

if TYPE_CHECKING:
    from filters.semantic_dedup import SemanticDedup

Vectors = npt.NDArray[np.float32]
BLOCK = 1024
"""Rows held against the kept ones at once."""
SLACK = 1e-6
"""What float rounding may take from a cosine: by which others a text is embedded with changes it by 1e-7."""


def vector_duplicates(step: SemanticDedup, parts: Parts, kind: type[Record]) -> Found:
    """The rows that go."""
    with tempfile.TemporaryFile(prefix="mashbill-") as file:
        about, width = _embedded(step, parts, kind, file)
        if not len(about):
            return Found(pl.DataFrame(schema=CLUSTERED), {"clusters": 0, "pairs_alike": 0})
        file.flush()
        vectors = np.memmap(file, np.float32, "r", shape=(len(about), width))
        ranked = in_order(about).sort(pl.col("answer") < 0, maintain_order=True)
        judge = Judge(step, ranked, vectors)
        for first in range(0, len(ranked), BLOCK):
            judge.take(first, min(first + BLOCK, len(ranked)))
    removed = judge.removed()
    return Found(removed, {"clusters": removed["cluster"].n_unique(), "pairs_alike": judge.pairs})


def _embedded(step: SemanticDedup, parts: Parts, kind: type[Record], file: IO[bytes]) -> tuple[pl.DataFrame, int]:
    """What decides among rows that say something, with the place of each row's vector in the file."""
    embedder, width = load_embedder(step.embedder), 0
    frames, answers = [pl.DataFrame(schema=ORDER_SCHEMA)], list[frozenset[str]]()
    columns = (*columns_of(kind), *compared_columns(kind), *answer_columns(kind))
    for index in range(len(parts)):
        table = read_columns(parts, index, columns, step.name)
        texts = compared_texts(table, kind).to_pylist()
        some = np.array([row for row, text in enumerate(texts) if text.strip()], dtype=np.int64)
        if not len(some):
            continue
        made = embedder.embed([texts[row] for row in some])
        width = made.shape[1]
        try:
            file.write(np.ascontiguousarray(made, dtype=np.float32).tobytes())
        except OSError as error:
            raise StoreError(
                f"{tempfile.gettempdir()}: cannot write vectors: {error.strerror or error}; free some space there or "
                "point TMPDIR at a larger disk"
            ) from error
        table = table.take(some).combine_chunks()
        order = order_columns(table.select(list(columns_of(kind))), index, step.score)
        frames.append(order.with_columns(row=pl.Series(some, dtype=pl.UInt32)))
        answers += answer_keys(table, kind)
    source = pl.when(pl.col("source_id") == "").then(-1).otherwise(pl.col("source_id").rank("dense").cast(pl.Int64))
    about = pl.concat(frames).with_row_index("vector")
    return about.with_columns(answer=pl.Series(answer_codes(answers)), source_code=source), width


@dataclass
class Judge:
    """Rows in their order, and which of those taken so far are kept."""

    step: SemanticDedup
    ranked: pl.DataFrame
    vectors: Vectors
    pairs: int = 0
    """Pairs of a row and a kept one that are alike."""
    kept: list[int] = field(default_factory=list)
    """Places in the order."""
    best: dict[int, tuple[float, int]] = field(default_factory=dict)
    """Place of a removed row -> cosine and place of the kept row it is most like."""

    def __post_init__(self) -> None:
        """Take the columns out of the frame."""
        self.place: Ints = self.ranked["vector"].to_numpy().astype(np.int64)
        self.source: Ints = self.ranked["source_code"].to_numpy()
        self.answer: Ints = self.ranked["answer"].to_numpy()
        self.root = list(range(len(self.ranked)))

    def take(self, first: int, last: int) -> None:
        """Judge the rows of one block against all kept before, then against each other."""
        block = np.asarray(self.vectors[self.place[first:last]])
        for some, vectors in self._kept_vectors():
            for row, rival, cosine in self._alike(first, block, some, vectors):
                self._near(row, rival, cosine)
        inside: dict[int, list[tuple[int, float]]] = {}
        for row, rival, cosine in self._alike(first, block, np.arange(first, last), block):
            if rival < row:
                inside.setdefault(row, []).append((rival, cosine))
        for row in range(first, last):
            for rival, cosine in inside.get(row, ()):
                if rival not in self.best:
                    self._near(row, rival, cosine)
            if row not in self.best:
                self.kept.append(row)

    def removed(self) -> pl.DataFrame:
        """The rows that go (`filters.removal.CLUSTERED`)."""
        gone, ids = sorted(self.best), self.ranked["id"]
        kept = [self.best[row][1] for row in gone]
        same = [bool(self.source[row] == self.source[other] >= 0) for row, other in zip(gone, kept, strict=True)]
        return (
            self.ranked[gone]
            .select("part", "row")
            .with_columns(
                kept_id=ids.gather(kept),
                value=pl.Series([self.best[row][0] for row in gone], dtype=pl.Float64),
                detail=pl.Series(
                    [self._detail(row, one) for row, one in zip(gone, same, strict=True)], dtype=pl.String
                ),
                cluster=ids.gather([self._root(row) for row in gone]),
                reason=pl.lit("semantic_duplicate"),
            )
            .select(list(CLUSTERED))
        )

    def _detail(self, row: int, same: bool) -> str:
        limit = f"{self.step.within_source_threshold} within one source" if same else str(self.step.threshold)
        return f"cosine {self.best[row][0]:.3f} by {self.step.embedder}, limit {limit}"

    def _kept_vectors(self) -> Iterator[tuple[Ints, Vectors]]:
        """The kept rows' places and vectors, as many at once as memory allows."""
        most = max(BLOCK, self.step.memory_mb * MEGABYTE // (4 * (self.vectors.shape[1] + BLOCK)))
        for start in range(0, len(self.kept), most):
            some = np.array(self.kept[start : start + most])
            yield some, np.asarray(self.vectors[self.place[some]])

    def _alike(self, first: int, block: Vectors, others: Ints, vectors: Vectors) -> Iterator[tuple[int, int, float]]:
        """Pairs of a row of the block and another whose cosine is at the limit that holds for them, or above."""
        cosines = block @ vectors.T
        across, within = self.step.threshold - SLACK, self.step.within_source_threshold - SLACK
        rows, columns = np.nonzero(cosines >= min(across, within))
        value, rows, columns = cosines[rows, columns], rows + first, others[columns]
        same = (self.source[rows] == self.source[columns]) & (self.source[rows] >= 0)
        mine, its = self.answer[rows], self.answer[columns]
        good = (value >= np.where(same, within, across)) & ((mine == its) | (mine < 0) | (its < 0))
        yield from zip(rows[good].tolist(), columns[good].tolist(), value[good].tolist(), strict=True)

    def _near(self, row: int, rival: int, cosine: float) -> None:
        self.pairs += 1
        low, high = sorted((self._root(row), self._root(rival)))
        self.root[high] = low
        most, before = self.best.get(row, (-1.0, rival))
        if cosine > most or (cosine == most and rival < before):
            self.best[row] = (cosine, rival)

    def _root(self, row: int) -> int:
        while self.root[row] != row:
            self.root[row] = self.root[self.root[row]]
            row = self.root[row]
        return row
