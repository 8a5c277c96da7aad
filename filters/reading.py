r"""Texts read once: the words of each with their hashes, its lines, and counts of its characters, as columns.

One row in -> out: the texts ``["a b\nc", "d"]`` give words ``a b c | d`` with ``bounds`` ``[0, 3, 4]``, lines
``a b``, ``c`` and ``d``, and ``total("chars")`` ``[5, 1]``.

A word is what `str.split` gives: a run of characters that are not white space. Its hash is
`filters.hashing.span_hash` of its UTF-8 bytes. A line ends where `str.splitlines` ends one. Every rule of `filters`
is computed from these columns, and so can be whatever else needs words: nothing reads the bytes again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.code_points import table
from filters.hashing import Hashes
from filters.text_buffer import Bytes, Ints, arrow_bytes

Counts = npt.NDArray[np.int32]
CHUNK_BYTES = 1 << 24
"""Texts read at a time. Their words take about six times as much memory, which is what bounds it."""


@dataclass(frozen=True)
class Words:
    """Words of several texts, in order: text i has those from ``bounds[i]`` up to ``bounds[i + 1]``."""

    data: Bytes
    """The bytes they lie in."""
    start: Ints
    end: Ints
    """In `data`."""
    hash: Hashes
    chars: Counts
    """Characters (code points) of each."""
    flags: Counts
    """What its characters are, all together; see `filters.code_points`."""
    bounds: Ints

    def __len__(self) -> int:
        return len(self.start)

    def columns(self) -> tuple[Ints, Ints, Hashes, Counts, Counts, Ints]:
        """The columns, as a kernel takes them."""
        return self.start, self.end, self.hash, self.chars, self.flags, self.bounds

    def first(self, count: int) -> Words:
        """The first words alone."""
        spans = self.start[:count], self.end[:count], self.hash[:count], self.chars[:count], self.flags[:count]
        return Words(self.data, *spans, self.bounds)

    @property
    def count(self) -> Ints:
        """Words of each text."""
        return np.diff(self.bounds)


@dataclass(frozen=True)
class Lines:
    """Lines of several texts, in order, without their breaks; an empty text has none."""

    start: Ints
    end: Ints
    """In the texts' bytes."""
    chars: Counts
    word: Ints
    """The first word of each that begins in it or after it; the next line's is where its words end."""
    ended: npt.NDArray[np.uint8]
    """Which break it ends at; see `filters.word_kernel`."""
    bounds: Ints

    def __len__(self) -> int:
        return len(self.start)

    def columns(self) -> tuple[Ints, Ints, Counts, Ints, npt.NDArray[np.uint8], Ints]:
        """The columns, as a kernel takes them."""
        return self.start, self.end, self.chars, self.word, self.ended, self.bounds

    def first(self, count: int) -> Lines:
        """The first lines alone."""
        spans = self.start[:count], self.end[:count], self.chars[:count], self.word[: count + 1], self.ended[:count]
        return Lines(*spans, self.bounds)


@dataclass(frozen=True)
class Reading:
    """Some texts, read."""

    data: Bytes
    start: Ints
    end: Ints
    """Where each text lies in `data`."""
    words: Words
    lines: Lines
    totals: npt.NDArray[np.int64]
    """One row a text, a column each of `filters.word_kernel.TOTALS`."""

    def __len__(self) -> int:
        return len(self.start)

    def total(self, name: str) -> Ints:
        """One count of each text."""
        from filters.word_kernel import TOTALS

        return self.totals[:, TOTALS.index(name)]


def read_texts(texts: pa.LargeStringArray) -> Reading:
    r"""Read all texts of an Arrow array without nulls.

    >>> reading = read_texts(pa.array(["a b\nc", "d"], pa.large_string()))
    >>> reading.words.bounds.tolist(), reading.lines.bounds.tolist(), reading.total("chars").tolist()
    ([0, 3, 4], [0, 2, 3], [5, 1])
    """
    offsets, data = arrow_bytes(texts)
    return _read(data, offsets[:-1], offsets[1:])


def read_in_chunks(texts: pa.LargeStringArray, most: int = CHUNK_BYTES) -> Iterator[Reading]:
    """The same in readings of about `most` bytes of text each; a longer text is alone in its own."""
    offsets, data = arrow_bytes(texts)
    first, count = 0, len(offsets) - 1
    while first < count:
        last = int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1
        last = min(max(last, first + 1), count)
        yield _read(data, offsets[first:last], offsets[first + 1 : last + 1])
        first = last


def _read(data: Bytes, start: Ints, end: Ints) -> Reading:
    from filters.word_kernel import TOTALS, read

    texts, size = len(start), int(end[-1] - start[0]) if len(start) else 0
    # As many as there could be: pages that are not written to cost nothing, and counting first is another pass.
    most = (size + texts) // 2 + 1
    words = Words(
        data,
        start=np.empty(most, np.int64),
        end=np.empty(most, np.int64),
        hash=np.empty(most, np.uint64),
        chars=np.empty(most, np.int32),
        flags=np.empty(most, np.int32),
        bounds=np.empty(texts + 1, np.int64),
    )
    most = size + texts + 1
    lines = Lines(
        start=np.empty(most, np.int64),
        end=np.empty(most, np.int64),
        chars=np.empty(most, np.int32),
        word=np.empty(most + 1, np.int64),
        ended=np.empty(most, np.uint8),
        bounds=np.empty(texts + 1, np.int64),
    )
    totals = np.zeros((texts, len(TOTALS)), np.int64)
    found, breaks = read(data, start, end, table(), words.columns(), lines.columns(), totals)
    lines.word[breaks] = found
    return Reading(data, start, end, words.first(found), lines.first(breaks), totals)
