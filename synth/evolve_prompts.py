"""How an instruction is evolved: the operations of Evol-Instruct, in our words, and what counts as no evolution.

WizardLM (arXiv 2304.12244): four in-depth operations that make an instruction harder, one that mutates it into another,
each with a limit on added words; and four ways in which a rewriting is thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from synth.instruction_prompts import MATERIAL

EVOLVE_SYSTEM = f"You rewrite instructions for an assistant. {MATERIAL}"
_GIVEN = """<instruction>
{instruction}
</instruction>

"""
_DEEPER = (
    "Rewrite the instruction so that it is somewhat harder to carry out, though people can still make sense of it and "
    "answer it. Keep what is given in it: inputs, tables, code, placeholders. "
)
_LIMIT = (
    " Add ten to twenty words at most. Do not speak of rewriting or of the instruction that was given. Reply with a "
    "JSON object: instruction."
)
OPERATIONS: Mapping[str, str] = {
    "constrain": f"{_GIVEN}{_DEEPER}Do it by adding one more requirement.{_LIMIT}",
    "deepen": f"{_GIVEN}{_DEEPER}Do it by asking for more depth or breadth where it asks about something.{_LIMIT}",
    "concretise": f"{_GIVEN}{_DEEPER}Do it by putting more specific notions in the place of general ones.{_LIMIT}",
    "reason": f"{_GIVEN}{_DEEPER}Do it so that what took a few simple steps takes several steps of reasoning.{_LIMIT}",
    "broaden": (
        f"{_GIVEN}Write a new instruction that this one has given you the idea of. It belongs to the same domain but "
        "is rarer, about as long and as hard, and people can make sense of it and answer it. Do not speak of the "
        "instruction that was given. Reply with a JSON object: instruction."
    ),
}
"""Operation -> prompt; gets {instruction}. All but ``broaden`` go into depth."""
SAME = """<instruction>
{before}
</instruction>

<answer>
{after}
</answer>

The second text is a rewriting of the first. Do both ask for the same thing: with the same requirements, and in the same
depth and breadth? Reply with a JSON object: reason, in one sentence, then verdict: yes or no."""
TALK = ("given prompt", "rewritten prompt", "given instruction", "rewritten instruction", "#created", "#rewritten")
"""What a rewriting may not say: it speaks of itself."""
Depth = Literal["constrain", "deepen", "concretise", "reason", "broaden"]


class Evolved(BaseModel):
    """A rewritten instruction."""

    instruction: str = Field(min_length=1, max_length=20_000)
