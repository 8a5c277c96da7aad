"""The plan as tensors: any row of it, at once, without a tokenizer.

A row of two segments, "abc" and "de", at a sequence length of 6::

    input_ids     a  b  c  d  e  .
    position_ids  0  1  2  0  1  0     restarts at each segment, which is what keeps documents apart
    labels        .  b  c  .  e  .     -100 at the head of a segment and in padding
    stream        0  0  0  0  0  0     for the loss by stream; `domain` is alike

In a supervised plan a segment is one view of an example, whole: the labels of its prompt are ignored too, and `weights`
has at each label the sequence's weight over its number of labels, so that the weighted sum over a sequence is its mean.

transformers (5 and later) reads a `position_ids` that restarts as a block-diagonal attention mask, for sdpa, eager
and flex alike, so no attention kernel is needed for packed rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch

from mashbill.errors import StoreError
from train.plan import PLAN, TOKENS
from train.plan_manifest import PlanManifest
from train.teacher_reader import Piece, TeacherArrays, TeacherReader
from train.token_store import TokenStore

IGNORED = -100
"""The label that counts for nothing, as in transformers."""

Array = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TeacherRows:
    """What a teacher said at the n positions whose next token is learned, row after row (`train.soft_loss`)."""

    ids: torch.Tensor
    shares: torch.Tensor
    tail: torch.Tensor | None
    scored: torch.Tensor
    """(n,), bool: false where no teacher was asked."""

    def to(self, device: torch.device, *, non_blocking: bool = False) -> TeacherRows:
        """The same on a device."""
        tail = None if self.tail is None else self.tail.to(device, non_blocking=non_blocking)
        ids, shares, scored = (
            one.to(device, non_blocking=non_blocking) for one in (self.ids, self.shares, self.scored)
        )
        return TeacherRows(ids, shares, tail, scored)

    @classmethod
    def of(cls, arrays: TeacherArrays) -> TeacherRows:
        """From numpy's arrays, without a copy."""
        tail = None if arrays.tail is None else torch.from_numpy(arrays.tail)
        return cls(torch.from_numpy(arrays.ids), torch.from_numpy(arrays.shares), tail, torch.from_numpy(arrays.scored))


@dataclass(frozen=True)
class Batch:
    """Rows of a plan as tensors of (rows, sequence_length)."""

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    labels: torch.Tensor
    stream: torch.Tensor
    domain: torch.Tensor
    view: torch.Tensor | None = None
    """Supervised only: for the loss by view."""
    weights: torch.Tensor | None = None
    """Supervised only, float32; without them every label weighs 1."""
    teacher: TeacherRows | None = None
    """What a teacher said where something is learned; only where its columns are read."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        given = {one.name: tensor for one in fields(self) if (tensor := getattr(self, one.name)) is not None}
        return Batch(**{name: tensor.to(device, non_blocking=True) for name, tensor in given.items()})


class Segment(NamedTuple):
    """A run of one record's tokens in a row of a plan."""

    stream: str
    record_id: str
    start: int
    length: int
    number: int
    """Of the record in the token store."""
    given: int
    """Tokens at its head that are not learned."""


class PlanReader:
    """A finished plan, read by row."""

    teacher: TeacherReader | None = None
    """Set it, and batches have what a teacher said of their tokens."""

    def __init__(self, plan_dir: Path) -> None:
        self.manifest = PlanManifest.read(plan_dir)
        self.store = TokenStore(plan_dir / TOKENS)
        listed = pq.read_table(plan_dir / PLAN, columns=["segments"]).column("segments").combine_chunks()
        if len(listed) != self.manifest.rows:
            raise StoreError(
                f"{plan_dir / PLAN}: has {len(listed)} rows and its manifest says {self.manifest.rows}; "
                f"remove {plan_dir} and plan again"
            )
        segments = listed.values
        self._offsets: Array = listed.offsets.to_numpy().astype(np.int64)
        self._start: Array = segments.field("start").to_numpy().astype(np.int64)
        self._length: Array = segments.field("length").to_numpy().astype(np.int64)
        self.streams = sorted(self.manifest.streams)
        self.domains = sorted(set(self.store.domains))
        self.views = list(dict.fromkeys(self.store.views))
        """Of a supervised plan, the one of use first; one empty name where there is nothing to tell apart."""
        supervised = self.manifest.supervised is not None
        views = segments.field("view").to_pylist() if supervised else [""] * len(segments)
        self._record = self._numbers(
            segments.field("stream").to_pylist(), segments.field("record_id").to_pylist(), views
        )
        self._weight: Weights | None = None
        if supervised:
            self._weight = segments.field("weight").to_numpy().astype(np.float64)
        self._given = self._not_learned()
        """Tokens at the head of each segment that carry no loss."""

    def _numbers(self, streams: list[str], ids: list[str], views: list[str]) -> Array:
        numbers = self.store.numbers()
        view_code = {name: code for code, name in enumerate(self.views)}
        self._view = np.array([view_code[name] for name in self.store.views])
        stream_code = {name: code for code, name in enumerate(self.streams)}
        domain_code = {name: code for code, name in enumerate(self.domains)}
        self._stream = np.array([stream_code[name] for name in self.store.streams])
        self._domain = np.array([domain_code[name] for name in self.store.domains])
        return np.array([numbers[key] for key in zip(streams, ids, views, strict=True)], dtype=np.int64)

    def _not_learned(self) -> Array:
        """A prompt; or of a text its masked heading, as far as it reaches into the segment, and its first token."""
        prompts: Array = np.array(self.store.prompt_lengths, np.int64)[self._record]
        if self._weight is None:
            prompts = np.minimum(np.maximum(prompts - self._start, 1), self._length)
        return prompts

    @property
    def steps(self) -> int:
        """Optimiser steps in the plan."""
        return self.manifest.steps

    def rows_of(self, step: int) -> range:
        """The rows of one optimiser step; the last step of a plan that stopped early may have fewer."""
        first = step * self.manifest.batch
        return range(first, min(first + self.manifest.batch, self.manifest.rows))

    def lengths(self, step: int) -> Array:
        """The lengths of all segments of one step."""
        rows = self.rows_of(step)
        return self._length[self._offsets[rows.start] : self._offsets[rows.stop]]

    def tokens_until(self, step: int) -> int:
        """Tokens of all steps before `step`, padding excluded."""
        rows = min(step * self.manifest.batch, self.manifest.rows)
        return int(self._length[: self._offsets[rows]].sum())

    def _segments(self, step: int) -> slice:
        rows = self.rows_of(step)
        return slice(int(self._offsets[rows.start]), int(self._offsets[rows.stop]))

    def segments_of(self, row: int) -> list[Segment]:
        """What one row holds, in order."""
        found = []
        for at in range(int(self._offsets[row]), int(self._offsets[row + 1])):
            number = int(self._record[at])
            names = self.store.streams[number], self.store.ids[number]
            found.append(Segment(*names, int(self._start[at]), int(self._length[at]), number, int(self._given[at])))
        return found

    def valid_tokens(self, step: int) -> int:
        """Tokens that carry loss in one step, over all devices: all but the first of each segment, or but its prompt.

        Known from the plan, so that no device needs to ask another what to divide by.
        """
        span = self._segments(step)
        return int((self._length[span] - self._given[span]).sum())

    def divisor(self, step: int) -> float:
        """What the summed loss of one step is divided by, over all devices: its labels' weights."""
        if self._weight is None:
            return self.valid_tokens(step)
        return float(self._weight[self._segments(step)].sum())

    def batch(self, rows: Sequence[int | None]) -> Batch:
        """Tensors of these rows; None is a row of padding, which weighs nothing."""
        shape = (len(rows), self.manifest.sequence_length)
        ids, positions, streams, domains = (np.zeros(shape, np.int64) for _ in range(4))
        labels = np.full(shape, IGNORED, np.int64)
        supervised = None if self._weight is None else (np.zeros(shape, np.int64), np.zeros(shape, np.float32))
        pieces: list[Piece] = []
        for line, row in enumerate(rows):
            at = 0
            for segment in range(self._offsets[row], self._offsets[row + 1]) if row is not None else ():
                number, length = int(self._record[segment]), int(self._length[segment])
                start = int(self._start[segment])
                span = slice(at, at + length)
                ids[line, span] = self.store.tokens(number)[start : start + length]
                given = int(self._given[segment])
                learned = slice(at + given, at + length)
                labels[line, learned] = ids[line, learned]
                # A teacher says what comes next, so its positions are those of the labels, one earlier.
                pieces.append(Piece(number, start + given - 1, length - given))
                positions[line, span] = np.arange(length)
                streams[line, span], domains[line, span] = self._stream[number], self._domain[number]
                if supervised is not None and self._weight is not None:
                    views, weights = supervised
                    views[line, span] = self._view[number]
                    weights[line, learned] = self._weight[segment] / (length - given)
                at += length
            positions[line, at:] = np.arange(shape[1] - at)
        made: dict[str, Any] = {
            "input_ids": ids,
            "position_ids": positions,
            "labels": labels,
            "stream": streams,
            "domain": domains,
        }
        if supervised is not None:
            made |= {"view": supervised[0], "weights": supervised[1]}
        tensors: dict[str, Any] = {name: torch.from_numpy(array) for name, array in made.items()}
        taught = None if self.teacher is None else TeacherRows.of(self.teacher.arrays(pieces))
        return Batch(**tensors, teacher=taught)
