"""From stored parts to the rows that near-duplicate removal takes out: keys, candidates, exact similarities.

One row in -> out: a row that shares 92 % of its shingles with a better one -> ``{"part": 0, "row": 3, "kept_id":
"09ab…", "value": 0.92, "cluster": "09ab…", "reason": "near_duplicate", …}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from filters.keep_order import ORDER_SCHEMA, in_order
from filters.lsh_buckets import Candidates, Rows, batches, shared_buckets
from filters.near_rows import answer_codes, band_keys, candidate_rows
from filters.removal import CLUSTERED
from filters.set_spool import SetSpool
from filters.spool import Spool
from filters.text_buffer import Ints
from mashbill.records import Record
from mashbill.step import Parts

if TYPE_CHECKING:
    from filters.minhash_dedup import MinhashDedup

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Found:
    """Rows that go, and what was counted on the way."""

    removed: pl.DataFrame
    """`filters.removal.CLUSTERED`, in no order."""
    noted: Mapping[str, int]


def near_duplicates(step: MinhashDedup, parts: Parts, kind: type[Record]) -> Found:
    """The rows that go."""
    memory = step.memory_mb * MEGABYTE // 2
    starts, sizes = [0], [np.zeros(0, dtype=np.int32)]
    with Spool(step.bands()[0], np.uint64, memory) as keys:
        for index in range(len(parts)):
            made, count = band_keys(step, parts, index, kind)
            keys.append(made)
            sizes.append(count.astype(np.int32))
            starts.append(starts[-1] + len(count))
        shingled = np.concatenate(sizes)
        candidates = shared_buckets(keys, shingled == 0)
    together = list(batches(candidates, shingled[candidates.rows].astype(np.int64), memory // 16))
    about, sets = _gathered(step, parts, kind, candidates, np.array(starts), together)
    judged = [_judged(step, candidates.only(some), about[some], sets.take(at)) for at, some in enumerate(together)]
    removed = pl.concat([pl.DataFrame(schema=CLUSTERED), *(one for one, _ in judged)])
    noted = {
        "candidates": len(candidates),
        "pairs_measured": sum(measured for _, measured in judged),
        "clusters": removed["cluster"].n_unique(),
    }
    return Found(removed, noted)


def _gathered(
    step: MinhashDedup, parts: Parts, kind: type[Record], candidates: Candidates, starts: Ints, together: list[Rows]
) -> tuple[pl.DataFrame, SetSpool]:
    """What decides among candidates, with their place in the order, and their shingle sets by batch."""
    batch = np.zeros(len(candidates), dtype=np.int64)
    for number, some in enumerate(together):
        batch[some] = number
    frames, answers, sets, done = (
        [pl.DataFrame(schema=ORDER_SCHEMA)],
        list[frozenset[str]](),
        SetSpool(len(together)),
        0,
    )
    for index, rows in by_part(candidates.rows, starts):
        found = candidate_rows(step, parts, index, kind, rows)
        frames.append(found.about)
        answers += found.answers
        for part in found.shingles:
            sets.put(part, batch[done : done + len(part)])
            done += len(part)
    about = pl.concat(frames).with_row_index("number").with_columns(answer=pl.Series(answer_codes(answers)))
    # A question with an answer comes before one without, whatever its score.
    ranks = in_order(about).sort(pl.col("answer") < 0, maintain_order=True).select("number").with_row_index("rank")
    source = pl.when(pl.col("source_id") == "").then(-1).otherwise(pl.col("source_id").rank("dense").cast(pl.Int64))
    return about.join(ranks, on="number", maintain_order="left").with_columns(source_code=source), sets


def by_part(rows: Rows, starts: Ints) -> Iterator[tuple[int, Ints]]:
    """Part -> those of its rows that are among some ascending row numbers."""
    cuts = np.searchsorted(rows, starts)
    for index in range(len(starts) - 1):
        if cuts[index] < cuts[index + 1]:
            yield index, rows[cuts[index] : cuts[index + 1]] - starts[index]


def _judged(
    step: MinhashDedup, candidates: Candidates, about: pl.DataFrame, sets: tuple[np.ndarray, Ints, Ints]
) -> tuple[pl.DataFrame, int]:
    """The rows of one batch that go, and how many pairs were measured."""
    from filters.near_kernel import KEPT, judge

    count = len(candidates)
    kept, value, root = np.full(count, KEPT, np.int64), np.zeros(count), np.arange(count, dtype=np.int64)
    rank = about["rank"].to_numpy()
    measured = judge(
        np.argsort(rank),
        (candidates.bounds, candidates.numbers, candidates.buckets),
        sets,
        (about["source_code"].to_numpy(), about["answer"].to_numpy(), np.zeros(count, dtype=np.bool_)),
        (step.threshold, step.within_source_threshold),
        (kept, value, root),
    )
    gone = np.flatnonzero(kept != KEPT)
    best = np.full(count, count, np.int64)
    order = np.argsort(rank)[::-1]
    best[root[order]] = order  # the last one written is the best ranked of its cluster
    ids, source = about["id"], about["source_code"].to_numpy()
    removed = (
        about[gone]
        .select("part", "row")
        .with_columns(
            kept_id=ids.gather(kept[gone]),
            value=pl.Series(value[gone], dtype=pl.Float64),
            cluster=ids.gather(best[root[gone]]),
            reason=pl.lit("near_duplicate"),
            same_source=pl.Series((source[gone] == source[kept[gone]]) & (source[gone] >= 0)),
        )
    )
    return removed.with_columns(detail=step.details(removed)).select(list(CLUSTERED)), int(measured)
