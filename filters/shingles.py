r"""The set of word n-grams of each text, as 64-bit hashes: what near-duplicates are compared by.

One row in -> out: ``"# Salt\nThe salt guild keeps its ledgers."`` with n = 5 and headings stripped -> the hashes of
``the salt guild keeps its`` and ``salt guild keeps its ledgers``.

Before shingling a text is put in Unicode form C and lower case, and everything but letters, marks and digits becomes a
space, so that neither case, quotation marks nor line breaks make two texts differ. Lines that the step's own template
writes into every text (`BOILERPLATE`) are taken out first: two short texts would else be near-duplicates by their
headings alone. A text shorter than n words is one shingle, whole. A text without any letter or digit has none, and is
a duplicate of nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from filters.hashing import Hashes, gram_hashes, span_hashes
from filters.measured import texts_of
from filters.text_buffer import Ints, TextBuffer

BOILERPLATE = (
    r"(?m)^[^\S\n]*#{1,6}[^\S\n][^\n]*$",
    r"(?mi)^[^\S\n]*\**discussion of [^\n:]{1,200}? in relation to [^\n:.!?]{1,200}(?::|$)",
)
"""Markdown headings, and EntiGraph's "Discussion of X in relation to Y", to its colon or the end of the line.

A heading that runs on into a sentence is left alone: words of the body must never be taken out with it."""


def comparable(column: str, boilerplate: Sequence[str] = BOILERPLATE) -> pl.Expr:
    r"""The text as it is compared.

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


def shingles(texts: pl.Series, n: int) -> Iterator[Shingles]:
    """Word n-grams of texts already `comparable`, in chunks of bounded memory."""
    for buffer in TextBuffer.chunks(texts_of(texts)):
        yield _shingle(buffer, n)


def _shingle(buffer: TextBuffer, n: int) -> Shingles:
    words = span_hashes(buffer.data, buffer.words.start, buffer.words.end)
    bounds = buffer.words_of_text
    counts = np.diff(bounds)
    made = np.where(counts >= n, counts - n + 1, np.minimum(counts, 1))
    ends = np.cumsum(made)
    hashes = np.zeros(int(made.sum()), dtype=np.uint64)
    long = counts >= n
    # Places of full n-grams: word i of a text of c words, for i up to c - n.
    place = np.arange(len(hashes), dtype=np.int64) - np.repeat(ends - made, made) + np.repeat(bounds[:-1], made)
    full = np.repeat(long, made)
    hashes[full] = gram_hashes(words, n, place[full])
    for size in np.unique(counts[(counts > 0) & ~long]).tolist():
        short = np.flatnonzero(counts == size)
        hashes[ends[short] - 1] = gram_hashes(words, size, bounds[short])
    return Shingles(hashes, np.concatenate(([0], ends)))


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
