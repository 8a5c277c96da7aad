"""How many documents a second the filters judge, and how that compares with datasketch on the same machine.

A made corpus of 200-word documents, a fifth of them near copies of another; all measured in one process, best of
several rounds. Time is processor time, all threads together, so that the figures are per core and do not depend on
what else the machine does; wall time is in the JSON. Both MinHash rows begin with normalised text and end with the
signatures of 128 permutations; ours are checked to be what datasketch makes of the same hashes, bit for bit.

    .venv/bin/python -m benchmarks.curation --documents 10000 --json runs/curation.json
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasketch
import numpy as np
import polars as pl
import pyarrow as pa

from filters.exact_dedup import ExactDedup
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.language import Language
from filters.length import Length
from filters.measured import texts_of
from filters.minhash_dedup import MinhashDedup
from filters.minhash_signature import hash32, signatures
from filters.refusals import Refusals
from filters.shingles import comparable, shingles
from mashbill.disk import write_json
from mashbill.filter_stack import apply_filters
from mashbill.records import Document, to_table
from mashbill.step import DatasetStep, Filter

FILTERS: tuple[Filter[Any], ...] = (
    Length(min_words=20),
    Refusals(),
    Language(),
    GopherQuality(),
    GopherRepetition(),
)
DEDUPS: tuple[DatasetStep[Any, Any], ...] = (ExactDedup(), MinhashDedup())
PARTS = 4


@dataclass
class Memory:
    """Parts in memory."""

    tables: list[pa.Table]

    def __len__(self) -> int:
        return len(self.tables)

    def table(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One part, or some of its columns."""
        return self.tables[index] if columns is None else self.tables[index].select(list(columns))

    def __iter__(self) -> Iterator[pa.Table]:
        return iter(self.tables)


@dataclass
class Rates:
    """Name -> documents a second, of processor time and of wall time."""

    rounds: int
    processor: dict[str, float] = field(default_factory=dict)
    wall: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, count: int, work: Callable[[], object]) -> None:
        """Do the work several times and keep the best."""
        times = [_seconds(work) for _ in range(self.rounds)]
        self.processor[name] = count / min(processor for processor, _ in times)
        self.wall[name] = count / min(wall for _, wall in times)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args(arguments)
    documents = corpus(options.documents)
    rates = measure(documents, options.rounds)
    width = max(map(len, rates.processor))
    print(f"{len(documents)} documents of 200 words, best of {options.rounds}\n")
    for name, rate in rates.processor.items():
        print(f"{name:<{width}}  {rate:>10,.0f} documents a second of one core")
    ratio = rates.processor["minhash signatures"] / rates.processor["datasketch signatures"]
    print(f"\nsignatures: {ratio:.1f} x datasketch")
    if options.json:
        numbers = {"documents": len(documents), "processor": rates.processor, "wall": rates.wall, "ratio": ratio}
        write_json(options.json, {**numbers, "cores": os.cpu_count()})


def corpus(count: int, seed: int = 1) -> list[Document]:
    """Documents of words with the frequencies of a natural language, a fifth of them near copies."""
    draw = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    common = ["the", "of", "and", "to", "that", "with", "have", "be"]
    words = common + ["".join(draw.choices(letters, k=draw.randint(3, 9))) for _ in range(20_000)]
    chances = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(words))))
    made: list[list[str]] = []
    for number in range(count):
        if number % 5 == 4:
            text = list(made[draw.randrange(len(made))])
            for at in draw.sample(range(200), 4):
                text[at] = draw.choice(words)
        else:
            text = draw.choices(words, cum_weights=chances, k=200)
        made.append(text)
    return [Document.new(text=lines_of(text), source_id=str(number)) for number, text in enumerate(made)]


def lines_of(words: Sequence[str]) -> str:
    """Sentences of 20 words, paragraphs of 5 sentences."""
    sentences = [" ".join(words[at : at + 20]).capitalize() + "." for at in range(0, len(words), 20)]
    return "\n\n".join(" ".join(sentences[at : at + 5]) for at in range(0, len(sentences), 5))


def measure(documents: Sequence[Document], rounds: int) -> Rates:
    """Everything once over."""
    count, size = len(documents), -(-len(documents) // PARTS)
    parts = Memory([to_table(documents[at : at + size], Document) for at in range(0, count, size)])
    rates = Rates(rounds)

    def judge(filters: Sequence[Filter[Any]]) -> Callable[[], object]:
        return lambda: [apply_filters(filters, part, Document) for part in fresh(parts)]

    def dedup(step: DatasetStep[Any, Any]) -> Callable[[], object]:
        return lambda: list(step.run(parts))

    for one in FILTERS:
        rates.add(one.name, count, judge([one]))
    rates.add("all filters, one query", count, judge(FILTERS))
    for step in DEDUPS:
        rates.add(step.name, count, dedup(step))
    texts = pl.DataFrame({"text": [document.text for document in documents]}).select(comparable("text"))["text"]
    rates.add("minhash signatures", count, lambda: [signatures(part) for part in shingles(texts_of(texts), 5)])
    some = texts.head(500)
    rates.add("datasketch signatures", len(some), lambda: by_datasketch(some))
    assert np.array_equal(
        np.concatenate([signatures(part) for part in shingles(texts_of(some), 5)]), same_by_datasketch(some)
    )
    return rates


def fresh(parts: Memory) -> Iterator[pa.Table]:
    """The parts, each with a text of its own at the end, so that no measurement is remembered from the round before."""
    for table in parts:
        text = table["text"].to_pylist()
        text[-1] += f" {time.perf_counter_ns()}"
        yield table.set_column(table.schema.get_field_index("text"), table.schema.field("text"), pa.array(text))


def by_datasketch(texts: pl.Series) -> list[datasketch.MinHash]:
    """Datasketch as its documentation uses it: its own hash of each shingle, one update a text."""
    made = []
    for text in texts:
        words = text.split(" ")
        sketch = datasketch.MinHash(num_perm=128, seed=1)
        sketch.update_batch([" ".join(words[at : at + 5]).encode() for at in range(len(words) - 4)])
        made.append(sketch)
    return made


def same_by_datasketch(texts: pl.Series) -> np.ndarray:
    """Datasketch's signatures of the shingle hashes that ours are made from."""
    rows = []
    for part in shingles(texts_of(texts), 5):
        for start, end in itertools.pairwise(part.bounds.tolist()):
            sketch = datasketch.MinHash(num_perm=128, seed=1, hashfunc=int)
            sketch.update_batch(hash32(part.hashes[start:end]).tolist())
            rows.append(sketch.hashvalues)
    return np.array(rows)


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    processor, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - processor, time.perf_counter() - wall


if __name__ == "__main__":
    main()
