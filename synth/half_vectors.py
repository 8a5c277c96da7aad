"""Unit vectors as they are stored: 16-bit floats, one binary value a row.

256 numbers take 512 bytes and keep cosines to about 0.001: a tenth of what two wordings of one thing differ by. Rounded
once, a vector is the same whether it was made now or read from an older database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mashbill.embedding import unit_rows
from mashbill.errors import StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALF = np.dtype("<f2")


def packed(rows: NDArray[np.float32]) -> list[bytes]:
    r"""Each row as its stored bytes.

    >>> packed(np.array([[0.6, 0.8]], dtype=np.float32))
    [b'\xcd8f:']
    """
    return [row.tobytes() for row in rows.astype(HALF)]


def unpacked(column: pa.ChunkedArray | pa.Array) -> NDArray[np.float32]:
    """Stored vectors as unit rows.

    Raises:
        StoreError: when they are of several lengths: two embedders made them.
    """
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not len(values):
        return np.zeros((0, 0), dtype=np.float32)
    _, offsets, data = values.cast(pa.large_binary()).buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    sizes = np.unique(np.diff(ends))
    if len(sizes) != 1 or not sizes[0]:
        raise StoreError(
            f"vectors of {len(sizes)} lengths ({', '.join(str(one) for one in sizes[:4])} bytes) are no index: rows of "
            "two embedders were put together; build the database with one"
        )
    flat = np.frombuffer(data, dtype=HALF, count=(ends[-1] - ends[0]) // HALF.itemsize, offset=int(ends[0]))
    return unit_rows(flat.astype(np.float32).reshape(len(values), -1))


def rounded(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows as they will be read again."""
    return unit_rows(rows.astype(HALF).astype(np.float32))
