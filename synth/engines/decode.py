"""The decoding loop: all rows step together, and a finished row's place is taken by the next request."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch

from synth.engines.kv_cache import SLACK, ColumnCache
from synth.engines.prompts import Prompts, segments_of
from synth.engines.sampling import Row, choose

UNEVEN = 512
"""Columns beyond twice its length that a row may be padded by; past that it waits for a batch of its like."""
REFILL = 8
"""An eighth of the places free: then new rows come in or, with none left, the batch is made smaller."""

Take = Callable[[Row, int], bool]
"""Takes a row's new token; True when the row is done."""


class Batch:
    """Rows that decode together, fed from a queue until it is empty or holds only rows unlike these."""

    def __init__(self, prompts: Prompts, waiting: deque[Row], take: Take, *, rows: int, tokens: int) -> None:
        self._prompts = prompts
        self._waiting = waiting
        self._take = take
        self._tokens = tokens
        self._device: torch.device = prompts.model.device
        count = self._places(rows)
        self._rows: list[Row | None] = [None] * count
        self._cache = ColumnCache(count)

    def run(self, stopped: Callable[[], bool]) -> None:
        """Generate until no row is left."""
        self._admit()
        while self._live and not stopped():
            self._step()
            free = len(self._rows) - len(self._live)
            if free * REFILL >= len(self._rows):
                self._admit()
                self._shrink()

    @property
    def _live(self) -> list[int]:
        return [place for place, row in enumerate(self._rows) if row is not None]

    def _places(self, most: int) -> int:
        """How many places the first rows waiting fill within the limits."""
        count, widest = 0, 0
        for row in self._waiting:
            wider = max(widest, row.length)
            if count and (count == most or not self._fits(row, widest, count + 1)):
                break
            count, widest = count + 1, wider
        return count

    def _fits(self, row: Row, width: int, places: int) -> bool:
        wider, shorter = max(width, row.length), min(width, row.length)
        return places * (wider + SLACK) <= self._tokens and wider <= 2 * shorter + UNEVEN

    def _admit(self) -> None:
        """Fill free places from the queue."""
        free = [place for place, row in enumerate(self._rows) if row is None]
        fresh = len(free) == len(self._rows)
        chosen: list[Row] = []
        while len(chosen) < len(free) and self._waiting:
            # An empty batch was sized for these rows; one under way has a width to fit.
            if not fresh and not self._fits(self._waiting[0], self._cache.width, len(self._rows)):
                break
            chosen.append(self._waiting.popleft())
        for row in chosen:
            self._prompts.lift(row)
        for part in _portions(sorted(chosen, key=lambda row: -len(row.own)), self._prompts.at_once):
            places, free = free[: len(part)], free[len(part) :]
            logits, pairs = self._prompts.compute(part)
            self._cache.insert(places, [len(row.own) for row in part], pairs)
            for place, row in zip(places, part, strict=True):
                self._rows[place] = row
            self._choose(logits, places)

    def _step(self) -> None:
        live = self._live
        hidden = self._cache.step(live)
        ids = [[row.tokens[-1] if row else self._prompts.pad] for row in self._rows]
        positions = [[row.prompt_tokens + len(row.tokens) - 1 if row else 0] for row in self._rows]
        logits = self._prompts.model(
            input_ids=torch.tensor(ids, device=self._device),
            attention_mask=hidden,
            position_ids=torch.tensor(positions, device=self._device),
            past_key_values=self._cache,
            use_cache=True,
            segments=segments_of(self._rows, self._device),
        ).logits[:, -1]
        self._choose((logits if len(live) == len(self._rows) else logits[live]).float(), live)

    def _choose(self, logits: torch.Tensor, places: Sequence[int]) -> None:
        rows = [row for place in places if (row := self._rows[place]) is not None]
        for place, row, token in zip(places, rows, choose(logits, rows), strict=True):
            if self._take(row, token):
                self._rows[place] = None

    def _shrink(self) -> None:
        live = self._live
        if live and (len(self._rows) - len(live)) * REFILL >= len(self._rows):
            self._cache.keep(live)
            self._rows = [self._rows[place] for place in live]


def _portions(rows: Sequence[Row], tokens: int) -> Iterator[Sequence[Row]]:
    """Rows, long ones first, in runs whose padded size is within `tokens`."""
    while rows:
        count = max(1, tokens // len(rows[0].own))
        yield rows[:count]
        rows = rows[count:]
