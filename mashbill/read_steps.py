"""A step as a bill writes it: its name, and its fields by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mashbill.errors import RegistryError
from mashbill.held_step import Held, held_steps
from mashbill.registry import load
from mashbill.section import Section
from mashbill.step import Source, Step


def loaded(sort: Any, name: str, section: Section, folders: Sequence[Path]) -> type[Any]:
    """The class that a bill names.

    Raises:
        BillError: when there is none of that name, with the nearest ones.
    """
    try:
        cls: type[Any] = load(sort, name, folders)
    except RegistryError as error:
        section.fail(str(error))
    return cls


@dataclass(frozen=True)
class StepReader:
    """Makes the steps that a bill names; each method raises `BillError` with file and line."""

    folders: Sequence[Path]
    """Where steps of the bill's own lie."""
    seed: int | None
    """Every step's, unless its own is given."""

    def one(self, section: Section) -> Step:
        """A step of any kind."""
        name, fields = section.named()
        cls = loaded("step", name, fields, self.folders)
        seeded = any(one.name == "seed" and one.init for one in dataclasses.fields(cls))
        if seeded and self.seed is not None and isinstance(fields.value, Mapping) and "seed" not in fields:
            fields = Section({**fields.value, "seed": self.seed}, fields.path, fields.where, fields.lines)
        made = {name: self.held(fields.at(name), held) for name, held in held_steps(cls).items() if name in fields}
        step: Step = fields.build(cls, made=made)
        return step

    def held(self, section: Section, held: Held) -> Step:
        """The step that a field of another step holds."""
        step = self.one(section)
        if refused := held.refuses(step):
            section.fail(refused)
        return step

    def source(self, section: Section) -> Source[Any]:
        """A step that reads files."""
        step = self.one(section)
        if not isinstance(step, Source):
            section.fail(f"{step.name} is not a source; a source reads files (read_documents)")
        return step

    def step(self, section: Section) -> Step:
        """A step of a stream: any but a source."""
        step = self.one(section)
        if isinstance(step, Source):
            section.fail(f"{step.name} is a source; name it under `sources`")
        return step
