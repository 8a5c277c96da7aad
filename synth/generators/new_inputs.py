r"""New questions for a task that has few: written after some of those it has, and left for a teacher to answer.

Eight seed questions, twenty wanted -> twenty questions without an answer::

    {"question": "Two barges carry 40 sacks each, and 15 sacks get wet. How many stay dry?", "answer": "",
     "parents": ["09ab…", "77c1…", "e01d…"], …}

Each prompt shows a few seeds, drawn by its number, and asks for several questions of their kind. One that is nearly a
seed, or nearly one that was taken before, is rejected: ``near_seed``, ``near_another``. Nearness is ROUGE-L on words,
and the limit of 0.7 is that of Self-Instruct (Wang et al. 2023, arXiv 2212.10560). A new question goes back to the
source of its first seed, so that splits by source keep them together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from pydantic import BaseModel, Field
from rapidfuzz.distance import LCSseq

from mashbill.ask import Answer, Ask
from mashbill.engine import Sampling, system, user
from mashbill.errors import BadReply, InputError
from mashbill.fingerprint import seed_of
from mashbill.generator_run import reject_of
from mashbill.records import QA, Reject, from_table, to_table
from mashbill.step import DatasetGenerator, PartOutput, Parts, settle
from mashbill.store import Stored
from mashbill.words import words
from synth.rationale_language import length_of
from synth.rationale_prompts import question_text
from synth.templates import check_places, fill

NEAR = 0.7
"""ROUGE-L from which two questions count as one (Self-Instruct)."""
AT_ONCE = 32
"""Prompts asked together and judged together; what is taken does not depend on which was answered first."""


class Input(BaseModel):
    """One new question."""

    question: str = Field(min_length=1, max_length=2000)
    context: str = Field(default="", max_length=8000)


class Inputs(BaseModel):
    """What a reply must be."""

    questions: list[Input] = Field(min_length=1, max_length=20)


@dataclass(frozen=True, kw_only=True)
class NewInputs(DatasetGenerator[QA, QA]):
    """Writes new questions of the kind of the seeds."""

    count: int
    """New questions wanted."""
    shots: int = 3
    """Seeds that one prompt shows."""
    each: int = 4
    """Questions that one prompt asks for."""
    instruction: str = (
        "You write questions for a collection. They are of the kind of the examples but about other things, with other "
        "names and other numbers, and each can be answered from what it says. You never answer them."
    )
    prompt: str = (
        "Write {each} new questions of the same kind. Reply with a JSON object: questions, a list of objects with "
        "question and, where the examples have a text to read before the question, context."
    )
    """Follows the seeds; gets {each}."""
    near: float = NEAR
    """From this likeness on, 0 to 1, a new question is one that is there already."""
    min_words: int = 4
    """Words of a question at least; characters where a script has no spaces."""
    most_prompts: int | None = None
    """Prompts before it is given up; null takes four times those that would do if all they gave were new."""
    sampling: Sampling = Sampling(temperature=1.0, max_tokens=1500)
    seed: int = 42
    """Which seeds a prompt shows, with its number."""

    def __post_init__(self) -> None:
        """Refuse fields that could never make anything."""
        for name, least in (("count", 1), ("shots", 1), ("each", 1), ("min_words", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if not 0 < self.near <= 1:
            raise ValueError(f"near is {self.near}; it is a likeness, above 0 and at most 1")
        if self.sampling.temperature == 0:
            raise ValueError("at temperature 0 a prompt that shows the same seeds gives the same questions; raise it")
        check_places("prompt", self.prompt, {"each"})

    async def make(self, parts: Parts, ask: Ask) -> AsyncIterator[PartOutput]:
        """Parts of new questions, as many prompts at once as there is room for."""
        seeds = sorted(self._seeds(parts), key=lambda one: one.id)
        if not seeds:
            raise InputError("there are no seed questions to write new ones after; the source gave no row")
        taken = Taken(self.near, [(one.id, _words(one)) for one in seeds])
        made, asked, most = 0, 0, self.most_prompts or 4 * -(-self.count // self.each)
        while made < self.count and asked < most and not ask.over_budget:
            numbers = range(asked, min(asked + AT_ONCE, most, asked + -(-(self.count - made) // self.each)))
            prompts = (self._one(number, self._shown(seeds, number), ask) for number in numbers)
            replies = await settle(prompts, apart=True)
            rows, rejects = list[QA](), list[Reject]()
            for number, reply in zip(numbers, replies, strict=True):
                shown = self._shown(seeds, number)
                if isinstance(reply, BadReply):
                    rejects.append(reject_of(reply, shown[0], self.name))
                    continue
                for given in reply.value.questions:
                    one = self._judged(given, shown, reply, taken)
                    if isinstance(one, QA) and made + len(rows) == self.count:
                        one = BadReply("not_needed", f"{self.count} were wanted", text=one.question, asks=reply.keys)
                    if isinstance(one, BadReply):
                        rejects.append(reject_of(one, shown[0], self.name))
                    else:
                        rows.append(one)
                        taken.add(one.id, _words(one))
            made, asked = made + len(rows), asked + len(numbers)
            yield PartOutput(kept=to_table(rows, QA), rejects=to_table(rejects, Reject))

    def report(self, source: Stored, made: Stored) -> dict[str, Any]:
        """For the manifest: how many were wanted and made; `most_prompts` may end it before."""
        return {"wanted": self.count, "made": made.manifest.counts.kept}

    def _seeds(self, parts: Parts) -> list[QA]:
        found: dict[str, QA] = {}
        for table in parts:
            found |= {one.id: one for one in from_table(table, QA)}
        return list(found.values())

    def _shown(self, seeds: Sequence[QA], number: int) -> list[QA]:
        """The seeds of one prompt."""
        return Random(seed_of(self.seed, self.name, number)).sample(seeds, min(self.shots, len(seeds)))

    async def _one(self, number: int, shown: Sequence[QA], ask: Ask) -> Answer[Inputs]:
        examples = "\n\n".join(
            f"Example {at}:\n{question_text(one.question, (), one.context)}" for at, one in enumerate(shown, 1)
        )
        question = [system(self.instruction), user(f"{examples}\n\n", fill(self.prompt, each=str(self.each)))]
        # The prompt's number is its draw: two prompts that happen to show the same seeds are two draws of one question.
        return await ask.of(shown[0].id)(question, returns=Inputs, sampling=self.sampling, draw=number)

    def _judged(self, one: Input, shown: Sequence[QA], answer: Answer[Inputs], taken: Taken) -> QA | BadReply:
        first = shown[0]
        row = first.child(
            QA,
            parents=tuple(seed.id for seed in shown),
            kind=first.kind,
            question=" ".join(one.question.split()),
            context=one.context.strip(),
            # Labels are the task's and are offered again; the options of a question are that question's own.
            options=first.options if all(seed.options == first.options for seed in shown) else (),
            answer="",
            discipline=first.discipline,
            made=answer.made(),
        )
        text = question_text(row.question, (), row.context)
        count = length_of(row.question)
        if count < self.min_words:
            return BadReply(
                "too_short", f"{count} words, at least {self.min_words} wanted", text=text, asks=answer.keys
            )
        near = taken.nearest(_words(row))
        if near is None:
            return row
        reason = "near_seed" if near.seed else "near_another"
        detail = f"ROUGE-L {near.likeness:.2f} to {near.id}, below {self.near} wanted"
        return BadReply(reason, detail, text=text, asks=answer.keys, subjects=(near.id,))


@dataclass(frozen=True, slots=True)
class Near:
    """What a question is nearly the same as."""

    id: str
    likeness: float
    seed: bool


class Taken:
    """The questions there are: the seeds and what was taken since."""

    def __init__(self, near: float, seeds: Sequence[tuple[str, list[str]]]) -> None:
        self.near = near
        self._all = list(seeds)
        self._seeds = len(seeds)

    def add(self, id: str, tokens: list[str]) -> None:
        """Take one more."""
        self._all.append((id, tokens))

    def nearest(self, tokens: list[str]) -> Near | None:
        """The most alike of those that are too alike, or None."""
        best: Near | None = None
        for at, (other, there) in enumerate(self._all):
            likeness = rouge_l(tokens, there, at_least=best.likeness if best else self.near)
            if likeness >= self.near and (best is None or likeness > best.likeness):
                best = Near(other, likeness, at < self._seeds)
        return best


def rouge_l(one: Sequence[str], two: Sequence[str], at_least: float = 0.0) -> float:
    """The longest common run of words, gaps allowed, over the mean length; 0 where it cannot reach `at_least`.

    >>> rouge_l("three bags of salt".split(), "two bags of salt".split())
    0.75
    """
    total = len(one) + len(two)
    # No common run is longer than the shorter text.
    if not total or 2 * min(len(one), len(two)) < at_least * total:
        return 0.0
    return 2 * LCSseq.similarity(one, two) / total


def _words(one: QA) -> list[str]:
    return words(f"{one.context} {one.question}")
