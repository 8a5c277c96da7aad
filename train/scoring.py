r"""Log-likelihoods of continuations, and greedy answers, in batches.

``("Question: Who led the Salt Guild?\nAnswer:", " Ora Venn")`` gives the summed log-probability of the tokens of
" Ora Venn" after the prompt, and how many there are. Requests are sorted by length and padded on the right, where
causal attention cannot see the padding, so a score does not depend on its neighbours in the batch.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, PreTrainedModel

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
        """A score for each (prompt, continuation), in the same order; equal requests are computed once."""
        unique = list(dict.fromkeys(requests))
        encoded = self._encode(unique)
        order = sorted(range(len(unique)), key=lambda index: (-len(encoded[index][0]), index))
        found: dict[tuple[str, str], Score] = {}
        for indexes in batches(order, [len(encoded[index][0]) for index in order], self.batch_tokens):
            for index, score in zip(indexes, self._batch([encoded[index] for index in indexes]), strict=True):
                found[unique[index]] = score
        return [found[request] for request in requests]

    def _encode(self, requests: Sequence[tuple[str, str]]) -> list[tuple[list[int], int]]:
        """Ids of prompt and continuation together, and where the continuation starts.

        Both are tokenised together and compared with the prompt alone, since a tokenizer may merge across the seam;
        a token that holds both is scored, so all options of a question are treated alike.
        """
        prompts = self.tokenizer.ids([prompt for prompt, _ in requests])
        wholes = self.tokenizer.ids([prompt + continuation for prompt, continuation in requests])
        encoded = []
        for prompt, whole in zip(prompts, wholes, strict=True):
            shared = sum(
                1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(prompt, whole, strict=False))
            )
            begin = self.tokenizer.begin
            ids = [*begin, *whole]
            # The first token of all has nothing before it, so it cannot be scored.
            encoded.append((ids, max(len(begin) + shared, 1)))
        return encoded

    @torch.inference_mode()
    def _batch(self, encoded: Sequence[tuple[list[int], int]]) -> list[Score]:
        width = max(len(ids) for ids, _ in encoded)
        padded = [ids + [self.tokenizer.pad] * (width - len(ids)) for ids, _ in encoded]
        inputs = torch.tensor(padded, device=self.model.device)
        first = min(start for _, start in encoded)
        # Logits for the positions that predict a continuation alone: a vocabulary of 49,152 is most of the memory.
        logits = self.model(input_ids=inputs, use_cache=False, logits_to_keep=width - first + 1).logits[:, :-1]
        targets = inputs[:, first:]
        picked = logits.float().log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1).double().cpu()
        scores = []
        for line, (ids, start) in enumerate(encoded):
            own = picked[line, start - first : len(ids) - first]
            scores.append(Score(float(own.sum()), len(own)))
        return scores

    @torch.inference_mode()
    def greedy(self, prompts: Sequence[str], *, most_tokens: int = 24) -> list[str]:
        """The first line of the greedy continuation of each prompt."""
        unique = list(dict.fromkeys(prompts))
        encoded = [[*self.tokenizer.begin, *ids] for ids in self.tokenizer.ids(unique)]
        order = sorted(range(len(unique)), key=lambda index: (-len(encoded[index]), index))
        lengths = [len(encoded[index]) + most_tokens for index in order]
        found: dict[str, str] = {}
        for indexes in batches(order, lengths, self.batch_tokens):
            texts = self._generate([encoded[index] for index in indexes], most_tokens)
            found.update(zip((unique[index] for index in indexes), texts, strict=True))
        return [found[prompt] for prompt in prompts]

    def _generate(self, encoded: Sequence[list[int]], most_tokens: int) -> list[str]:
        width = max(len(ids) for ids in encoded)
        # On the left here: all rows must end where generation starts.
        padded = [[self.tokenizer.pad] * (width - len(ids)) + ids for ids in encoded]
        mask = [[0] * (width - len(ids)) + [1] * len(ids) for ids in encoded]
        with own_settings_aside(self.model):
            made = self.model.generate(
                input_ids=torch.tensor(padded, device=self.model.device),
                attention_mask=torch.tensor(mask, device=self.model.device),
                max_new_tokens=most_tokens,
                do_sample=False,
                eos_token_id=self.tokenizer.ends,
                pad_token_id=self.tokenizer.pad,
            )
        texts = [self.tokenizer.decode(row[width:].tolist()) for row in made]
        return [text.strip().partition("\n")[0].strip() for text in texts]


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
