"""Replies that must have a shape: a pydantic model's JSON schema out, a validated object back.

Strict JSON first; then the same inside a code fence or between the outermost braces; then mended by `json_repair`
(bare quotes, trailing commas), which is noted on the answer. A reply cut off by `max_tokens` is never mended: a
truncated field would be dropped without notice.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any, TypeVar

import json_repair
from pydantic import BaseModel, ValidationError

from mashbill.engine import Reply

M = TypeVar("M", bound=BaseModel)

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


class NotTheShape(Exception):
    """The reply does not parse as the model asked for."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@functools.cache
def schema_json(model: type[BaseModel]) -> str:
    """JSON of a model's schema, as requests carry it.

    Keys stay in the model's order, which is as stable as sorted ones: constrained decoders write a reply's fields in
    the order of ``properties``, so sorting them would change what is asked for.
    """
    return json.dumps(_closed(model.model_json_schema()), separators=(",", ":"), ensure_ascii=False)


def _closed(schema: Any) -> Any:
    """The schema with no fields beyond the named ones: left open, a small model adds fields until max_tokens."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def parse_reply(reply: Reply, model: type[M]) -> tuple[M, bool]:
    """The object in a reply, and whether its JSON had to be mended.

    >>> class Name(BaseModel):
    ...     name: str
    >>> parse_reply(Reply(text='{"name": "Ora"}', finish_reason="stop", prompt_tokens=1, completion_tokens=1), Name)
    (Name(name='Ora'), False)

    Raises:
        NotTheShape: ``truncated`` when it was cut off, ``refused`` by the provider's filter, ``unparsable`` otherwise.
    """
    text = reply.text.strip()
    if reply.finish_reason == "content_filter":
        raise NotTheShape("filtered", "the provider's content filter ended it.")
    candidates = [text, *_FENCE.findall(text), _outermost(text)]
    error: ValidationError | None = None
    for candidate in candidates:
        if candidate:
            try:
                return model.model_validate_json(candidate), False
            except ValidationError as wrong:
                error = error or wrong
    if reply.finish_reason == "length":
        raise NotTheShape("truncated", f"it was cut off after {reply.completion_tokens} tokens; be shorter.")
    try:
        mended = json_repair.loads(_outermost(text) or text)
    except (ValueError, RecursionError):
        raise NotTheShape("unparsable", "its brackets are nested too deeply to be the object asked for.") from None
    if isinstance(mended, dict) and mended:
        try:
            return model.model_validate(mended), True
        except ValidationError as wrong:
            error = wrong
    raise NotTheShape("unparsable", _explain(error, text))


def _outermost(text: str) -> str:
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else ""


def _explain(error: ValidationError | None, text: str) -> str:
    if error is None:
        return "it is empty." if not text else "it holds no JSON object."
    problems = [
        f"{'.'.join(str(step) for step in problem['loc']) or 'the reply'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)[:3]
    ]
    return "; ".join(problems) + "."
