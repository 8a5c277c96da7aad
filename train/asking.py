r"""What a student is given when likelihoods are taken, as token ids: after a prompt of the bill, or as it was tuned.

Asked after ``Question: {question}\nAnswer:``, text and continuation are tokenised together. A tuned student is asked in
its own form (`train.prompt_form`), prompt and completion tokenised apart, as in its training::

    <|im_start|>user\nWhat was taxed?\n\nA) salt\nB) oak<|im_end|>\n<|im_start|>assistant\n  ->  salt

The token that ends an answer is not scored, nor what a chat template writes before every answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from mashbill.qa_text import letter_of
from train.eval_spec import PROMPT, EvalSpec
from train.examples import Asked, asked
from train.prompt_form import PromptForm
from train.questions import Question
from train.supervision import PREDICT
from train.tokenizer import StudentTokenizer

Encoded = tuple[tuple[int, ...], int]
"""The ids of a prompt with its continuation, and where the continuation starts."""
_PROBE = "mashbillprobe"


class Asking(Protocol):
    """A way to ask."""

    def said(self, question: Question) -> tuple[str, ...]:
        """What a student says who chooses each of the options."""
        ...

    def answered(self, pairs: Sequence[tuple[Question, str]]) -> list[Encoded]:
        """Questions with what is said to them."""
        ...

    def unasked(self, said: Sequence[str]) -> list[Encoded]:
        """What is said without a question: how likely is it anyway?"""
        ...

    def prompts(self, questions: Sequence[Question]) -> list[list[int]]:
        """What a student goes on from."""
        ...

    def answer(self, text: str) -> str:
        """The answer in what it wrote: a line."""
        ...


@dataclass(frozen=True)
class ByText:
    """After the prompt of the spec."""

    spec: EvalSpec
    tokenizer: StudentTokenizer

    def said(self, question: Question) -> tuple[str, ...]:
        """The options."""
        return question.options

    def _prompt(self, question: Question) -> str:
        return (self.spec.prompt or PROMPT).format(question=question.question)

    def answered(self, pairs: Sequence[tuple[Question, str]]) -> list[Encoded]:
        """The answer behind a space."""
        return encoded([(self._prompt(question), f" {text}") for question, text in pairs], self.tokenizer)

    def unasked(self, said: Sequence[str]) -> list[Encoded]:
        """After the prior of the spec."""
        return encoded([(self.spec.prior, f" {text}") for text in said], self.tokenizer)

    def prompts(self, questions: Sequence[Question]) -> list[list[int]]:
        """Framed as a document begins."""
        texts = [self._prompt(question) for question in questions]
        return [[*self.tokenizer.begin, *ids] for ids in self.tokenizer.ids(texts)]

    def answer(self, text: str) -> str:
        """The first line."""
        return _line(text)


@dataclass(frozen=True)
class ByForm:
    """As the student was tuned."""

    form: PromptForm
    tokenizer: StudentTokenizer

    def said(self, question: Question) -> tuple[str, ...]:
        """The options or their letters, as it was taught to answer."""
        if self.form.spec.choices == "letter":
            return tuple(letter_of(place) for place in range(len(question.options)))
        return question.options

    def answered(self, pairs: Sequence[tuple[Question, str]]) -> list[Encoded]:
        """Prompt and completion apart."""
        return self._encoded([(_asked(question), text) for question, text in pairs])

    def unasked(self, said: Sequence[str]) -> list[Encoded]:
        """To a question without words."""
        return self._encoded([(Asked(""), text) for text in said])

    def _encoded(self, pairs: Sequence[tuple[Asked, str]]) -> list[Encoded]:
        prompts = self.form.prompt_ids([self.form.prompt(one) for one, _ in pairs])
        completions = self.form.completion_ids([self.form.completion(one, PREDICT, text) for one, text in pairs])
        found = []
        for prompt, completion in zip(prompts, completions, strict=True):
            # No answer has an end in its text: the first one is where it is over.
            end = next(at for at, token in enumerate(completion) if token in self.tokenizer.ends)
            start = len(prompt) + _shared(self._lead[1], completion)
            found.append(((*prompt, *completion[:end]), min(start, len(prompt) + max(end - 1, 0))))
        return found

    @cached_property
    def _lead(self) -> tuple[str, list[int]]:
        """What the template writes before every answer, as text and ids."""
        text = self.form.completion(Asked("?"), PREDICT, _PROBE).partition(_PROBE)[0]
        return (text.strip(), self.tokenizer.templated_ids([text])[0]) if text.strip() else ("", [])

    def prompts(self, questions: Sequence[Question]) -> list[list[int]]:
        """Those of its training."""
        return self.form.prompt_ids([self.form.prompt(_asked(question)) for question in questions])

    def answer(self, text: str) -> str:
        """The first line behind what the template writes before every answer."""
        return _line(text.strip().removeprefix(self._lead[0]))


def _asked(question: Question) -> Asked:
    return asked(question.question, question.options, question.context)


def _line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


def _shared(one: Sequence[int], two: Sequence[int]) -> int:
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))


def encoded(pairs: Sequence[tuple[str, str]], tokenizer: StudentTokenizer) -> list[Encoded]:
    """Prompts with their continuations.

    Both are tokenised together and compared with the prompt alone, since a tokenizer may merge across the seam; a token
    that holds both is scored, so all options of a question are treated alike.
    """
    prompts = tokenizer.ids([prompt for prompt, _ in pairs])
    wholes = tokenizer.ids([prompt + continuation for prompt, continuation in pairs])
    begin = tokenizer.begin
    # The first token of all has nothing before it, so it cannot be scored.
    return [
        ((*begin, *whole), max(len(begin) + _shared(prompt, whole), 1))
        for prompt, whole in zip(prompts, wholes, strict=True)
    ]
