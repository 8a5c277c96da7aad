r"""Log-likelihoods of continuations, and greedy answers, in batches.

``("Question: Who led the Salt Guild?\nAnswer:", " Ora Venn")`` gives the summed log-probability of the tokens of
" Ora Venn" after the prompt, and how many there are. Requests are sorted by length and padded on the right, where
causal attention cannot see the padding, so a score does not depend on its neighbours in the batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, PreTrainedModel

from train.asking import Encoded, encoded
from train.tokenizer import StudentTokenizer


@dataclass(frozen=True)
class Score:
    """The log-likelihood of one continuation."""

    logprob: float
    tokens: int


@dataclass(frozen=True)
class Scorer:
    """A model that scores; `batch_tokens` is the most tokens in one forward pass, padding included."""

    model: PreTrainedModel
    tokenizer: StudentTokenizer
    batch_tokens: int = 4096

    def scores(self, requests: Sequence[tuple[str, str]]) -> list[Score]:
        """A score for each (prompt, continuation), in the same order."""
        return self.scored(encoded(requests, self.tokenizer))

    def scored(self, requests: Sequence[Encoded]) -> list[Score]:
        """The same of token ids; equal requests are computed once."""
        unique = list(dict.fromkeys(requests))
        order = sorted(range(len(unique)), key=lambda index: (-len(unique[index][0]), index))
        found: dict[Encoded, Score] = {}
        for indexes in batches(order, [len(unique[index][0]) for index in order], self.batch_tokens):
            own = [unique[index] for index in indexes]
            found.update(zip(own, self._batch(own), strict=True))
        return [found[request] for request in requests]

    @torch.inference_mode()
    def _batch(self, requests: Sequence[Encoded]) -> list[Score]:
        width = max(len(ids) for ids, _ in requests)
        padded = [[*ids] + [self.tokenizer.pad] * (width - len(ids)) for ids, _ in requests]
        inputs = torch.tensor(padded, device=self.model.device)
        first = min(start for _, start in requests)
        # Logits for the positions that predict a continuation alone: a vocabulary of 49,152 is most of the memory.
        logits = self.model(input_ids=inputs, use_cache=False, logits_to_keep=width - first + 1).logits[:, :-1]
        targets = inputs[:, first:]
        picked = logits.float().log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1).double().cpu()
        scores = []
        for line, (ids, start) in enumerate(requests):
            own = picked[line, start - first : len(ids) - first]
            scores.append(Score(float(own.sum()), len(own)))
        return scores

    @torch.inference_mode()
    def greedy(self, prompts: Sequence[Sequence[int]], *, most_tokens: int = 24) -> list[str]:
        """The greedy continuation of each prompt, given as token ids."""
        asked = [tuple(prompt) for prompt in prompts]
        unique = list(dict.fromkeys(asked))
        order = sorted(range(len(unique)), key=lambda index: (-len(unique[index]), index))
        lengths = [len(unique[index]) + most_tokens for index in order]
        found: dict[tuple[int, ...], str] = {}
        for indexes in batches(order, lengths, self.batch_tokens):
            own = [unique[index] for index in indexes]
            found.update(zip(own, self._generate(own, most_tokens), strict=True))
        return [found[prompt] for prompt in asked]

    def _generate(self, prompts: Sequence[tuple[int, ...]], most_tokens: int) -> list[str]:
        width = max(len(ids) for ids in prompts)
        # On the left here: all rows must end where generation starts.
        padded = [[self.tokenizer.pad] * (width - len(ids)) + [*ids] for ids in prompts]
        mask = [[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]
        with own_settings_aside(self.model):
            made = self.model.generate(
                input_ids=torch.tensor(padded, device=self.model.device),
                attention_mask=torch.tensor(mask, device=self.model.device),
                max_new_tokens=most_tokens,
                do_sample=False,
                eos_token_id=self.tokenizer.ends,
                pad_token_id=self.tokenizer.pad,
            )
        return [self.tokenizer.decode(row[width:].tolist()) for row in made]


@contextlib.contextmanager
def own_settings_aside(model: PreTrainedModel) -> Iterator[None]:
    """Generate by what is asked for alone.

    Chat-tuned checkpoints carry settings of generation, and what is not said is taken from there: Qwen2.5's
    `repetition_penalty` of 1.1 makes greedy search another search, and the samples those of another distribution.
    """
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def batches(order: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Cut a longest-first order into batches of at most `batch_tokens`, padding included."""
    cut: list[list[int]] = []
    width = 0
    for index, length in zip(order, lengths, strict=True):
        if not cut or (len(cut[-1]) + 1) * width > batch_tokens:
            cut.append([])
            width = length
        cut[-1].append(index)
    return cut
