"""``mashbill schema``: the JSON schema of a bill, so that an editor completes names and marks what is misspelt.

    $ mashbill schema > bill.schema.json
    # yaml-language-server: $schema=bill.schema.json        <- first line of the bill

It is made from the registry, so it knows every step and engine, and with ``--folder`` those of your own. What depends
on two places at once (a stream's source must exist, steps must fit) only ``mashbill plan`` can check.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.field_schema import Schema, first_paragraph, is_required, object_schema
from flows.loop_schema import loop_schema
from mashbill.bill import Accept, Release
from mashbill.registry import available, load
from mashbill.runtime import RejectPolicy
from mashbill.step import Source
from train.curriculum import Curriculum
from train.distill_spec import Distill, Generic, TeacherSpec
from train.plan import PlanSpec
from train.recipe import Lora, StudentSpec, TrainRecipe
from train.render import RenderSpec
from train.supervision import Supervision

NOT_IDENTITY = ("run", "_open")
"""Fields of engines that say how it runs; they come from the settings, not the bill."""
STRING: Schema = {"type": "string"}


def bill_schema(folders: Sequence[Path] = ()) -> Schema:
    """The schema of a whole bill (draft 2020-12)."""
    steps = {name: load("step", name, folders) for name in available("step", folders)}
    sources = {name: cls for name, cls in steps.items() if issubclass(cls, Source)}
    others = {name: cls for name, cls in steps.items() if name not in sources}
    engines = {name: load("engine", name) for name in available("engine")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Mashbill bill",
        "type": "object",
        "properties": _top(),
        "required": ["name", "sources", "streams"],
        "additionalProperties": False,
        "$defs": {
            "source": _choice(sources, "step"),
            "step": _choice(others, "step"),
            "engine": _choice(engines, "engine"),
            "stream": _stream(),
            "rejects": object_schema(RejectPolicy),
            **{f"step.{name}": object_schema(cls) for name, cls in steps.items()},
            **{f"engine.{name}": object_schema(cls, hide=NOT_IDENTITY) for name, cls in engines.items()},
        },
    }


def _top() -> Schema:
    version = {"type": ["string", "number"], "default": "1"}
    return {
        "name": {
            "type": "string",
            # Python's isalnum, as far as a pattern in every editor's dialect can say it.
            "pattern": "^[^\\s/\\\\:*?\"'<>|@#$%&(){}\\[\\]=+,;!]+$",
            "description": "A folder's and a dataset's name: letters, digits, - _ . only.",
        },
        "version": _said("Of the dataset.", version),
        "description": _said("For the data card.", STRING),
        "license": _said("Of what is released, e.g. Apache-2.0.", STRING),
        "language": _said("Two letters, e.g. en.", {**STRING, "default": "en"}),
        "seed": _said(
            "The seed of every step that has one and is not given its own.", {"type": "integer", "default": 0}
        ),
        "steps": _said("Folders of steps of your own, relative to the bill.", _one_or_more(STRING)),
        "sources": _said("Name -> what reads the files.", _named("source")),
        "engine": {"$ref": "#/$defs/engine"},
        "engines": _said("Role -> another engine, for the steps that ask it by that name.", _named("engine")),
        "streams": _said("Name -> one way from a source to curated rows.", _named("stream")),
        "curate": _said("Filters and dataset steps of every stream without its own.", _steps()),
        "rejects": {"$ref": "#/$defs/rejects"},
        "release": object_schema(Release),
        "student": object_schema(StudentSpec),
        "train": _train(),
        "star": _said("Rounds of learning from right answers of the student's own.", {"type": "object"}),
        "loop": loop_schema(),
        "evaluate": _evaluate(),
    }


def _said(what: str, schema: Schema) -> Schema:
    return {"description": what, **schema}


def _named(kind: str) -> Schema:
    return _map_of({"$ref": f"#/$defs/{kind}"})


def _one_or_more(item: Schema) -> Schema:
    """One value stands for a list of one."""
    return {"anyOf": [item, {"type": "array", "items": item}]}


def _steps() -> Schema:
    return _one_or_more({"$ref": "#/$defs/step"})


def _choice(known: Mapping[str, type[Any]], kind: str) -> Schema:
    """A name alone, where no field is required, or one name with its fields."""
    alone = [
        {"const": name, "description": first_paragraph(cls.__doc__)}
        for name, cls in known.items()
        if not any(is_required(one) for one in _fields(cls))
    ]
    with_fields: Schema = {
        "type": "object",
        "properties": {name: _fields_of(name, cls, kind) for name, cls in known.items()},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"oneOf": [{"type": "string", "oneOf": alone}, with_fields] if alone else [with_fields]}


def _fields(cls: type[Any]) -> Iterable[dataclasses.Field[Any]]:
    return (one for one in dataclasses.fields(cls) if one.init and one.name not in NOT_IDENTITY)


def _fields_of(name: str, cls: type[Any], kind: str) -> Schema:
    reference = {"$ref": f"#/$defs/{kind}.{name}"}
    needs_none = not any(is_required(one) for one in _fields(cls))
    # `name:` with nothing after it is null in YAML, and takes every default.
    return {"anyOf": [reference, {"type": "null"}]} if needs_none else reference


def _stream() -> Schema:
    return {
        "type": "object",
        "properties": {
            "from": _said(
                "A source, a stream above this one, or a list of such whose rows are taken together.",
                {"anyOf": [STRING, {"type": "array", "items": STRING, "minItems": 1, "uniqueItems": True}]},
            ),
            "generate": _said("Generators, and dataset steps between them, in order.", _steps()),
            "curate": _said("In place of the bill's own `curate`.", _steps()),
            "accept": _said(
                "How much is to come of it: a number of curated rows, or {rows: …} or {tokens: …}.",
                {"anyOf": [{"type": "integer", "minimum": 1}, object_schema(Accept)]},
            ),
            "rejects": {"$ref": "#/$defs/rejects"},
        },
        "required": ["from"],
        "additionalProperties": False,
    }


def _train() -> Schema:
    share: Schema = {"type": "number", "exclusiveMinimum": 0}
    own_teacher = {"distill": {"anyOf": [_distill(), {"const": False}]}}
    arm = {"type": "object", "properties": own_teacher, "additionalProperties": share, "minProperties": 1}
    replay = {
        "type": "object",
        "properties": {
            "from": _said("The name of a stream or source.", STRING),
            "share": _said("Of the tokens trained on.", {**share, "exclusiveMaximum": 1}),
        },
        "required": ["from", "share"],
        "additionalProperties": False,
    }
    plan = object_schema(PlanSpec, hide=("shares", "replay", "replay_share", "curriculum"))["properties"]
    own: Schema = {
        "replay": _said("General text against forgetting.", replay),
        "render": object_schema(RenderSpec),
        "arms": _said("Name -> streams by share; arms differ in this alone.", _map_of(arm)),
        "lora": object_schema(Lora),
        "distill": _distill(),
        "curriculum": object_schema(Curriculum),
    }
    supervised = object_schema(Supervision)["properties"]
    return {
        "type": "object",
        "properties": {**plan, **object_schema(TrainRecipe)["properties"], **supervised, **own},
        "required": ["tokens", "arms"],
        "dependentRequired": {name: ["target"] for name in supervised if name != "target"},
        "additionalProperties": False,
    }


def _distill() -> Schema:
    """Nothing of it is required: an arm's own stands on the bill's."""
    whole = object_schema(Distill, hide=("teacher", "generic"))
    parts = {"teacher": object_schema(TeacherSpec), "generic": object_schema(Generic)}
    return {**whole, "properties": {**parts, **whole["properties"]}, "required": []}


def _map_of(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema, "minProperties": 1}


def _evaluate() -> Schema:
    questions = _said("Held-out questions, relative to the bill (JSON lines).", STRING)
    # The other fields belong to a class that wants torch to be imported; `mashbill plan` checks them.
    return {"type": "object", "properties": {"questions": questions}, "required": ["questions"]}
