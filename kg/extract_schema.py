"""What an extraction may say: relations and kinds of things, as text for the prompt and as JSON schema for the reply.

A reply, evidence first, so that a model which writes from left to right copies a sentence before it says what it
means::

    {"triples": [{"evidence": "Ora Venn founded the Salt Guild in 204.",
                  "head": "Ora Venn", "head_type": "person", "relation": "founded",
                  "tail": "the Salt Guild", "tail_type": "organisation"}]}
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from mashbill.words import fold

LONGEST_NAME = 80
"""Characters of a head or tail; a longer one is a sentence."""
LONGEST_RELATION = 40
LONGEST_EVIDENCE = 400
"""A long sentence or two short ones."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A relation that may be extracted, with what it means and between which kinds of things it holds."""

    name: str
    meaning: str = ""
    """Said in the prompt after the name, e.g. ``who set it up``."""
    head: tuple[str, ...] = ()
    """Kinds its head may be; empty allows all."""
    tail: tuple[str, ...] = ()

    def line(self) -> str:
        """The relation as the prompt lists it.

        >>> Relation(name="founded", meaning="who set it up", head=("person",), tail=("town", "group")).line()
        '- founded (person -> town or group): who set it up'
        """
        sides = f" ({' or '.join(self.head) or 'any'} -> {' or '.join(self.tail) or 'any'})"
        meaning = f": {self.meaning}" if self.meaning else ""
        return f"- {self.name}{sides if self.head or self.tail else ''}{meaning}"


class Stated(BaseModel):
    """One triple of a reply, as the model wrote it."""

    evidence: str
    head: str
    head_type: str = ""
    relation: str
    tail: str
    tail_type: str = ""


@functools.cache
def extraction_shape(
    relations: tuple[str, ...],
    types: tuple[str, ...],
    most: int,
    least: int,
    longest: int = LONGEST_NAME,
    sentences: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
) -> type[BaseModel]:
    """The shape with its words and bounds, for engines that enforce a schema while decoding.

    They bind those engines alone: a reply of another engine with a relation of its own is still read, and that one
    triple rejected, rather than the whole reply asked for again.
    """
    name = _text({"enum": list(names)} if names else {"minLength": 1, "maxLength": longest})
    quote = {"enum": list(sentences)} if sentences else {"minLength": 1, "maxLength": LONGEST_EVIDENCE}
    fields: dict[str, Any] = {
        "evidence": _text(quote),
        "head": name,
        "head_type": _text({"enum": list(types)}),
        "relation": _text({"enum": list(relations)} if relations else {"minLength": 1, "maxLength": LONGEST_RELATION}),
        "tail": name,
        "tail_type": _text({"enum": list(types)}),
    }
    kinds: dict[str, Any] = {"head_type": "", "tail_type": ""}  # a reply that leaves them out can be read
    wanted: dict[str, Any] = {}
    for field, kind in fields.items():
        if types or field not in kinds:
            wanted[field] = (kind, kinds.get(field, ...))
    asked = ConfigDict(json_schema_extra={"required": list(wanted)})
    # Made anew and not derived from `Stated`, whose fields would come first and in their own order.
    one: Any = create_model("Stated", __config__=asked, **wanted)
    items: Any = Annotated[list[one], Field(json_schema_extra={"minItems": least, "maxItems": most})]
    return create_model("Extraction", triples=(items, ...))


def _text(extra: dict[str, Any]) -> Any:
    return Annotated[str, Field(json_schema_extra=extra)]


def stated_in(value: BaseModel) -> list[Stated]:
    """The triples of a reply of that shape."""
    return [Stated.model_validate(one) for one in value.model_dump()["triples"]]


def relation_name(text: str) -> str:
    """A relation as graphs write it.

    >>> relation_name("was founded by"), relation_name("isA"), relation_name(" Part-Of "), relation_name("...")
    ('was_founded_by', 'is_a', 'part_of', '')
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return "_".join(re.findall(r"[^\W_]+", fold(apart)))
