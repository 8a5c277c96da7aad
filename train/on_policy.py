"""Distillation on the student's own samples, by TRL's trainer: a thin edge, for what a loop over a plan cannot do.

A plan says what is read; here the student writes what it is then corrected on (GKD, 2306.13649), so there is no plan,
no columns and no resuming to the bit. TRL generates, with vLLM where it is asked to, and has the loss. It needs the
extra ``onpolicy`` and is imported when it is called.

    train_on_policy(Path("model"), Path("teacher"), ["What did the guild tax?"], Path("out"), steps=200)
    ->  out/model: a Hugging Face checkpoint
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mashbill.errors import BillError, UserError
from train.tokenizer import load_tokenizer


def train_on_policy(
    student: Path,
    teacher: Path,
    prompts: Sequence[str],
    out: Path,
    *,
    steps: int,
    learning_rate: float = 1e-6,
    batch: int = 8,
    most_tokens: int = 256,
    temperature: float = 1.0,
    **trl: Any,
) -> Path:
    """Let a student answer prompts and learn from what its teacher would have said at each token.

    `trl` are further fields of TRL's `DistillationConfig`, such as ``use_vllm=True`` or ``beta``.

    Returns:
        The directory of the trained student.

    Raises:
        UserError: when TRL is not installed, or there is no prompt.
        BillError: when the two have different tokenizers.
    """
    try:
        from datasets import Dataset
        from trl import DistillationConfig, DistillationTrainer
    except ImportError as error:
        raise UserError(
            f"on-policy distillation needs TRL, which cannot be imported ({error}); pip install 'mashbill[onpolicy]'"
        ) from error
    if not prompts:
        raise UserError("there is no prompt to answer; give at least one")
    tokenizer = load_tokenizer(student)
    if (theirs := load_tokenizer(teacher).identity) != tokenizer.identity:
        raise BillError(
            f"the teacher {teacher.name} has tokenizer {theirs[:8]} and the student's is {tokenizer.identity[:8]}; "
            "their probabilities are about different tokens: take a teacher of the same family"
        )
    given: dict[str, Any] = {
        "output_dir": str(out / "trl"), "max_steps": steps, "learning_rate": learning_rate, "save_strategy": "no",
        "per_device_train_batch_size": batch, "max_completion_length": most_tokens, "temperature": temperature,
        "report_to": [], "seed": 0,
    }  # fmt: skip
    trainer = DistillationTrainer(
        model=str(student), teacher_model=str(teacher), args=DistillationConfig(**(given | trl)),
        train_dataset=Dataset.from_dict({"prompt": list(prompts)}), processing_class=tokenizer.inner,
    )  # fmt: skip
    trainer.train()
    trainer.save_model(str(out / "model"))
    return out / "model"
