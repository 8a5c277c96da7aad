"""A batch of texts that several rules ask about: read once, and each question answered once.

polars evaluates an expression as often as it is named, and does not merge calls of Python (`filters.measured`). So
the rules of a stack share what they ask through this memory: the last batches by where their bytes lie, the reading
of each, and every answer. A batch that was forgotten is read again, with the same answers.

One row in -> out: ``asked("text", "whitespace", WordCounts(()), ["words"])["words"]`` is an expression; on the text
``"salt of Veylund"`` it is 3.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from filters.code_points import table
from filters.measured import texts_of
from filters.reading import CHUNK_BYTES, Reading, Words, read_in_chunks
from filters.text_buffer import arrow_bytes
from mashbill.errors import BillError

Floats = npt.NDArray[np.float64]
T = TypeVar("T")

WHITESPACE = "whitespace"
REMEMBERED = 4
"""Batches whose answers are kept: the streaming engine works on about one a thread."""
READ = 2
"""Batches whose reading is kept too; it takes six times the memory of the text."""


class Question(Protocol):
    """Something asked of texts; equal questions have equal answers, so it must be hashable by what it asks."""

    def __hash__(self) -> int:
        """By its parameters."""
        ...

    def __call__(self, chunk: Chunk, /) -> Mapping[str, Floats]:
        """Name -> one number for each text."""
        ...


@dataclass(frozen=True)
class Chunk:
    """Some texts of a batch, read, with their words by the rule that was asked for."""

    reading: Reading
    words: Words
    tokens: bool
    """Whether the words are a column of their own, and do not lie in the texts."""
    _known: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` makes, made once."""
        if key not in self._known:
            self._known[key] = make()
        found: T = self._known[key]
        return found


class _Batch:
    def __init__(self, texts: pl.Series, tokens: pl.Series | None) -> None:
        self.texts = texts_of(texts)
        self.tokens = None if tokens is None else _tokens_of(tokens)
        self.chunks: list[Chunk] | None = None
        self._answers: dict[Hashable, Future[Mapping[str, Floats]]] = {}
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def answer(self, question: Question) -> Mapping[str, Floats]:
        with self._lock:
            known = self._answers.get(question)
            mine: Future[Mapping[str, Floats]] | None = None
            if known is None:
                known = mine = self._answers[question] = Future()
        if mine is not None:
            try:
                mine.set_result(self._ask(question))
            except BaseException as error:
                mine.set_exception(error)
        return known.result()

    def _ask(self, question: Question) -> Mapping[str, Floats]:
        # One question of a batch at a time: a chunk's own memory is not guarded.
        with self._reading:
            parts = [question(chunk) for chunk in self._read()]
        if len(parts) == 1:
            return parts[0]
        names = parts[0] if parts else question(chunk_of(read_empty(), None if self.tokens is None else _NO_TOKENS, 0))
        return {name: np.concatenate([np.zeros(0), *(part[name] for part in parts)]) for name in names}

    def _read(self) -> Iterator[Chunk]:
        if self.chunks is not None:
            yield from self.chunks
            return
        first = 0
        kept = list[Chunk]()
        keep = self.texts.nbytes <= CHUNK_BYTES
        for reading in read_in_chunks(self.texts):
            chunk = chunk_of(reading, self.tokens, first)
            first += len(reading)
            if keep:
                kept.append(chunk)
            yield chunk
        if keep:
            self.chunks = kept


_known: deque[tuple[tuple[Any, ...], _Batch, Any]] = deque(maxlen=REMEMBERED)
_guard = threading.Lock()


def asked(column: str, words: str, question: Question, names: Sequence[str]) -> dict[str, pl.Expr]:
    """Name -> expression of one number of a question about a text column.

    `words` is ``whitespace`` or the name of a column with each text's words, a list of strings.
    """

    def expression(name: str) -> pl.Expr:
        def one(series: Sequence[pl.Series]) -> pl.Series:
            batch = _batch_of(series[0], series[1] if len(series) > 1 else None)
            return pl.Series(series[0].name, batch.answer(question)[name], dtype=pl.Float64)

        columns = [column] if words == WHITESPACE else [column, words]
        return pl.map_batches([pl.col(one) for one in columns], one, return_dtype=pl.Float64, is_elementwise=True)

    return {name: expression(name) for name in names}


def _batch_of(texts: pl.Series, tokens: pl.Series | None) -> _Batch:
    """The batch of these very bytes, whether it is known or new."""
    arrays = [one.to_arrow(compat_level=pl.CompatLevel.newest()) for one in (texts, tokens) if one is not None]
    key = tuple(_place(array) for array in arrays)
    with _guard:
        for known, batch, _ in _known:
            if known == key:
                return batch
        batch = _Batch(texts, tokens)
        # The arrays are kept with it: as long as they are, no other text can lie where theirs does.
        _known.append((key, batch, arrays))
        for _, old, _ in list(_known)[:-READ]:
            old.chunks = None
        return batch


def _place(array: Any) -> tuple[Any, ...]:
    pieces = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    return tuple(
        (len(piece), piece.offset, *(None if part is None else (part.address, part.size) for part in piece.buffers()))
        for piece in pieces
    )


@dataclass(frozen=True)
class _Tokens:
    texts: pa.LargeStringArray
    bounds: npt.NDArray[np.int64]


_NO_TOKENS = _Tokens(pa.array([], pa.large_string()), np.zeros(1, np.int64))


def _tokens_of(series: pl.Series) -> _Tokens:
    if series.dtype != pl.List(pl.String):
        raise BillError(
            f"the column {series.name!r} holds {series.dtype}, not lists of words; name a column that has each text's "
            f"words, or write `words: {WHITESPACE}`"
        )
    array = series.fill_null(pl.lit([], dtype=pl.List(pl.String))).to_arrow(compat_level=pl.CompatLevel.oldest())
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    bounds = array.offsets.to_numpy().astype(np.int64)
    inside = array.values.slice(int(bounds[0]), int(bounds[-1] - bounds[0]))
    return _Tokens(inside.fill_null(""), bounds - bounds[0])


def read_empty() -> Reading:
    """A reading of no text."""
    from filters.reading import read_texts

    return read_texts(pa.array([], pa.large_string()))


def chunk_of(reading: Reading, tokens: _Tokens | None = None, first: int = 0) -> Chunk:
    """Texts that were read, with their own words or those of a column from its row `first` on."""
    if tokens is None:
        return Chunk(reading, reading.words, False)
    from filters.word_kernel import read_spans

    bounds = tokens.bounds[first : first + len(reading) + 1]
    offsets, data = arrow_bytes(tokens.texts)
    spans = offsets[bounds[0] : bounds[-1] + 1] if len(offsets) > 1 else np.zeros(1, np.int64)
    start, end, count = spans[:-1], spans[1:], len(spans) - 1
    words = Words(
        data,
        start=start,
        end=end,
        hash=np.empty(count, np.uint64),
        chars=np.empty(count, np.int32),
        flags=np.empty(count, np.int32),
        bounds=bounds - bounds[0],
    )
    read_spans(data, start, end, table(), words.hash, words.chars, words.flags)
    return Chunk(reading, words, True)
