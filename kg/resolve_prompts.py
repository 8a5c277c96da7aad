"""The question a doubtful pair of names is asked with, and the shape of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

SYSTEM = "You decide whether two names in a knowledge graph stand for one thing."
PROMPT = """Two names stand below, each with a sentence in which it is used. Do both stand for the very same thing?
Names of a whole and its part, of a kind and one of its members, or of two things that are merely alike are different.
Answer same, different or unsure.

"""
ANSWERS = ("same", "different", "unsure")
LONGEST = 240
"""Characters of a sentence that is shown."""


class Judgement(BaseModel):
    """The reply about one pair."""

    answer: Annotated[str, Field(pattern=f"^({'|'.join(ANSWERS)})$", json_schema_extra={"enum": list(ANSWERS)})]


def name_lines(number: int, name: str, kind: str, sentences: Sequence[str]) -> str:
    """One of the two names as the question shows it.

    >>> print(name_lines(1, "Ora Venn", "person", ["Ora Venn sold salt."]))
    1. Ora Venn (person)
       "Ora Venn sold salt."
    """
    head = f"{number}. {name}" + (f" ({kind})" if kind else "")
    return "\n".join([head, *(f'   "{_short(one)}"' for one in sentences)])


def _short(sentence: str) -> str:
    text = " ".join(sentence.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
