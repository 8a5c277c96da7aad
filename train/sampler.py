r"""Answers that a student writes, many at once, greedy or drawn.

``("Question: 2 + 3?\nAnswer:", seed 77)`` -> ``Text(" 5", "stop", tokens=2)``

The model and its cache are transformers' `generate`; the draw is ours. `generate` draws for a whole batch from one
global generator, so what a question gets would depend on its neighbours. Here each row has a seed of its own and one
number for each token, and takes the token at that place of its cumulative probability, so an answer depends on the
question, the seed and the student alone (to the rounding of sums that differ with the width of a batch).

This is not the ``transformers`` engine of `synth`, which makes rows for bills: that one sends messages through the
student's chat template, and a student must be asked in the very tokens it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from transformers import LogitsProcessorList, PreTrainedModel, StoppingCriteriaList

from train.scoring import batches, own_settings_aside
from train.tokenizer import StudentTokenizer

Finish = Literal["stop", "length", "no_room"]
"""It ended by itself or at a stop string; `most_tokens` cut it; the student's context was full."""


@dataclass(frozen=True)
class Asked:
    """One answer to write: the ids of the whole prompt, and the seed of the draws."""

    ids: tuple[int, ...]
    seed: int = 0


@dataclass(frozen=True)
class Text:
    """One answer as it was written, without its end token and from a stop string on."""

    text: str
    finish: Finish
    tokens: int
    """Generated, the end token included: what an answer costs."""


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """A model that writes; `batch_tokens` is the most tokens held at once, prompts and answers together."""

    model: PreTrainedModel
    tokenizer: StudentTokenizer
    most_tokens: int
    temperature: float = 0.0
    """0 is greedy, and seeds do not matter."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    batch_tokens: int = 32_768

    def write(self, asked: Sequence[Asked]) -> list[Text]:
        """An answer to each prompt, in the same order; equal prompts of one seed are written once."""
        unique = list(dict.fromkeys(asked))
        room = {one: self._room(one) for one in unique}
        found: dict[Asked, Text] = {one: Text("", "no_room", 0) for one in unique if room[one] < 1}
        # By length, so that little is padded, and then as they came: the order is the same in any run.
        order = sorted(
            (index for index, one in enumerate(unique) if room[one] >= 1),
            key=lambda index: (-len(unique[index].ids), index),
        )
        lengths = [len(unique[index].ids) + self.most_tokens for index in order]
        for indexes in batches(order, lengths, self.batch_tokens):
            rows = [unique[index] for index in indexes]
            found.update(zip(rows, self._batch(rows, [room[row] for row in rows]), strict=True))
        return [found[one] for one in asked]

    def _room(self, one: Asked) -> int:
        """Tokens that may be written: no position lies beyond what the student was made for."""
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return self.most_tokens if context is None else min(self.most_tokens, context - len(one.ids))

    @torch.inference_mode()
    def _batch(self, rows: Sequence[Asked], room: Sequence[int]) -> list[Text]:
        width, steps = max(len(row.ids) for row in rows), max(room)
        # On the left: all rows must end where generation starts.
        padded = [[self.tokenizer.pad] * (width - len(row.ids)) + list(row.ids) for row in rows]
        mask = [[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows]
        processors = LogitsProcessorList()
        if self.temperature > 0:
            processors.append(_Draw([row.seed for row in rows], width, steps, self.temperature, self.top_p))
        stopping = StoppingCriteriaList([_Stops(self.tokenizer, self.stop, width)] if self.stop else [])
        with own_settings_aside(self.model):
            made = self.model.generate(
                input_ids=torch.tensor(padded, device=self.model.device),
                attention_mask=torch.tensor(mask, device=self.model.device),
                max_new_tokens=steps,
                # The draw leaves one token possible, which greedy search then takes.
                do_sample=False,
                eos_token_id=self.tokenizer.ends,
                pad_token_id=self.tokenizer.pad,
                logits_processor=processors,
                stopping_criteria=stopping,
            )
        return [self._text(row[width:].tolist(), own) for row, own in zip(made, room, strict=True)]

    def _text(self, ids: list[int], room: int) -> Text:
        ids = ids[:room]
        end = next((at for at, token in enumerate(ids) if token in self.tokenizer.ends), None)
        text = self.tokenizer.decode(ids if end is None else ids[:end])
        stopped = [at for at in (text.find(stop) for stop in self.stop) if at >= 0]
        if stopped:
            cut = text[: min(stopped)]
            return Text(cut, "stop", self._until_stop(ids if end is None else ids[:end]))
        if end is not None:
            return Text(text, "stop", end + 1)
        return Text(text, "length" if room == self.most_tokens else "no_room", len(ids))

    def _until_stop(self, ids: list[int]) -> int:
        """Tokens up to the one that completed a stop string; what follows is another row's waiting."""
        low, high = 1, len(ids)
        while low < high:
            middle = (low + high) // 2
            text = self.tokenizer.decode(ids[:middle])
            low, high = (low, middle) if any(stop in text for stop in self.stop) else (middle + 1, high)
        return low


class _Stops:
    """A row is over when a stop string stands in what was written.

    `generate` has one of its own, which looks at the prompt's end too: a chat prompt ends with a line, and a first line
    of the answer would make it an empty one.
    """

    def __init__(self, tokenizer: StudentTokenizer, stop: Sequence[str], width: int) -> None:
        self.tokenizer, self.stop, self.width = tokenizer, stop, width
        # A token has a byte at least; three more for a character that the window would cut.
        self.window = max(len(one.encode()) for one in stop) + 3

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        """Which rows are over, (rows,); one that was over stays so by itself."""
        written = input_ids[:, max(self.width, input_ids.shape[1] - self.window) :].tolist()
        over = [any(stop in text for stop in self.stop) for text in map(self.tokenizer.decode, written)]
        return torch.tensor(over, device=input_ids.device)


class _Draw:
    """Leaves each row one token: the one at the row's own number of its cumulative probability."""

    def __init__(self, seeds: Sequence[int], width: int, steps: int, temperature: float, top_p: float) -> None:
        numbers = [np.random.Generator(np.random.PCG64(seed)).random(steps) for seed in seeds]
        self.numbers = torch.from_numpy(np.stack(numbers))
        self.width, self.temperature, self.top_p = width, temperature, top_p

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """One token's scores for all rows, (rows, vocabulary)."""
        # In float64: cumulative sums over 49,152 entries lose the small shares in float32.
        shares = (scores.double() / self.temperature).softmax(-1)
        order: torch.Tensor | None = None
        if self.top_p < 1:
            shares, order = torch.sort(shares, dim=-1, descending=True, stable=True)
            # A token stays when those before it do not yet reach top_p: the first one always.
            shares = shares.masked_fill(shares.cumsum(-1) - shares >= self.top_p, 0.0)
        sums = shares.cumsum(-1)
        draws = self.numbers[:, input_ids.shape[1] - self.width, None].to(sums.device) * sums[:, -1:]
        places = torch.searchsorted(sums, draws, right=True)
        # Rounding can put the draw on the total itself: then the last token with any probability is meant.
        places = torch.minimum(places, torch.searchsorted(sums, sums[:, -1:].contiguous()))
        tokens = places if order is None else order.gather(-1, places)
        return torch.full_like(scores, -torch.inf).scatter(-1, tokens, 0.0)
