"""A frozen teacher over whole texts: their tokens in, their signals out, in the order they came.

A text longer than the teacher's context is read in windows that overlap by half, so that each position but the first
ones is judged with at least half a context before it::

    context 8, text of 14    [0 … 7]  [4 … 11] of which 8 … 11  [8 … 13] of which 12, 13
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from mashbill.errors import UserError
from train.chunked_head import CHUNK
from train.distill_spec import Distill
from train.encode_signal import Columns, drawn_entries, joined, top_entries, uniforms
from train.frozen_teacher import FrozenTeacher
from train.teacher_table import Signal, tokens_hash

Tokens = npt.NDArray[np.int32]


def windows(length: int, context: int | None) -> list[tuple[int, int, int]]:
    """(start, stop, first position used) of each window over the positions of a text.

    >>> windows(14, 8)
    [(0, 8, 0), (4, 12, 8), (8, 14, 12)]
    >>> windows(5, None)
    [(0, 5, 0)]
    """
    if context is None or length <= context:
        return [(0, length, 0)]
    half = context // 2
    found, used = [], 0
    for start in range(0, length, half):
        stop = min(start + context, length)
        found.append((start, stop, used))
        used = stop
        if stop == length:
            break
    return found


class TextScorer:
    """Scores texts with one teacher."""

    def __init__(self, teacher: FrozenTeacher, spec: Distill, *, batch_tokens: int, device: torch.device) -> None:
        self.teacher, self.spec, self.device = teacher, spec, device
        self.batch_tokens = batch_tokens
        self.long = 0
        """Texts that were longer than the teacher's context."""

    def signals(self, texts: Sequence[Tokens], names: Sequence[str]) -> list[Signal]:
        """The signal of each text; `names` are for messages.

        Raises:
            UserError: when the teacher gives no number.
        """
        pieces: list[list[Columns]] = [[] for _ in texts]
        work = [(text, *window) for text, tokens in enumerate(texts) for window in self._windows(len(tokens) - 1)]
        for batch in self._batches(work):
            longest = max(stop - start for _, start, stop, _ in batch)
            ids = np.zeros((len(batch), longest), np.int64)
            for line, (text, start, stop, _) in enumerate(batch):
                ids[line, : stop - start] = texts[text][start:stop]
            # What stands behind a text cannot be seen from it: no mask is needed.
            positions = torch.arange(longest, device=self.device).expand(len(batch), -1)
            hidden = self.teacher.hidden(torch.from_numpy(ids).to(self.device), positions)
            for line, (text, start, stop, used) in enumerate(batch):
                found = self._encoded(hidden[line, used - start : stop - start], texts[text], used, names[text])
                pieces[text].append(found)
        empty = self._encoded(torch.zeros(0, self.teacher.head.in_features, device=self.device), texts[0], 0, "")
        return [Signal(joined(own or [empty]), len(tokens) - 1) for own, tokens in zip(pieces, texts, strict=True)]

    def _windows(self, length: int) -> list[tuple[int, int, int]]:
        if length < 1:
            return []
        found = windows(length, self.teacher.context)
        self.long += len(found) > 1
        return found

    def _batches(self, work: list[tuple[int, int, int, int]]) -> Iterator[list[tuple[int, int, int, int]]]:
        """Windows of like length together; by where they start first, so those of one text stay in order."""
        batch: list[tuple[int, int, int, int]] = []
        for one in sorted(work, key=lambda item: (item[1], item[1] - item[2], item[0])):
            longest = max(stop - start for _, start, stop, _ in [*batch, one])
            if batch and longest * (len(batch) + 1) > self.batch_tokens:
                yield batch
                batch = []
            batch.append(one)
        if batch:
            yield batch

    def _encoded(self, hidden: torch.Tensor, tokens: Tokens, first: int, name: str) -> Columns:
        pieces = []
        for start in range(0, max(len(hidden), 1), CHUNK):
            log_probs = self.teacher.log_probs(hidden[start : start + CHUNK], self.spec.temperature)
            if not torch.isfinite(log_probs.amax(1)).all() or torch.isnan(log_probs).any():
                raise UserError(
                    f"the teacher {self.teacher.name} gives no number for record {name}, near token "
                    f"{first + start + 1}; its weights are broken, or overflow in this dtype: try dtype: float32"
                )
            if self.spec.encoding == "top_k":
                pieces.append(top_entries(log_probs, self.spec.k))
            else:
                numbers = uniforms(tokens_hash(tokens), first + start, len(log_probs), self.spec.draws)
                pieces.append(drawn_entries(log_probs, numbers))
        return dict(joined(pieces))
