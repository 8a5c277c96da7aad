"""Prompts to keys, values and first scores, with what prompts share computed once.

Prompts that begin alike get the beginning from one computation at batch 1; each row's own part is then computed in
batches of like length, padded on the left so that all end at the same column.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import torch

from mashbill.engine import Request, user
from synth.engines.kv_cache import PromptCache
from synth.engines.prefix import Prefix, PrefixStore, shared_lengths
from synth.engines.sampling import Row
from synth.engines.shared_attention import Segment

Pairs = list[tuple[torch.Tensor, torch.Tensor]]
_NO_REQUEST = Request(messages=(user(""),))


class Prompts:
    """Plans and computes prompts for one model."""

    def __init__(self, model: Any, store: PrefixStore, at_once: int, pad: int) -> None:
        self.model = model
        self.store = store
        self.at_once = at_once
        """Prompt tokens computed in one forward pass."""
        self.pad = pad
        self._alive: WeakValueDictionary[tuple[int, ...], Prefix] = WeakValueDictionary()

    def plan(self, rows: Sequence[Row]) -> deque[Row]:
        """Rows in the order to take them: those that share a beginning together, long ones first."""
        lengths = shared_lengths([row.own for row in rows])
        groups: dict[object, list[Row]] = {}
        for row, length in zip(rows, lengths, strict=True):
            known = self.store.find(row.own)
            if known is not None and len(known.ids) >= length:
                row.prefix, row.own = known, row.own[len(known.ids) :]
            else:
                row.share = length
            groups.setdefault(row.prefix or tuple(row.own[: row.share]), []).append(row)
        for group in groups.values():
            group.sort(key=lambda row: -row.length)
        return deque(row for group in sorted(groups.values(), key=lambda group: -group[0].length) for row in group)

    def compute(self, rows: Sequence[Row]) -> tuple[torch.Tensor, Pairs]:
        """The rows' scores for the next token, and keys and values of their own parts, left-padded to one length."""
        device = self.model.device
        wide = max(len(row.own) for row in rows)
        ids = torch.tensor([[self.pad] * (wide - len(row.own)) + row.own for row in rows], device=device)
        starts = torch.tensor([wide - len(row.own) for row in rows], device=device)
        before = torch.tensor([row.before for row in rows], device=device)
        columns = torch.arange(wide, device=device)
        segments = segments_of(rows, device)
        cache = PromptCache()
        logits = self.model(
            input_ids=ids,
            attention_mask=self._mask(columns, starts, bool(segments)),
            position_ids=(columns - starts[:, None]).clamp_(min=0) + before[:, None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            segments=segments,
        ).logits[:, -1]
        return logits.float(), cache.pairs

    def lift(self, row: Row) -> None:
        """Move a row's planned beginning out of its own tokens, computing it where no row before had it."""
        if not row.share:
            return
        ids = tuple(row.own[: row.share])
        row.own, row.share = row.own[row.share :], 0
        row.prefix = self._alive.get(ids)
        if row.prefix is None:
            row.prefix = self._alive[ids] = self._compute_prefix(ids)
            self.store.keep(row.prefix)

    def _compute_prefix(self, ids: tuple[int, ...]) -> Prefix:
        done = self.store.find([*ids, self.pad])
        while done is None or len(done.ids) < len(ids):
            start = len(done.ids) if done else 0
            piece = list(ids[start : start + self.at_once])
            _, pairs = self.compute([Row(0, _NO_REQUEST, piece, prefix=done)])
            if done is not None:
                pairs = [
                    (torch.cat([old[0], new[0]], 2), torch.cat([old[1], new[1]], 2))
                    for old, new in zip(done.layers, pairs, strict=True)
                ]
            done = Prefix(ids[: start + len(piece)], tuple(pairs))
        return done

    def _mask(self, columns: torch.Tensor, starts: torch.Tensor, shared: bool) -> torch.Tensor | None:
        """What to add to the scores: look back only, and not at padding."""
        if not shared and not bool(starts.any()):
            return None  # plain causal attention, which has a faster kernel
        seen = (columns[None, :] <= columns[:, None])[None] & (columns >= starts[:, None])[:, None, :]
        hidden = torch.zeros(seen.shape, dtype=self.model.dtype, device=columns.device)
        # The smallest number, not minus infinity: padding sees nothing, and would give NaN.
        return hidden.masked_fill_(~seen, torch.finfo(self.model.dtype).min)[:, None]


def segments_of(rows: Sequence[Row | None], device: torch.device) -> tuple[Segment, ...]:
    """Rows by the prefix they share."""
    found: dict[int, tuple[Prefix, list[int]]] = {}
    for place, row in enumerate(rows):
        if row is not None and row.prefix is not None:
            found.setdefault(id(row.prefix), (row.prefix, []))[1].append(place)
    return tuple(Segment(torch.tensor(places, device=device), prefix) for prefix, places in found.values())
