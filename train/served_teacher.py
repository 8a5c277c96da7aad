r"""A teacher behind a vLLM server: its `prompt_logprobs`, which are top entries and nothing else.

The server is sent token ids, so nothing is tokenised twice, and answers for each but the first of them::

    POST {endpoint}/completions  {"model": "qwen3-4b", "prompt": [9, 4, 7], "max_tokens": 1, "prompt_logprobs": 2, …}
    ->  "prompt_logprobs": [null, {"4": {"logprob": -0.2, "rank": 1}, "11": {"logprob": -2.1, "rank": 2}},
                                  {"5": {"logprob": -0.1, "rank": 1}, "2": …, "7": {"logprob": -8.0, "rank": 212}}]

The text's own token is among them whatever its rank, and is left out where it is not of the top. The mass of all others
is one minus the top. A server gives no more entries than it was started with (``--max-logprobs``).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt

from mashbill.errors import UserError
from train.distill_spec import Distill
from train.encode_signal import FAINT
from train.teacher_table import Signal

Tokens = npt.NDArray[np.int32]
KEY = "MASHBILL_API_KEY"
"""The environment variable of the server's key, where it wants one."""
AT_ONCE, TRIES, SECONDS = 8, 5, 600.0
"""Requests in flight, tries of one, and seconds that one may take."""


class ServedTeacher:
    """Scores texts by asking a server."""

    long = 0
    """Texts in windows: a server refuses what is too long for it, and says so."""

    def __init__(self, spec: Distill, *, vocabulary: int, pause: float = 1.0) -> None:
        """`pause` is the first pause between tries, in seconds; it doubles."""
        self.spec, self.vocabulary, self.pause = spec, vocabulary, pause
        self.model, _, _ = spec.teacher.served.partition("@")

    def signals(self, texts: Sequence[Tokens], names: Sequence[str]) -> list[Signal]:
        """The signal of each text.

        Raises:
            UserError: when the server refuses, stays away, or answers otherwise than it should.
        """
        return asyncio.run(self._all(texts, names))

    async def _all(self, texts: Sequence[Tokens], names: Sequence[str]) -> list[Signal]:
        key = os.environ.get(KEY, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        gate = asyncio.Semaphore(AT_ONCE)
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:

            async def one(tokens: Tokens, name: str) -> Signal:
                async with gate:
                    return self._signal(await self._asked(session, tokens, name), tokens, name)

            return list(await asyncio.gather(*(one(*pair) for pair in zip(texts, names, strict=True))))

    async def _asked(self, session: aiohttp.ClientSession, tokens: Tokens, name: str) -> Sequence[Any]:
        if len(tokens) < 2:
            return [None] * len(tokens)
        body = {
            "model": self.model,
            "prompt": tokens.tolist(),
            "max_tokens": 1,
            "temperature": 0,
            "add_special_tokens": False,
            "prompt_logprobs": min(self.spec.k, self.vocabulary),
        }
        why = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self.pause * 2 ** (attempt - 1))
            try:
                async with session.post(f"{self.spec.teacher.endpoint.rstrip('/')}/completions", json=body) as answer:
                    if answer.status == 200:
                        return self._read(await answer.json(content_type=None), name)
                    why = f"{answer.status}: {(await answer.text())[:300]}"
                    if answer.status not in (408, 409, 429) and answer.status < 500:
                        break
            except (aiohttp.ClientError, TimeoutError) as error:
                why = f"{type(error).__name__}: {error}"
        raise UserError(
            f"the teacher's server {self.spec.teacher.endpoint} did not score record {name} ({why}); a vLLM server "
            f"gives {self.spec.k} entries when it is started with --max-logprobs {self.spec.k}, and takes texts up to "
            "--max-model-len. What was scored is kept: run the same command again"
        )

    def _read(self, answer: Any, name: str) -> Sequence[Any]:
        try:
            found = answer["choices"][0]["prompt_logprobs"]
            if isinstance(found, list):
                return found
        except (KeyError, IndexError, TypeError):
            pass  # the message below says what was wanted
        raise UserError(
            f"the teacher's server {self.spec.teacher.endpoint} answered record {name} without prompt_logprobs; only "
            "vLLM's completions endpoint has them"
        )

    def _signal(self, answer: Sequence[Any], tokens: Tokens, name: str) -> Signal:
        if len(answer) != len(tokens):
            raise UserError(
                f"the teacher's server scored {len(answer)} tokens of record {name}, which has {len(tokens)}: its "
                "tokenizer adds or joins some; serve the teacher of this tokenizer"
            )
        k = min(self.spec.k, self.vocabulary)
        ids = np.zeros((max(len(tokens) - 1, 0), k), np.int32)
        logs = np.zeros(ids.shape, np.float64)
        for place, entries in enumerate(answer[1:]):
            ids[place], logs[place] = self._top(entries, k, name, place)
        with np.errstate(divide="ignore"):
            tail = np.log(np.clip(1 - np.exp(logs).sum(1), 0, 1)) if len(ids) else np.zeros(0)
        columns = {
            "ids": ids.ravel(),
            "log_probs": np.maximum(logs, FAINT).astype(np.float16).ravel(),
            "log_tail": np.maximum(tail, FAINT).astype(np.float16),
        }
        return Signal(columns, len(ids))

    def _top(self, entries: Mapping[str, Any] | None, k: int, name: str, place: int) -> tuple[Any, Any]:
        found = sorted((one["rank"], int(token), float(one["logprob"])) for token, one in (entries or {}).items())[:k]
        # The text's own token may stand behind the top; the first k ranks are 1 to k.
        if len(found) < k or found[-1][0] > k or not all(np.isfinite(log) for _, _, log in found):
            raise UserError(
                f"the teacher's server gives {len(found)} entries at token {place + 2} of record {name}, and the "
                f"{k} likeliest are wanted with finite log-probabilities; lower k, or raise the server's --max-logprobs"
            )
        if (largest := max(token for _, token, _ in found)) >= self.vocabulary:
            raise UserError(
                f"the teacher's server gives token {largest} for record {name} and the student's tokenizer has "
                f"{self.vocabulary}; serve a teacher of the student's tokenizer"
            )
        return [token for _, token, _ in found], [log for _, _, log in found]
