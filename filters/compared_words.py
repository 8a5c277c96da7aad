r"""The words by which texts are compared with evaluation items, as hashes: no case, no punctuation, no layout.

One row in -> out: the text ``"The Salt-Guild’s  RULES:\n1842"`` -> the hashes of ``the salt guild s rules 1842``.

What a word is says `filters.shingles`: a text is put in Unicode form C and lower case, and everything but letters,
marks and digits parts words. Of scripts that put no spaces between words each letter is a word, so that a run of words
can be found there too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from filters import code_points
from filters.hashing import WORD_BASE, Hashes, mix, powers
from filters.measured import texts_of
from filters.shingles import comparable, shingles
from filters.text_buffer import Ints


@dataclass(frozen=True)
class ComparedWords:
    """Words of several texts: text i has those from ``bounds[i]`` up to ``bounds[i + 1]``."""

    hash: Hashes
    bounds: Ints

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def count(self) -> Ints:
        """Words of each text."""
        return np.diff(self.bounds)

    def whole(self) -> Hashes:
        """A hash of all words of each text, in their order; 0 for a text without any."""
        full = np.flatnonzero(self.count)
        found = np.zeros(len(self), np.uint64)
        if len(full):
            within = np.arange(len(self.hash)) - np.repeat(self.bounds[:-1], self.count)
            terms = self.hash * powers(WORD_BASE, int(self.count.max()))[within]
            found[full] = mix(np.add.reduceat(terms, self.bounds[:-1][full]) + self.count[full].astype(np.uint64))
        return found


def compared_words(texts: pl.Series) -> Iterator[ComparedWords]:
    """The words of texts, in chunks of bounded memory that together hold all, in order; a null has none."""
    for one in shingles(texts_of(texts), 1, ()):
        yield ComparedWords(one.hashes, one.bounds)


def all_words(texts: pl.Series) -> ComparedWords:
    """The words of texts that fit into memory."""
    chunks = list(compared_words(texts))
    counts = np.concatenate([np.zeros(1, np.int64), *(one.count for one in chunks)])
    return ComparedWords(np.concatenate([np.zeros(0, np.uint64), *(one.hash for one in chunks)]), np.cumsum(counts))


def said_words(text: str) -> list[str]:
    r"""The words of one text, to be read.

    >>> said_words("The Salt-Guild’s  RULES:\n1842"), said_words("東京 Tokyo")
    (['the', 'salt', 'guild', 's', 'rules', '1842'], ['東', '京', 'tokyo'])
    """
    words = pl.DataFrame({"text": [text]}).select(comparable("text", ()))["text"][0]
    flags = code_points.table()
    alone = (ord(one) < code_points.BOUND and bool(flags[ord(one)] & code_points.UNSPACED) for one in words)
    return "".join(f" {one} " if by_itself else one for one, by_itself in zip(words, alone, strict=True)).split()
