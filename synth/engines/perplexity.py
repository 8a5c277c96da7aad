"""How surprised a language model is by a text: its perplexity, given a prompt or nothing.

``("", "Salt melts at 801 °C.")`` -> 87.9 with the embedded model; ``("", "asdf qwer zxcv")`` -> 4868

Perplexity is e to the mean of -log p over the text's tokens; those of the prompt are seen and not counted. Low is
predictable (boilerplate, repetition), high is garbled or far from what the model was trained on: both ends can be cut,
as CCNet does (arXiv 1911.00359). It says nothing of truth. Numbers of two models, or of two tokenizers, cannot be
compared. A text longer than the model's context is cut to it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mashbill import embedded
from synth.engines.scoring import batches, load_model, model_identity

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Perplexity:
    """The perplexity of texts to a causal language model."""

    model: str = embedded.NAME
    """``smollm2-135m-instruct`` (embedded), a checkpoint directory, or a model's name with a revision."""
    revision: str = ""

    @property
    def identity(self) -> str:
        """The model and what decides its numbers."""
        return model_identity("perplexity", self.model, self.revision)

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """The perplexity of each text after its prompt; NaN where there is nothing to predict.

        Raises:
            SettingsError: when the model cannot be loaded.
        """
        tokenizer, model = _loaded(self.model, self.revision)
        result = np.full(len(pairs), np.nan)
        rows = [_tokens(tokenizer, prompt, text, _limit(model)) for prompt, text in pairs]
        for places in batches([len(ids) if counted else 0 for ids, counted in rows]):
            result[places] = _perplexities(model, [rows[at] for at in places])
        return result


def _limit(model: Any) -> int:
    return int(model.config.get_text_config().max_position_embeddings)


def _tokens(tokenizer: Any, prompt: str, text: str, limit: int) -> tuple[list[int], int]:
    """All tokens, and how many of the last ones are counted: those of the text, but for one that nothing precedes."""
    if not text.strip():
        return [], 0
    own = tokenizer(text, add_special_tokens=False)["input_ids"]
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"] if prompt else []
    # Only where the tokenizer itself begins so: to a chat model, whose first token opens a turn, a text would look odd.
    if tokenizer.bos_token_id is not None and tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]:
        before = [tokenizer.bos_token_id, *before]
    # The text matters more than the beginning of a long prompt, of which at least half the context is taken.
    before = before[-max(1, limit - len(own), limit // 2) :] if before else before
    whole = [*before, *own][:limit]
    return whole, len(whole) - max(1, len(before))


def _perplexities(model: Any, rows: Sequence[tuple[list[int], int]]) -> NDArray[np.float64]:
    import torch

    longest = max(len(ids) for ids, _ in rows)
    # Padded on the right, where a causal model does not look from what comes before.
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row, _ in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row, _ in rows], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").cpu().numpy()
    means = [losses[at, len(row) - 1 - counted : len(row) - 1].mean() for at, (row, counted) in enumerate(rows)]
    return np.exp(np.array(means, dtype=np.float64))


@functools.lru_cache(maxsize=1)
def _loaded(model: str, revision: str) -> tuple[Any, Any]:
    return load_model("AutoModelForCausalLM", model, revision)
