"""What EntiGraph asks of a document first: a summary and its entities, as JSON.

::

    {"summary": "The Salt Guild, by Ora Venn, tells how …", "entities": ["Ora Venn", "the Salt Guild", "rock salt"]}
"""

from __future__ import annotations

import functools
from typing import Annotated

from pydantic import BaseModel, Field, create_model
from pydantic.config import JsonDict

LEAST_ENTITIES = 4
LEAST_SUMMARY = 100
LONGEST_NAME = 80
"""Characters; a longer one is a sentence."""


class Extraction(BaseModel):
    """The reply to the extraction prompt."""

    summary: str
    entities: list[str]


@functools.cache
def extraction_shape(max_entities: int, summary_chars: int) -> type[Extraction]:
    """The shape with its bounds, as hints to engines that enforce a schema while decoding; no reply is refused by them.

    Left alone, a small model lists nothing at all, or repeats one sentence of its summary up to max_tokens and never
    comes to the entities. Names that it then makes up are dropped, since the document does not hold them.
    """
    name = Annotated[str, Field(json_schema_extra={"minLength": 2, "maxLength": LONGEST_NAME})]
    items: JsonDict = {"minItems": min(LEAST_ENTITIES, max_entities), "maxItems": max_entities + max_entities // 2}
    return create_model(
        "Extraction",
        __base__=Extraction,
        summary=(str, Field(json_schema_extra={"minLength": LEAST_SUMMARY, "maxLength": summary_chars})),
        entities=(list[name], Field(json_schema_extra=items)),
    )
