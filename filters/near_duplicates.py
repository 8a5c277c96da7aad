"""From stored parts to the rows that near-duplicate removal takes out: keys, candidates, exact similarities.

One row in -> out: a row that shares 92 % of its shingles with a better one -> ``{"part": 0, "row": 3, "kept_id":
"09ab…", "value": 0.92, "cluster": "09ab…", "reason": "near_duplicate", …}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from filters.earlier import EarlierRows
from filters.indexes import Indexes
from filters.keep_order import ORDER_SCHEMA, in_order
from filters.lsh_buckets import Candidates, Rows, batches, shared_buckets
from filters.near_rows import answer_codes, candidate_rows, read_part, sorted_sets
from filters.removal import CLUSTERED
from filters.shingles import Shingles
from filters.spool import Spool
from filters.text_buffer import Ints
from mashbill.records import Record
from mashbill.step import Parts

if TYPE_CHECKING:
    from filters.minhash_dedup import MinhashDedup

MEGABYTE = 1_000_000
NEAR, OF_EARLIER = "near_duplicate", "near_duplicate_of_earlier"


@dataclass(frozen=True)
class Found:
    """Rows that go, and what was counted on the way."""

    removed: pl.DataFrame
    """`filters.removal.CLUSTERED`, in no order."""
    noted: Mapping[str, int]


def near_duplicates(step: MinhashDedup, parts: Parts, kind: type[Record]) -> Found:
    """The rows that go."""
    third = step.memory_mb * MEGABYTE // 3
    with Spool(step.bands()[0], np.uint64, third) as keys, Spool(1, np.uint64, third) as hashes:
        starts, sizes = [0], [np.zeros(0, dtype=np.int32)]
        for index in range(len(parts)):
            for some, made in read_part(step, parts, index, kind):
                keys.append(made)
                hashes.append(some.hashes)
                sizes.append(np.diff(some.bounds).astype(np.int32))
            starts.append(keys.rows)
        earlier = _with_earlier(step, kind, keys, hashes, sizes)
        size = np.concatenate(sizes)
        candidates = shared_buckets(keys, size == 0)
        told = (
            candidate_rows(step, parts, index, kind, some) for index, some in by_part(candidates.rows, np.array(starts))
        )
        about = about_candidates(told, candidates.rows, starts[-1], earlier)
        begin: Ints = (np.cumsum(size, dtype=np.int64) - size)[candidates.rows]
        counts: Ints = size[candidates.rows].astype(np.int64)
        found = []
        for batch in batches(candidates, counts, third // 8):
            bounds = np.concatenate(([0], np.cumsum(counts[batch])))
            sets = sorted_sets(Shingles(hashes.stretches(begin[batch], counts[batch]), bounds))
            found.append(judged(step, candidates.only(batch), about[batch], sets))
    return found_of(found, candidates)


def found_of(batches: Sequence[tuple[pl.DataFrame, int]], candidates: Candidates) -> Found:
    """What all batches found."""
    removed = pl.concat([pl.DataFrame(schema=CLUSTERED), *(one for one, _ in batches)])
    noted = {
        "candidates": len(candidates),
        "pairs_measured": sum(measured for _, measured in batches),
        "clusters": removed["cluster"].n_unique(),
    }
    return Found(removed, noted)


def _with_earlier(
    step: MinhashDedup, kind: type[Record], keys: Spool, hashes: Spool, sizes: list[npt.NDArray[np.int32]]
) -> EarlierRows | None:
    """The rows of the index that may be like new ones, put behind them."""
    indexes = Indexes.open(step.against)
    indexes.check(kind, step)
    rows = indexes.sharing(keys)
    if rows is None:
        return None
    keys.append(rows.keys)
    for one in rows.sets:
        hashes.append(one)
    sizes.append(np.array([len(one) for one in rows.sets], dtype=np.int32))
    return rows


def about_candidates(
    told: Iterable[tuple[pl.DataFrame, list[frozenset[str]]]],
    rows: Rows,
    count: int,
    earlier: EarlierRows | None = None,
) -> pl.DataFrame:
    """What decides among candidates, with their place in the order: rows of the index come first.

    `told` has `filters.near_rows.candidate_rows` of each part; candidates from `count` on are the index's.
    """
    frames, answers = [pl.DataFrame(schema=ORDER_SCHEMA)], list[frozenset[str]]()
    for order, said in told:
        frames.append(order)
        answers += said
    if earlier is not None:
        old = rows[rows >= count] - count
        zero = pl.lit(0, dtype=pl.UInt32)
        best = {"rank_score": pl.lit(float("inf")), "tie": pl.lit(b"")}
        frames.append(earlier.about[old].select("id", "source_id", part=zero, row=zero, **best))
        answers += [earlier.answers[row] for row in old]
    about = pl.concat(frames).with_row_index("number")
    about = about.with_columns(answer=pl.Series(answer_codes(answers)), fixed=pl.Series(rows >= count))
    # A question with an answer comes before one without, whatever its score.
    ordered = in_order(about).sort(~pl.col("fixed"), pl.col("answer") < 0, maintain_order=True)
    ranks = ordered.select("number").with_row_index("rank")
    source = pl.when(pl.col("source_id") == "").then(-1).otherwise(pl.col("source_id").rank("dense").cast(pl.Int64))
    return about.join(ranks, on="number", maintain_order="left").with_columns(source_code=source)


def by_part(rows: Rows, starts: Ints) -> Iterator[tuple[int, Ints]]:
    """Part -> those of its rows that are among some ascending row numbers."""
    cuts = np.searchsorted(rows, starts)
    for index in range(len(starts) - 1):
        if cuts[index] < cuts[index + 1]:
            yield index, rows[cuts[index] : cuts[index + 1]] - starts[index]


def judged(
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
        (about["source_code"].to_numpy(), about["answer"].to_numpy(), about["fixed"].to_numpy()),
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
            reason=about["fixed"]
            .gather(kept[gone])
            .replace_strict({True: OF_EARLIER, False: NEAR}, return_dtype=pl.String),
            same_source=pl.Series((source[gone] == source[kept[gone]]) & (source[gone] >= 0)),
        )
    )
    return removed.with_columns(detail=step.details(removed)).select(list(CLUSTERED)), int(measured)
