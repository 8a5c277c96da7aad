"""A part of the bill that knows its file and line, and turns itself into a dataclass.

Pydantic checks the values at this edge; inside there are plain frozen dataclasses. A message names the file, the line,
what was found, what was wanted and, for a misspelt name, the nearest right one.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from mashbill.errors import BillError, UserError
from mashbill.held_step import hint_of
from mashbill.records import join_texts
from mashbill.registry import nearest
from mashbill.yaml_lines import Where, load_yaml

T = TypeVar("T")


@dataclass(frozen=True)
class Section:
    """A value in a YAML file, with where it stands."""

    value: Any
    path: Path
    where: Where = ()
    lines: Mapping[Where, int] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, path: Path) -> Section:
        """The whole of a YAML file."""
        value, lines = load_yaml(path)
        return cls(value, path, (), lines)

    @property
    def line(self) -> int | None:
        """The line the value stands on, or the nearest place above it that is known."""
        where = self.where
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where)

    @property
    def name(self) -> str:
        """The way to the value, for a message: ``streams.entigraph.generate[0]``."""
        text = ""
        for step in self.where:
            text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
        return text or "the bill"

    def fail(self, message: str) -> NoReturn:
        """Raise a `BillError` at this place."""
        raise BillError(f"{self.name}: {message}", path=self.path, line=self.line)

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, Mapping) and key in self.value

    def at(self, key: str | int) -> Section:
        """The value under a key or list position."""
        return Section(self.value[key], self.path, (*self.where, key), self.lines)

    def get(self, key: str, default: Any = None) -> Section:
        """The value under a key, or a default that stands at this place."""
        return self.at(key) if key in self else Section(default, self.path, (*self.where, key), self.lines)

    def only(self, known: Iterable[str], required: Iterable[str] = ()) -> Section:
        """Check that this is a mapping with no other keys than `known` and all of `required`."""
        known = list(known)
        if not isinstance(self.value, Mapping):
            self.fail(f"must be a mapping with some of: {', '.join(known)}; found {_shown(self.value)}")
        for key in self.value:
            if key not in known:
                self.at(key).fail(f"unknown field{nearest(key, known)}; it takes: {join_texts(known, 30)}")
        for key in required:
            if key not in self.value:
                self.fail(f"needs the field {key!r}")
        return self

    def items(self) -> list[tuple[str, Section]]:
        """The entries of a mapping, in order."""
        if not isinstance(self.value, Mapping):
            self.fail(f"must be a mapping of names; found {_shown(self.value)}")
        return [(key, self.at(key)) for key in self.value]

    def list(self) -> list[Section]:
        """The items of a list; a single value stands for a list of one."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            return [self]
        return [self.at(index) for index in range(len(self.value))]

    def named(self) -> tuple[str, Section]:
        """A name alone, or a mapping of one name to its fields."""
        if isinstance(self.value, str):
            return self.value, Section({}, self.path, self.where, self.lines)
        if isinstance(self.value, Mapping) and len(self.value) == 1:
            ((name, fields),) = self.value.items()
            return name, Section({} if fields is None else fields, self.path, (*self.where, name), self.lines)
        self.fail(
            f"must be a name, or one name with its fields ({{name: {{field: value}}}}); found {_shown(self.value)}"
        )

    def as_(self, kind: type[T]) -> T:
        """The value checked as a plain type.

        Raises:
            BillError: when it is not of that type.
        """
        return self._validated(TypeAdapter(kind), self.value)

    def build(
        self,
        cls: type[T],
        base: T | None = None,
        hide: Collection[str] = (),
        made: Mapping[str, object] | None = None,
    ) -> T:
        """A dataclass from this mapping; what is not given comes from `base`, or from the class's defaults.

        A nested dataclass takes the fields given and keeps the rest of its default. `hide` names fields that are not
        the bill's to set; `made` has the values of fields that whoever calls has made of this mapping himself.

        Raises:
            BillError: for an unknown or missing field or a wrong value, with file and line.
        """
        fields = [one for one in dataclasses.fields(cls) if one.init and one.name not in hide]  # type: ignore[arg-type]
        required = [one.name for one in fields if base is None and _required(one)]
        self.only([one.name for one in fields], required)
        made = made or {}
        given = {
            one.name: made[one.name] if one.name in made else self._field(cls, one, base)
            for one in fields
            if one.name in self.value
        }
        try:
            return cls(**given) if base is None else dataclasses.replace(base, **given)  # type: ignore[type-var]
        except (UserError, ValueError, TypeError) as error:
            self.fail(str(error))

    def _field(self, cls: type, one: dataclasses.Field[Any], base: object) -> Any:
        default, section = one.default if base is None else getattr(base, one.name), self.at(one.name)
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            return section.build(type(default), base=default)
        value = section._validated(_field_adapter(cls, one.name), section.value)
        return self._placed(value) if one.metadata.get("file") and value else value

    def _placed(self, value: Any) -> Any:
        """A file that a step reads, or several: they lie, like every path in a bill, relative to the bill."""
        if isinstance(value, str):
            return str((self.path.parent / value).resolve())
        return tuple(str((self.path.parent / each).resolve()) for each in value)

    def _validated(self, adapter: TypeAdapter[T], value: Any) -> T:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = Section(None, self.path, (*self.where, *first["loc"]), self.lines)
            place.fail(f"{first['msg'].lower()}; found {_shown(first['input'])}")


def _required(one: dataclasses.Field[Any]) -> bool:
    return one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING


@functools.cache
def _field_adapter(cls: type, name: str) -> TypeAdapter[Any]:
    """What checks one field: a class may have other fields whose types mean nothing to pydantic."""
    return TypeAdapter(hint_of(cls, name))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
