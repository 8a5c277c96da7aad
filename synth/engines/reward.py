"""A reward model's number for a response to a prompt, or a classifier's probability for a pair of texts.

``("How many grams are a pound?", "About 454.")`` -> 3.1 with a reward model of one output

A model with one output gives it as it is. One with several (true, false and neither, for a text and its evidence)
gives the probability of its last label, or of the one that its configuration calls ``entailment`` or ``positive``. With
a chat template the pair is a turn of the user and the answer to it; without one it is two texts.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synth.engines.scoring import batches, load_model, model_identity

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOOD = ("entailment", "positive", "good", "yes")
"""Labels that stand for the number, where a model names its labels."""


@dataclass(frozen=True, kw_only=True)
class Reward:
    """A sequence classifier's number for each pair."""

    model: str
    """A checkpoint directory, or a model's name with a revision."""
    revision: str = ""

    @property
    def identity(self) -> str:
        """The model and what decides its numbers."""
        return model_identity("reward", self.model, self.revision)

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """The number of each pair; NaN where the text is blank.

        Raises:
            SettingsError: when the model cannot be loaded.
        """
        tokenizer, model = _loaded(self.model, self.revision)
        result = np.full(len(pairs), np.nan)
        limit = int(getattr(model.config, "max_position_embeddings", 0)) or 512
        rows = [_tokens(tokenizer, prompt, text)[:limit] if text.strip() else [] for prompt, text in pairs]
        for places in batches([len(ids) for ids in rows]):
            result[places] = _numbers(tokenizer, model, [rows[at] for at in places])
        return result


def _tokens(tokenizer: Any, prompt: str, text: str) -> list[int]:
    if tokenizer.chat_template:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
        rendered = tokenizer.apply_chat_template(turns, tokenize=False)
        return list(tokenizer(rendered, add_special_tokens=False)["input_ids"])
    return list(tokenizer(prompt, text)["input_ids"] if prompt else tokenizer(text)["input_ids"])


def _numbers(tokenizer: Any, model: Any, rows: Sequence[list[int]]) -> NDArray[np.float64]:
    import torch

    padded = tokenizer.pad({"input_ids": list(rows)}, padding=True, return_tensors="pt").to(model.device)
    with torch.inference_mode():
        logits = model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).logits.float()
        found = logits[:, 0] if logits.shape[1] == 1 else logits.softmax(dim=1)[:, _label(model.config)]
    return np.asarray(found.cpu().numpy(), dtype=np.float64)


def _label(config: Any) -> int:
    named = {str(name).lower(): int(at) for at, name in (config.id2label or {}).items()}
    return next((named[name] for name in GOOD if name in named), -1)


@functools.lru_cache(maxsize=1)
def _loaded(model: str, revision: str) -> tuple[Any, Any]:
    tokenizer, loaded = load_model("AutoModelForSequenceClassification", model, revision)
    if loaded.config.pad_token_id is None:  # without it a model finds a text's last token in one of its padding
        loaded.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, loaded
