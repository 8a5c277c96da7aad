"""What near-duplicates of any record type are found by, part by part: band keys first, shingle sets of candidates then.

One part in -> out: ``band_keys`` gives ``(keys, sizes)``, a row of each; `candidate_rows` of the rows that share a key
gives what decides among them (id, source, score, answer) and their shingles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class CandidateRows:
    """Candidates of one part, in order."""

    about: pl.DataFrame
    """`filters.keep_order.ORDER_SCHEMA`, a row each."""
    answers: list[frozenset[str]]
    shingles: list[Shingles]


def band_keys(step: MinhashDedup, parts: Parts, index: int, kind: type[Record]) -> tuple[Hashes, Ints]:
    """The band keys of each row of a part, and how many shingles it has."""
    bands, rows = step.bands()
    keys, sizes = [np.zeros((0, bands), dtype=np.uint64)], [np.zeros(0, dtype=np.int64)]
    table = read_columns(parts, index, compared_columns(kind), step.name)
    for part in shingles_of(step, table, kind, parts, index):
        made = minhash_signature.signatures(part, step.num_perm, step.seed)
        keys.append(minhash_signature.band_keys(made, bands, rows))
        sizes.append(np.diff(part.bounds))
    return np.concatenate(keys), np.concatenate(sizes)


def candidate_rows(step: MinhashDedup, parts: Parts, index: int, kind: type[Record], rows: Ints) -> CandidateRows:
    """What is known of some rows of a part."""
    columns = (*columns_of(kind), *compared_columns(kind), *answer_columns(kind))
    table = read_columns(parts, index, columns, step.name).take(pa.array(rows)).combine_chunks()
    about = order_columns(table.select(list(columns_of(kind))), index, step.score).with_columns(
        row=pl.Series(rows, dtype=pl.UInt32)
    )
    return CandidateRows(about, answer_keys(table, kind), list(shingles_of(step, table, kind, parts, index, rows)))


def shingles_of(
    step: MinhashDedup, table: pa.Table, kind: type[Record], parts: Parts, index: int, rows: Ints | None = None
) -> list[Shingles]:
    """The shingles of a table's rows, which are those of a part or some of them.

    Raises:
        InputError: for a text that is no UTF-8, with the row's id.
    """
    try:
        return list(shingles(compared_texts(table, kind), step.shingle_words, step.boilerplate))
    except NotUtf8 as error:
        row = error.row if rows is None else int(rows[error.row])
        named = parts.table(index, ["id"]).column("id")[row].as_py()
        raise InputError(
            f"{step.name}: row {named} (part {index}, row {row}) has a text that is not UTF-8, such as one with a lone "
            "surrogate; mend it where it comes from, or leave the row out"
        ) from error


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
