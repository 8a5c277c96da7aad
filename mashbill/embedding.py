"""Embedders by name: texts to unit vectors, for blocking, near-duplicates and diversity.

>>> embedder = load_embedder("hashed_ngrams")
>>> vectors = embedder.embed(["Salt Guild", "salt guilds", "lamp oil"])
>>> vectors.shape, vectors.dtype.name
((3, 256), 'float32')
>>> bool(vectors[0] @ vectors[1] > 0.8 > 0.3 > vectors[0] @ vectors[2])
True

An embedder is a class with an `embed` method in a file named for it, in `mashbill.embedders` (numpy alone) or
`synth.engines` (a model). A step has the name as its field, so a name must stand for one exact embedder: what would
give other vectors (weights, sizes) has another name or is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mashbill.registry import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT = "hashed_ngrams"


class VectorEmbedder(Protocol):
    """An `mashbill.engine.Embedder` whose vectors are one float32 array of unit rows."""

    @property
    def identity(self) -> str:
        """Kind, model and revision."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """An array of ``(len(texts), dimensions)``."""
        ...


def load_embedder(name: str = DEFAULT) -> VectorEmbedder:
    """The embedder of a name, ready to use.

    Raises:
        RegistryError: for an unknown name, with the list.
        SettingsError: when a package that it needs is not installed.
    """
    made: Any = load("embedder", name)
    embedder: VectorEmbedder = made()
    return embedder


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows at length one; a row of zeros (a text without letters) points along the first axis.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [1.0, 0.0]]
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    empty = lengths == 0.0
    result = (rows / np.where(empty, 1.0, lengths)[:, None]).astype(np.float32)
    result[empty, 0] = 1.0
    return result


def in_batches(texts: Sequence[str], size: int, characters: int) -> Iterator[tuple[int, Sequence[str]]]:
    """The texts at most `size` at a time, with where each batch begins; fewer of long ones.

    >>> list(in_batches(["a", "b", "c"], 2, 9)), list(in_batches(["long", "text", "a"], 2, 5))
    ([(0, ['a', 'b']), (2, ['c'])], [(0, ['long']), (1, ['text', 'a'])])
    """
    start, held = 0, 0
    for at, text in enumerate(texts):
        if at > start and (at - start == size or held + len(text) > characters):
            yield start, texts[start:at]
            start, held = at, 0
        held += len(text)
    if start < len(texts):
        yield start, texts[start:]
