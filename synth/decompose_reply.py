"""What an instruction taken apart must look like, and whether each piece of it stands in the instruction.

::

    {"languages": ["en"], "complex": true, "tasks": [{"task_type": "meeting summary", "base_query": "Summarise the
     meeting.", "constraints": [{"category": "numerical", "constraint": "Use at most five bullets.",
     "simplified_query": "Summarise the meeting in French."}, …]}]}
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

from mashbill.constraint_sets import category_of
from mashbill.matching.number_words import number_in_words
from mashbill.words import singular, words
from synth.entities import FUNCTION_WORDS

Category = Annotated[
    Literal["content", "numerical", "style", "format", "language", "input_placeholder"],
    BeforeValidator(lambda name: category_of(name) if isinstance(name, str) else name),
]
Code = Annotated[str, Field(json_schema_extra={"pattern": "^[a-z]{2}$"})]
Short = Annotated[str, Field(json_schema_extra={"minLength": 3, "maxLength": 60})]
Sentence = Annotated[str, Field(json_schema_extra={"minLength": 3, "maxLength": 240})]
"""Bounds are hints to engines that enforce a schema while decoding; no reply is refused by them."""


class FoundConstraint(BaseModel):
    """One requirement as the model names it."""

    category: Category
    constraint: Sentence
    simplified_query: Annotated[str, Field(json_schema_extra={"maxLength": 240})] = ""


class FoundTask(BaseModel):
    """One thing the instruction asks for."""

    task_type: Short
    base_query: Sentence
    constraints: Annotated[list[FoundConstraint], Field(json_schema_extra={"maxItems": 8})]


class Decomposed(BaseModel):
    """The whole reply."""

    languages: Annotated[list[Code], Field(json_schema_extra={"minItems": 1, "maxItems": 3})]
    complex: bool
    tasks: Annotated[list[FoundTask], Field(json_schema_extra={"maxItems": 4})]


def present_share(piece: str, there: Collection[str]) -> float:
    """The share of a piece's words that stand among the words of a source (see `spoken_words`), 0 to 1.

    Words like ``the`` and ``with`` do not count, unless there are no others.

    >>> present_share("Use at most 5 bullets", spoken_words("Sum up in at most five bullets."))
    0.75
    """
    wanted = spoken_words(piece)
    telling = wanted - FUNCTION_WORDS or wanted
    return sum(word in there for word in telling) / len(telling) if telling else 0.0


def missing_numbers(piece: str, there: Collection[str]) -> list[str]:
    """The numbers of a piece that its source does not have: a count with another number is another count.

    >>> missing_numbers("Use at most 6 bullets", spoken_words("Sum up in at most five bullets."))
    ['6']
    """
    return sorted(word for word in spoken_words(piece) if word.isdecimal() and word not in there)


def spoken_words(text: str) -> set[str]:
    """The words of a text for comparison: no case, no plurals, numbers in figures.

    >>> sorted(spoken_words("Five Bullets, at most"))
    ['5', 'at', 'bullet', 'most']
    """
    return {_figure(singular(word)) for word in words(text)}


@functools.lru_cache(maxsize=65_536)
def _figure(word: str) -> str:
    found = number_in_words(word) if word.isalpha() else None
    return str(found[0].numerator) if found is not None and found[0].denominator == 1 else word
