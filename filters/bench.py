"""Evaluation sets as one index, and why rows must not be trained on because of them.

The item ``{"question": "Who taxed salt?"}`` of ``quiz.jsonl`` and a row that asks ``who taxed SALT`` ->
``bench_question``, ``quiz.jsonl:1 asks the same: who taxed salt``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from filters.bench_audit import Audit
from filters.bench_index import AT, LENGTH, PIECE, Pieces, RunIndex, Runs, ShortIndex
from filters.compared_words import ComparedWords, all_words, compared_words, said_words
from filters.row_texts import asked_columns, text_of
from mashbill.bench_items import BenchItem, bench_items
from mashbill.path_key import PathKey, edges_of, spoken_key
from mashbill.records import Document, Record, schema_of

LONG = 18
"""Words in a row that count under a name of their own: the paper's (arXiv 2507.13966)."""
SHOWN = 30
"""Words of a run that a reject's detail shows."""
FOUND = {"row": pl.Int64, "reason": pl.String, "detail": pl.String, "value": pl.Float64}
"""What is found of a batch: which row, why, where, and how many words in a row."""


@dataclass(frozen=True)
class Limits:
    """How much a row may share with an item."""

    words: int
    """Words in a row from which it goes."""
    least: int
    """Words in a row from which it is counted."""
    short: int
    """Words of an item from which it is looked for inside texts."""
    common: int
    """Items that a run may stand in before it counts as how such items are put."""


@dataclass(frozen=True)
class Texts:
    """The texts of a batch of rows, each set of columns read once."""

    rows: pl.DataFrame
    kind: type[Record]
    _words: dict[tuple[str, ...], list[ComparedWords]] = field(default_factory=dict)
    _said: dict[tuple[str, ...], pl.Series] = field(default_factory=dict)

    def said(self, columns: Sequence[str]) -> pl.Series:
        """The text of some columns of each row, a line each."""
        key = tuple(columns)
        if key not in self._said:
            self._said[key] = self.rows.select(text=text_of(self.kind, columns))["text"]
        return self._said[key]

    def words(self, columns: Sequence[str]) -> list[ComparedWords]:
        """Its words, chunk by chunk."""
        key = tuple(columns)
        if key not in self._words:
            self._words[key] = list(compared_words(self.said(columns)))
        return self._words[key]


@dataclass(frozen=True)
class Bench:
    """Items with all that finds them."""

    items: Sequence[BenchItem]
    names: Sequence[str]
    """Of each item the set it is from."""
    sets: Sequence[str]
    limits: Limits
    paths: dict[PathKey, int]
    asked: pl.DataFrame
    """A hash of the words of what is asked, and the first item that asks it."""
    pieces: Pieces
    runs: RunIndex
    shorts: Pieces
    short: ShortIndex
    _audits: dict[str, Audit] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, places: Sequence[Path], limits: Limits, fields: Sequence[str]) -> Bench:
        """The items of some sets, indexed.

        Raises:
            InputError: for a set that cannot be read, or holds no item.
        """
        items, names, sets = list[BenchItem](), list[str](), set_names(places)
        for place, name in zip(places, sets, strict=True):
            items.extend(bench_items(place, fields))
            names.extend([name] * (len(items) - len(names)))
        paths: dict[PathKey, int] = {}
        for number, item in enumerate(items):
            if item.path:
                paths.setdefault(item.path, number)
        pieces = _pieces(items)
        runs = RunIndex.of(pieces.hash, pieces.bounds, limits.least, limits.common)
        questions = [number for number, item in enumerate(items) if item.question and not item.context]
        shorts = Pieces.of([items[number].question for number in questions], questions)
        short = ShortIndex.of(shorts, limits.short, limits.least)
        return cls(items, names, sets, limits, paths, _asked(items), pieces, runs, shorts, short)

    def judge(self, rows: pl.DataFrame, kind: type[Record], columns: Sequence[str]) -> tuple[pl.DataFrame, int]:
        """Of each row that shares too much the first reason; and how many others share a run that is counted only."""
        texts = Texts(rows, kind)
        found, kept = [self._by_path(rows, kind), self._by_question(texts)], list[int]()
        # A document's title and text apart: its text is then read once for what it asks and for what it says.
        for group in [[name] for name in columns] if kind is Document else [columns]:
            said, under = self._by_words(texts, group)
            found.append(said)
            kept += under
        gone = pl.concat(found).unique("row", keep="first", maintain_order=True).sort("row")
        return gone, len(set(kept) - set(gone["row"].to_list()))

    def audit(self, embedder: str) -> Audit:
        """What compares rows with the items by an embedder; made once."""
        if embedder not in self._audits:
            self._audits[embedder] = Audit(embedder, [f"{item.context} {item.question}".strip() for item in self.items])
        return self._audits[embedder]

    def where(self, number: int) -> str:
        """The place of an item, after the name of its set where that is a folder."""
        item, name = self.items[number], self.names[number]
        file, _, line = item.where.rpartition(":")
        return f"{name}:{line}" if name.endswith(file) else f"{name}/{item.where}"

    def _by_path(self, rows: pl.DataFrame, kind: type[Record]) -> pl.DataFrame:
        column = next((name for name in ("path", "edges") if name in schema_of(kind).names), "")
        found = []
        if column and self.paths:
            some = rows.with_row_index("row").filter(pl.col(column).list.len() > 0)
            for row, edges in some.select("row", column).iter_rows():
                key = spoken_key(edges_of(edges))
                if key in self.paths:
                    detail = f"{self.where(self.paths[key])} has the path {' - '.join(key)}"
                    found.append((row, "bench_path", detail, None))
        return pl.DataFrame(found, schema=FOUND, orient="row")

    def _by_question(self, texts: Texts) -> pl.DataFrame:
        found = [pl.DataFrame(schema={"row": pl.Int64, "asked": pl.UInt64, "item": pl.Int64, "text": pl.String})]
        for columns in asked_columns(texts.kind):
            whole = np.concatenate([np.zeros(0, np.uint64), *(one.whole() for one in texts.words(columns))])
            frame = pl.DataFrame({"row": np.arange(len(whole)), "asked": whole})
            hits = frame.join(self.asked, on="asked", how="inner", maintain_order="left")
            found.append(hits.with_columns(text=texts.said(columns).gather(hits["row"])))
        hits = pl.concat(found).unique("row", keep="first", maintain_order=True)
        details = [
            f"{self.where(item)} asks the same: {_shown(said_words(text))}"
            for text, item in hits.select("text", "item").iter_rows()
        ]
        reasons = ["bench_question"] * len(hits)
        return pl.DataFrame(
            {"row": hits["row"], "reason": reasons, "detail": details, "value": [None] * len(hits)}, schema=FOUND
        )

    def _by_words(self, texts: Texts, columns: Sequence[str]) -> tuple[pl.DataFrame, list[int]]:
        found, kept, start = list[tuple[int, str, str, float]](), list[int](), 0
        for words in texts.words(columns):
            whole = self.short.found(words)
            best = self.runs.longest(words)
            for row in np.flatnonzero((best[:, LENGTH] > 0) | (whole[:, LENGTH] > 0)).tolist():
                if one := self._said(texts.said(columns)[start + row], best[row], whole[row]):
                    found.append((start + row, *one))
                else:
                    kept.append(start + row)
            start += len(words)
        return pl.DataFrame(found, schema=FOUND, orient="row"), kept

    def _said(self, text: str, best: Runs, whole: Runs) -> tuple[str, str, float] | None:
        length = int(best[LENGTH])
        if length >= self.limits.words:
            reason = f"bench_{LONG if length >= LONG > self.limits.words else self.limits.words}_gram"
            where = self.where(int(self.pieces.owners[best[PIECE]]))
            run = said_words(text)[best[AT] : best[AT] + length]
            return reason, f"{where} has {length} words in a row of it: {_shown(run)}", float(length)
        if whole[LENGTH]:
            where = self.where(int(self.shorts.owners[whole[PIECE]]))
            run = said_words(text)[whole[AT] : whole[AT] + whole[LENGTH]]
            return "bench_short_item", f"{where} stands in it whole: {_shown(run)}", float(whole[LENGTH])
        return None


def set_names(places: Sequence[Path]) -> list[str]:
    """What sets are called: their file's or folder's name, with as many folders above it as tell them apart.

    >>> set_names([Path("a/mmlu/test.jsonl"), Path("a/arc/test.jsonl"), Path("a/gsm8k.jsonl")])
    ['mmlu/test.jsonl', 'arc/test.jsonl', 'gsm8k.jsonl']
    """
    names = [place.name for place in places]
    for above in range(2, max(len(place.parts) for place in places) + 1):
        names = [
            Path(*place.parts[-above:]).as_posix() if names.count(name) > 1 else name
            for place, name in zip(places, names, strict=True)
        ]
    return names


def _shown(words: Sequence[str]) -> str:
    return " ".join(words[:SHOWN]) + (" …" if len(words) > SHOWN else "")


def _pieces(items: Sequence[BenchItem]) -> Pieces:
    """The texts of items in whose words runs are looked for: the passage, and the question with all that follows."""
    texts, owners = list[str](), list[int]()
    for number, item in enumerate(items):
        for text in (item.context, "\n".join((item.question, *item.rest))):
            texts.append(text)
            owners.append(number)
    return Pieces.of(texts, owners)


def _asked(items: Sequence[BenchItem]) -> pl.DataFrame:
    """What items ask: a question without a passage; with one both together, and the question if no other item asks it.

    Chains to be mended and passages to be summed up have one question for all: what is asked is in the passage.
    """
    alone = all_words(pl.Series([item.question for item in items], dtype=pl.String)).whole().tolist()
    both = all_words(pl.Series([f"{item.context} {item.question}" for item in items], dtype=pl.String)).whole().tolist()
    passages: dict[int, set[str]] = {}
    for item, question in zip(items, alone, strict=True):
        passages.setdefault(question, set()).add(item.context)
    found: dict[int, int] = {}
    for number, item in enumerate(items):
        if alone[number]:
            if not item.context or len(passages[alone[number]]) == 1:
                found.setdefault(alone[number], number)
            found.setdefault(both[number], number)
    return pl.DataFrame(
        {"asked": list(found), "item": list(found.values())}, schema={"asked": pl.UInt64, "item": pl.Int64}
    )
