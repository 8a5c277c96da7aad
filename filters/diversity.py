r"""How unlike each other the rows of a data set are: five figures, each known from the literature.

Two equal texts and one of other words -> distinct_1 0.67, self_similarity 0.33, vendi 1.9, opener_entropy 0.58, …

* ``distinct_1``, ``distinct_2``: different words, and pairs of words, over all of them (Li et al., arXiv 1510.03055).
It falls with the number of rows, so data sets are compared at equal numbers. * ``self_similarity``: the mean cosine of
two different rows' vectors, -1 to 1. * ``vendi``: how many wholly unlike rows the rows are worth (Friedman and Dieng,
arXiv 2210.02410): e to the entropy of the eigenvalues of their similarity matrix; from 1 to the number of rows or of
dimensions. Reckoned on the covariance of the vectors, which has the same eigenvalues and a size that does not grow with
the rows. * ``opener_entropy``: the entropy of the first three words, over that of rows that all begin otherwise; 0 to
1. * ``entity_coverage``: the share of given names that stand in any row.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mashbill.words import singular, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPENER = 3
"""Words that count as an opening."""
NAMES = ("distinct_1", "distinct_2", "self_similarity", "vendi", "opener_entropy", "entity_coverage")


@dataclass(slots=True)
class Diversity:
    """The figures of rows that are added bit by bit."""

    rows: int = 0
    _words: list[int] = field(default_factory=lambda: [0, 0])
    _distinct: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))
    _openers: Counter[tuple[str, ...]] = field(default_factory=Counter)
    _sum: NDArray[np.float64] | None = None
    _squares: NDArray[np.float64] | None = None

    def add(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Add rows: their texts and unit vectors."""
        for text in texts:
            found = words(text)
            pairs = list(itertools.pairwise(found))
            self._words[0] += len(found)
            self._words[1] += len(pairs)
            self._distinct[0].update(map(hash, found))
            self._distinct[1].update(map(hash, pairs))
            self._openers[tuple(found[:OPENER])] += 1
        if len(texts):
            rows = vectors.astype(np.float64)
            total, squares = rows.sum(axis=0), rows.T @ rows
            self._sum = total if self._sum is None else self._sum + total
            self._squares = squares if self._squares is None else self._squares + squares
        self.rows += len(texts)

    def figures(self) -> dict[str, float]:
        """The figures there are: of fewer than two rows nothing can be said but which words they have."""
        found = {
            f"distinct_{size + 1}": len(self._distinct[size]) / self._words[size]
            for size in range(2)
            if self._words[size]
        }
        if self.rows > 1 and self._sum is not None and self._squares is not None:
            found["self_similarity"] = (float(self._sum @ self._sum) - self.rows) / (self.rows * (self.rows - 1))
            found["vendi"] = vendi_score(self._squares / self.rows)
            found["opener_entropy"] = entropy(self._openers.values()) / math.log(self.rows)
        return found


def entropy(counts: Iterable[float]) -> float:
    """The entropy of shares, in nats.

    >>> round(entropy([1, 1]), 4), entropy([5])
    (0.6931, 0.0)
    """
    held = [count for count in counts if count > 0]
    total = sum(held)
    return abs(-sum(count / total * math.log(count / total) for count in held))


def vendi_score(covariance: NDArray[np.float64]) -> float:
    """The Vendi score from the mean outer product of unit vectors.

    >>> round(vendi_score(np.eye(3) / 3), 6), round(vendi_score(np.diag([1.0, 0.0])), 6)
    (3.0, 1.0)
    """
    values = np.linalg.eigvalsh(covariance)
    return math.exp(entropy(values[values > 1e-12].tolist()))


@dataclass(slots=True)
class Coverage:
    """Which of some names stand in any of the texts, compared as `mashbill.words` does."""

    names: Sequence[str]
    found: set[tuple[str, ...]] = field(default_factory=set)
    _keys: frozenset[tuple[str, ...]] = frozenset()

    def __post_init__(self) -> None:
        self._keys = frozenset(key for name in self.names if (key := _key(name)))

    def add(self, texts: Iterable[str]) -> None:
        """Look at more texts."""
        sizes = sorted({len(key) for key in self._keys})
        for text in texts:
            own = _key(text)
            for size in sizes:
                self.found.update(
                    gram for at in range(len(own) - size + 1) if (gram := own[at : at + size]) in self._keys
                )

    @property
    def share(self) -> float:
        """The share of the names that were found."""
        return len(self.found) / len(self._keys)

    def missing(self) -> list[str]:
        """The names that stand in no text."""
        return [name for name in self.names if _key(name) and _key(name) not in self.found]


def _key(text: str) -> tuple[str, ...]:
    return tuple(singular(word) for word in words(text))
