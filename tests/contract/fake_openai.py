"""An OpenAI-compatible server on 127.0.0.1 that answers by rule and fails on order.

::

    async with FakeOpenai() as server:
        server.faults += [status(500), garbage(b"<html>")]
        engine = Openai(model="fake", run=OpenaiRun(endpoints=(server.url,)))

Each request takes the next fault, if one is left; with none it is answered. Tokens are words, and the words come
from a digest of the messages and the seed, so the same request gets the same reply.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]
WORDS = ("salt", "barge", "lamp", "tide", "ember", "quay", "rope", "glass", "moss", "hinge", "über", "潮", "🌊", "plum")
NATURAL_LENGTH = 12


def status(code: int, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> Fault:
    """Answer with a status."""

    async def fault(_: web.Request) -> web.StreamResponse:
        return web.Response(status=code, body=body, headers=headers)

    return fault


def garbage(body: bytes) -> Fault:
    """Answer 200 with these bytes."""
    return status(200, body)


async def half_an_answer(request: web.Request) -> web.StreamResponse:
    """Promise a thousand bytes, send ten, cut the connection."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices"')
    assert request.transport is not None
    request.transport.close()
    return response


async def cut(request: web.Request) -> web.StreamResponse:
    """Close the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hang(_: web.Request) -> web.StreamResponse:
    """Say nothing at all."""
    await asyncio.Event().wait()
    return web.Response()


async def echo_key(request: web.Request) -> web.StreamResponse:
    """Refuse, quoting the key: what careless gateways do."""
    said = f"invalid header Authorization: {request.headers.get('Authorization', '')}"
    return web.json_response({"error": {"message": said}}, status=401, headers={"X-Echo": said})


class FakeOpenai:
    """The server; use as an async context manager."""

    def __init__(self, *, key: str = "", context: int = 4096) -> None:
        self.key = key
        self.context = context
        """The most words a prompt may have."""
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        """A fault that never runs out."""
        self.poison: dict[str, Fault] = {}
        """Faults that never run out, for requests whose last message holds these words."""
        self.seen: list[dict[str, Any]] = []
        """Bodies of every request, failed ones too."""
        self.busy = 0
        self.most_busy = 0
        self.gate: asyncio.Event | None = None
        """When set to an event, good answers wait for it."""
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/chat/completions", self._chat)
        self.add_routes(app)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"
        return self

    def add_routes(self, app: web.Application) -> None:
        """What a subclass serves besides."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        self.seen.append(body)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            said = str(body["messages"][-1]["content"])
            if poisoned := [fault for words, fault in self.poison.items() if words in said]:
                return await poisoned[0](request)
            if self.faults:
                return await self.faults.popleft()(request)
            if self.always is not None:
                return await self.always(request)
            if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
                return await echo_key(request)
            if self.gate is not None:
                await self.gate.wait()
            return self._answer(body)
        finally:
            self.busy -= 1

    def _answer(self, body: dict[str, Any]) -> web.Response:
        prompt = sum(len(str(message["content"]).split()) for message in body["messages"])
        if prompt + body["max_tokens"] > self.context:
            said = f"maximum context length is {self.context} tokens, the prompt has {prompt}"
            return web.json_response({"error": {"message": said}}, status=400)
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        words = [orjson.dumps(instance(schema, schema)).decode()] if schema else invent(body)
        text = " ".join(words)
        for stop in body.get("stop", ()):
            text = text.split(stop, 1)[0]
        words = text.split(" ") if text else []
        kept = words[: body["max_tokens"]]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": " ".join(kept)},
            "finish_reason": "length" if len(words) > len(kept) else "stop",
            "logprobs": logprobs(kept, body.get("top_logprobs", 0)) if body.get("logprobs") else None,
        }
        usage = {"prompt_tokens": prompt, "completion_tokens": len(kept)}
        return web.json_response({"choices": [choice], "usage": usage})


def invent(body: dict[str, Any]) -> list[str]:
    """Words from the messages and the seed."""
    source = orjson.dumps([body["messages"], body["seed"] if body["temperature"] else 0])
    digest = hashlib.shake_128(source).digest(NATURAL_LENGTH)
    return [WORDS[byte % len(WORDS)] for byte in digest]


def logprobs(words: list[str], top: int) -> dict[str, Any]:
    """Falling probabilities, the chosen word first."""
    ranked = [{"token": word, "logprob": -0.5 - rank} for rank, word in enumerate(WORDS[:top])]
    return {"content": [{"token": word, "logprob": -0.5, "top_logprobs": ranked} for word in words]}


def instance(schema: dict[str, Any], root: dict[str, Any]) -> object:
    """The smallest value that obeys a JSON schema of the kind pydantic writes."""
    if "$ref" in schema:
        return instance(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: instance(part, root) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance(schema["items"], root)] * max(1, schema.get("minItems", 1))
    return {"string": "salt", "integer": 1, "number": 0.5, "boolean": True}.get(str(kind))
