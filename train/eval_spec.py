"""How questions are asked and judged; no torch here, so that a bill is checked without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Choosing = Literal["per_character", "sum", "pmi"]
"""Ways to choose among options; `train.marking` says what each is."""
CHOOSINGS: tuple[Choosing, ...] = get_args(Choosing)


@dataclass(frozen=True, kw_only=True)
class EvalSpec:
    """How questions are asked and answers judged; all of it identity."""

    prompt: str = "Question: {question}\nAnswer:"
    prior: str = "Answer:"
    """What stands before an option when its likelihood without the question is taken, for ``pmi``."""
    primary: Choosing = "per_character"
    most_tokens: int = 24
    """Of a greedy answer."""
    seed: int = 0
    """For the bootstrap."""
