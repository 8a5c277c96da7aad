r"""A student as an engine: steps that ask a teacher can ask a student of ours, in the very tokens it was trained on.

The ``transformers`` engine sends a step's messages through a checkpoint's chat template. A student that was tuned on
``Question: … Answer:`` has never seen those, so here each prompt of a step is known beforehand, with what it asks, and
is written out by the student's own form::

    system "You solve word problems. …", user "Three bags?"  ->  "Question: Three bags?\nAnswer:"

What a step tells the teacher besides (its instruction) is what the student was tuned to do without being told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mashbill.engine import Reply, Request, Sampling
from mashbill.errors import EngineRefused
from mashbill.fingerprint import fingerprint
from train.examples import Asked
from train.hardware import Hardware
from train.identity import student_identity
from train.recipe import StudentSpec
from train.supervision import Supervision

if TYPE_CHECKING:
    from train.student import Student


@dataclass(kw_only=True)
class StudentEngine:
    """A checkpoint directory that answers prompts which are known beforehand."""

    model: Path
    supervision: Supervision
    asks: Mapping[str, Asked]
    """The last message of a prompt -> what it asks."""
    hardware: Hardware
    batch: int = 256
    calls: int = 1
    """One at a time: a second would only share the same device."""
    _student: Student | None = field(default=None, init=False, repr=False)

    @property
    def identity(self) -> str:
        """The weights and the form of the prompts."""
        weights = student_identity(StudentSpec(path=self.model))
        return f"student/{weights[:16]}@{fingerprint(self.supervision)[:16]}"

    async def start(self) -> None:
        """Load the weights."""
        if self._student is None:
            self._student = await asyncio.to_thread(self._load)

    async def close(self) -> None:
        """Let them go."""
        self._student = None

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        """Answer the requests, those of one sampling together.

        Raises:
            EngineRefused: for a prompt that is not among those it was told of, or a schema.
        """
        await self.start()
        groups: dict[Sampling, list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(request.sampling, []).append(index)
        for sampling, indexes in groups.items():
            replies = await asyncio.to_thread(self._answer, sampling, [requests[index] for index in indexes])
            for index, reply in zip(indexes, replies, strict=True):
                yield index, reply

    def _answer(self, sampling: Sampling, requests: Sequence[Request]) -> list[Reply]:
        from train.prompt_form import prompt_form
        from train.sampler import Asked as Sampled
        from train.sampler import Sampler

        assert self._student is not None
        form = prompt_form(self.supervision, self._student.tokenizer)
        prompts = form.prompt_ids([form.prompt(self._asked(request)) for request in requests])
        sampler = Sampler(
            model=self._student.model,
            tokenizer=self._student.tokenizer,
            most_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            stop=sampling.stop,
        )
        texts = sampler.write([Sampled(tuple(ids), one.seed) for ids, one in zip(prompts, requests, strict=True)])
        return [
            Reply(
                text=text.text.strip(),
                finish_reason="stop" if text.finish == "stop" else "length",
                prompt_tokens=len(ids),
                completion_tokens=text.tokens,
            )
            for ids, text in zip(prompts, texts, strict=True)
        ]

    def _asked(self, request: Request) -> Asked:
        last = request.messages[-1].content
        if request.schema or request.sampling.top_k or last not in self.asks:
            raise EngineRefused(
                f"a student answers the questions it was told of, without a schema or top_k; this asks: {last[:200]!r}"
            )
        return self.asks[last]

    def _load(self) -> Student:
        import torch

        from train.loop import pick_device
        from train.student import Student, load_model
        from train.tokenizer import load_tokenizer
        from train.world import World

        student = Student(load_model(self.model), load_tokenizer(self.model))
        student.model.to(pick_device(self.hardware, World()), torch.float32).eval()
        return student
