"""Dataclasses to Arrow and back, by their annotations alone, a column at a time.

A row of a record as a dict of dicts costs 22 microseconds to build for Arrow and 29 to read back; a column of strings
costs a tenth of one per value. So both ways go by column, and only what has no fast column (a tuple of dataclasses,
as scores) is turned into plain values row by row.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import json
import operator
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from mashbill.errors import StepFailed

_LONE = re.compile("[\ud800-\udfff]")
_PLAIN = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), bytes: pa.binary()}


# Cached functions take Any: mypy holds a dataclass type not to be hashable.
@functools.cache
def names_of(kind: Any) -> tuple[str, ...]:
    """The names of a dataclass's fields, in order."""
    return tuple(field.name for field in dataclasses.fields(kind))


@functools.cache
def _hints(kind: Any) -> tuple[tuple[str, Any], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((name, hints[name]) for name in names_of(kind))


@functools.cache
def schema(kind: Any) -> pa.Schema:
    """The Arrow schema of a dataclass."""
    return pa.schema([_field(name, hint) for name, hint in _hints(kind)])


def _field(name: str, hint: Any) -> pa.Field:
    return pa.field(name, _type(hint, name), nullable=_inner(hint) is not hint)


def _inner(hint: Any) -> Any:
    """The T of ``T | None``; any other hint as it is."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        if len(inner) == 1:
            return inner[0]
    return hint


def _item(hint: Any) -> Any:
    """The T of ``tuple[T, ...]``, or None."""
    arguments = typing.get_args(hint)
    of_one = typing.get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis
    return arguments[0] if of_one else None


def _is_struct(hint: Any) -> bool:
    return dataclasses.is_dataclass(hint) and isinstance(hint, type)


def _type(hint: Any, where: str) -> pa.DataType:
    hint = _inner(hint)
    if (item := _item(hint)) is not None:
        return pa.list_(_field("item", item))
    if _is_struct(hint):
        return pa.struct([_field(name, inner) for name, inner in _hints(hint)])
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, enum.StrEnum):
        return pa.string()
    raise TypeError(
        f"{where}: a record field cannot be {hint!r}; use str, int, float, bool, bytes, a tuple[T, ...], "
        "a dataclass of these, or one of them | None"
    )


def plain(value: Any) -> Any:
    """A dataclass, or a field of one, as plain Python values."""
    if isinstance(value, str | int | float | bool | bytes) or value is None:
        return value
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    kind: Any = type(value)
    return {name: plain(getattr(value, name)) for name in names_of(kind)}


# To Arrow ------------------------------------------------------------------------------------------------------------


def to_arrow(values: Sequence[Any], kind: Any) -> pa.Table:
    """Dataclass values as one table.

    Raises:
        StepFailed: for text that is no Unicode text, half of a surrogate pair, with the row's id.
    """
    try:
        return pa.Table.from_arrays(_columns(values, kind, schema(kind)), schema=schema(kind))
    except UnicodeEncodeError as error:
        raise StepFailed(_torn(values) or str(error)) from error


def _torn(values: Sequence[Any]) -> str:
    """Which row holds half of a surrogate pair, and where."""
    for value in values:
        for name, field in plain(value).items():
            found = _LONE.search(field if isinstance(field, str) else json.dumps(field, ensure_ascii=False))
            if found is not None:
                return (
                    f"row {getattr(value, 'id', '?')}: its {name} holds half of a surrogate pair ({found[0]!a}), which "
                    "no file can hold as text; replace it where the text comes from: "
                    "text.encode('utf-8', 'replace').decode()"
                )
    return ""


def _columns(values: Sequence[Any], kind: Any, fields: Any) -> list[pa.Array]:
    return [
        _column(list(map(operator.attrgetter(name), values)), hint, fields.field(name).type)
        for name, hint in _hints(kind)
    ]


def _column(values: list[Any], hint: Any, kind: pa.DataType) -> pa.Array:
    if _is_struct(hint) and names_of(hint):
        return pa.StructArray.from_arrays(_columns(values, hint, kind), fields=list(kind))
    item = _item(hint)
    if hint in _PLAIN or _inner(hint) in _PLAIN or item in _PLAIN:
        return pa.array(values, kind)
    return pa.array([plain(value) for value in values], kind)


# From Arrow ----------------------------------------------------------------------------------------------------------


def from_arrow(table: pa.Table, kind: Any) -> list[Any]:
    """The dataclass values of a table; a column that is absent leaves its field's default."""
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    return _built(kind, columns, table.num_rows)


def _built(kind: Any, columns: Mapping[str, pa.Array], count: int) -> list[Any]:
    read = [(name, _values(columns[name], hint)) for name, hint in _hints(kind) if name in columns]
    if not read:
        return [kind() for _ in range(count)]
    names = [name for name, _ in read]
    built, last, one = list[Any](), None, None
    for row in zip(*(column for _, column in read), strict=True):
        # Frozen, so that neighbours may share one: all source documents have the same empty `made`.
        if row != last:
            last, one = row, kind(**dict(zip(names, row, strict=False)))
        built.append(one)
    return built


def _values(array: pa.Array, hint: Any) -> list[Any]:
    if array.null_count == 0:
        if hint in _PLAIN:
            # numpy makes the Python objects in C: a tenth of what to_pylist takes, which makes a scalar for each.
            return list(array.to_numpy(zero_copy_only=False).tolist())
        if _is_struct(hint):
            return _built(hint, {field.name: array.field(field.name) for field in array.type}, len(array))
        if (item := _item(hint)) is not None:
            inner, ends = _values(array.values, item), array.offsets.to_numpy().tolist()
            return [tuple(inner[start:end]) for start, end in itertools.pairwise(ends)]
    make = maker(hint)
    return list(array.to_pylist()) if make is None else [make(value) for value in array.to_pylist()]


@functools.cache
def builder(kind: Any) -> Callable[[Mapping[str, Any]], Any]:
    """A function that builds a dataclass from a mapping of plain values."""
    makers = [(name, maker(hint)) for name, hint in _hints(kind)]

    def build(row: Mapping[str, Any]) -> Any:
        return kind(**{name: row[name] if make is None else make(row[name]) for name, make in makers if name in row})

    return build


def maker(hint: Any) -> Callable[[Any], Any] | None:
    """What turns a plain value into a field's; None when nothing has to be done."""
    inner = _inner(hint)
    if inner is not hint:
        some = maker(inner)
        return None if some is None else lambda value: None if value is None else some(value)
    if (item := _item(hint)) is not None:
        one = maker(item)
        return tuple if one is None else lambda values: tuple(map(one, values))
    return builder(hint) if _is_struct(hint) else None
