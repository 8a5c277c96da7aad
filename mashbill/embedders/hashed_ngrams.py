"""Texts by the characters they are spelled with: hashed n-grams, with numpy alone.

``"Salt Guild"`` -> 256 numbers, near those of ``"salt guilds"`` and far from those of ``"lamp oil"``.

Good for spelling (typos, inflection, word order), blind to meaning: ``physician`` and ``doctor`` share nothing here.
Runs of two to four characters of each word, the word's edges included (as `char_wb` of scikit-learn cuts them), are
hashed to signed buckets (Weinberger et al., arXiv 0902.2206), so no vocabulary is kept and a text's vector depends on
that text alone. Weights that depend on the other texts (IDF) were left out for that reason: documents added later
would move every similarity, and with them what a resolver has already asked and paid for. Two unrelated texts meet at
0 with a standard deviation of 1/sqrt(256) = 0.06.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mashbill.embedding import in_batches, unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 4096
"""Texts hashed together: some 4 MB of codes for names, and no more work for one than for many."""
CHARACTERS = 1 << 20
"""Characters hashed together, of many texts or of one long one: some 50 MB of codes at a time."""
_ODD = re.compile(r"[\W_]+")
_PRIME = np.uint64(0x100000001B3)


def folded(text: str) -> str:
    """A text as it is hashed: no case, accents or punctuation, one space at each end.

    >>> folded("Café-au-lait!")
    ' cafe au lait '
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    marks = [letter for letter in set(plain) if unicodedata.combining(letter)]
    letters = plain.translate(dict.fromkeys(map(ord, marks))) if marks else plain
    return f" {_ODD.sub(' ', letters).strip()} "


@dataclass(frozen=True, kw_only=True)
class HashedNgrams:
    """Signed hashed counts of the character n-grams of words."""

    dimensions: int = 256
    shortest: int = 2
    longest: int = 4

    @property
    def identity(self) -> str:
        """Its settings; the last number is raised when the same settings give other vectors."""
        return f"hashed_ngrams/{self.dimensions}/{self.shortest}-{self.longest}@1"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows, one for each text."""
        result = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for start, batch in in_batches(texts, BATCH, CHARACTERS):
            result[start : start + len(batch)] = unit_rows(self._counts([folded(text) for text in batch]))
        return result

    def _counts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
        rows = np.repeat(np.arange(len(texts), dtype=np.int32), [len(text) for text in texts])
        counts = np.zeros(len(texts) * self.dimensions, dtype=np.float64)
        for start in range(0, len(codes), CHARACTERS):
            # What begins in this stretch may end in the next.
            stretch = codes[start : start + CHARACTERS + self.longest - 1].astype(np.uint64)
            self._count(stretch, rows[start : start + CHARACTERS], counts)
        return counts.reshape(len(texts), self.dimensions).astype(np.float32)

    def _count(self, codes: NDArray[np.uint64], rows: NDArray[np.int32], counts: NDArray[np.float64]) -> None:
        """Add what begins at each of the characters that have a row."""
        space = codes == ord(" ")
        for size in range(self.shortest, self.longest + 1):
            last = min(len(codes) - size + 1, len(rows))
            if last <= 0:
                continue
            hashed = np.full(last, size, dtype=np.uint64)
            # A run may begin or end at a word's edge but not cross it; nor does it run from one text into the next,
            # since each begins and ends with a space.
            whole = np.ones(last, dtype=bool)
            for step in range(size):
                hashed = (hashed ^ codes[step : step + last]) * _PRIME
                if 0 < step < size - 1:
                    whole &= ~space[step : step + last]
            if size == 2:
                whole &= ~(space[:last] & space[1 : 1 + last])
            self._add(counts, rows[:last][whole], _mixed(hashed[whole]))

    def _add(self, counts: NDArray[np.float64], rows: NDArray[np.int32], hashed: NDArray[np.uint64]) -> None:
        places = rows.astype(np.intp) * self.dimensions + (hashed % np.uint64(self.dimensions)).astype(np.intp)
        signs = np.where(hashed >> np.uint64(63), 1.0, -1.0)
        counts += np.bincount(places, weights=signs, minlength=len(counts))


def _mixed(hashed: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: its high and low bits are as good as independent."""
    hashed = (hashed ^ (hashed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashed = (hashed ^ (hashed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashed ^ (hashed >> np.uint64(31))
