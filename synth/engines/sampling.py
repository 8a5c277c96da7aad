"""The next token of each row, from its scores.

A row draws one number a step from a generator of its own, seeded by its request, so what it gets does not depend on
which rows stand beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import torch

from mashbill.engine import Request

if TYPE_CHECKING:
    from synth.engines.prefix import Prefix
    from synth.engines.schema import Matcher

NUCLEUS = 512
"""Tokens looked at first for `top_p`; sorting all 49,152 takes 50 times as long and is seldom needed."""

Alternatives = tuple[tuple[int, float], ...]


@dataclass(eq=False)
class Row:
    """One request on its way."""

    index: int
    request: Request
    own: list[int]
    """Prompt tokens after the shared prefix."""
    prefix: Prefix | None = None
    share: int = 0
    """How many of its own tokens are a beginning others have too, and shall become its prefix."""
    matcher: Matcher | None = None
    tokens: list[int] = field(default_factory=list)
    """Generated so far, without the end token."""
    scores: list[tuple[float, Alternatives]] = field(default_factory=list)
    """For each generated token its log-probability and the best alternatives, when asked for."""
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.request.seed)

    @property
    def before(self) -> int:
        """Tokens in the shared prefix."""
        return len(self.prefix.ids) if self.prefix else 0

    @property
    def length(self) -> int:
        """Columns it takes when its prefix is apart."""
        return len(self.own) - self.share

    @property
    def prompt_tokens(self) -> int:
        """All prompt tokens."""
        return self.before + len(self.own)


def choose(logits: torch.Tensor, rows: Sequence[Row]) -> list[int]:
    """One token for each row; log-probabilities asked for are noted on the row."""
    asked = [place for place, row in enumerate(rows) if row.request.sampling.logprobs]
    before = logits[asked].log_softmax(-1) if asked else None
    for place, row in enumerate(rows):
        if row.matcher is not None:
            allowed = torch.from_numpy(row.matcher.allowed()).to(logits.device)
            logits[place].masked_fill_(~allowed, float("-inf"))
    chosen: list[int] = logits.argmax(-1).tolist()
    warm = [place for place, row in enumerate(rows) if row.request.sampling.temperature > 0]
    plain = [
        place for place in warm if rows[place].request.sampling.top_p >= 1 and not rows[place].request.sampling.top_k
    ]
    if plain:
        for place, token in zip(plain, _draw_all(logits[plain], [rows[place] for place in plain]), strict=True):
            chosen[place] = token
    for place in set(warm) - set(plain):
        chosen[place] = _draw_best(logits[place], rows[place])
    if before is not None:
        for place, scores in zip(asked, before, strict=True):
            _note(rows[place], scores, chosen[place])
    return chosen


def _draw_all(logits: torch.Tensor, rows: Sequence[Row]) -> list[int]:
    """By inverse cumulative probability, over all tokens."""
    heat = torch.tensor([row.request.sampling.temperature for row in rows], device=logits.device)
    sums = (logits / heat[:, None]).softmax(-1).cumsum(-1)
    draws = torch.tensor([row.random.random() for row in rows], device=logits.device)
    places = torch.searchsorted(sums, (draws * sums[:, -1])[:, None], right=True)[:, 0]
    # Rounding can put the draw on the total itself: then the last token with any probability is meant.
    last = torch.searchsorted(sums, sums[:, -1:].contiguous())[:, 0]
    found: list[int] = torch.minimum(places, last).tolist()
    return found


def _draw_best(logits: torch.Tensor, row: Row) -> int:
    """Among the `top_k` best tokens, and of these the fewest that together reach `top_p`."""
    sampling = row.request.sampling
    logits = logits / sampling.temperature
    everything = logits.shape[-1]
    count = min(sampling.top_k or NUCLEUS, everything)
    best, tokens = logits.topk(count)
    total = best.logsumexp(-1) if sampling.top_k else logits.logsumexp(-1)
    shares = (best - total).exp()
    if not sampling.top_k and count < everything and float(shares.sum()) < sampling.top_p:
        best, tokens = logits.sort(descending=True)
        shares = (best - total).exp()
    sums = shares.cumsum(-1)
    kept = max(1, int(((sums - shares) < sampling.top_p).sum()))
    draw = torch.tensor([row.random.random()], device=sums.device) * sums[kept - 1]
    place = min(int(torch.searchsorted(sums[:kept], draw, right=True)), kept - 1)
    return int(tokens[place])


def _note(row: Row, scores: torch.Tensor, token: int) -> None:
    best, tokens = scores.topk(min(row.request.sampling.logprobs, scores.shape[-1]))
    row.scores.append((float(scores[token]), tuple(zip(tokens.tolist(), best.tolist(), strict=True))))
