"""A dataclass as JSON schema: its fields' types, defaults and docstrings, as a bill may give them.

A nested dataclass takes the fields given and keeps the rest of its default, so none of those is required, and the
defaults shown are those of the very instance that stands as the default.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import inspect
import itertools
import types
import typing
from collections.abc import Collection, Iterator
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from mashbill.held_step import hint_of
from mashbill.step import Step

Schema = dict[str, Any]


def object_schema(cls: type[Any], *, hide: Collection[str] = (), base: Any = None) -> Schema:
    """The object that sets a dataclass's fields; `base` is the instance whose values stand where none is given."""
    fields = [one for one in dataclasses.fields(cls) if one.init and not one.name.startswith("_")]
    fields = [one for one in fields if one.name not in hide]
    schema: Schema = {
        "type": "object",
        "properties": {one.name: _field(cls, one, base) for one in fields},
        "additionalProperties": False,
    }
    required = [one.name for one in fields if base is None and is_required(one)]
    if required:
        schema["required"] = required
    if said := first_paragraph(cls.__doc__):
        schema["description"] = said
    return schema


def is_required(one: dataclasses.Field[Any]) -> bool:
    """Whether a field has no default."""
    return one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING


def first_paragraph(docstring: str | None) -> str:
    """The first paragraph, on one line; nothing for the signature that `dataclass` writes for want of a docstring."""
    text = one_line(inspect.cleandoc(docstring or "").split("\n\n")[0])
    return "" if text.startswith("<") or ("(" in text and text.endswith(")") and "." not in text) else text


def one_line(docstring: str) -> str:
    r"""A docstring for an editor's tooltip or a table: one line, code in single backquotes.

    >>> one_line("A name:\n    ``smollm2``.")
    'A name: `smollm2`.'
    """
    return " ".join(docstring.replace("``", "`").split())


def _field(cls: type[Any], one: dataclasses.Field[Any], base: Any) -> Schema:
    default = getattr(base, one.name) if base is not None else one.default
    nested = dataclasses.is_dataclass(default) and not isinstance(default, type | Step)
    schema = object_schema(type(default), base=default) if nested else _typed(hint_of(cls, one.name))
    if said := field_docstrings(cls).get(one.name):
        schema["description"] = said
    if default is not dataclasses.MISSING and not nested:
        # A default that JSON cannot write is not shown; the field may still be given.
        with contextlib.suppress(PydanticSerializationError):
            schema["default"] = to_jsonable_python(default)
    return schema


def _typed(hint: Any) -> Schema:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return object_schema(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(origin, type) and issubclass(origin, Step):
        return {"$ref": "#/$defs/step"}  # a step held by another is written as steps are everywhere
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_typed(argument) for argument in arguments]}
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return {"type": "array", "items": _typed(arguments[0])}
    try:
        return TypeAdapter(hint).json_schema()
    except PydanticUserError:
        return {}  # a type that JSON schema has no word for: anything, as far as an editor can tell


def field_docstrings(cls: type[Any]) -> dict[str, str]:
    """The docstring beneath each field, by name, base classes included."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            found |= _docstrings(base)
    return found


@functools.cache
def _docstrings(cls: type[Any]) -> dict[str, str]:
    """Those of a class alone; kept, since finding its source takes milliseconds and every field of every step asks."""
    return dict(_read_docstrings(cls))


def _read_docstrings(cls: type[Any]) -> Iterator[tuple[str, str]]:
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):
        return
    (node,) = ast.parse(inspect.cleandoc(source) if source[:1].isspace() else source).body
    body = node.body if isinstance(node, ast.ClassDef) else []
    for field, after in itertools.pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            yield field.target.id, one_line(after.value.value)
