"""How questions are asked and judged; no torch here, so that a bill is checked without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from mashbill.errors import BillError

Choosing = Literal["per_character", "sum", "pmi"]
"""Ways to choose among options; `train.marking` says what each is."""
PROMPT = "Question: {question}\nAnswer:"
"""What stands before the answer of a student that was tuned on no questions."""
CHOOSINGS: tuple[Choosing, ...] = get_args(Choosing)


@dataclass(frozen=True, kw_only=True)
class EvalSpec:
    """How questions are asked and answers judged; all of it identity."""

    prompt: str = ""
    """What stands before the answer, with ``{question}`` in it; empty is `PROMPT`, and for a student that was tuned on
    questions the prompt of its training."""
    prior: str = "Answer:"
    """What stands before an option when its likelihood without the question is taken, for ``pmi``."""
    primary: Choosing = "per_character"
    most_tokens: int = 24
    """Of a greedy answer."""
    seed: int = 0
    """For the bootstrap."""

    def __post_init__(self) -> None:
        try:
            asks = not self.prompt or self.prompt.format(question=PROMPT) != self.prompt.format(question="")
        except (LookupError, ValueError) as error:
            raise BillError(
                f"evaluate: prompt {self.prompt!r} cannot be filled in ({error!r}); {{question}} is all that is put "
                "into it, and a brace of its own is written twice"
            ) from error
        if not asks:
            raise BillError(f"evaluate: prompt {self.prompt!r} has no {{question}} in it, so nothing would be asked")
        if self.most_tokens < 1:
            raise BillError(f"evaluate: most_tokens is {self.most_tokens}; at least 1 is wanted")
