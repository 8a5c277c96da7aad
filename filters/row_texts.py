r"""What a row of any type says, as text: all of it, and what it asks.

A question ``{"context": "", "question": "Who taxed salt?", "options": ["Ora", "Venn"], "answer": "Ora"}`` -> the text
``"Who taxed salt?\nOra\nVenn\nOra"``, and it asks ``"Who taxed salt?"``.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa

from mashbill.errors import BillError
from mashbill.records import Record, join_texts, schema_of

LABELS = frozenset(
    {"kind", "category", "discipline", "grade", "negatives", "task", "task_type", "teacher", "skeleton", "author"}
    | {"year", "head_type", "tail_type", "head_surface", "tail_surface", "subjects"}
)
"""Columns that name a row's sort, or what it is about, and say nothing of their own."""
ASKING = ("question", "text", "prompt", "base_query")
"""Columns of what a row asks, or, of a document, says."""


def text_columns(kind: type[Record], wanted: Sequence[str] = (), step: str = "") -> list[str]:
    """The columns of a record type that hold text of its own, in their order; `wanted` takes some of them.

    >>> from mashbill.records import QA, Document
    >>> text_columns(Document), text_columns(QA)
    (['title', 'text'], ['context', 'question', 'options', 'answer', 'accepted', 'rationale'])

    Raises:
        BillError: when a wanted column is not among them.
    """
    schema, common = schema_of(kind), set(schema_of(Record).names)
    kept = [field.name for field in schema if _is_text(field.type) and field.name not in common | LABELS]
    kept = [name for name in kept if name not in kind.not_content]  # what was measured of a row is not what it says
    if missing := [name for name in wanted if name not in kept]:
        raise BillError(
            f"{step}: {kind.__name__} has no text column {missing[0]!r}; it has {join_texts(kept, 30) or 'none'}"
        )
    return list(wanted) or kept


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _is_text(kind.value_type) or _inner(kind.value_type) != ""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _inner(kind: pa.DataType) -> str:
    """The field of a nested row that holds its text."""
    names = [field.name for field in kind] if pa.types.is_struct(kind) else []
    return "text" if "text" in names else ""


def text_of(kind: type[Record], columns: Sequence[str]) -> pl.Expr:
    """The text of some columns of each row, a line each."""
    schema = schema_of(kind)
    found = [_expression(name, schema.field(name).type) for name in columns] or [pl.lit("")]
    return pl.concat_str(found, separator="\n", ignore_nulls=True)


def _expression(name: str, kind: pa.DataType) -> pl.Expr:
    if not pa.types.is_list(kind):
        return pl.col(name)
    inner = _inner(kind.value_type)
    texts = pl.col(name).list.eval(pl.element().struct.field(inner)) if inner else pl.col(name)
    return texts.list.join("\n", ignore_nulls=True)


def asked_columns(kind: type[Record]) -> list[list[str]]:
    """The columns of what each row asks: its question alone and, where it has a context, with it.

    >>> from mashbill.records import QA, Document
    >>> asked_columns(Document), asked_columns(QA)
    ([['text']], [['question'], ['context', 'question']])
    """
    names = schema_of(kind).names
    found = [[name] for name in ASKING if name in names]
    return [*found, ["context", *found[0]]] if "context" in names and found else found


def audited_of(kind: type[Record]) -> pl.Expr:
    """What of a row an embedder compares with items: what it asks, or says where it asks nothing."""
    columns = [[], *asked_columns(kind)][-1]
    return text_of(kind, columns)
