"""How near rows are to the nearest evaluation item, by an embedder: what runs of words cannot see.

``Natalia sold clips to 48 friends.`` beside the item ``48 friends bought clips from Natalia.`` -> the item's number and
a cosine of 0.9 or so, which says that somebody should look, not that it is a copy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mashbill.embedding import VectorEmbedder, load_embedder

BLOCK = 2048
"""Rows compared at a time."""
ITEMS = 65_536
"""Items compared at a time: with `BLOCK` rows half a gigabyte of similarities."""


class Audit:
    """The items' vectors, and the nearest of them to any text."""

    def __init__(self, embedder: str, items: Sequence[str]) -> None:
        self._embedder: VectorEmbedder = load_embedder(embedder)
        self._items = self._embedder.embed(list(items))

    def nearest(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """For each text the cosine to the nearest item, and the item; of items equally near the first."""
        best = np.full(len(texts), -1.0, np.float32)
        which = np.zeros(len(texts), np.int64)
        for at in range(0, len(texts), BLOCK):
            rows = self._embedder.embed(list(texts[at : at + BLOCK]))
            for first in range(0, len(self._items), ITEMS):
                near = rows @ self._items[first : first + ITEMS].T
                item = near.argmax(axis=1)
                value = near[np.arange(len(rows)), item]
                better = value > best[at : at + BLOCK]
                best[at : at + BLOCK][better] = value[better]
                which[at : at + BLOCK][better] = item[better] + first
        return np.clip(best, -1.0, 1.0), which
