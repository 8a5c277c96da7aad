r"""An index of the words of evaluation items, and what of a batch of texts it finds in it.

One item in, one text -> found: the item ``"Natalia sold clips to 48 of her friends in April, and then she sold half as
many clips in May."`` with runs of 13 words, and a text that says ``… sold clips to 48 of her friends in April and then
she sold half …`` -> 15 words in a row, from the text's word 1 on, of that item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from filters.compared_words import ComparedWords, all_words
from filters.hashing import Hashes
from filters.text_buffer import Ints

LENGTH, AT, PIECE = range(3)
"""Columns of what is found: words of the longest run, its first word in the text, the piece that has it too."""
Runs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RunIndex:
    """All runs of `n` words of some pieces."""

    n: int
    words: Hashes
    bounds: Ints
    piece_of: Ints
    """Of each word."""
    keys: Hashes
    slots: Ints
    begins: Ints
    """Key i has the places from ``begins[i]`` up to ``begins[i + 1]``."""
    places: Ints

    @classmethod
    def of(cls, words: Hashes, bounds: Ints, n: int, common: int = 0) -> RunIndex:
        """An index; runs that stand in more than `common` pieces are left out, unless it is 0."""
        from filters.overlap_kernel import put_keys, run_hashes

        most = int(np.maximum(np.diff(bounds) - n + 1, 0).sum())
        found, place, piece = np.empty(most, np.uint64), np.empty(most, np.int64), np.empty(most, np.int64)
        run_hashes(words, bounds, n, found, place, piece)
        order = np.argsort(found, kind="stable")  # so the places of a key stay in order, and with them its pieces
        found, place, piece = found[order], place[order], piece[order]
        keys, first, which = np.unique(found, return_index=True, return_inverse=True)
        if common and most:
            new = np.ones(most, np.bool_)
            new[1:] = (which[1:] != which[:-1]) | (piece[1:] != piece[:-1])
            stays = np.bincount(which[new], minlength=len(keys)) <= common
            place, keys = place[stays[which]], keys[stays]
            first = np.cumsum(np.bincount(which)[stays]) - np.bincount(which)[stays]
        slots = np.full(_table_size(len(keys)), -1, np.int64)
        put_keys(keys, slots)
        piece_of = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        return cls(n, words, bounds, piece_of, keys, slots, np.append(first, len(place)).astype(np.int64), place)

    def longest(self, texts: ComparedWords, best: Runs | None = None) -> Runs:
        """For each text the longest run of at least `n` words that a piece has too; a row of zeros where none is."""
        from filters.overlap_kernel import longest_runs

        if best is None:
            best = np.zeros((len(texts), 3), np.int64)
        if len(self.keys):
            index = self.keys, self.slots, self.begins, self.places
            longest_runs(texts.hash, texts.bounds, self.n, index, (self.words, self.bounds, self.piece_of), best)
        return best


def _table_size(count: int) -> int:
    size = 16
    while size < 2 * count:
        size *= 2
    return size


@dataclass(frozen=True)
class Pieces:
    """Texts to look for, no two of the same words, and the items they come from."""

    owners: Ints
    """Of each the first item that has it."""
    hash: Hashes
    bounds: Ints

    @classmethod
    def of(cls, texts: Sequence[str], owners: Sequence[int]) -> Pieces:
        """From the texts of items, with the item of each; those without a word are left out."""
        words = all_words(pl.Series(texts, dtype=pl.String))
        _, first = np.unique(words.whole(), return_index=True)
        chosen = np.zeros(len(words), np.bool_)
        chosen[first] = True
        chosen &= words.count > 0
        kept = np.repeat(chosen, words.count)
        bounds = np.append(0, np.cumsum(words.count[chosen])).astype(np.int64)
        return cls(np.asarray(owners, np.int64)[chosen], words.hash[kept], bounds)

    @property
    def lengths(self) -> Ints:
        """Words of each."""
        return np.diff(self.bounds)

    def only(self, chosen: npt.NDArray[np.bool_]) -> tuple[Hashes, Ints, Ints]:
        """Words and bounds of some of them, and which they are."""
        which = np.flatnonzero(chosen)
        kept = np.repeat(chosen, self.lengths)
        return self.hash[kept], np.append(0, np.cumsum(self.lengths[which])), which


@dataclass(frozen=True)
class ShortIndex:
    """Pieces too short for a run of n words, found whole: one index for each length."""

    indexes: tuple[tuple[RunIndex, Ints], ...]

    @classmethod
    def of(cls, pieces: Pieces, shortest: int, n: int) -> ShortIndex:
        """Of the pieces of `shortest` words up to n - 1."""
        lengths = pieces.lengths
        made = []
        for length in range(n - 1, shortest - 1, -1):
            words, bounds, which = pieces.only(lengths == length)
            if len(which):
                made.append((RunIndex.of(words, bounds, length), which))
        return cls(tuple(made))

    def found(self, texts: ComparedWords) -> Runs:
        """For each text the longest piece that stands in it whole; a row of zeros where none does."""
        best = np.zeros((len(texts), 3), np.int64)
        for index, which in self.indexes:
            here = index.longest(texts)
            better = here[:, LENGTH] > best[:, LENGTH]
            here[:, PIECE] = which[here[:, PIECE]]
            best[better] = here[better]
        return best
