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
from filters.bench_index import AT, LENGTH, PIECE, Pieces, RunIndex, Runs, ShortIndex, chunks_of
from filters.compared_words import ComparedWords, as_compared
from filters.row_texts import asked_of, text_of
from mashbill.bench_items import BenchItem, bench_items
from mashbill.path_key import PathKey, edges_of, spoken_key
from mashbill.records import Record, schema_of

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
class Bench:
    """Items with all that finds them."""

    items: Sequence[BenchItem]
    names: Sequence[str]
    """Of each item the set it is from."""
    sets: Sequence[str]
    limits: Limits
    paths: dict[PathKey, int]
    asked: dict[str, int]
    """What is asked, as it is compared -> the first item that asks it."""
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
        walked = self._by_path(rows, kind)
        asked = self._by_question(rows, kind)
        said, kept = self._by_words(rows.select(text=text_of(kind, columns))["text"])
        found = pl.concat([walked, asked, said]).unique("row", keep="first", maintain_order=True)
        gone = set(found["row"].to_list())
        return found.sort("row"), sum(row not in gone for row in kept)

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

    def _by_question(self, rows: pl.DataFrame, kind: type[Record]) -> pl.DataFrame:
        known = pl.DataFrame(
            {"asked": list(self.asked), "item": list(self.asked.values())},
            schema={"asked": pl.String, "item": pl.Int64},
        )
        found = [pl.DataFrame(schema={"row": pl.Int64, "asked": pl.String, "item": pl.Int64})]
        for one in asked_of(kind):
            asked = as_compared(rows.select(one.alias("text"))["text"]).rename("asked")
            frame = pl.DataFrame({"row": pl.int_range(len(asked), eager=True), "asked": asked})
            found.append(frame.join(known, on="asked", how="inner", maintain_order="left"))
        hits = pl.concat(found).unique("row", keep="first", maintain_order=True)
        details = [
            f"{self.where(item)} asks the same: {_shown(asked)}"
            for asked, item in hits.select("asked", "item").iter_rows()
        ]
        return pl.DataFrame(
            {
                "row": hits["row"],
                "reason": ["bench_question"] * len(hits),
                "detail": details,
                "value": [None] * len(hits),
            },
            schema=FOUND,
        )

    def _by_words(self, texts: pl.Series) -> tuple[pl.DataFrame, list[int]]:
        found, kept = list[tuple[int, str, str, float]](), list[int]()
        for rows, words in chunks_of(texts):
            whole = self.short.found(words)
            best = self.runs.longest(words)
            for row in np.flatnonzero((best[:, LENGTH] > 0) | (whole[:, LENGTH] > 0)).tolist():
                if one := self._said(row, words, best, whole):
                    found.append((rows.start + row, *one))
                else:
                    kept.append(rows.start + row)
        return pl.DataFrame(found, schema=FOUND, orient="row"), kept

    def _said(self, row: int, words: ComparedWords, best: Runs, whole: Runs) -> tuple[str, str, float] | None:
        length = int(best[row, LENGTH])
        if length >= self.limits.words:
            reason = f"bench_{LONG if length >= LONG > self.limits.words else self.limits.words}_gram"
            owner = self.pieces.owners[int(best[row, PIECE])]
            shown = words.said(row, int(best[row, AT]), min(length, SHOWN)) + (" …" if length > SHOWN else "")
            return reason, f"{self.where(owner)} has {length} words in a row of it: {shown}", float(length)
        if whole[row, LENGTH]:
            owner = self.shorts.owners[int(whole[row, PIECE])]
            asked = words.said(row, int(whole[row, AT]), int(whole[row, LENGTH]))
            return "bench_short_item", f"{self.where(owner)} stands in it whole: {asked}", float(whole[row, LENGTH])
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


def _shown(text: str) -> str:
    words = text.split(" ")
    return " ".join(words[:SHOWN]) + (" …" if len(words) > SHOWN else "")


def _pieces(items: Sequence[BenchItem]) -> Pieces:
    """The texts of items in whose words runs are looked for: the passage, and the question with all that follows."""
    texts, owners = list[str](), list[int]()
    for number, item in enumerate(items):
        for text in (item.context, "\n".join((item.question, *item.rest))):
            texts.append(text)
            owners.append(number)
    return Pieces.of(texts, owners)


def _asked(items: Sequence[BenchItem]) -> dict[str, int]:
    """What items ask: a question without a passage; with one both together, and the question if no other item asks it.

    Chains to be mended and passages to be summed up have one question for all: what is asked is in the passage.
    """
    alone = as_compared(pl.Series([item.question for item in items], dtype=pl.String)).to_list()
    both = as_compared(pl.Series([f"{item.context} {item.question}" for item in items], dtype=pl.String)).to_list()
    passages: dict[str, set[str]] = {}
    for item, question in zip(items, alone, strict=True):
        passages.setdefault(question, set()).add(item.context)
    found: dict[str, int] = {}
    for number, item in enumerate(items):
        if item.question and alone[number]:
            if not item.context or len(passages[alone[number]]) == 1:
                found.setdefault(alone[number], number)
            found.setdefault(both[number], number)
    return found
