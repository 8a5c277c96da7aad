"""Signatures as the bytes of datasketch's `LeanMinHash`, written and read for a whole batch at once.

One row in -> out: 128 numbers of 32 bits, seed 1 -> 528 bytes that ``datasketch.LeanMinHash.deserialize`` reads, and
those of an object that it serialised back to the numbers.

The format is datasketch 2's in native byte order: 8 bytes of seed, 4 of the negated count, 1 of the scheme (1 is
``affine32``), 3 that say nothing, then 4 for each number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.compared_text import kind_of_parts
from filters.minhash_signature import Signatures, signatures
from filters.near_rows import read_shingles
from mashbill.disk import replacing
from mashbill.step import Parts

if TYPE_CHECKING:
    from filters.minhash_dedup import MinhashDedup

AFFINE32 = 1
HEAD = 16
"""Three of them fill up to where numbers of 32 bits may begin, as a C compiler has it."""


def lean_bytes(made: Signatures, seed: int = 1) -> pa.Array:
    """One binary value for each signature."""
    rows, count = made.shape
    whole = np.empty((rows, HEAD + 4 * count), dtype=np.uint8)
    whole[:, :8] = np.frombuffer(np.int64(seed).tobytes(), np.uint8)
    whole[:, 8:12] = np.frombuffer(np.int32(-count).tobytes(), np.uint8)
    whole[:, 12:HEAD] = [AFFINE32, 0, 0, 0]
    whole[:, HEAD:] = np.ascontiguousarray(made).view(np.uint8).reshape(rows, 4 * count)
    offsets = np.arange(rows + 1, dtype=np.int64) * whole.shape[1]
    return pa.Array.from_buffers(pa.large_binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(whole)])


def write_signatures(parts: Parts, file: Path, step: MinhashDedup) -> int:
    """Write id and signature of each row, the columns ``id`` and ``lean_minhash``; returns how many rows there are.

    Raises:
        InputError: for a text that is no UTF-8.
        StoreError: when the file cannot be written.
    """
    kind, schema = kind_of_parts(parts), pa.schema([("id", pa.string()), ("lean_minhash", pa.large_binary())])
    rows = 0
    with replacing(file) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        for index in range(len(parts)):
            names = parts.table(index, ["id"]).column("id").combine_chunks()
            made = [signatures(some, step.num_perm, step.seed) for some in read_shingles(step, parts, index, kind)]
            lean = pa.chunked_array([lean_bytes(one, step.seed) for one in made], pa.large_binary())
            writer.write_table(pa.table({"id": names, "lean_minhash": lean}, schema=schema))
            rows += len(names)
    return rows


def read_lean(values: Sequence[bytes]) -> tuple[Signatures, int]:
    """The signatures in such bytes, one row each, and their seed.

    Raises:
        ValueError: for bytes of another scheme or length, or of several seeds, saying which value it is.
    """
    made, seeds = list[Signatures](), set[int]()
    for at, value in enumerate(values):
        count = -int(np.frombuffer(value, np.int32, 1, 8)[0]) if len(value) >= HEAD else 0
        if count <= 0 or value[12] != AFFINE32 or len(value) != HEAD + 4 * count:
            raise ValueError(
                f"value {at} is no LeanMinHash of the scheme affine32 ({len(value)} bytes); datasketch before 2.0 and "
                "other schemes draw other permutations, so make the signatures anew"
            )
        seeds.add(int(np.frombuffer(value, np.int64, 1)[0]))
        made.append(np.frombuffer(value, np.uint32, count, HEAD))
    if len(seeds) > 1 or len({len(one) for one in made}) > 1:
        raise ValueError(f"signatures of seeds {sorted(seeds)} or of several lengths cannot be compared")
    return np.array(made, dtype=np.uint32).reshape(len(made), len(made[0]) if made else 0), next(iter(seeds), 1)
