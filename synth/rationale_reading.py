r"""From a teacher's reply to reasons and an answer, or to the reason why there is none.

``"Each bag costs 4. 3 * 4 = 12.\n#### 12"`` -> ``Worked("Each bag costs 4. 3 * 4 = 12.", "12")``; two marked answers
that differ -> `BadReply` ``two_final_answers``; a reply that max_tokens cut -> ``truncated``, whatever it holds.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

from mashbill.ask import Answer
from mashbill.errors import BadReply
from mashbill.matching import Matcher
from synth.rationale_prompts import MARK

REASON_CHARS = 2000
"""The longest reason an engine that enforces a schema may write: eighty words have some 500."""


@dataclass(frozen=True, slots=True)
class Worked:
    """What a reply says."""

    rationale: str
    answer: str


@functools.cache
def reply_shape(options: tuple[str, ...], answer_only: bool) -> type[BaseModel]:
    """What a JSON reply must be; with options, its answer is one of them.

    >>> sorted(reply_shape(("yes", "no"), False).model_fields)
    ['answer', 'reason']
    """
    answer: Any = Literal[options] if options else str
    fields: dict[str, Any] = {} if answer_only else {"reason": (str, Field(max_length=REASON_CHARS))}
    return create_model("Reply", **fields, answer=(answer, ...))


def read_shaped(answer: Answer[Any]) -> Worked:
    """A reply of the shape above."""
    said = answer.value.answer.strip()
    if not said:
        raise BadReply("no_final_answer", "the answer is empty", text=answer.text, asks=answer.keys)
    return Worked(getattr(answer.value, "reason", "").strip(), said)


def read_marked(answer: Answer[str], matcher: Matcher, *, answer_only: bool) -> Worked:
    """A reply that ends with a marked answer; of an answer alone, one that is nothing but the answer passes too.

    Raises:
        BadReply: ``truncated``, ``filtered``, ``no_final_answer``, ``two_final_answers`` or ``no_rationale``.
    """
    text = check_whole(answer)
    found = matcher.final(text)
    if isinstance(found, BadReply):
        if not (answer_only and found.reason == "no_final_answer" and "\n" not in text):
            raise BadReply(found.reason, found.detail, text=text, asks=answer.keys)
        found = text
    rationale = "" if answer_only else _before(text, found)
    if not rationale and not answer_only:
        raise BadReply("no_rationale", "the reply is the answer alone", text=text, asks=answer.keys)
    return Worked(rationale, found)


def check_whole(answer: Answer[Any]) -> str:
    """The text of a reply that the model itself ended.

    Raises:
        BadReply: ``truncated`` or ``filtered``.
    """
    if answer.finish_reason == "length":
        count = answer.reply.completion_tokens
        raise BadReply("truncated", f"cut off after {count} tokens", text=answer.text, asks=answer.keys)
    if answer.finish_reason == "content_filter":
        raise BadReply("filtered", "the provider's content filter ended it", text=answer.text, asks=answer.keys)
    return answer.text.strip()


def _before(text: str, found: str) -> str:
    """The reasons: what stands before the marked answer, whole where the answer is marked within a sentence."""
    line = text.find(MARK)
    if line >= 0:
        return text[:line].strip()
    at = text.rfind(found)
    return text.strip() if at < 0 else text[: text.rfind("\n", 0, at) + 1].strip() or text.strip()
