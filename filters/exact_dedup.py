r"""Remove rows that say what another row says, but for case and white space, and set apart questions with two answers.

One row in -> out: ``"The  Salt Guild"`` beside ``"the salt\nguild"`` -> the one with the lower id is kept, the other
rejected, ``exact_duplicate``, with ``kept_id``. Works on any record type: documents, questions (what is asked, given
and offered), instructions (also those of one base query and one set of constraints), rationales, preferences, triples.

Two equal questions with different answers are no duplicates but a conflict: one of them is wrong, and no rule says
which. All rows of it are rejected, ``conflicting_answers``, under one ``cluster``; a model that judges can decide
before this step comes (`filters.adjudicate`). A question without an answer is a copy of one that has an answer.

Rows are compared by 128-bit digests of their normal form (Unicode form C, case folded, runs of white space one space).
Two passes over the parts, the second for rows that have a double alone; what is held between them is 8 bytes a row,
beyond `memory_mb` on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from filters.compared_text import answer_columns, answer_keys, kind_of_parts, read_columns
from filters.exact_keys import keys_of_part, normal_text, numbers_of, text_digest
from filters.indexes import Indexes
from filters.keep_order import ORDER_SCHEMA, columns_of, in_order, order_columns
from filters.lsh_buckets import shared_buckets
from filters.near_duplicates import MEGABYTE, Found, by_part
from filters.near_report import near_report
from filters.near_rows import answer_codes
from filters.removal import CLUSTERED, outputs
from filters.spool import Spool
from mashbill.errors import BillError
from mashbill.records import QA, Instruction, Record
from mashbill.step import DatasetStep, PartOutput, Parts
from mashbill.store import Stored

__all__ = ["ExactDedup", "normal_text", "text_digest"]
ANSWERS_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class ExactDedup(DatasetStep[Record, Record]):
    """Keeps one of equal rows: the best scored, then the lowest id; questions with two answers go, all of them."""

    version = 2

    score: str = ""
    """The name of a score; the highest is kept. Empty: the lowest id is kept."""
    against: str | tuple[str, ...] = field(default="", metadata={"identity": False, "file": True})
    """An index of earlier releases (`mashbill dedup index`), or several, relative to the bill; their rows come before
    all others."""
    against_digest: str = ""
    """What they hold: set by itself, since its content is identity and where it lies is not."""
    memory_mb: int = field(default=1024, metadata={"identity": False})
    """Megabytes (10^6 bytes) for digests before they go to disk; rows are the same with any."""

    def __post_init__(self) -> None:
        """Refuse a memory of nothing, and look at the index.

        Raises:
            InputError: for an index that is absent or unfinished.
        """
        if self.memory_mb < 1:
            raise BillError(f"exact_dedup has memory_mb {self.memory_mb}; it must be at least 1")
        object.__setattr__(self, "against_digest", Indexes.open(self.against).digest)

    def run(self, parts: Parts) -> Iterator[PartOutput]:
        """One output for each input part."""
        found = self.removals(parts)
        yield from outputs(parts, found.removed, step=self.name, kind=kind_of_parts(parts), noted=found.noted)

    def removals(self, parts: Parts) -> Found:
        """The rows that go, without writing anything (see `filters.removal`)."""
        kind = kind_of_parts(parts)
        old = self._earlier(kind)
        about, keys = self._candidates(parts, kind, old)
        removed = [one for rows in _conflicts(about, keys, kind) for one in _told(rows)]
        removed += _of_earlier(about, keys, old, {number for number, *_ in removed})
        removed += _copies(about, keys, {number for number, *_ in removed})
        frame = pl.DataFrame(removed, schema=_REMOVED, orient="row")
        whole = frame.join(about.select("number", "part", "row"), on="number").with_columns(
            value=pl.lit(None, dtype=pl.Float64)
        )
        conflicts = frame.filter(pl.col("reason") == "conflicting_answers")["cluster"].n_unique()
        noted = {"clusters": frame["cluster"].n_unique(), "conflicts": conflicts}
        return Found(whole.select(list(CLUSTERED)), noted)

    def conflicts(self, parts: Parts) -> list[list[Answered]]:
        """The rows of equal questions with different answers, question by question, best first."""
        return list(_conflicts(*self._candidates(parts, QA), QA))

    def report(self, source: Stored, stored: Stored) -> Mapping[str, Any]:
        """Clusters and removal rates, for the manifest."""
        return near_report(source, stored)

    def _earlier(self, kind: type[Record]) -> Old:
        indexes = Indexes.open(self.against)
        indexes.check(kind)
        return indexes.digests()

    def _candidates(
        self, parts: Parts, kind: type[Record], old: Old | None = None
    ) -> tuple[pl.DataFrame, list[tuple[bytes, ...]]]:
        """The rows that may have a double, best first, and the keys of each by its number."""
        columns, starts = 2 if issubclass(kind, Instruction) else 1, [0]
        with Spool(columns, np.uint64, self.memory_mb * MEGABYTE) as spool:
            for index in range(len(parts)):
                spool.append(numbers_of(keys_of_part(parts, index, kind, self.name), columns, starts[-1]))
                starts.append(spool.rows)
            rows = shared_buckets(spool, np.zeros(spool.rows, dtype=np.bool_)).rows
            heads = np.frombuffer(b"".join(key[:8] for key in old or ()), np.uint64)
            known = [np.flatnonzero(np.isin(spool.column(at), heads)) for at in range(columns if old else 0)]
            rows = np.unique(np.concatenate([rows, *known]))
        frames, keys, answers = [pl.DataFrame(schema=ORDER_SCHEMA)], list[tuple[bytes, ...]](), list[frozenset[str]]()
        for index, some in by_part(rows, np.array(starts)):
            wanted = (*columns_of(kind), *answer_columns(kind))
            table = read_columns(parts, index, wanted, self.name).take(pa.array(some)).combine_chunks()
            about = order_columns(table.select(list(columns_of(kind))), index, self.score)
            frames.append(about.with_columns(row=pl.Series(some, dtype=pl.UInt32)))
            keys += keys_of_part(parts, index, kind, self.name, some)
            answers += answer_keys(table, kind)
        about = (
            pl.concat(frames)
            .with_row_index("number")
            .with_columns(
                answer=pl.Series(answer_codes(answers)),
                said=pl.Series([min(one) if one else "" for one in answers], dtype=pl.String),
                answers=pl.Series([sorted(one) for one in answers], dtype=pl.List(pl.String)),
            )
        )
        # A question with an answer comes before one without, whatever its score.
        return in_order(about).sort(pl.col("answer") < 0, maintain_order=True), keys


class Answered(NamedTuple):
    """A question that others ask too: where it stands, and which of the answers it has."""

    number: int
    part: int
    row: int
    id: str
    code: int
    """Rows that hold the same answer right have the same."""
    said: str
    """The answer as it is compared."""


_REMOVED = {
    "number": pl.UInt32,
    "kept_id": pl.String,
    "cluster": pl.String,
    "reason": pl.String,
    "detail": pl.String,
}
Removed = tuple[int, str, str, str, str]
Old = dict[bytes, tuple[str, frozenset[str]]]
"""Digest -> id and answers of a row released before."""


def _of_earlier(about: pl.DataFrame, keys: list[tuple[bytes, ...]], old: Old, gone: set[int]) -> Iterator[Removed]:
    """Rows that the index has, and questions that it has with another answer."""
    for number, answers in about.select("number", "answers").iter_rows() if old else ():
        found = next((old[key] for key in keys[number] if key in old), None)
        if found is None or number in gone:
            continue
        name, said = found
        if said and answers and not said & set(answers):
            detail = f"answers {min(answers)[:80]!r}; the row {name} of an earlier release answers {min(said)[:80]!r}"
            yield number, "", name, "conflicts_with_earlier", detail
        else:
            yield number, name, name, "exact_duplicate_of_earlier", ""


def _copies(about: pl.DataFrame, keys: list[tuple[bytes, ...]], gone: set[int]) -> Iterator[Removed]:
    """Rows, best first, that share a key with one that is kept."""
    kept: dict[bytes, str] = {}
    for number, name in about.select("number", "id").iter_rows():
        if number in gone:
            continue
        same = next((kept[key] for key in keys[number] if key in kept), None)
        if same is None:
            kept.update(dict.fromkeys(keys[number], name))
        else:
            at = next(place for place, key in enumerate(keys[number]) if key in kept)
            yield number, same, same, "exact_duplicate", "the same set of constraints" if at else ""


def _conflicts(about: pl.DataFrame, keys: list[tuple[bytes, ...]], kind: type[Record]) -> Iterator[list[Answered]]:
    """Rows of equal questions whose answers differ; a row without an answer is of no side."""
    alike: dict[bytes, list[Answered]] = {}
    if issubclass(kind, QA):
        for one in about.select("number", "part", "row", "id", "answer", "said").iter_rows():
            if (row := Answered(*one)).code >= 0:
                alike.setdefault(keys[row.number][0], []).append(row)
    yield from (rows for rows in alike.values() if len({row.code for row in rows}) > 1)


def _told(rows: list[Answered]) -> Iterator[Removed]:
    """The removals of one conflict."""
    said = {row.code: row.said for row in reversed(rows)}
    for row in rows:
        others = sorted(other for code, other in said.items() if code != row.code)
        shown = ", ".join(repr(one[:80]) for one in others[:ANSWERS_SHOWN])
        more = f" and {len(others) - ANSWERS_SHOWN} more" if len(others) > ANSWERS_SHOWN else ""
        detail = f"answers {row.said[:80]!r}; the same question is also answered {shown}{more}"
        yield row.number, "", rows[0].id, "conflicting_answers", detail
