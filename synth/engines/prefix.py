"""Beginnings that prompts share: which to compute once, and a store of those computed.

::

    [sys doc-A q1] [sys doc-A q2] [sys doc-B q3]  ->  share 2 | share 2 | share 1

The choice is by tokens saved: a shared beginning of `d` tokens under `n` prompts saves ``(n - 1) * d``, and a group
is split where its parts together save more than it does whole.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LEAST = 32
"""Shorter beginnings are cheaper to compute again than to keep apart."""
DEEPEST = 200
"""Splits below splits: prompts that each continue the one before would otherwise nest without end."""


@dataclass(frozen=True, eq=False)
class Prefix:
    """The keys and values of one beginning: for each layer a pair of ``(1, heads, tokens, width)``."""

    ids: tuple[int, ...]
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(part.numel() * part.element_size() for pair in self.layers for part in pair)

    def head(self, tokens: int) -> Prefix:
        """Its first tokens, as views: attention looks back only, so they are a prefix's too."""
        if tokens == len(self.ids):
            return self
        return Prefix(self.ids[:tokens], tuple((k[:, :, :tokens], v[:, :, :tokens]) for k, v in self.layers))


class PrefixStore:
    """The prefixes used last, within a limit of bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()
        self._heads: dict[tuple[tuple[int, ...], int], Prefix] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(prefix.size for prefix in self._kept.values())

    def find(self, ids: Sequence[int]) -> Prefix | None:
        """The longest kept beginning of `ids` that leaves at least one token over, or None under `LEAST` tokens.

        The same beginning is the same object, so that rows which share it are recognised.
        """
        best, found = LEAST - 1, None
        for kept in self._kept:
            if (length := min(common(kept, ids), len(ids) - 1)) > best:
                best, found = length, kept
        if found is None:
            return None
        self._kept.move_to_end(found)
        if best == len(found):
            return self._kept[found]
        return self._heads.setdefault((found, best), self._kept[found].head(best))

    def keep(self, prefix: Prefix) -> None:
        """Keep a prefix, letting the longest unused ones go; one larger than the limit is not kept at all."""
        if prefix.size > self.limit:
            return
        self._kept[prefix.ids] = prefix
        size = self.size
        while size > self.limit:
            gone, dropped = self._kept.popitem(last=False)
            size -= dropped.size
            self._heads = {key: head for key, head in self._heads.items() if key[0] != gone}

    def clear(self) -> None:
        """Let all go."""
        self._kept.clear()
        self._heads.clear()


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many leading tokens two prompts share."""
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return index
    return min(len(one), len(other))


def shared_lengths(prompts: Sequence[Sequence[int]], least: int = LEAST) -> list[int]:
    """For each prompt, how many of its first tokens to take from a shared beginning; 0 for none.

    At least one token is left over, since the next token's scores come from computing it.

    >>> shared_lengths([[1, 2, 3, 4], [1, 2, 3, 5], [9, 8]], least=2)
    [3, 3, 0]
    """
    order = sorted(range(len(prompts)), key=lambda index: tuple(prompts[index]))
    ordered = [prompts[index] for index in order]
    steps = [min(common(a, b), len(a) - 1, len(b) - 1) for a, b in itertools.pairwise(ordered)]
    found = _split(steps, 0, len(ordered), least, 0)[1] if ordered else []
    lengths = [0] * len(prompts)
    for index, length in zip(order, found, strict=True):
        lengths[index] = length
    return lengths


def _split(steps: Sequence[int], low: int, high: int, least: int, depth: int) -> tuple[int, list[int]]:
    """Tokens saved by the best choice for prompts low..high-1 in order, and that choice; steps[i] joins i and i + 1."""
    count = high - low
    if count == 1:
        return 0, [0]
    shared = min(steps[low : high - 1])
    whole = (count - 1) * shared if shared >= least else 0
    if depth == DEEPEST:
        return whole, [shared if whole else 0] * count
    saved, parts, start = 0, list[int](), low
    for index in range(low, high):
        if index == high - 1 or steps[index] == shared:
            gain, part = _split(steps, start, index + 1, least, depth + 1)
            saved, parts, start = saved + gain, parts + part, index + 1
    return (whole, [shared] * count) if whole >= saved and whole else (saved, parts)
