"""Numbers of every row of a data set, kept on disk and read back part by part.

Ten million rows of 5 marks are 200 MB; in memory are one part's. The file has no name, so nothing is left behind.

>>> with Spilled(2) as numbers:
...     numbers.add(np.array([[0.1, 0.9]]))
...     numbers.add(np.zeros((0, 2)))
...     [block.shape for block in numbers], len(numbers)
([(1, 2), (0, 2)], 1)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Spilled:
    """Blocks of rows of single-precision numbers, one for each part."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._ends = [0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._ends[-1]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return (self.block(index) for index in range(len(self._ends) - 1))

    def add(self, rows: NDArray[Any]) -> None:
        """Write the rows of the next part."""
        self._file.seek(4 * self.width * len(self))
        self._file.write(np.ascontiguousarray(rows, dtype=np.float32).tobytes())
        self._ends.append(len(self) + len(rows))

    def block(self, index: int) -> NDArray[np.float32]:
        """The rows of one part."""
        return self.rows(self._ends[index], self._ends[index + 1])

    def rows(self, start: int, end: int) -> NDArray[np.float32]:
        """Rows by their place over all parts."""
        self._file.seek(4 * self.width * start)
        data = self._file.read(4 * self.width * (end - start))
        return np.frombuffer(data, dtype=np.float32).reshape(-1, self.width)
