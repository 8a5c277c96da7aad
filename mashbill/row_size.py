"""How large a row is, in bytes of text or in tokens: what shares of a release and `accept` are counted in.

A document's text is its text; of other records it is every text of their content: question, options, answer.

>>> from mashbill.records import Document, to_table
>>> rows = to_table([Document.new(text="Ora Venn sold salt."), Document.new(text="Salt.")], Document)
>>> sizes(pl.DataFrame(rows), Document).to_list()
[19, 5]
>>> words = Measure(unit="tokens", tokenizer="words", count=lambda texts: [len(text.split()) for text in texts])
>>> sizes(pl.DataFrame(rows), Document, words).to_list()
[4, 1]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from mashbill.records import Document, Record, schema_of

BYTES_A_TOKEN = 4
"""Of English, where no tokenizer is at hand: what tokenizers of 50,000 entries make of it, near enough."""
ROWS_AT_ONCE = 1000
"""Rows whose texts are tokenised together."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What a row's size is counted in."""

    unit: Literal["bytes", "tokens"] = "bytes"
    tokenizer: str = ""
    """Which tokenizer counts, as a hash of all that decides its ids; empty for bytes, and for four bytes a token."""
    count: Callable[[list[str]], Sequence[int]] | None = field(
        default=None, metadata={"identity": False}, compare=False, repr=False
    )
    """Texts -> their tokens. The kernel has no tokenizer, so whoever has one brings it."""

    @property
    def name(self) -> str:
        """For a reader: ``bytes``, ``tokens`` or ``tokens of four bytes``."""
        return self.unit if self.unit == "bytes" or self.tokenizer else f"{self.unit} of four bytes"


BYTES = Measure()


def sizes(rows: pl.DataFrame, kind: type[Record], measure: Measure = BYTES) -> pl.Series:
    """The size of each row of a table of this kind."""
    names = text_columns(kind)
    if measure.unit == "tokens" and measure.count is not None:
        counted: list[int] = []
        for some in rows.select(names).iter_slices(ROWS_AT_ONCE):
            texts = [list(_texts(row)) for row in some.iter_rows()]
            tokens = iter(measure.count([text for row in texts for text in row]))
            counted += [sum(next(tokens) for _ in row) for row in texts]
        return pl.Series("size", counted, dtype=pl.Int64)
    found = rows.select(size=text_bytes(kind)).to_series()
    return found if measure.unit == "bytes" else -(-found // BYTES_A_TOKEN)


def text_columns(kind: type[Record]) -> list[str]:
    """The columns that hold the text of a row."""
    if issubclass(kind, Document):
        return ["text"]
    return sorted(set(schema_of(kind).names) - set(schema_of(Record).names) - kind.not_content)


def text_bytes(kind: type[Record]) -> pl.Expr:
    """Bytes of a row's text."""
    return pl.sum_horizontal(
        [_bytes_in(schema_of(kind).field(name).type, pl.col(name)) for name in text_columns(kind)]
    ).cast(pl.Int64)


def _bytes_in(kind: pa.DataType, value: pl.Expr) -> pl.Expr:
    if pa.types.is_string(kind):
        return value.str.len_bytes().cast(pl.Int64)
    if pa.types.is_list(kind):
        return value.list.eval(_bytes_in(kind.value_type, pl.element())).list.sum()
    if pa.types.is_struct(kind):
        return pl.sum_horizontal([_bytes_in(one.type, value.struct.field(one.name)) for one in kind])
    return value.is_null().cast(pl.Int64) * 0  # numbers are no text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
