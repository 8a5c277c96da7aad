r"""One request as a line of a batch's input file, and a line of its output or error file as what became of it.

>>> from mashbill.engine import Sampling, user
>>> line_of("6f1c", encode("m", {}, Request(messages=(user("Hi"),), sampling=Sampling(max_tokens=5))))
b'{"custom_id":"6f1c","method":"POST","url":"/v1/chat/completions","body":{"model":"m",...}}\n'

A line that came back is a reply, a refusal of this one request, or worth asking again.
"""

from __future__ import annotations

from typing import Any

import orjson

from mashbill.engine import Reply, Request
from mashbill.errors import EngineRefused, RequestRefused
from synth.engines.wire import Fault, decode, encode, redact

__all__ = ["ENDPOINT", "encode", "key_in", "line_of", "outcome"]

ENDPOINT = "/v1/chat/completions"
_REFUSED = frozenset((400, 413, 422))
"""Answers that speak of this one request; asked again it would be refused again."""
_NOT_OURS = frozenset((401, 403, 404))
"""Answers that speak of the key or the model, and so of all requests."""


def line_of(key: str, body: bytes) -> bytes:
    """A line of the input file."""
    return b'{"custom_id":"%b","method":"POST","url":"%b","body":%b}\n' % (key.encode(), ENDPOINT.encode(), body)


def key_in(line: bytes) -> str | None:
    """Whose line it is; None where that cannot be told."""
    try:
        key = orjson.loads(line)["custom_id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return key if isinstance(key, str) else None


def outcome(line: bytes, request: Request, secrets: tuple[str, ...]) -> Reply | EngineRefused | Fault:
    """What became of a request: its reply, an error that asking again would not mend, or a fault worth another try.

    ``again`` as the fault's kind says that the server wants the newer name of `max_tokens`, which costs no try.
    """
    try:
        row: Any = orjson.loads(line)
        response, error = row.get("response"), row.get("error")
        if not response:
            said = error if isinstance(error, dict) else {}
            return Fault("broken", redact(str(said.get("message") or said.get("code") or "no response"), secrets))
        status, body = int(response["status_code"]), response["body"]
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        return Fault("garbage", f"a line of {len(line)} bytes that is no outcome of a request")
    if status == 200:
        return decode(orjson.dumps(body), request)
    message = redact(_message(body), secrets)
    if status == 400 and "max_completion_tokens" in message:
        return Fault("again", message)
    if status in _REFUSED:
        return RequestRefused(f"refused in a batch with {status}: {message}")
    if status in _NOT_OURS:
        return EngineRefused(
            f"a batch's requests were refused with {status}: {message}; check the model's name and what the key may use"
        )
    return Fault("broken", f"{status} {message}".strip())


def _message(body: Any) -> str:
    error = body.get("error", body) if isinstance(body, dict) else body
    return str(error.get("message", error) if isinstance(error, dict) else error)
