r"""A teacher's signal as ordinary Parquet columns, one row for each text, keyed by what its tokens are.

::

    {"tokens_hash": b"\x1f…", "record_id": "6f1c…", "positions": 410,
     "ids": [29, 318, …], "log_probs": [-0.11, -2.4, …], "log_tail": [-3.9, …]}          top_k: k for each position
    {"tokens_hash": …, "record_id": …, "positions": 410,
     "ids": [29, 318, …], "counts": [44, 6, …], "sizes": [2, …]}                        sampled: `sizes` at each

Position i is what the teacher expects after the first i + 1 tokens, so a text of 411 tokens has 410. A row is found by
the digest of its tokens alone: whatever was filtered, split, shuffled or packed in between, a signal cannot come to
stand beside other tokens than those it was computed from.

Byte-stream split and zstd make 64 entries of int32 and float16 some 190 bytes a token in place of 384; packing bits by
hand gains nothing over it, and anything that reads Parquet reads these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mashbill.disk import replacing

HASH_BYTES = 16
_KEYS = [
    pa.field("tokens_hash", pa.binary(HASH_BYTES), nullable=False),
    pa.field("record_id", pa.string(), nullable=False),
    pa.field("positions", pa.int32(), nullable=False),
]


def _flat(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, pa.list_(pa.field("element", kind, nullable=False)), nullable=False)


SCHEMAS: Mapping[str, pa.Schema] = {
    "top_k": pa.schema(
        [*_KEYS, _flat("ids", pa.int32()), _flat("log_probs", pa.float16()), _flat("log_tail", pa.float16())]
    ),
    "sampled": pa.schema([*_KEYS, _flat("ids", pa.int32()), _flat("counts", pa.uint8()), _flat("sizes", pa.uint8())]),
}
_SPLIT = ("ids", "log_probs", "log_tail")
"""Columns whose bytes are stored plane by plane; those of one byte have no planes."""


@dataclass(frozen=True)
class Signal:
    """The signal of one text, position after position; arrays by column name."""

    columns: Mapping[str, npt.NDArray[np.generic]]
    positions: int


def tokens_hash(tokens: npt.NDArray[np.int32]) -> bytes:
    """The digest of a text's tokens; the key of its signal.

    >>> tokens_hash(np.array([1, 2], np.int32)) == tokens_hash(np.array([1, 2], np.int32))
    True
    """
    return hashlib.blake2b(tokens.astype("<i4").tobytes(), digest_size=HASH_BYTES).digest()


def signal_table(encoding: str, rows: list[tuple[str, npt.NDArray[np.int32], Signal]]) -> pa.Table:
    """Rows of (record id, tokens, signal), at least one, as a table."""
    schema = SCHEMAS[encoding]
    columns: dict[str, pa.Array] = {
        "tokens_hash": pa.array([tokens_hash(tokens) for _, tokens, _ in rows], pa.binary(HASH_BYTES)),
        "record_id": pa.array([record_id for record_id, _, _ in rows], pa.string()),
        "positions": pa.array([signal.positions for _, _, signal in rows], pa.int32()),
    }
    for field in list(schema)[len(_KEYS) :]:
        pieces = [signal.columns[field.name] for _, _, signal in rows]
        offsets = np.cumsum([0, *(len(piece) for piece in pieces)]).astype(np.int32)
        values = np.concatenate(pieces).astype(field.type.value_type.to_pandas_dtype())
        columns[field.name] = pa.ListArray.from_arrays(
            pa.array(offsets), pa.array(values, field.type.value_type), type=field.type
        )
    return pa.table(columns, schema=schema)


def read_signals(table: pa.Table) -> dict[bytes, Signal]:
    """The signals of a table by the digest of their tokens."""
    found: dict[bytes, Signal] = {}
    keys, positions = table.column("tokens_hash").to_pylist(), table.column("positions").to_pylist()
    lists = {name: table.column(name).combine_chunks() for name in table.column_names[len(_KEYS) :]}
    for row, (key, count) in enumerate(zip(keys, positions, strict=True)):
        columns = {name: column[row].values.to_numpy(zero_copy_only=False) for name, column in lists.items()}
        found[key] = Signal(columns, count)
    return found


def write_signals(path: Path, table: pa.Table) -> None:
    """Write one part, whole or not at all."""
    split = {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in _SPLIT if name in table.column_names}
    with replacing(path) as aside:
        pq.write_table(
            table, aside, compression="zstd", compression_level=3, use_dictionary=False, column_encoding=split
        )
