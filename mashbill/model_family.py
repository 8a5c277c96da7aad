"""The family of a model, from an engine's identity: a judge favours what its own family writes.

>>> sorted(families_of("openai/Qwen/Qwen3-8B")), sorted(families_of("transformers/smollm2-135m-instruct@b179c952"))
(['qwen'], ['smollm'])
>>> sorted(families_of("vllm/deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"))     # a child of two
['deepseek', 'qwen']

A model rates what it, or a relative, wrote above what it is worth (Panickssery et al., arXiv 2404.13076), and shares
its blind spots. Families are known by the words of a model's name; one that is not known is its own, by the first word.
"""

from __future__ import annotations

import re

_MEMBERS = {
    "claude": ("claude",),
    "command": ("command", "aya", "cohere"),
    "deepseek": ("deepseek",),
    "exaone": ("exaone",),
    "falcon": ("falcon",),
    "gemini": ("gemini", "gemma", "medgemma", "palm"),
    "glm": ("glm", "chatglm"),
    "gpt": ("gpt", "chatgpt", "davinci"),
    "granite": ("granite",),
    "grok": ("grok",),
    "internlm": ("internlm",),
    "kimi": ("kimi", "moonshot", "moonlight"),
    "llama": ("llama", "codellama", "tinyllama", "vicuna", "alpaca"),
    "minimax": ("minimax",),
    "mistral": (
        "mistral", "mixtral", "ministral", "magistral", "codestral", "devstral", "mathstral", "pixtral", "zephyr",
    ),
    "nemotron": ("nemotron", "minitron"),
    "olmo": ("olmo", "olmoe", "tulu"),
    "phi": ("phi",),
    "qwen": ("qwen", "qwq", "qvq", "codeqwen"),
    "smollm": ("smollm", "smolvlm"),
    "yi": ("yi",),
}  # fmt: skip
_FAMILY = {name: family for family, names in _MEMBERS.items() for name in names}
_NUMBERED = re.compile(r"o[1345]", re.ASCII)
"""OpenAI's models that are a letter and a number."""


def families_of(identity: str) -> frozenset[str]:
    """The families a model belongs to; none for a row that no model made.

    A checkpoint directory has no name, so it is of a family of its own: ``local@<digest>``.
    """
    name = identity.split("/", 1)[-1]
    if not name or name.startswith("local@"):
        return frozenset({name} - {""})
    parts = [part for part in re.split(r"[^a-z0-9]+", name.split("@")[0].lower()) if part]
    words = [re.match(r"[a-z]*", part)[0] for part in parts]  # type: ignore[index]  # it matches nothing, if need be
    found = {_FAMILY[word] for word in words if word in _FAMILY}
    if any(_NUMBERED.fullmatch(part) for part in parts[:2]):
        found.add("gpt")
    last = re.split(r"[^a-z]+", name.split("@")[0].lower().split("/")[-1])
    return frozenset(found or {next((word for word in last if word), name)})
