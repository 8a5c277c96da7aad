r"""The set of word n-grams of each text, as 64-bit hashes: what near-duplicates are compared by.

One row in -> out: ``"# Salt\nThe salt guild keeps its ledgers."`` with n = 5 and headings stripped -> the hashes of
``the salt guild keeps its`` and ``salt guild keeps its ledgers``.

Before shingling a text is put in Unicode form C and lower case, and everything but letters, marks and digits becomes a
space, so that neither case, quotation marks nor line breaks make two texts differ. A letter of a script that puts no
spaces between words (Chinese, Japanese, Thai, Khmer, …) is a word by itself. Lines that the step's own template writes
into every text (`BOILERPLATE`) are taken out first: two short texts would else be near-duplicates by their headings
alone. A text shorter than n words is one shingle, whole. A text without any letter or digit has none, and is a
duplicate of nothing.

Texts are read from Arrow's bytes by a compiled kernel. Those with a character that only normalisation can settle (an
accent of its own, a capital sigma: one passage in a hundred of English, most of Vietnamese in form D) are normalised by
polars first; `comparable` says what both ways give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from filters import code_points
from filters.compared_chars import table
from filters.hashing import WORD_BASE, Hashes, powers
from filters.measured import texts_of
from filters.text_buffer import Bytes, Ints, arrow_bytes

BOILERPLATE = (
    r"(?m)^[^\S\n]*#{1,6}[^\S\n][^\n]*$",
    r"(?mi)^[^\S\n]*\**discussion of [^\n:]{1,200}? in relation to [^\n:.!?]{1,200}(?::|$)",
)
"""Markdown headings, and EntiGraph's "Discussion of X in relation to Y", to its colon or the end of the line.

A heading that runs on into a sentence is left alone: words of the body must never be taken out with it."""

_HEAD = np.frombuffer(b"DISCUSSION OF ", dtype=np.uint8)
"""How the second begins, in capitals."""

CHUNK_BYTES = 1 << 21
"""Bytes of text read at a time; their words and shingles take about six times as much memory."""


class NotUtf8(ValueError):
    """A text whose bytes are no UTF-8, such as one with a lone surrogate; `row` is its place."""

    def __init__(self, row: int) -> None:
        super().__init__(f"text {row} is not UTF-8")
        self.row = row


def comparable(column: str, boilerplate: Sequence[str] = BOILERPLATE) -> pl.Expr:
    r"""The text as it is compared, before letters that stand alone are taken apart.

    >>> pl.DataFrame({"text": ["# Salt\nThe “Guild”,\nsaid he"]}).select(comparable("text"))["text"].to_list()
    ['the guild said he']
    """
    text = pl.col(column)
    for pattern in boilerplate:
        text = text.str.replace_all(pattern, " ")
    words = text.str.normalize("NFC").str.to_lowercase().str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ")
    return words.str.strip_chars(" ")


@dataclass(frozen=True)
class Shingles:
    """Shingle hashes of several texts, one after the other: text i has ``hashes[bounds[i]:bounds[i + 1]]``.

    They are in the order of the text, repeats included.
    """

    hashes: Hashes
    bounds: Ints

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def sets(self) -> Iterator[Hashes]:
        """The set of each text, sorted."""
        for start, end in zip(self.bounds[:-1].tolist(), self.bounds[1:].tolist(), strict=True):
            yield np.unique(self.hashes[start:end])


def shingles(
    texts: pa.LargeStringArray,
    n: int,
    boilerplate: Sequence[str] = BOILERPLATE,
    most: int = CHUNK_BYTES,
) -> Iterator[Shingles]:
    """Word n-grams of texts without nulls, in chunks of about `most` bytes; a longer text is alone in its own.

    Raises:
        NotUtf8: for a text whose bytes are none.
    """
    offsets, _data = arrow_bytes(texts)
    first, count = 0, len(offsets) - 1
    while first < count:
        last = int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1
        last = min(max(last, first + 1), count)
        try:
            yield _grams(_read(texts.slice(first, last - first), boilerplate), n)
        except NotUtf8 as error:
            raise NotUtf8(first + error.row) from error
        first = last


@dataclass(frozen=True)
class _Words:
    """Hashes of words; text i has ``count[i]`` of them from ``first[i]`` on."""

    hashes: Hashes
    first: Ints
    count: Ints

    def replaced(self, texts: Ints, words: _Words) -> _Words:
        """With other words for some of the texts."""
        first, count = self.first.copy(), self.count.copy()
        first[texts] = len(self.hashes) + words.first
        count[texts] = words.count
        return _Words(np.concatenate([self.hashes, words.hashes]), first, count)


def _read(texts: pa.LargeStringArray, boilerplate: Sequence[str]) -> _Words:
    from filters.shingle_kernel import BROKEN, READ

    offsets, data = arrow_bytes(texts)
    words, state = _words(data, offsets, settled=False)
    if (broken := np.flatnonzero(state == BROKEN)).size:
        raise NotUtf8(int(broken[0]))
    marked = np.flatnonzero(_marked(texts, data, offsets, boilerplate))
    if marked.size:
        stripped = _stripped(texts.take(pa.array(marked)), boilerplate)
        more, state[marked] = _words(*arrow_bytes(stripped)[::-1], settled=False)
        words = words.replaced(marked, more)
    unsettled = np.flatnonzero(state != READ)
    if unsettled.size:
        some = pl.DataFrame({"text": pl.Series(_stripped(texts.take(pa.array(unsettled)), boilerplate))})
        normal = texts_of(some.select(comparable("text", ())).to_series())
        words = words.replaced(unsettled, _words(*arrow_bytes(normal)[::-1], settled=True)[0])
    return words


def _stripped(texts: pa.LargeStringArray, boilerplate: Sequence[str]) -> pa.LargeStringArray:
    text = pl.col("text")
    for pattern in boilerplate:
        text = text.str.replace_all(pattern, " ")
    return texts_of(pl.DataFrame({"text": pl.Series(texts)}).select(text).to_series())


def _words(data: Bytes, offsets: Ints, *, settled: bool) -> tuple[_Words, npt.NDArray[np.int64]]:
    from filters.shingle_kernel import read_words

    texts = len(offsets) - 1
    # As many as there could be: pages that are not written to cost nothing.
    most = (int(offsets[-1] - offsets[0]) + texts) // 2 + 1
    made = np.empty(most, np.uint64), np.empty(texts, np.int64), np.empty(texts, np.int64), np.empty(texts, np.int64)
    found = read_words(data, offsets[:-1], offsets[1:], table(), settled, made)
    return _Words(made[0][:found], made[1], made[2]), made[3]


def _marked(
    texts: pa.LargeStringArray, data: Bytes, offsets: Ints, boilerplate: Sequence[str]
) -> npt.NDArray[np.bool_]:
    """Which texts may have something that is taken out."""
    found = np.zeros(len(offsets) - 1, dtype=np.bool_)
    if tuple(boilerplate) == BOILERPLATE:
        from filters.shingle_kernel import may_open

        # A look at the openings of lines finds what two regular expressions would, and more, in a fifth of the time.
        may_open(data, offsets[:-1], offsets[1:], code_points.table(), _HEAD, found)
    elif boilerplate:
        series = pl.Series(texts)
        for pattern in boilerplate:
            found |= series.str.contains(pattern).to_numpy()
    return found


def _grams(words: _Words, n: int) -> Shingles:
    from filters.shingle_kernel import shingle

    made = np.where(words.count >= n, words.count - n + 1, np.minimum(words.count, 1))
    bounds = np.concatenate(([0], np.cumsum(made)))
    hashes = np.empty(int(bounds[-1]), dtype=np.uint64)
    shingle(words.hashes, words.first, words.count, n, powers(WORD_BASE, n), bounds, hashes)
    return Shingles(hashes, bounds)


def jaccard(one: Hashes, other: Hashes) -> float:
    """The exact Jaccard similarity of two sorted sets of hashes.

    >>> jaccard(np.array([1, 2, 3], dtype=np.uint64), np.array([2, 3, 4], dtype=np.uint64))
    0.5
    """
    if len(one) == 0 or len(other) == 0:
        return 0.0
    at = np.searchsorted(other, one)
    at[at == len(other)] = 0
    shared = int(np.count_nonzero(other[at] == one))
    return shared / (len(one) + len(other) - shared)
