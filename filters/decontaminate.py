"""Rows that say what an evaluation set holds are taken out, whatever type they are, and counted by set and reason.

One row in -> out: a document that has 13 words in a row with a test question -> rejected, ``bench_13_gram``, with
``value`` = the words of the longest run and ``detail`` = which item and which words.

What is looked for, in this order:

* ``bench_path``: the row walks the path of an item through a graph, either way round (arXiv 2507.13966).
* ``bench_question``: the row asks what an item asks, word for word. This alone finds the shortest items.
* ``bench_18_gram``, ``bench_13_gram``: the longest run of words that an item has too. 13 is GPT-3's (Brown et al. 2020,
  arXiv 2005.14165, appendix C), 18 that of arXiv 2507.13966. Runs in more than `common` different items are how such
  items are put ("which of the following is true of …") and count for nothing.
* ``bench_short_item``: a question of 8 words (GPT-3's least) up to 12 stands in the row whole.

Words are compared without case, punctuation and layout; of scripts without spaces each character is a word. None of
these finds a paraphrase, so put the step before a generator too: what is made of a test item in other words hides from
all of them. `audit` names an embedder that measures how near each row is to the nearest item. That is reported, and
decides only if `audit_rejects` says so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from filters.bench import FOUND, Bench, Limits
from filters.bench_report import card_lines, nearest_rows, set_report
from filters.removal import frame_of
from filters.rewrite import kind_of
from filters.row_texts import audited_of, text_columns
from mashbill.bench_items import bench_digest
from mashbill.errors import BillError
from mashbill.records import Record
from mashbill.step import DatasetStep, PartOutput, Parts, conform, reject_table
from mashbill.store import Stored

KEPT = "kept with"


@dataclass(frozen=True, kw_only=True)
class Decontaminate(DatasetStep[Record, Record]):
    """Removes rows that share their words, question or path with an evaluation set."""

    against: str | tuple[str, ...] = field(metadata={"identity": False, "file": True})
    """The evaluation sets, relative to the bill: files (.jsonl, .json, .parquet, .arrow, .txt, .md) or folders."""
    fields: tuple[str, ...] = ()
    """Columns of the sets, first the one of what is asked; empty for the names that are usual."""
    columns: tuple[str, ...] = ()
    """Columns of the rows whose words are compared; empty for all their texts."""
    words: int = 13
    """Words in a row from which a row goes."""
    short: int = 8
    """Words from which a question too short for such a run is looked for inside texts; below, only as a whole."""
    common: int = 10
    """Different items that a run of words may stand in."""
    audit: str = ""
    """The name of an embedder, as ``minilm``; each row then has the score ``bench_similarity``."""
    audit_from: float = 0.9
    """The cosine from which a row is counted as near an item."""
    audit_rejects: bool = False
    """Whether such a row goes, as ``bench_near``."""
    against_digest: tuple[str, ...] = ()
    """What the sets hold: set by itself, since their content is identity and where they lie is not."""

    def __post_init__(self) -> None:
        """Look at the files.

        Raises:
            InputError: for a set that is absent or of no kind that is read.
        """
        if self.words < 2 or self.short < 1 or self.common < 0:
            raise BillError(
                f"words is {self.words}, short {self.short} and common {self.common}; wanted 2, 1 and 0 or more"
            )
        if not 0 <= self.audit_from <= 1:
            raise BillError(f"audit_from is {self.audit_from}; it is a cosine, from 0 to 1")
        object.__setattr__(self, "against", (self.against,) if isinstance(self.against, str) else self.against)
        if not self.against:
            raise BillError("against names no evaluation set")
        object.__setattr__(self, "against_digest", tuple(bench_digest(place) for place in self.places))

    @property
    def places(self) -> list[Path]:
        """Where the sets lie."""
        return [Path(place) for place in self.against]

    def bench(self) -> Bench:
        """The sets, indexed; read once for each content of their files."""
        limits = Limits(self.words, min(self.words, 13), self.short, self.common)
        return _read(tuple(self.places), limits, self.fields, self.against_digest)

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        bench = self.bench()
        for index in range(len(parts)):
            table = parts.table(index)
            kind = kind_of(table)
            rows = frame_of(table)
            found, under = bench.judge(rows, kind, text_columns(kind, self.columns, self.name))
            noted = {f"{KEPT} {bench.limits.least} words in a row": under} if under else {}
            if self.audit and table.num_rows:
                table, found, near = self._audited(bench, rows, kind, found)
                noted |= {f"{KEPT} a cosine of {self.audit_from} or more": near} if near else {}
            yield self._output(table, kind, found, noted)

    def _output(self, table: pa.Table, kind: type[Record], found: pl.DataFrame, noted: Mapping[str, int]) -> PartOutput:
        stays = np.ones(table.num_rows, np.bool_)
        stays[found["row"].to_numpy()] = False
        rows = frame_of(table.filter(pa.array(~stays)))
        why = found.select(pl.col("reason", "detail", "value").name.prefix("bench "))
        rejects = reject_table(
            pl.concat([rows, why], how="horizontal"),
            step=self.name,
            kind=kind,
            reason=pl.col("bench reason"),
            detail=pl.col("bench detail"),
            value=pl.col("bench value"),
        )
        return PartOutput(table.filter(pa.array(stays)), rejects, noted)

    def _audited(
        self, bench: Bench, rows: pl.DataFrame, kind: type[Record], found: pl.DataFrame
    ) -> tuple[pa.Table, pl.DataFrame, int]:
        """The rows with how near they are to an item, and what goes now."""
        texts = rows.select(text=audited_of(kind)).fill_null("")["text"].to_list()
        near, which = bench.audit(self.audit).nearest(texts)
        score = pl.struct(name=pl.lit("bench_similarity"), value=pl.Series(near.astype(np.float64)))
        table = conform(rows.with_columns(scores=pl.concat_list("scores", pl.concat_list(score))), kind)
        gone = set(found["row"].to_list())
        more = [row for row in np.flatnonzero(near >= self.audit_from).tolist() if row not in gone]
        if not self.audit_rejects:
            return table, found, len(more)
        near_rows = [
            (row, "bench_near", f"{bench.where(int(which[row]))} is near: cosine {near[row]:.3f}", float(near[row]))
            for row in more
        ]
        return table, pl.concat([found, pl.DataFrame(near_rows, schema=FOUND, orient="row")]).sort("row"), 0

    def report(self, source: Parts, stored: Stored) -> Mapping[str, Any]:
        """For the manifest and the card: each set with its items, what of them the rows had, and the nearest rows."""
        del source
        bench = self.bench()
        sets = set_report(stored, bench.names, dict(zip(bench.sets, self.against_digest, strict=True)))
        noted = stored.manifest.counts.noted
        found: dict[str, Any] = {"sets": sets, **noted}
        if self.audit:
            found["nearest"] = nearest_rows(stored, bench, self.audit)
        return {"decontamination": found, "card": card_lines(sets, self.words, noted)}


@functools.lru_cache(maxsize=4)
def _read(places: tuple[Path, ...], limits: Limits, fields: tuple[str, ...], digests: tuple[str, ...]) -> Bench:
    del digests  # part of what is remembered: a file that was written anew is read anew
    return Bench.read(places, limits, fields)
