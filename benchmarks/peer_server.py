"""An instant OpenAI-like server in a process of its own, which fails on order: what the peers are measured against.

    python -m benchmarks.peer_server --faults 0.1      # prints its port

A prompt that holds ``#17#`` is answered with a text that holds ``load 17;``, so that a row tells whose it is. With
`faults`, that share of the prompts (always the same ones, drawn by a digest) meets one fault on its first request, and
none after it::

    429         Too Many Requests, without Retry-After
    500         Internal Server Error
    reset       the connection is closed without an answer
    truncated   half the text, finish_reason length
    garbage     200 with a body that is no JSON
    slow        the answer after two seconds
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

KINDS = ("429", "500", "reset", "truncated", "garbage", "slow")
SLOW = 2.0
SENTENCE = "load {number}; salt came down the river by barge. " + "The lock keeper counted it twice. " * 8
_NUMBER = re.compile(rb"#(\d+)#")
_HEAD = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


def fault_of(number: int, share: float) -> str:
    """The fault that a prompt meets, or nothing."""
    digest = int.from_bytes(hashlib.blake2b(str(number).encode(), digest_size=8).digest(), "big")
    return KINDS[digest % len(KINDS)] if digest // len(KINDS) % 10_000 < share * 10_000 else ""


def answer(number: str, *, cut: bool = False) -> bytes:
    """A whole HTTP answer."""
    text = SENTENCE.format(number=number)
    body = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "instant",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text[: len(text) // 2] if cut else text},
                "finish_reason": "length" if cut else "stop",
            }
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 64, "total_tokens": 104},
    }
    whole = json.dumps(body).encode()
    return _HEAD % (b"200 OK", len(whole), whole)


class Instant(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as little of it as a client needs: the server must not be what is measured."""

    share = 0.0
    latency = 0.0
    met: set[int] = set()  # noqa: RUF012 (one server, one set)

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            _, _, rest = self.buffer[:end].lower().partition(b"content-length:")
            length = int(rest.split(b"\r\n", 1)[0] or 0)
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.answer(body)

    def answer(self, body: bytes) -> None:
        """Answer one, or meet it with its fault."""
        found = _NUMBER.search(body)
        number = found.group(1).decode() if found else "none"
        kind = ""
        if self.share and found and int(number) not in self.met:
            self.met.add(int(number))
            kind = fault_of(int(number), self.share)
        if kind == "slow":
            asyncio.get_running_loop().call_later(SLOW, self.write, answer(number))
        elif kind == "reset":
            self.transport.abort()
        elif kind in ("429", "500"):
            said = b'{"error": {"message": "not now"}}'
            status = {"429": b"429 Too Many Requests", "500": b"500 Internal Server Error"}[kind]
            self.write(_HEAD % (status, len(said), said))
        elif kind == "garbage":
            self.write(_HEAD % (b"200 OK", 13, b"<html></html>"))
        elif self.latency:
            asyncio.get_running_loop().call_later(self.latency, self.write, answer(number))
        else:
            self.write(answer(number, cut=kind == "truncated"))

    def write(self, data: bytes) -> None:
        """Send, unless the client has gone."""
        if not self.transport.is_closing():
            self.transport.write(data)


async def serve(protocol: type[Instant]) -> None:
    """Answer on a free port, which is printed first."""
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def instant_server(faults: float = 0.0, latency: float = 0.0) -> Iterator[str]:
    """Its base URL, while the block runs."""
    command = [sys.executable, "-m", "benchmarks.peer_server", "--faults", str(faults), "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--latency", type=float, default=0.0)
    said = parser.parse_args()
    Instant.share, Instant.latency = said.faults, said.latency
    asyncio.run(serve(Instant))
