"""Training items that an evaluation set holds are taken out: by their path, by 18 words in a row, by their question.

An item whose path, walked one way or the other, is that of an evaluation item -> rejected, ``bench_path``; one that has
18 words in a row with one -> ``bench_18_gram``; one whose whole question is that of one too short to have 18 words ->
``bench_question``.

The rule of arXiv 2507.13966 for ICD-Bench, where a path is told by its nodes: the same way over a parallel edge, or
over an inverse that a file calls by a name of its own, has the same answer. Paths that only overlap may stay: putting
known facts together in a new way is what is measured. A paraphrase is not found by any of the three.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from mashbill.errors import BadReply, InputError
from mashbill.fingerprint import content_id
from mashbill.generator_run import reject_of
from mashbill.path_key import PathKey, edges_of, spoken_key
from mashbill.records import QA, Edge, Reject, from_table, to_table
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.words import words

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bench:
    """What of an evaluation set decides: its paths, its runs of words, and its short questions."""

    paths: frozenset[PathKey]
    grams: frozenset[Words]
    short: frozenset[Words]
    items: int


@dataclass(frozen=True, kw_only=True)
class DecontaminatePaths(DatasetStep[QA, QA]):
    """Removes items that share a path or 18 words in a row with an evaluation set."""

    version = 2

    against: str = field(metadata={"identity": False, "file": True})
    """The evaluation set, relative to the bill: a JSON Lines or Parquet file of items, or a folder of Parquet files."""
    words: int = 18
    """The paper's."""
    against_digest: str = ""
    """What the set holds: set by itself, since its content is identity and where it lies is not."""

    def __post_init__(self) -> None:
        """Read the set.

        Raises:
            InputError: for an absent file, one that is neither, or one without an item.
        """
        if self.words < 1:
            raise ValueError(f"words is {self.words}; it must be 1 or more")
        bench = read_bench(Path(self.against), self.words)
        digest = content_id(sorted(bench.paths), sorted(bench.grams), sorted(bench.short))
        object.__setattr__(self, "against_digest", digest)

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """What of each part may be trained on."""
        bench = read_bench(Path(self.against), self.words)
        for index in range(len(parts)):
            kept, rejects = list[QA](), list[Reject]()
            for row in from_table(parts.table(index), QA):
                if bad := held_by(bench, row, self.words):
                    rejects.append(reject_of(bad, row, self.name))
                else:
                    kept.append(row)
            yield PartOutput(to_table(kept, QA), to_table(rejects, Reject))


def held_by(bench: Bench, row: QA, size: int) -> BadReply | None:
    """Why a row may not be trained on, or None."""
    if row.path and spoken_key(row.path) in bench.paths:
        return BadReply("bench_path", f"its path is in the evaluation set: {' - '.join(_nodes(row.path))}")
    text = _words(" ".join((row.context, row.question, *row.options, row.answer, row.rationale)))
    for at in range(len(text) - size + 1):
        if text[at : at + size] in bench.grams:
            return BadReply(f"bench_{size}_gram", f"the evaluation set has: {' '.join(text[at : at + size])}")
    # With its context: all chains to be mended have one question.
    if _words(f"{row.context} {row.question}") in bench.short:
        return BadReply("bench_question", "the evaluation set has the same question")
    return None


@functools.lru_cache(maxsize=4)
def _read(path: Path, stamp: tuple[int, ...], size: int) -> Bench:
    del stamp  # part of what is remembered: a file that was written anew is read anew
    paths, grams, short, items = set[PathKey](), set[Words](), set[Words](), 0
    for row in _rows(path):
        items += 1
        edges = edges_of(row.get("path") or ())
        if edges:
            paths.add(spoken_key(edges))
        asked = _words(f"{row.get('context') or ''} {row['question']}")
        more = (*(row.get("options") or ()), row.get("answer") or "", row.get("rationale") or "")
        whole = (*asked, *_words(" ".join(map(str, more))))
        grams |= {whole[at : at + size] for at in range(len(whole) - size + 1)}
        if len(asked) < size:
            short.add(asked)
    if not items:
        raise InputError("has no item; wanted rows with a question, and a path where there is one", path=path)
    return Bench(frozenset(paths), frozenset(grams), frozenset(short), items)


def read_bench(path: Path, size: int = 18) -> Bench:
    """What of an evaluation set decides.

    Raises:
        InputError: for an absent file, a file of another kind, a broken line, or no item at all.
    """
    if not path.exists():
        raise InputError("no such evaluation set; `against` is taken relative to the bill", path=path)
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    stats = [file.stat() for file in files]
    return _read(path, tuple(number for one in stats for number in (one.st_mtime_ns, one.st_size)), size)


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*.parquet")) if "rejects" not in file.parts]
        for file in files:
            yield from _parquet(file)
    elif path.suffix == ".parquet":
        yield from _parquet(path)
    elif path.suffix in (".jsonl", ".json", ".ndjson"):
        yield from _lines(path)
    else:
        raise InputError("is no evaluation set: wanted .jsonl, .parquet or a folder of .parquet files", path=path)


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    table = pq.read_table(path)
    if "question" not in table.column_names:
        raise InputError(f"has the columns {', '.join(table.column_names)}; wanted at least `question`", path=path)
    yield from table.to_pylist()


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(f"is no JSON: {error}", path=path, line=number) from None
        if not isinstance(row, dict) or not isinstance(row.get("question"), str):
            raise InputError("is no item: wanted an object with a `question`", path=path, line=number)
        yield row


def _nodes(path: tuple[Edge, ...]) -> list[str]:
    return [path[0].head, *(edge.tail for edge in path)]


def _words(text: str) -> Words:
    return tuple(words(text))
