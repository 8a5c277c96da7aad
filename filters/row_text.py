r"""The text of each row that a selection looks at, a row's named score, and rows drawn by a hash of their ids.

Columns ``question`` and ``answer`` of one row -> ``"What is brine?\nSalt water."``
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from filters.removal import frame_of
from filters.rewrite import column_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHARACTERS = 20_000
"""Characters of a row that are looked at, so that one text of 50 MB costs no more than a long document."""


def row_texts(table: pa.Table, columns: Sequence[str], step: str) -> list[str]:
    """The text of each row: what its columns hold that is not blank, a line each; empty where all are blank.

    Raises:
        BillError: when the table has no such text column.
    """
    parts = [column_of(table, name, step).str.strip_chars().str.slice(0, CHARACTERS).to_list() for name in columns]
    return ["\n".join(text for text in row if text)[:CHARACTERS] for row in zip(*parts, strict=True)]


def named_score(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A score of each row by name, the last where there are several; NaN for a row that has none: that is no zero."""
    entry = pl.element()
    value = pl.when(entry.struct.field("name") == name).then(entry.struct.field("value")).otherwise(None)
    found = frame_of(table.select(["scores"])).select(
        pl.col("scores").list.eval(value).list.drop_nulls().list.last().cast(pl.Float64)
    )
    return found.to_series().fill_null(float("nan")).to_numpy()


def id_hashes(table: pa.Table, seed: int) -> NDArray[np.uint64]:
    """A number for each row, from its id and the seed alone: an order that no order of rows or parts can change."""
    key = str(seed).encode()
    ids = table.column("id").to_pylist()
    digests = [hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest() for one in ids]
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)
