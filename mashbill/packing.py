"""Requests and replies as bytes: the key of a reply, and what its row in the ledger holds."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from typing import Any

import orjson

from mashbill.engine import Reply, Request, TokenLogprob


def reply_key(engine: str, base: bytes, seed: int, draw: int) -> str:
    """The key of a reply: engine identity, the request's bytes (see `request_bytes`), its seed and the draw."""
    digest = hashlib.blake2b(digest_size=16)
    for field in (engine.encode(), base, str(seed).encode(), str(draw).encode()):
        digest.update(len(field).to_bytes(8, "big") + field)
    return digest.hexdigest()


def request_bytes(request: Request) -> bytes:
    """The canonical bytes of a request without its seed; how a message is split into parts does not enter."""
    messages = [[message.role, message.content] for message in request.messages]
    return to_json([messages, request.sampling, request.schema])


def to_json(value: Any) -> bytes:
    """Canonical JSON of any text, half a surrogate pair included."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        # Half a surrogate pair, which UTF-8 cannot hold: as an ASCII escape it survives.
        return json.dumps(value, default=dataclasses.asdict, sort_keys=True, separators=(",", ":")).encode()


def from_json(packed: bytes) -> Any:
    """What `to_json` wrote."""
    try:
        return orjson.loads(packed)
    except orjson.JSONDecodeError:
        return json.loads(packed)


def reply_row(reply: Reply) -> dict[str, Any]:
    """A reply as its ledger row holds it."""
    row: dict[str, Any] = {
        "text": reply.text,
        "finish_reason": reply.finish_reason,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
    }
    if reply.logprobs:
        row["logprobs"] = [[token.token, token.logprob, token.top] for token in reply.logprobs]
    return row


def reply_of(packed: bytes, key: str) -> Reply:
    """The reply in a ledger row."""
    row = from_json(packed)
    logprobs = tuple(
        TokenLogprob(token=token, logprob=_number(logprob), top=tuple((text, _number(value)) for text, value in top))
        for token, logprob, top in row.pop("logprobs", [])
    )
    return Reply(**row, logprobs=logprobs, key=key)


def _number(logprob: float | None) -> float:
    # JSON has no minus infinity, the log-probability of a token that a schema forbids; it is stored as null.
    return -math.inf if logprob is None else logprob
