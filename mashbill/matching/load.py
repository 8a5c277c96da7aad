"""Matchers by name: one file each in this folder.

>>> matcher("exact", ignore_case=False)
Exact(markers=(...), ignore_case=False, ignore_articles=True)
>>> matcher("exat")
Traceback (most recent call last):
...
mashbill.errors.RegistryError: no matcher is called 'exat' (did you mean exact?); there are: ...
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mashbill.errors import RegistryError
from mashbill.matching.base import Matcher
from mashbill.records import join_texts
from mashbill.registry import nearest
from mashbill.step import snake_case

Spec = str | Mapping[str, Mapping[str, Any]]
"""A matcher as a bill names it: ``numeric``, or ``{numeric: {tolerance: 0.01}}``."""


@functools.cache
def available() -> Mapping[str, type[Matcher]]:
    """Every matcher by name; a file is one when it holds a `Matcher` of its own name."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for thing in vars(module).values():
            if isinstance(thing, type) and issubclass(thing, Matcher) and snake_case(thing.__name__) == path.stem:
                found[path.stem] = thing
    return found


def matcher(name: str, /, **fields: Any) -> Matcher:
    """The matcher of that name with these fields.

    Raises:
        RegistryError: for an unknown name or field, with the nearest ones, or a value of another type.
        ValueError: for a value that the matcher itself refuses.
    """
    known = available()
    if name not in known:
        raise RegistryError(f"no matcher is called {name!r}{nearest(name, known)}; there are: {', '.join(known)}")
    kind = known[name]
    hints = _hints(typing.cast(Any, kind))  # Any: mypy holds a dataclass type not to be hashable
    given = {}
    version = fields.pop("version", None)
    for key, value in fields.items():
        if key not in hints:
            names = join_texts(list(hints), 20)
            raise RegistryError(f"the matcher {name} has no field {key!r}{nearest(key, hints)}; it takes: {names}")
        try:
            given[key] = hints[key].validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise RegistryError(f"the matcher {name}: {key}: {first['msg'].lower()}; found {value!r}") from error
    one = kind(**given)
    if version is not None and str(version) != one.revision():
        raise RegistryError(
            f"the matcher {name} is of version {one.revision()} here; found {version!r}: leave `version` out, and it "
            "is written down by itself"
        )
    return one


def matcher_of(spec: Spec) -> Matcher:
    """The matcher a bill names.

    Raises:
        RegistryError: as `matcher` does, and for a mapping of more or fewer than one name.
    """
    if isinstance(spec, str):
        return matcher(spec)
    if len(spec) != 1:
        raise RegistryError(f"a matcher is a name, or one name with its fields ({{name: {{field: value}}}}): {spec!r}")
    ((name, fields),) = spec.items()
    return matcher(name, **(fields or {}))


def spec_of(one: Matcher) -> Mapping[str, Mapping[str, Any]]:
    """A matcher as a mapping with every default and its version written out: what is identity in a step that names it.

    >>> spec_of(matcher("exact"))["exact"]["version"]
    '2'
    """
    fields = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    return {one.name: {"version": one.revision(), **fields}}


@functools.cache
def _hints(kind: Any) -> Mapping[str, TypeAdapter[Any]]:
    types = typing.get_type_hints(kind)
    return {field.name: TypeAdapter(types[field.name]) for field in dataclasses.fields(kind)}
