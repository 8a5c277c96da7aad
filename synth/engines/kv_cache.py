"""Keys and values of a running batch, written in place.

transformers' growing cache concatenates all it holds at each step: 16 rows of 1,500 tokens then give 26 tokens a
second on two cores. Here a column is written into a buffer that doubles when full, and attention reads a view.

Rows end at the same column, so a step writes one column; a row that begins later masks what lies before it::

    row 0   a a a a a b b|       start 0
    row 1   . . a a a b b|       start 2
    row 2   . . . . . a a|       start 5: came in when another row had finished
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers.cache_utils import Cache

Pairs = Sequence[tuple[torch.Tensor, torch.Tensor]]
SLACK = 64
"""Columns a new buffer has to spare."""


class PromptCache(Cache):  # type: ignore[misc]
    """Takes the keys and values of one forward pass over whole prompts, as they come."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.pairs: list[tuple[torch.Tensor, torch.Tensor]] = []

    def update(  # noqa: D102
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.pairs.append((key_states, value_states))
        return key_states, value_states

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: D102
        return 0


class ColumnCache(Cache):  # type: ignore[misc]
    """The cache of a decoding batch: `rows` rows whose last column is the same."""

    def __init__(self, rows: int) -> None:
        super().__init__(layers=[])
        self.rows = rows
        self.end = 0
        """The column the next step writes."""
        self.start = [0] * rows
        """Each row's first column."""
        self._low = 0
        self._room = 0
        self._layers: list[list[torch.Tensor]] = []
        self._hidden: torch.Tensor | None = None

    @property
    def width(self) -> int:
        """Columns that attention reads."""
        return self.end - self._low

    def insert(self, rows: Sequence[int], lengths: Sequence[int], pairs: Pairs) -> None:
        """Put computed prompts (left-padded to one length) into rows, so that they end where the others do."""
        wide = pairs[0][0].shape[2]
        if not self._layers:
            self._allocate(pairs, wide)
        if wide > self.end:
            self._repack(range(self.rows), shift=wide - self.width)
        places = torch.tensor(rows, device=pairs[0][0].device)
        for layer, pair in zip(self._layers, pairs, strict=True):
            for buffer, part in zip(layer, pair, strict=True):
                buffer[places, :, self.end - wide : self.end] = part
        for row, length in zip(rows, lengths, strict=True):
            self.start[row] = self.end - length
            self._hide(row)

    def step(self, live: Sequence[int]) -> torch.Tensor:
        """Make room for one more column and return what to add to the scores, ``(rows, 1, 1, columns)``."""
        self._low = min(self.start[row] for row in live)
        if self.end == self._room:
            self._repack(range(self.rows))
        self.end += 1
        assert self._hidden is not None
        return self._hidden[:, None, None, self._low : self.end]

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these."""
        self._repack(rows)

    def update(  # noqa: D102
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = self._layers[layer_idx]
        keys[:, :, self.end - 1] = key_states[:, :, 0]
        values[:, :, self.end - 1] = value_states[:, :, 0]
        return keys[:, :, self._low : self.end], values[:, :, self._low : self.end]

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: D102
        return self.width

    def _allocate(self, pairs: Pairs, wide: int) -> None:
        self.end, self._room = wide, wide + SLACK
        for pair in pairs:
            # Zeros, not garbage: a hidden column weighs 0 in attention, and 0 times NaN is NaN.
            self._layers.append(
                [part.new_zeros((self.rows, part.shape[1], self._room, part.shape[3])) for part in pair]
            )
        self._hidden = pairs[0][0].new_zeros((self.rows, self._room))

    def _repack(self, rows: Sequence[int], shift: int = 0) -> None:
        """Copy the given rows' live columns into buffers of double width, `shift` columns further right."""
        width = self.end - self._low
        self._room = max(self._room, 2 * (width + shift), width + shift + SLACK)
        chosen = slice(None) if len(rows) == self.rows else torch.tensor(rows, device=self._layers[0][0].device)
        for layer in self._layers:
            for place, old in enumerate(layer):
                new = old.new_zeros((len(rows), old.shape[1], self._room, old.shape[3]))
                new[:, :, shift : shift + width] = old[:, :, self._low : self.end][chosen]
                layer[place] = new
        self.start = [max(self.start[row] - self._low, 0) + shift for row in rows]
        self.rows, self.end, self._low = len(rows), shift + width, 0
        self._hidden = self._layers[0][0].new_zeros((self.rows, self._room))
        for row in range(self.rows):
            self._hide(row)

    def _hide(self, row: int) -> None:
        assert self._hidden is not None
        self._hidden[row] = 0
        # The smallest number, not minus infinity: a row with nothing to see would give NaN.
        self._hidden[row, : self.start[row]] = torch.finfo(self._hidden.dtype).min
