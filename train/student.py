"""The student: loaded, or made from nothing; and saved so that anything of Hugging Face's opens it.

>>> student = load_student(StudentSpec(scratch=Scratch(layers=1, width=8, heads=2)))  # doctest: +SKIP
>>> student.model.num_parameters()  # doctest: +SKIP
3664
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from mashbill.errors import BillError, InputError
from train.identity import checkpoint_dir
from train.recipe import BYTES, Scratch, StudentSpec
from train.tokenizer import StudentTokenizer, byte_tokenizer, load_tokenizer

# Its bars for loading and writing a few hundred tensors would stand between the lines of the run's own progress.
disable_progress_bar()


@dataclass(frozen=True)
class Student:
    """A model with its tokenizer, in float32 on the CPU."""

    model: PreTrainedModel
    tokenizer: StudentTokenizer


def load_student(spec: StudentSpec, *, attention: str = "sdpa", context: int = 2048) -> Student:
    """The student of a spec; `context` is the longest position a scratch model is told of."""
    tokenizer = student_tokenizer(spec)
    if spec.scratch:
        return Student(_from_scratch(spec.scratch, tokenizer, attention, context), tokenizer)
    return Student(load_model(checkpoint_dir(spec), attention=attention), tokenizer)


def student_tokenizer(spec: StudentSpec) -> StudentTokenizer:
    """The tokenizer alone: planning needs it and not the weights."""
    if not spec.scratch:
        return load_tokenizer(checkpoint_dir(spec))
    if spec.tokenizer is None or spec.tokenizer == BYTES:
        return StudentTokenizer(byte_tokenizer())
    return load_tokenizer(Path(spec.tokenizer))


def load_model(path: Path, *, attention: str = "sdpa") -> PreTrainedModel:
    """A causal language model from a directory, in float32.

    Raises:
        InputError: when there is no checkpoint that transformers can read.
    """
    try:
        # float32 even where the checkpoint is bf16: the optimiser's steps are below bf16's resolution.
        return AutoModelForCausalLM.from_pretrained(
            str(path), dtype=torch.float32, attn_implementation=attention, local_files_only=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"no causal language model can be read here ({error}); give a directory that `save_pretrained` wrote, "
            "with config.json and model.safetensors",
            path=path,
        ) from error


def _from_scratch(scratch: Scratch, tokenizer: StudentTokenizer, attention: str, context: int) -> PreTrainedModel:
    mlp = scratch.mlp_width or 4 * scratch.width
    try:
        config = AutoConfig.for_model(
            scratch.architecture,
            vocab_size=len(tokenizer),
            hidden_size=scratch.width,
            intermediate_size=mlp,
            num_hidden_layers=scratch.layers,
            num_attention_heads=scratch.heads,
            num_key_value_heads=scratch.kv_heads or scratch.heads,
            max_position_embeddings=context,
            # A small student spends most of its weights on the vocabulary if it keeps two tables.
            tie_word_embeddings=True,
            bos_token_id=tokenizer.begin[0] if tokenizer.begin else None,
            eos_token_id=tokenizer.end,
            pad_token_id=tokenizer.pad,
        )
    except ValueError as error:
        raise BillError(
            f"student: transformers does not know the architecture {scratch.architecture!r}; llama and qwen3 are two "
            "that it knows"
        ) from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(scratch.seed)
        return AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32)


def save_student(student: Student, path: Path, weights: dict[str, torch.Tensor] | None = None) -> None:
    """Write a Hugging Face checkpoint; `weights` are those of a sharded model, gathered."""
    path.mkdir(parents=True, exist_ok=True)
    student.model.save_pretrained(str(path), state_dict=weights)
    student.tokenizer.inner.save_pretrained(str(path))
