"""Families of models, by the names that engines give themselves."""

from __future__ import annotations

import doctest
import types

import pytest

from mashbill import material, model_family, roles
from mashbill.model_family import families_of


@pytest.mark.parametrize(
    ("identity", "families"),
    [
        ("openai/gpt-4o-mini", {"gpt"}),
        ("openai/o3-mini", {"gpt"}),
        ("openai/meta-llama/Llama-3.1-8B-Instruct@ab12", {"llama"}),
        ("openai/Qwen3-8B", {"qwen"}),
        ("vllm/Qwen/QwQ-32B@1", {"qwen"}),
        ("vllm/deepseek-ai/DeepSeek-R1-Distill-Qwen-7B@1", {"deepseek", "qwen"}),
        ("openai/mistralai/Mixtral-8x7B", {"mistral"}),
        ("openai/google/gemma-2-9b-it", {"gemini"}),
        ("openai/microsoft/Phi-4", {"phi"}),
        ("openai/allenai/Llama-3.1-Tulu-3-8B", {"llama", "olmo"}),
        ("transformers/smollm2-135m-instruct@b179c952", {"smollm"}),
        ("transformers/local@0123abcd", {"local@0123abcd"}),
        ("openai/acme/foo-7b", {"foo"}),
        ("openai/7b", {"b"}),
        ("openai/7", {"7"}),
        ("scripted/judge", {"judge"}),
        ("", set()),
    ],
)
def test_a_model_is_of_the_families_its_name_says(identity: str, families: set[str]) -> None:
    assert families_of(identity) == families


@pytest.mark.parametrize("module", [material, model_family, roles])
def test_the_examples_of_the_docstrings_are_true(module: types.ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
