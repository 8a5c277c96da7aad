r"""The words by which texts are compared with evaluation items, as hashes: no case, no punctuation, no layout.

One row in -> out: the text ``"The Salt-Guild’s  RULES:\n1842"`` -> the hashes of ``the salt guild s rules 1842``.

A text is put in Unicode form KC and lower case, and everything but letters, marks and digits parts words. Of scripts
that put no spaces between words (`mashbill.words.UNSPACED`) each character is a word, so that a run of words can be
found there too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from filters.hashing import Hashes
from filters.measured import texts_of
from filters.reading import read_in_chunks
from filters.text_buffer import Bytes, Ints
from mashbill.words import UNSPACED

_PARTS = r"[^\p{L}\p{M}\p{N}]+"


@dataclass(frozen=True)
class ComparedWords:
    """Words of several texts: text i has those from ``bounds[i]`` up to ``bounds[i + 1]``."""

    hash: Hashes
    bounds: Ints
    data: Bytes
    start: Ints
    end: Ints
    """Where each word lies in `data`."""

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def said(self, text: int, first: int, count: int) -> str:
        """Some words of a text, as they are compared."""
        begin = int(self.bounds[text]) + first
        from_, to = int(self.start[begin]), int(self.end[begin + count - 1])
        return " ".join(self.data[from_:to].tobytes().decode("utf-8", "replace").split())


def compared_words(texts: pl.Series) -> Iterator[ComparedWords]:
    """The words of texts, in chunks of bounded memory that together hold all, in order."""
    for reading in read_in_chunks(texts_of(as_compared(texts))):
        words = reading.words
        yield ComparedWords(words.hash, words.bounds, words.data, words.start, words.end)


def as_compared(texts: pl.Series) -> pl.Series:
    r"""Texts as they are compared, one space between words.

    >>> as_compared(pl.Series(["The Salt-Guild’s  RULES:\n1842", "東京 Tokyo"])).to_list()
    ['the salt guild s rules 1842', '東 京 tokyo']
    """
    text = pl.col("text")
    # Most texts are ASCII, which is in form KC and has no such script.
    wide = text.str.len_bytes() != text.str.len_chars()
    spaced = text.str.normalize("NFKC").str.replace_all(f"([{UNSPACED}])", " ${1} ")
    frame = pl.DataFrame({"text": texts.fill_null("")})
    return frame.select(
        pl.when(wide).then(spaced).otherwise(text).str.to_lowercase().str.replace_all(_PARTS, " ").str.strip_chars(" ")
    )["text"]
