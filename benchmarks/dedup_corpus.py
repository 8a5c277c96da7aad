"""Corpora for deduplication with a known truth: real passages or made text, and copies with some words replaced.

A seed gives the same parts. How many words of a copy are replaced is drawn from 0 to `most`, so that similarities lie
on both sides of every threshold in use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mashbill.records import Document, to_table

WORDS = 300
PART = 1000
COPIES = 5
"""Every how manieth row is a copy."""


@dataclass(frozen=True)
class Folder:
    """Parquet parts of a folder, as a step reads them."""

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path) -> Folder:
        """The parts that lie there."""
        return cls(tuple(sorted(folder.glob("*.parquet"))))

    def __len__(self) -> int:
        return len(self.paths)

    def table(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One part, or some of its columns."""
        with pq.ParquetFile(self.paths[index]) as file:
            return file.read(columns=None if columns is None else list(columns))

    def __iter__(self) -> Iterator[pa.Table]:
        return (self.table(index) for index in range(len(self)))


def write_real(folder: Path, texts: Sequence[str], seed: int = 1, most: int = 14) -> Folder:
    """Real passages, a fifth of the rows copies of one of them."""
    draw = np.random.default_rng(seed)
    vocabulary = sorted({word for text in texts[:500] for word in text.split()})
    rows = list[str]()
    waiting = iter(texts)
    for number in range(len(texts) * COPIES // (COPIES - 1)):
        if number % COPIES == COPIES - 1:
            words = rows[int(draw.integers(len(rows)))].split(" ")
            for at in draw.integers(0, len(words), int(draw.integers(0, most + 1))):
                words[at] = vocabulary[int(draw.integers(len(vocabulary)))]
            rows.append(" ".join(words))
        elif (text := next(waiting, None)) is not None:
            rows.append(text)
    for first in range(0, len(rows), PART):
        _write(folder, first, rows[first : first + PART])
    return Folder.of(folder)


def write_made(folder: Path, count: int, seed: int = 1, most: int = 14) -> Folder:
    """Made text of 300 words, with the word frequencies of a natural language; written part by part."""
    draw = np.random.default_rng(seed)
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgkqjxz", np.uint8)
    sizes = draw.integers(3, 10, 50_000)
    vocabulary = [letters[draw.integers(0, 26, size)].tobytes().decode() for size in sizes]
    chances = 1.0 / (np.arange(len(vocabulary)) + 3)
    totals = np.cumsum(chances / chances.sum())
    for first in range(0, count, PART):
        words = np.searchsorted(totals, draw.random((min(PART, count - first), WORDS)))
        for row in range(COPIES - 1, len(words), COPIES):
            words[row] = words[int(draw.integers(row))]
            changed = draw.integers(0, WORDS, int(draw.integers(0, most + 1)))
            words[row, changed] = draw.integers(0, len(vocabulary), len(changed))
        _write(folder, first, [" ".join([vocabulary[word] for word in row]) for row in words.tolist()])
    return Folder.of(folder)


def _write(folder: Path, first: int, texts: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = len(texts)
    empty = to_table([Document(text="")], Document)
    table = pa.concat_tables([empty] * rows).combine_chunks()
    own = {
        "id": [f"{row:032x}" for row in range(first, first + rows)],
        "source_id": [f"s{row:031x}" for row in range(first, first + rows)],
        "text": list(texts),
    }
    for name, values in own.items():
        field = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
    pq.write_table(table, folder / f"part-{first // PART:05d}.parquet", compression="zstd")
