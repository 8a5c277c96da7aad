r"""Many texts as one byte buffer with the places of their words, lines and paragraphs, all in numpy.

No Python string is made: everything is offsets into the UTF-8 bytes, so that counting and hashing a million words
costs a few vector operations. A word is a run of characters without Unicode white space; a line is a run without
``\n``; a paragraph lies between two or more newlines, in a text stripped at both ends.

One row in -> out: the texts ``["a b\n\nc", "d"]`` give words ``a b | c`` and ``d``, lines ``a b``, ``c`` and ``d``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

NEWLINE = 10
CHUNK_BYTES = 1 << 20
"""Texts are worked on in chunks of about this many bytes: the temporaries are some forty times as large."""

_ASCII_SPACE = np.zeros(256, dtype=np.bool_)
_ASCII_SPACE[[9, 10, 11, 12, 13, 32]] = True


@dataclass(frozen=True)
class Spans:
    """Stretches of the buffer, in order and apart: of which text, from where, to where."""

    text: Ints
    start: Ints
    end: Ints

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class TextBuffer:
    """Bytes of several texts, two newlines between neighbours, and where each begins and ends."""

    data: Bytes
    start: Ints
    end: Ints

    @classmethod
    def chunks(cls, texts: pa.LargeStringArray, most: int = CHUNK_BYTES) -> Iterator[TextBuffer]:
        """Buffers of about `most` bytes that together hold all texts, in order; a longer text is alone in its own."""
        offsets, data = arrow_bytes(texts)
        first, count = 0, len(offsets) - 1
        while first < count:
            last = int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1
            last = min(max(last, first + 1), count)
            yield cls.of(offsets[first : last + 1], data)
            first = last

    @classmethod
    def of(cls, offsets: Ints, data: Bytes) -> TextBuffer:
        """A buffer of the texts between neighbouring offsets."""
        inside = data[offsets[0] : offsets[-1]]
        local = offsets - offsets[0]
        shift = 2 * np.arange(len(local) - 1, dtype=np.int64)
        # Two newlines end a word, a line and a paragraph alike, so no rule below has to look at text ends.
        joined = np.insert(inside, np.repeat(local[1:-1], 2), NEWLINE)
        return cls(joined, local[:-1] + shift, local[1:] + shift)

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def chars_before(self) -> Ints:
        """Characters before each byte, and before the end: a character begins where no UTF-8 continuation byte is."""
        total = np.zeros(len(self.data) + 1, dtype=np.int64)
        np.cumsum((self.data & 0xC0) != 0x80, out=total[1:])
        return total

    @cached_property
    def chars(self) -> Ints:
        """Characters of each text."""
        return self.chars_before[self.end] - self.chars_before[self.start]

    @cached_property
    def words(self) -> Spans:
        """The words."""
        return self._runs(~white_space(self.data))

    @cached_property
    def lines(self) -> Spans:
        """The lines that are not empty."""
        return self._runs(self.data != NEWLINE)

    @cached_property
    def paragraphs(self) -> Spans:
        """The paragraphs of each text, stripped at its ends."""
        newline = self.data == NEWLINE
        beside = np.zeros(len(newline), dtype=np.bool_)
        beside[1:] |= newline[:-1]
        beside[:-1] |= newline[1:]
        runs = self._runs(~(newline & beside))
        words, bounds = self.words, self.words_of_text
        full = bounds[1:] > bounds[:-1]
        begin, finish = np.zeros(len(self), dtype=np.int64), np.zeros(len(self), dtype=np.int64)
        begin[full] = words.start[bounds[:-1][full]]
        finish[full] = words.end[bounds[1:][full] - 1]
        start = np.maximum(runs.start, begin[runs.text])
        end = np.minimum(runs.end, finish[runs.text])
        left = start < end
        return Spans(runs.text[left], start[left], end[left])

    @cached_property
    def words_of_text(self) -> Ints:
        """Text i has the words from ``words_of_text[i]`` up to ``words_of_text[i + 1]``."""
        return np.append(np.searchsorted(self.words.start, self.start), len(self.words)).astype(np.int64)

    def span_chars(self, spans: Spans) -> Ints:
        """Characters of each span."""
        return self.chars_before[spans.end] - self.chars_before[spans.start]

    def _runs(self, inside: Bools) -> Spans:
        edges = np.diff(np.concatenate(([False], inside, [False])).astype(np.int8))
        start, end = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        return Spans(np.searchsorted(self.start, start, side="right") - 1, start, end)


def arrow_bytes(texts: pa.LargeStringArray) -> tuple[Ints, Bytes]:
    """Offsets and bytes of an Arrow array without nulls; its memory is shared, not copied."""
    _, offsets, data = texts.buffers()
    first, count = texts.offset, len(texts)
    ends = np.zeros(1, dtype=np.int64) if count == 0 else np.frombuffer(offsets, dtype=np.int64)
    buffer = np.zeros(0, dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
    return ends[first : first + count + 1] if count else ends, buffer


def white_space(data: Bytes) -> Bools:
    """Which bytes belong to a Unicode white space character."""
    space = _ASCII_SPACE[data]
    lead = np.flatnonzero((data == 0xC2) | ((data >= 0xE1) & (data <= 0xE3)))
    if len(lead):
        padded = np.append(data, np.zeros(2, dtype=np.uint8))
        one, two, three = padded[lead], padded[lead + 1], padded[lead + 2]
        pair = lead[(one == 0xC2) & ((two == 0x85) | (two == 0xA0))]
        general = ((three >= 0x80) & (three <= 0x8A)) | (three == 0xA8) | (three == 0xA9) | (three == 0xAF)
        triple = lead[
            ((one == 0xE1) & (two == 0x9A) & (three == 0x80))
            | ((one == 0xE2) & (two == 0x80) & general)
            | ((one == 0xE2) & (two == 0x81) & (three == 0x9F))
            | ((one == 0xE3) & (two == 0x80) & (three == 0x80))
        ]
        space[pair] = space[pair + 1] = True
        space[triple] = space[triple + 1] = space[triple + 2] = True
    return space
