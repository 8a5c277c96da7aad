"""Requests to bytes and bytes to replies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mashbill.engine import Reply, Request, Sampling, TokenLogprob, assistant, system, user
from mashbill.errors import EngineRefused
from synth.engines.wire import Fault, decode, encode, redact, retry_after, said

ASK = Request(messages=(system("Be brief."), user("A", "B"), assistant("C"), user("D")), seed=9)


def sent(request: Request, **extra: object) -> dict[str, Any]:
    return dict(json.loads(encode("m", extra, request)))


def answer(**choice: object) -> bytes:
    whole = {"message": {"role": "assistant", "content": "Salt."}, "finish_reason": "stop"} | choice
    return json.dumps({"choices": [whole], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}).encode()


def test_every_default_is_sent() -> None:
    assert sent(ASK) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "AB"},
            {"role": "assistant", "content": "C"},
            {"role": "user", "content": "D"},
        ],
        "max_tokens": 512,
        "temperature": 1.0,
        "top_p": 1.0,
        "seed": 9,
    }


def test_what_is_asked_for_is_sent() -> None:
    sampling = Sampling(max_tokens=3, temperature=0.0, top_p=0.5, top_k=4, stop=("\n",), logprobs=2)
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    body = sent(Request(messages=ASK.messages, sampling=sampling, schema=json.dumps(schema)), min_p=0.1)
    del body["messages"]
    assert body == {
        "model": "m",
        "max_tokens": 3,
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 4,
        "stop": ["\n"],
        "logprobs": True,
        "top_logprobs": 2,
        "seed": 0,
        "min_p": 0.1,
        "response_format": {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}},
    }


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(EngineRefused, match="half a surrogate pair"):
        encode("m", {}, Request(messages=(user("x\ud800"),)))


@pytest.mark.parametrize(
    ("choice", "text", "finish"),
    [
        ({}, "Salt.", "stop"),
        ({"finish_reason": "length"}, "Salt.", "length"),
        ({"finish_reason": "eos_token"}, "Salt.", "stop"),
        ({"finish_reason": "content_filter", "message": {"content": None}}, "", "content_filter"),
        ({"finish_reason": "length", "message": {"content": None, "reasoning": "Hm"}}, "", "length"),
        ({"message": {"content": None, "refusal": "I will not."}}, "I will not.", "content_filter"),
    ],
)
def test_replies(choice: dict[str, object], text: str, finish: str) -> None:
    reply = decode(answer(**choice), ASK)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.finish_reason, reply.prompt_tokens, reply.completion_tokens) == (text, finish, 5, 2)


def test_a_stop_string_left_in_is_cut() -> None:
    request = Request(messages=ASK.messages, sampling=Sampling(stop=("t.", "l")))
    reply = decode(answer(finish_reason="length"), request)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.finish_reason) == ("Sa", "stop")


def test_logprobs_come_only_when_asked() -> None:
    tops = [{"token": "Salt", "logprob": -0.1}, {"token": "Sea", "logprob": -2}]
    body = answer(logprobs={"content": [{"token": "Salt", "logprob": -0.1, "top_logprobs": tops}]})
    plain = decode(body, ASK)
    asked = decode(body, Request(messages=ASK.messages, sampling=Sampling(logprobs=2)))
    assert isinstance(plain, Reply)
    assert isinstance(asked, Reply)
    assert plain.logprobs == ()
    assert asked.logprobs == (TokenLogprob(token="Salt", logprob=-0.1, top=(("Salt", -0.1), ("Sea", -2.0))),)


def test_logprobs_asked_for_and_not_given_are_garbage() -> None:
    asked = Request(messages=ASK.messages, sampling=Sampling(logprobs=2))
    assert decode(answer(logprobs=None), asked) == Fault("garbage", "usage or logprobs that cannot be read")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "1.5", "retry-after-ms": "250"}, 0.25),
        ({"Retry-After": "Thu, 01 Jan 1970 00:02:00 GMT"}, 20.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"retry-after-ms": "soon"}, None),
        ({"Retry-After": "-3"}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=100.0) == seconds


def test_what_a_server_said_is_short_and_without_secrets() -> None:
    assert said(b'{"error": {"message": "no   model\\n x"}}', ()) == "no model x"
    assert said(b'{"error": "plain"}', ()) == "plain"
    assert said(b'{"detail": "unknown field"}', ()) == "{'detail': 'unknown field'}"
    assert said(b"\xff<html>", ()) == "\ufffd<html>"
    assert said(b"[]", ()) == "[]"
    assert len(said(b"x" * 9000, ())) == 300
    assert redact("Basic abcd= sk-proj-123 KEY https://u:p@h/", ("KEY",)) == "*** *** *** https://***h/"
