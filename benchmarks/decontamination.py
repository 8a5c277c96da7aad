"""How fast documents are compared with evaluation items, beside loops of plain Python over the same documents.

    MASHBILL_DATA=data python -m benchmarks.decontamination --passages 10000 --json runs/decontamination.json

Ours is the whole step: Arrow in, kept and rejected rows out, all reasons. The loops look for runs of 13 words alone and
keep nothing: one cuts words as datatrove's text simplification does (lower case, a regular expression for
punctuation, split at white space) and looks each run up in a set of tuples; the other joins each run into a string, as
its `ngrams` do before they are hashed. Same run, one core, processor time, the best of some rounds. One passage in a
hundred has a test question planted in it, and all must be found.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import orjson
import pyarrow as pa

from benchmarks.passages import passages
from filters.compared_words import compared_words
from filters.decontaminate import Decontaminate
from filters.removal import frame_of
from mashbill.disk import write_json
from mashbill.records import Document, to_table
from mashbill.step import PartOutput

PART = 1000
SIZE = 13
_SIGNS = re.compile(r"[^\w\s]|_")


class _Parts:
    def __init__(self, tables: Sequence[pa.Table]) -> None:
        self.tables = tables

    def __len__(self) -> int:
        return len(self.tables)

    def table(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        return self.tables[index] if columns is None else self.tables[index].select(list(columns))

    def __iter__(self) -> Iterator[pa.Table]:
        return iter(self.tables)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MASHBILL_DATA", "data")))
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args(arguments)
    bench = options.data / "gsm8k_train_500.jsonl"
    items = [orjson.loads(line) for line in bench.read_bytes().splitlines()]
    texts = passages(options.passages)
    for at in range(0, len(texts), 100):
        texts[at] = f"{texts[at]}\n\n{items[at // 100 % len(items)]['question'].upper()}"
    size = sum(len(text.encode()) for text in texts) / len(texts)
    step = Decontaminate(against=str(bench))
    documents = [Document.new(text=text) for text in texts]
    tables = [to_table(documents[at : at + PART], Document) for at in range(0, len(documents), PART)]
    outputs = list(step.run(_Parts(tables)))  # compiles, and reads the set
    planted = {document.id for document in documents[::100]}
    found = {row for output in outputs for row in output.rejects["id"].to_pylist()}
    others = len(found - planted)
    assert planted <= found, "a planted question was not found"
    rates = {"ours: the whole step": _rate(texts, options.rounds, lambda: _run(step, tables))}
    columns = [frame_of(table.select(["text"]))["text"] for table in tables]
    rates["ours: words alone"] = _rate(texts, options.rounds, lambda: [list(compared_words(one)) for one in columns])
    known = {run for item in items for run in _runs(_words(f"{item['question']}\n{item['answer']}"))}
    strings = {" ".join(run) for run in known}
    rates["a loop, tuples in a set"] = _rate(
        texts, 1, lambda: [not known.isdisjoint(_runs(_words(text))) for text in texts]
    )
    rates["a loop, strings in a set"] = _rate(
        texts, 1, lambda: [any(" ".join(run) in strings for run in _runs(_words(text))) for text in texts]
    )
    print(f"{len(texts):,} passages of {size:,.0f} bytes, {len(items)} items")
    print(f"{len(planted)} planted, all found; {others} others")
    for name, rate in rates.items():
        ratio = rates["ours: the whole step"] / rate
        print(f"{name:<28} {rate:>9,.0f} a second, {rate * size / 1e6:>5.0f} MB/s; ours is {ratio:.1f} times as fast")
    if options.json:
        write_json(options.json, {"passages": len(texts), "bytes": size, "rates": rates, "others": others})


def _run(step: Decontaminate, tables: Sequence[pa.Table]) -> list[PartOutput]:
    return list(step.run(_Parts(tables)))


def _words(text: str) -> list[str]:
    return _SIGNS.sub(" ", text.lower()).split()


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[at:] for at in range(SIZE)), strict=False)


def _rate(texts: Sequence[str], rounds: int, work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return len(texts) / min(seconds)


if __name__ == "__main__":
    main()
