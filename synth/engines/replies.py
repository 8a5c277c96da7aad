"""Tokens to replies: where a reply ends, what its text is, and when it is handed over."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from mashbill.engine import FinishReason, Reply, TokenLogprob
from mashbill.errors import EngineRefused
from synth.engines.sampling import Row

Emit = Callable[[int, Reply], None]


class Replies:
    """Watches rows grow, and emits each reply when its row is done."""

    def __init__(self, tokenizer: Any, ends: Collection[int], emit: Emit) -> None:
        self._tokenizer = tokenizer
        self._ends = ends
        self._emit = emit
        self.done: set[int] = set()
        """Indices of requests that need no more work."""
        self.refused: EngineRefused | None = None
        """The first request that could not be served; raised when the others are through."""

    def refuse(self, index: int, error: EngineRefused) -> None:
        """Note that a request cannot be served."""
        self.done.add(index)
        self.refused = self.refused or error

    def take(self, row: Row, token: int) -> bool:
        """Take a row's new token; True when the row is done."""
        sampling = row.request.sampling
        if token in self._ends:
            return self._finish(row, self._text(row.tokens), "stop")
        row.tokens.append(token)
        try:
            complete = row.matcher is not None and row.matcher.take(token)
        except EngineRefused as error:
            self.refuse(row.index, error)
            return True
        if sampling.stop and (text := self._stopped(row)) is not None:
            return self._finish(row, text, "stop")
        if complete:
            return self._finish(row, self._text(row.tokens), "stop")
        if len(row.tokens) >= sampling.max_tokens:
            # A character cut in the middle of its bytes decodes to U+FFFD.
            return self._finish(row, self._text(row.tokens).rstrip("\ufffd"), "length")
        return False

    def _text(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _stopped(self, row: Row) -> str | None:
        """The text before the first stop string, or None when there is none yet."""
        stops = row.request.sampling.stop
        # A token is at least one byte and a character at most four, so a stop string that the last token completed
        # lies within this many tokens.
        tail = self._text(row.tokens[-4 * max(map(len, stops)) - 4 :])
        if not any(stop in tail for stop in stops):
            return None
        text = self._text(row.tokens)
        cuts = [place for stop in stops if (place := text.find(stop)) >= 0]
        return text[: min(cuts)] if cuts else None

    def _finish(self, row: Row, text: str, reason: FinishReason) -> bool:
        self.done.add(row.index)
        reply = Reply(
            text=text,
            finish_reason=reason,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=len(row.tokens),
            logprobs=self._logprobs(row, text),
        )
        self._emit(row.index, reply)
        return True

    def _logprobs(self, row: Row, text: str) -> tuple[TokenLogprob, ...]:
        """Of the tokens that are in the text: those a stop string cut off are left out."""
        found: list[TokenLogprob] = []
        length = 0
        for token, (score, best) in zip(row.tokens, row.scores, strict=False):
            if length >= len(text):
                break
            shown = self._text([token])
            length += len(shown)
            top = tuple((self._text([other]), value) for other, value in best)
            found.append(TokenLogprob(token=shown, logprob=score, top=top))
        return tuple(found)
