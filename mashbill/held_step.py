"""Steps that other steps hold in a field."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from dataclasses import dataclass
from typing import Any

from mashbill.records import Record
from mashbill.step import Step


@dataclass(frozen=True, slots=True)
class Held:
    """What a field that holds another step wants: a kind of step that reads and writes certain records."""

    kind: type[Step]
    reads: type[Record]
    writes: type[Record]

    def refuses(self, step: Step) -> str:
        """Why a step does not fit, or nothing."""
        wanted = f"{self.kind.__name__}[{self.reads.__name__}, {self.writes.__name__}]"
        if not isinstance(step, self.kind):
            return f"{step.name} is no {self.kind.__name__}; wanted {wanted}"
        if not issubclass(self.reads, step.reads) or not issubclass(step.writes, self.writes):
            return f"{step.name} makes {step.writes.__name__} of {step.reads.__name__}; wanted {wanted}"
        return ""


def held_steps(cls: type[Any]) -> dict[str, Held]:
    """The fields of a step that hold another step, by name: those annotated as ``Generator[Path, QA]``.

    In a bill such a field is written as steps are everywhere, ``generate: {kg_path: {stem: plain}}``, and what it
    holds is part of the identity, its version and the digest of its file included.
    """
    found = dict[str, Held]()
    for one in dataclasses.fields(cls):
        hint = hint_of(cls, one.name)
        kind, kinds = typing.get_origin(hint), typing.get_args(hint)
        if isinstance(kind, type) and issubclass(kind, Step):
            found[one.name] = Held(kind, kinds[0], kinds[-1])
    return found


def hint_of(cls: type[Any], name: str) -> Any:
    """The type of one field, resolved where its class was written, whatever the other fields' types are."""
    owner = next(base for base in cls.__mro__ if name in inspect.get_annotations(base))
    holder = types.new_class("holder", exec_body=lambda body: body.update(__module__=owner.__module__))
    holder.__annotations__ = {name: inspect.get_annotations(owner)[name]}
    return typing.get_type_hints(holder)[name]
