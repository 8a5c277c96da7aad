"""The JSON schema of a bill's ``loop`` section, for editors."""

from __future__ import annotations

from flows.field_schema import Schema, object_schema
from flows.loop_section import ELSEWHERE
from flows.loop_spec import LoopSpec, Weak
from train.eval_spec import EvalSpec
from train.plan import PlanSpec
from train.recipe import Lora, TrainRecipe
from train.render import RenderSpec
from train.supervision import Supervision

_TEXT: Schema = {"type": "string"}


def loop_schema() -> Schema:
    """What stands under ``loop``."""
    weak = object_schema(Weak)
    for name in ("by", "source"):  # a single column stands for a list of one
        weak["properties"][name] = {"anyOf": [_TEXT, weak["properties"][name]]}
    training = {
        **object_schema(PlanSpec, hide=ELSEWHERE)["properties"],
        **object_schema(TrainRecipe)["properties"],
        **object_schema(Supervision)["properties"],
        "replay": {"type": "object", "description": "General text against forgetting: {from, share}."},
        "render": object_schema(RenderSpec),
        "lora": object_schema(Lora),
    }
    own: Schema = {
        "weak": weak,
        "validation": {"description": "Questions that steer the loop (JSON lines).", **_TEXT},
        "test": {"description": "Questions that measure its end (JSON lines).", **_TEXT},
        "ask": object_schema(EvalSpec),
        "dedup": {"$ref": "#/$defs/step"},
        "train": {"type": "object", "properties": training, "required": ["tokens"], "additionalProperties": False},
    }
    return {
        "type": "object",
        "description": "Rounds that write what the student of the round before is weak in.",
        "properties": {**object_schema(LoopSpec)["properties"], **own},
        "required": ["rounds", "recipes", "weak", "validation", "test", "train"],
        "additionalProperties": False,
    }
