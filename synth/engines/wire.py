"""The OpenAI chat format: a `Request` to bytes, bytes to a `Reply`, a status to what to do about it.

>>> encode("m", {}, Request(messages=(user("Hi"),), sampling=Sampling(max_tokens=5)))
b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":5,"temperature":1.0,"top_p":1.0,"seed":0}'

Every default is sent, so that a server's own defaults never decide; `top_k` alone is left out while it means "all",
since it is an extension that strict servers refuse. Pure functions: no network, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import orjson

from mashbill.engine import FinishReason, Reply, Request, TokenLogprob
from mashbill.errors import RequestRefused

FaultKind = Literal["connection", "overloaded", "broken", "garbage", "again"]

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    # What servers that are nearly compatible say for the same three things.
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
}

_BY_REQUEST = (
    ("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "seed"),
    ("stop", "logprobs", "top_logprobs", "response_format", "stream", "n"),
)
RESERVED = frozenset(name for row in _BY_REQUEST for name in row)
"""Body fields that a request decides; an engine's own `extra` may not set them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One try that failed in a way worth another."""

    kind: FaultKind
    what: str
    """For people: ``429 Too Many Requests``. Holds nothing the server sent unless it went through `redact`."""
    wait: float | None = None
    """Seconds the server asked to wait."""


def encode(model: str, extra: Mapping[str, object], request: Request, token_field: str = "max_tokens") -> bytes:
    """The body of one chat completion."""
    sampling = request.sampling
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        token_field: sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": request.seed,
    }
    if sampling.stop:
        body["stop"] = sampling.stop
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if sampling.logprobs:
        body["logprobs"] = True
        body["top_logprobs"] = sampling.logprobs
    if request.schema:
        # Already canonical JSON: passed on as it stands, without parsing it again for each request.
        schema = {"name": "reply", "strict": True, "schema": orjson.Fragment(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if extra:
        body.update(extra)
    try:
        return orjson.dumps(body)
    except TypeError as error:  # a lone surrogate: the only thing in a request that JSON cannot carry
        raise RequestRefused(
            f"a prompt cannot be sent as UTF-8 ({error}); it holds half a surrogate pair: clean the source text"
        ) from None


def decode(body: bytes, request: Request) -> Reply | Fault:
    """The reply in a 200 answer, or the fault that it is not a completion."""
    try:
        answer: Any = orjson.loads(body)
        choice = answer["choices"][0]
        message = choice["message"]
        finish = _FINISH.get(choice["finish_reason"])
        text = message["content"]
    except orjson.JSONDecodeError:
        return Fault("garbage", f"{len(body)} bytes that are not JSON")
    except (KeyError, IndexError, TypeError):
        return Fault("garbage", "JSON without choices[0].message.content and finish_reason")
    if finish is None:
        return Fault("garbage", f"finish_reason {str(choice['finish_reason'])[:40]!r}, wanted stop or length")
    if text is None and isinstance(message.get("refusal"), str):
        text, finish = message["refusal"], "content_filter"
    elif text is None and finish != "stop":
        # A reasoning model cut while it still thinks, or a filter: no text is the truth, not a broken server.
        text = ""
    if not isinstance(text, str):
        return Fault("garbage", "null content, wanted text")
    try:
        return _reply(answer, choice, text, finish, request)
    except (AttributeError, KeyError, TypeError, ValueError):
        return Fault("garbage", "usage or logprobs that cannot be read")


def _reply(answer: dict[str, Any], choice: dict[str, Any], text: str, finish: FinishReason, request: Request) -> Reply:
    usage = answer.get("usage") or {}
    for stop in request.sampling.stop:
        # Servers cut it themselves; a few leave it in.
        if stop in text:
            text, finish = text.split(stop, 1)[0], "stop"
    return Reply(
        text=text,
        finish_reason=finish,
        # A server that counts nothing is believed to have said 0: an estimate would look like a count.
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        logprobs=_logprobs(choice["logprobs"]) if request.sampling.logprobs else (),
    )


def _logprobs(value: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            token=item["token"],
            logprob=float(item["logprob"]),
            top=tuple((other["token"], float(other["logprob"])) for other in item.get("top_logprobs") or ()),
        )
        for item in value["content"]
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds a server asked to wait: ``retry-after-ms``, ``Retry-After`` in seconds or as an HTTP date.

    >>> retry_after({"Retry-After": "7"}, now=0.0)
    7.0
    """
    millis, value = headers.get("retry-after-ms"), headers.get("Retry-After")
    try:
        if millis is not None:
            return max(0.0, float(millis) / 1000)
        if value is None:
            return None
        if value.strip().replace(".", "", 1).isdigit():
            return float(value)
        # The server's own clock where it tells it: ours may be off by more than the wait.
        told = headers.get("Date")
        start = parsedate_to_datetime(told).timestamp() if told else now
        return max(0.0, parsedate_to_datetime(value).timestamp() - start)
    except ValueError:
        return None


_SECRETS = re.compile(r"(?i)\b(bearer|basic)\s+\S+|\bsk-\S+|(?<=://)[^/\s@]+@")


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """What a server said, on one line, short, with keys and credentials taken out.

    >>> redact("bad key: Bearer abc at http://me:pw@host/", ("abc",))
    'bad key: *** at http://***host/'
    """
    for secret in secrets:
        text = text.replace(secret, "***")
    return " ".join(_SECRETS.sub("***", text).split())[:300]


def said(body: bytes, secrets: tuple[str, ...]) -> str:
    """The error message inside a refusal, made safe to show."""
    text = body[:8192].decode("utf-8", "replace")
    try:
        answer: Any = orjson.loads(body)
        error = answer.get("error", answer)
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    except (orjson.JSONDecodeError, AttributeError):
        pass
    return redact(text, secrets)
