"""Numbers that are appended row by row and read back column by column, in memory up to a limit and on disk beyond it.

One row in -> out: ``append([[7, 1], [8, 2]])`` twice -> ``column(0)`` is ``[7, 8, 7, 8]``.

The files are temporary, have no name that another process could meet, and are gone when the spool is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from filters.text_buffer import Ints
from mashbill.errors import StoreError

Array = npt.NDArray[Any]
WINDOW = 1 << 22
"""Numbers read from a file at a time."""


class Spool:
    """Columns of one type. It is a context: leaving it removes its files."""

    def __init__(self, columns: int, dtype: npt.DTypeLike, memory: int) -> None:
        self.columns, self.dtype, self.memory = columns, np.dtype(dtype), memory
        self.rows = 0
        self._held: list[Array] = []
        self._files: list[BinaryIO] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()
        self._files, self._held = [], []

    @property
    def on_disk(self) -> bool:
        """Whether it outgrew its memory."""
        return bool(self._files)

    def append(self, rows: Array) -> None:
        """Add rows of as many numbers as there are columns.

        Raises:
            StoreError: when the disk is full.
        """
        self.rows += len(rows)
        if self._files:
            self._write(rows)
            return
        self._held.append(np.ascontiguousarray(rows.reshape(len(rows), self.columns), dtype=self.dtype))
        if self.rows * self.columns * self.dtype.itemsize > self.memory:
            for _ in range(self.columns):
                self._files.append(tempfile.TemporaryFile(prefix="mashbill-"))  # noqa: SIM115 closed by __exit__
            for held in self._held:
                self._write(held)
            self._held = []

    def column(self, index: int) -> Array:
        """All numbers of one column, in the order they were appended."""
        if not self._files:
            return np.concatenate([np.empty(0, self.dtype), *(held[:, index] for held in self._held)])
        file = self._files[index]
        file.flush()
        file.seek(0)
        return np.frombuffer(file.read(), dtype=self.dtype)

    def stretches(self, start: Ints, size: Ints) -> Array:
        """Some stretches of the first column, one after the other.

        They are in order and apart, and none goes beyond the rows of one `append`.
        """
        from filters.near_kernel import gather

        out = np.empty(int(size.sum()), self.dtype)
        before = np.cumsum(size) - size
        for base, data, first, last in self._windows(start, start + size):
            if first == last:
                continue
            some, to = slice(first, last), int(before[first])
            gather(data, start[some] - base, size[some], out[to : to + int(size[some].sum())])
        return out

    def _windows(self, start: Ints, end: Ints) -> Iterator[tuple[int, Array, int, int]]:
        """Pieces of the first column that hold all stretches, where each begins, and which stretches are in it."""
        first = 0
        if not self._files:
            base = 0
            for held in self._held:
                last = int(np.searchsorted(start, base + len(held)))
                yield base, held[:, 0], first, last
                first, base = last, base + len(held)
            return
        file, width = self._files[0], self.dtype.itemsize
        while first < len(start):
            base = int(start[first])
            last = max(first + 1, int(np.searchsorted(end, base + WINDOW, side="right")))
            data = os.pread(file.fileno(), (int(end[last - 1]) - base) * width, base * width)
            yield base, np.frombuffer(data, self.dtype), first, last
            first = last

    def _write(self, rows: Array) -> None:
        try:
            for index, file in enumerate(self._files):
                file.seek(0, 2)
                file.write(np.ascontiguousarray(rows.reshape(len(rows), self.columns)[:, index]).tobytes())
                file.flush()
        except OSError as error:
            raise StoreError(
                f"{tempfile.gettempdir()}: cannot write what does not fit into memory: {error.strerror or error}; free "
                "some space there, point TMPDIR at a larger disk, or raise memory_mb"
            ) from error
