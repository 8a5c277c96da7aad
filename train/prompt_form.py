r"""How a student is asked, as token ids: the same in training and in use.

Under ``plain`` a question, then its completion::

    Question: What did the guild tax?\n\nA) salt\nB) oak\nAnswer:  ->   salt<|endoftext|>

and under ``chat`` the student's own chat template, from its tokenizer::

    <|im_start|>user\nWhat did the guild tax?…<|im_end|>\n<|im_start|>assistant\n  ->  salt<|im_end|>

Prompt and completion are tokenised apart, since in use the prompt stands alone when the student goes on. The
completion ends with the token that ends an answer, which is learned: a student that is never taught to stop does not.
What a chat template puts between its generation prompt and an answer (an empty thinking block, say) is something that
the student has to write in use, so it is part of the completion.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from jinja2 import TemplateError

from mashbill.errors import BillError
from train.examples import Asked
from train.supervision import PREDICT, Supervision
from train.tokenizer import StudentTokenizer

_PROBE = "mashbillprobe"
_DAY = datetime.date(2024, 7, 26)
"""Some templates write the day into the prompt; a plan must be the same tomorrow."""
_DIRECTIVES = (
    "%-d",
    "%-m",
    "%-H",
    "%-I",
    "%-M",
    "%-S",
    "%-j",
    *(f"%{letter}" for letter in "aAbBcdDeFgGhHIjmMpSTuUVwWxXyYzZ%"),
)
"""What may stand in the form of a date; the sign itself last."""


class PromptForm(Protocol):
    """A template over a tokenizer."""

    @property
    def spec(self) -> Supervision:
        """What decides it, besides the tokenizer."""
        ...

    def prompt(self, asked: Asked, view: str = PREDICT) -> str:
        """What the student is given; `PREDICT` is the view of use, for any target."""
        ...

    def completion(self, asked: Asked, view: str, answer: str) -> str:
        """What it is to write, without the token that ends it where that has no text."""
        ...

    def prompt_ids(self, prompts: Sequence[str]) -> list[list[int]]:
        """Token ids of prompts."""
        ...

    def completion_ids(self, completions: Sequence[str]) -> list[list[int]]:
        """Token ids of completions, the token that ends an answer last."""
        ...

    def forbidden(self, text: str) -> str:
        """A special token that stands in a text and would be taken for one; empty where there is none."""
        ...

    def lost(self, asked: Asked, view: str, answer: str, prompt: str, completion: str) -> str:
        """What of a question or answer does not stand in the prompt or completion made of it; empty where all does."""
        ...


def prompt_form(spec: Supervision, tokenizer: StudentTokenizer) -> PromptForm:
    """The form that a supervision asks for.

    Raises:
        BillError: when the student has no chat template, or one that cannot be used.
    """
    return ChatForm(spec, tokenizer) if spec.template == "chat" else PlainForm(spec, tokenizer)


@dataclass(frozen=True)
class PlainForm:
    """Context, ``Question:``, ``Answer:``, as plain text."""

    spec: Supervision
    tokenizer: StudentTokenizer

    def prompt(self, asked: Asked, view: str = PREDICT) -> str:
        """The system prompt, the prefix and the context, then the question; nothing after ``Answer:``."""
        parts = [self.spec.system.strip(), asked.context, f"Question: {asked.question}\nAnswer:"]
        head = 1 if parts[0] else 0
        filled = [part for part in parts if part]
        filled[head] = self.spec.prefix(view) + filled[head]
        return "\n\n".join(filled)

    def completion(self, asked: Asked, view: str, answer: str) -> str:
        """The answer behind a space: most vocabularies have words with their space."""
        return f" {answer}"

    def prompt_ids(self, prompts: Sequence[str]) -> list[list[int]]:
        """Framed as a document begins."""
        return [[*self.tokenizer.begin, *ids] for ids in self.tokenizer.ids(list(prompts))]

    def completion_ids(self, completions: Sequence[str]) -> list[list[int]]:
        """Ended as a document ends."""
        return [[*ids, self.tokenizer.end] for ids in self.tokenizer.ids(list(completions))]

    def forbidden(self, text: str) -> str:
        """Nothing: a special token's text is text here."""
        return ""

    def lost(self, asked: Asked, view: str, answer: str, prompt: str, completion: str) -> str:
        """Nothing: there is no template to change them."""
        return ""


@dataclass(frozen=True)
class ChatForm:
    """The student's own chat template."""

    spec: Supervision
    tokenizer: StudentTokenizer

    def __post_init__(self) -> None:
        if not self.tokenizer.inner.chat_template:
            raise BillError(
                "the student's tokenizer has no chat template; say `template: plain`, or take a student that was "
                "tuned on chats (its directory has chat_template.jinja, or tokenizer_config.json has chat_template)"
            )
        # A template that cannot be used is found before any row.
        _ = self._ending
        self._check_kept()

    def _check_kept(self) -> None:
        asked, spec = Asked(_PROBE), self.spec
        answer = f"{spec.rationale_lead}{_PROBE}{spec.answer_lead}{_PROBE}" if spec.target == "full_cot" else _PROBE
        view = spec.views[0]
        if not _stands(spec.system, self.prompt(asked, view)):
            raise BillError(
                "the student's chat template leaves out the system prompt; leave out `system`, or say `template: plain`"
            )
        if not _stands(answer, self.completion(asked, view, answer)):
            raise BillError(
                f"the student's chat template leaves out a part of an answer such as {answer!r}, so the student would "
                "not learn to write it; change `rationale_lead` and `answer_lead`, or say `template: plain`"
            )

    @cached_property
    def _template(self) -> str:
        """The template, with the day it would ask for set."""
        return undated(self.tokenizer.inner.get_chat_template())

    @cached_property
    def _ending(self) -> tuple[str, str]:
        """What a template writes after an answer: up to its last learned token, and whole."""
        asked = Asked(_PROBE)
        after = self._answered(asked, self.spec.views[0], _PROBE).rpartition(_PROBE)[2]
        ends = [after.index(one) + len(one) for one in self.tokenizer.special_texts if one in after]
        if not ends:
            raise BillError(
                f"the student's chat template ends an answer with {after!r}, which holds no special token, so the "
                "student would not learn to stop; say `template: plain`"
            )
        return after[: min(ends)], after

    def prompt(self, asked: Asked, view: str = PREDICT) -> str:
        """The chat up to where the assistant begins."""
        return self._rendered(self._messages(asked, view), answered=False)

    def completion(self, asked: Asked, view: str, answer: str) -> str:
        """What the template writes after the prompt, to the token that ends the turn."""
        learned, whole = self._ending
        after = self._answered(asked, view, answer)
        if not after.endswith(whole):
            raise BillError(
                f"the student's chat template writes {after[-60:]!r} after one answer and {whole!r} after another; "
                "say `template: plain`"
            )
        return after.removesuffix(whole) + learned

    def _answered(self, asked: Asked, view: str, answer: str) -> str:
        messages, prompt = self._messages(asked, view), self.prompt(asked, view)
        whole = self._rendered([*messages, {"role": "assistant", "content": answer}], answered=True)
        if not whole.startswith(prompt):
            raise BillError(
                "the student's chat template writes another text before an answer than it does as a generation "
                f"prompt ({prompt[-60:]!r}), so what is learned would not be what is asked; say `template: plain`"
            )
        return whole[len(prompt) :]

    def _messages(self, asked: Asked, view: str) -> list[dict[str, str]]:
        content = self.spec.prefix(view) + "\n\n".join(part for part in (asked.context, asked.question) if part)
        system = [{"role": "system", "content": self.spec.system.strip()}] if self.spec.system.strip() else []
        return [*system, {"role": "user", "content": content}]

    def _rendered(self, messages: list[dict[str, str]], *, answered: bool) -> str:
        try:
            text: str = self.tokenizer.inner.apply_chat_template(
                messages, chat_template=self._template, tokenize=False, add_generation_prompt=not answered
            )
        except TemplateError as error:
            raise BillError(
                f"the student's chat template refuses these messages ({error}); leave out `system` where it takes "
                "none, or say `template: plain`"
            ) from error
        return text

    def prompt_ids(self, prompts: Sequence[str]) -> list[list[int]]:
        """The template's special tokens as tokens; nothing is put before them."""
        return self.tokenizer.templated_ids(list(prompts))

    def completion_ids(self, completions: Sequence[str]) -> list[list[int]]:
        """The same."""
        return self.tokenizer.templated_ids(list(completions))

    def forbidden(self, text: str) -> str:
        """A row with ``<|im_end|>`` in its text would end the turn: it is rejected, not trusted."""
        return next((special for special in self.tokenizer.special_texts if special in text), "")

    def lost(self, asked: Asked, view: str, answer: str, prompt: str, completion: str) -> str:
        """Templates of reasoning models cut all up to ``</think>``; other white space is no loss."""
        (*_, user) = self._messages(asked, view)
        if not _stands(user["content"], prompt):
            return "of the question"
        return "" if _stands(answer, completion) else "of the answer"


def _stands(part: str, text: str) -> bool:
    return "".join(part.split()) in "".join(text.split())


def undated(template: str) -> str:
    """A chat template to which every day is the same one.

    >>> "strftime_now(format)" in undated("{{ strftime_now('%d %b') }}"), undated("{{ messages }}")
    (True, '{{ messages }}')
    """
    if "strftime_now" not in template:
        return template
    said = "".join(f" | replace({one!r}, {_DAY.strftime(one)!r})" for one in _DIRECTIVES)
    return "{%- macro strftime_now(format) -%}{{ format" + said + " }}{%- endmacro -%}" + template
