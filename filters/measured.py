r"""A numpy measurement as a polars expression, evaluated once however many expressions use it.

polars does not merge two ``map_batches`` calls, not even of one function object (measured with 2.1.0: a filter with
13 reasons and 13 scores measured each batch 26 times). So the function given to polars remembers the last batches it
saw, compared by their bytes, and all expressions made by one `measured` family share that memory.

One row in -> out: ``measured(repetition, "text", names, key)["duplicate_lines"]`` is an expression; on the text
``"a\na"`` it is 0.5.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

import numpy as np
import polars as pl
import pyarrow as pa

Measure = Callable[[pa.LargeStringArray], Mapping[str, np.ndarray]]
"""From texts (no nulls) to named numbers, one of each per text."""

REMEMBERED = 4
"""Batches kept: the streaming engine works on about one per thread; more would only hold memory."""


class Remembered:
    """A measurement that remembers its last batches.

    A thread that asks for a batch which another thread is measuring waits for that one. This cannot deadlock, since a
    measurement never calls polars and so never waits for a thread of its pool.
    """

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self.texts_measured = 0
        self._lock = threading.Lock()
        self._known: deque[tuple[pa.LargeStringArray, Future[Mapping[str, np.ndarray]]]] = deque(maxlen=REMEMBERED)

    def __call__(self, texts: pa.LargeStringArray) -> Mapping[str, np.ndarray]:
        """The numbers of a batch, measured or remembered."""
        with self._lock:
            numbers = next((numbers for known, numbers in self._known if known.equals(texts)), None)
            mine: Future[Mapping[str, np.ndarray]] | None = None
            if numbers is None:
                numbers = mine = Future()
                self._known.append((texts, mine))
                self.texts_measured += len(texts)
        if mine is not None:
            try:
                mine.set_result(self.measure(texts))
            except BaseException as error:
                mine.set_exception(error)
        return numbers.result()


def measured(remembered: Remembered, column: str, names: Sequence[str]) -> dict[str, pl.Expr]:
    """Name -> expression of one number of a measurement of a text column."""

    def expression(name: str) -> pl.Expr:
        def one(series: pl.Series) -> pl.Series:
            return pl.Series(series.name, remembered(texts_of(series))[name], dtype=pl.Float64)

        return pl.col(column).map_batches(one, return_dtype=pl.Float64, is_elementwise=True)

    return {name: expression(name) for name in names}


def texts_of(series: pl.Series) -> pa.LargeStringArray:
    """A string series as one Arrow array of offsets and bytes; a null becomes an empty text."""
    filled = series.fill_null("") if series.null_count() else series
    array = filled.to_arrow(compat_level=pl.CompatLevel.oldest())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
