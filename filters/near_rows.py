"""What near-duplicates of any record type are found by, part by part: shingles and band keys, and what decides.

One part in -> out: ``read_part`` gives the shingles and the band keys of its rows; `candidate_rows` of those that share
a key with another gives id, source, score and answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from filters import minhash_signature
from filters.compared_text import answer_columns, answer_keys, compared_columns, compared_texts, read_columns
from filters.hashing import Hashes
from filters.keep_order import columns_of, order_columns
from filters.shingles import NotUtf8, Shingles, shingles
from filters.text_buffer import Ints
from mashbill.errors import InputError
from mashbill.records import Record
from mashbill.step import Parts

if TYPE_CHECKING:
    from filters.minhash_dedup import MinhashDedup


def read_part(step: MinhashDedup, parts: Parts, index: int, kind: type[Record]) -> Iterator[tuple[Shingles, Hashes]]:
    """The rows of a part, some at a time: their shingles, and the band keys of each.

    Raises:
        InputError: for a text that is no UTF-8, with the row's id.
    """
    bands, rows = step.bands()
    for some in read_shingles(step, parts, index, kind):
        made = minhash_signature.signatures(some, step.num_perm, step.seed)
        yield some, minhash_signature.band_keys(made, bands, rows)


def read_shingles(step: MinhashDedup, parts: Parts, index: int, kind: type[Record]) -> Iterator[Shingles]:
    """The shingles of the rows of a part, some rows at a time.

    Raises:
        InputError: for a text that is no UTF-8, with the row's id.
    """
    table = read_columns(parts, index, compared_columns(kind), step.name)
    try:
        yield from shingles(compared_texts(table, kind), step.shingle_words, step.boilerplate)
    except NotUtf8 as error:
        named = parts.table(index, ["id"]).column("id")[error.row].as_py()
        raise InputError(
            f"{step.name}: row {named} (part {index}, row {error.row}) has a text that is not UTF-8, such as one with "
            "a lone surrogate; mend it where it comes from, or leave the row out"
        ) from error


def candidate_rows(
    step: MinhashDedup, parts: Parts, index: int, kind: type[Record], rows: Ints
) -> tuple[pl.DataFrame, list[frozenset[str]]]:
    """What decides among some rows of a part (`filters.keep_order.ORDER_SCHEMA`), and their answers."""
    columns = (*columns_of(kind), *answer_columns(kind))
    table = read_columns(parts, index, columns, step.name).take(pa.array(rows)).combine_chunks()
    order = order_columns(table.select(list(columns_of(kind))), index, step.score)
    return order.with_columns(row=pl.Series(rows, dtype=pl.UInt32)), answer_keys(table, kind)


def sorted_sets(shingles: Shingles) -> tuple[Hashes, Ints, Ints]:
    """The sets of some texts, sorted, in the place of their shingles, and where each begins and ends."""
    from filters.near_kernel import distinct

    hashes, start = shingles.hashes, shingles.bounds[:-1]
    # numpy sorts a few hundred numbers with vector instructions in 2 microseconds; a compiled loop takes ten.
    for low, high in zip(start.tolist(), shingles.bounds[1:].tolist(), strict=True):
        hashes[low:high].sort()
    count = np.empty(len(shingles), np.int64)
    distinct(hashes, shingles.bounds, count)
    return hashes, start, start + count


def answer_codes(answers: Sequence[frozenset[str]]) -> Ints:
    """A number for each row: rows that share an answer share it, as do those that a third row connects.

    >>> answer_codes([frozenset({"72", "six dozen"}), frozenset({"72"}), frozenset({"71"}), frozenset()]).tolist()
    [0, 0, 2, -1]
    """
    roots: dict[str, str] = {}

    def root(one: str) -> str:
        while roots.setdefault(one, one) != one:
            one = roots[one]
        return one

    for keys in answers:
        first, *others = sorted(keys) or [""]
        for other in others:
            roots[root(other)] = root(first)
    codes: dict[str, int] = {}
    return np.array(
        [codes.setdefault(root(min(keys)), row) if keys else -1 for row, keys in enumerate(answers)], dtype=np.int64
    )
