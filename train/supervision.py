"""Supervised tuning: which completion a student learns for a question, and how it is asked; no torch here.

One rationale row, ``{"question": "2 + 3 * 4?", "rationale": "3 * 4 = 12, and 2 + 12 = 14.", "answer": "14"}``, under
the three targets (prompt -> completion)::

    answer_only   2 + 3 * 4?            ->  14
    multitask     predict: 2 + 3 * 4?   ->  14
                  explain: 2 + 3 * 4?   ->  3 * 4 = 12, and 2 + 12 = 14.
    full_cot      2 + 3 * 4?            ->  3 * 4 = 12, and 2 + 12 = 14.
                                            Answer: 14

`answer_only` is what a teacher's reasoning is used for when only its better labels are wanted (2410.18588 with Azure's
distillation pipeline: the reasoning is dropped after it was asked for); `multitask` is Distilling step-by-step
(2305.02301), whose student needs no rationale when it is asked; `full_cot` is Fine-tune-CoT (2212.10071) and rejection
sampling (2308.01825), whose student reasons before it answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import TypeAdapter, ValidationError

from mashbill.disk import write_json
from mashbill.errors import BillError, StoreError
from mashbill.records import QA, Instruction, Rationale, Record

Target = Literal["answer_only", "multitask", "full_cot"]
TARGETS: tuple[Target, ...] = get_args(Target)

PROMPTING = "prompting.json"
"""Beside a tuned student's weights: how it is asked."""

PREDICT, EXPLAIN = "predict", "explain"
"""The two views of one example under ``multitask``; any other target has one view, with no name."""

LEARNED: Mapping[Target, tuple[type[Record], ...]] = {
    "answer_only": (QA, Rationale, Instruction),
    "multitask": (QA, Rationale),
    # An instruction's response is its whole completion, whatever reasoning stands in it.
    "full_cot": (QA, Rationale, Instruction),
}
"""What rows a target can be made of."""

ONLY_WITH: Mapping[str, Target] = {
    "alpha": "multitask",
    "predict_prefix": "multitask",
    "explain_prefix": "multitask",
    "rationale_lead": "full_cot",
    "answer_lead": "full_cot",
}
"""Fields that mean nothing under another target."""


@dataclass(frozen=True, kw_only=True)
class Supervision:
    """What of a row is the completion, what stands before it, and what it weighs; all of it identity."""

    target: Target
    """What the student is to answer: the answer, the answer or the rationale by prefix, or the rationale then the
    answer."""
    alpha: float = 0.5
    """``multitask`` only: the loss is alpha * predict + (1 - alpha) * explain. 0.5 is Distilling step-by-step's."""
    template: Literal["chat", "plain"] = "chat"
    """``chat`` is the student's own chat template; ``plain`` is ``Question: ... Answer:`` and needs none."""
    system: str = ""
    """The system prompt: the first message of a chat, or the first paragraph of a plain prompt."""
    predict_prefix: str = "predict: "
    """``multitask`` only: what the question begins with where the answer is wanted, in training and in use."""
    explain_prefix: str = "explain: "
    """``multitask`` only: what the question begins with where the rationale is wanted."""
    rationale_lead: str = ""
    """``full_cot`` only: what the completion begins with, such as an opening think tag."""
    answer_lead: str = "\nAnswer: "
    """``full_cot`` only: what stands between the rationale and the answer, so that the answer can be found."""
    choices: Literal["text", "letter"] = "text"
    """How a question with options is answered: by the option's text or by its letter."""
    per_question: Literal["balanced", "natural"] = "balanced"
    """``balanced``: each of m rationales of a question, in whatever streams, weighs 1/m; ``natural``: each weighs 1."""
    max_length: int | None = None
    """Longest example in tokens, prompt and completion; a longer one is rejected, never cut. None is the sequence."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise BillError(
                f"supervision: alpha is {self.alpha:g}; it lies between 0 and 1 (predict alone is target answer_only)"
            )
        if self.max_length is not None and self.max_length < 2:
            raise BillError(f"supervision: max_length is {self.max_length}; at least 2 tokens are wanted")
        if self.target == "multitask" and self.predict_prefix == self.explain_prefix:
            raise BillError(
                f"supervision: predict_prefix and explain_prefix are both {self.predict_prefix!r}; the prefix is all "
                "that tells the student which of the two is asked for"
            )

    @property
    def views(self) -> tuple[str, ...]:
        """The views of one example, the one that is asked for in use first."""
        return (PREDICT, EXPLAIN) if self.target == "multitask" else ("",)

    def prefix(self, view: str = PREDICT) -> str:
        """What the question begins with; nothing but for ``multitask``."""
        if self.target != "multitask":
            return ""
        return self.explain_prefix if view == EXPLAIN else self.predict_prefix

    def share(self, view: str) -> float:
        """What the loss of a view is multiplied with; the shares of an example's views add up to 1.

        >>> spec = Supervision(target="multitask", alpha=0.8)
        >>> [round(spec.share(view), 3) for view in spec.views]
        [0.8, 0.2]
        """
        if self.target != "multitask":
            return 1.0
        return 1 - self.alpha if view == EXPLAIN else self.alpha


def write_supervision(model_dir: Path, spec: Supervision) -> None:
    """Say beside a student how it was asked in training, for whoever asks it next."""
    write_json(model_dir / PROMPTING, dataclasses.asdict(spec))


def read_supervision(model_dir: Path) -> Supervision | None:
    """How a student was asked in training; None for one that was trained on texts.

    `train.prompt_form.prompt_form` of it and the student's tokenizer makes the very prompts.

    Raises:
        StoreError: when the file cannot be read.
    """
    file = model_dir / PROMPTING
    if not file.is_file():
        return None
    try:
        return TypeAdapter(Supervision).validate_json(file.read_bytes())
    except (ValidationError, BillError) as error:
        raise StoreError(f"{file}: is not a supervision this version can read: {error}") from error


def refusal(kind: type[Record], target: Target) -> str:
    """Why rows of a type cannot be learned under a target; empty where they can.

    >>> refusal(Instruction, "multitask")
    'its rows are Instruction, which target multitask cannot be made of (it takes QA, Rationale)'
    """
    takes = LEARNED[target]
    if issubclass(kind, takes):
        return ""
    return (
        f"its rows are {kind.__name__}, which target {target} cannot be made of "
        f"(it takes {', '.join(one.__name__ for one in takes)})"
    )
