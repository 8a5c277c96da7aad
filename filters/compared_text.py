r"""Which text of a row is compared with others' to find its copies, by record type.

One row in -> out: a question with options -> ``"Who taxed salt?\n\nOra Venn\nthe Salt Guild"``: what is asked, what
is given beside it and the choices, but neither the answer nor the thinking.

Two equal questions with one answer are copies. With two answers they are a conflict, which is nothing a dedup can
settle, so answers are compared apart: see `answer_keys`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa

from filters.measured import texts_of
from filters.removal import frame_of
from filters.rewrite import kind_of
from mashbill.errors import BillError
from mashbill.matching.exact import Exact
from mashbill.records import (
    QA,
    Document,
    Instruction,
    Path,
    Preference,
    Rationale,
    Record,
    Triple,
    schema_of,
)
from mashbill.step import Parts

COMPARED: dict[type[Record], tuple[str, ...]] = {
    Document: ("text",),
    Instruction: ("text", "context"),
    QA: ("question", "context", "options"),
    Rationale: ("question", "context", "options", "rationale", "answer"),
    Preference: ("prompt", "chosen", "rejected"),
    Triple: ("head", "relation", "tail", "evidence"),
    Path: ("edges",),
}
"""The columns whose texts are compared, one beneath the other."""

_NORMAL = Exact()


def compared_columns(kind: type[Record]) -> tuple[str, ...]:
    """The columns whose texts are compared: those of the type, or of the one it derives from.

    Raises:
        BillError: for a type of which it is not known what its text is.
    """
    for base in kind.__mro__:
        if base in COMPARED:
            return COMPARED[base]
    known = ", ".join(sorted(one.__name__ for one in COMPARED))
    raise BillError(f"{kind.__name__} has no text to compare; texts are known of {known}")


def kind_of_parts(parts: Parts) -> type[Record]:
    """The record type of stored parts; Document where there is no part to tell by.

    Raises:
        BillError: for columns of no record type, naming those that are missing.
    """
    return kind_of(parts.table(0)) if len(parts) else Document


def read_columns(parts: Parts, index: int, columns: Sequence[str], step: str) -> pa.Table:
    """Some columns of a part.

    Raises:
        BillError: when the part has not got one of them.
    """
    try:
        table = parts.table(index, list(dict.fromkeys(columns)))
    except KeyError as error:
        raise BillError(f"{step}, part {index}: {error.args[0]}; run the step that wrote it again") from error
    if missing := [name for name in columns if name not in table.schema.names]:
        raise BillError(
            f"{step}, part {index}: has no column {', '.join(missing)}; run the step that wrote it again, or give the "
            "rows that column"
        )
    return table


def compared_texts(table: pa.Table, kind: type[Record]) -> pa.LargeStringArray:
    """The compared text of each row; a null is an empty text."""
    names = compared_columns(kind)
    if len(names) == 1 and pa.types.is_string(table.schema.field(names[0]).type):
        # Straight from Arrow: polars would check the bytes and stop without the row's id.
        column = table.column(names[0]).cast(pa.large_binary()).fill_null(b"").combine_chunks()
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        return pa.Array.from_buffers(pa.large_string(), len(array), array.buffers(), offset=array.offset)
    return texts_of(frame_of(table.select(list(names))).select(compared_expression(kind)).to_series())


def compared_expression(kind: type[Record]) -> pl.Expr:
    """The compared text as a polars expression."""
    return pl.concat_str([_column(kind, name) for name in compared_columns(kind)], separator="\n")


def _column(kind: type[Record], name: str) -> pl.Expr:
    column, found = pl.col(name), schema_of(kind).field(name).type
    if not pa.types.is_list(found):
        return column.fill_null("")
    each = pl.element()
    if pa.types.is_struct(found.value_type):
        each = pl.concat_str([each.struct.field(part) for part in ("head", "relation", "tail")], separator=" ")
    return column.list.eval(each).list.join("\n", ignore_nulls=True).fill_null("")


def answer_keys(table: pa.Table, kind: type[Record]) -> list[frozenset[str]]:
    """The answers that each row holds right, as they are compared; nothing for rows that are no questions.

    Case, white space, an article and a full stop do not tell two answers apart (`mashbill.matching.exact`); a question
    that nobody answered has none.
    """
    if not issubclass(kind, QA):
        return [frozenset()] * table.num_rows
    answers, accepted = table.column("answer").to_pylist(), table.column("accepted").to_pylist()
    return [
        frozenset(key for one in (answer, *(more or ())) if (key := _NORMAL.normal(one or "")))
        for answer, more in zip(answers, accepted, strict=True)
    ]


def answer_columns(kind: type[Record]) -> tuple[str, ...]:
    """The columns that `answer_keys` reads."""
    return ("answer", "accepted") if issubclass(kind, QA) else ()
