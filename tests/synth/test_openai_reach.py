"""How an endpoint is reached: redirects, proxies, names, starting and closing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mashbill.errors import EngineDown, EngineRefused
from synth.engines.openai import Openai
from tests.contract.fake_openai import FakeOpenai, status
from tests.synth.openai_helpers import ASK, FakeTime, ask, run


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeOpenai]:
    async with FakeOpenai() as fake:
        yield fake


async def test_a_redirect_is_refused_and_not_followed(server: FakeOpenai, time: FakeTime) -> None:
    server.always = status(307, headers={"Location": "http://elsewhere.example/v1/chat/completions"})
    with pytest.raises(EngineRefused, match=r"307 .*check MASHBILL_ENGINE_URL"):
        await ask(run(time, server.url, key="k"))
    assert len(server.seen) == 1


async def test_through_a_proxy_with_a_password(time: FakeTime, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        body = b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    monkeypatch.setenv("http_proxy", f"http://me:hunter2@127.0.0.1:{port}")
    [reply] = await ask(run(time, "http://far.example/v1"))
    listening.close()
    await listening.wait_closed()
    assert reply.text == "x"
    assert "Proxy-Authorization: Basic bWU6aHVudGVyMg==" in heads[0]
    with pytest.raises(EngineDown, match=r"cannot connect to the proxy \(Connection refused\)") as caught:
        await ask(run(time, "http://far.example/v1"))
    assert "hunter2" not in str(caught.value)


async def test_a_host_nobody_knows(time: FakeTime) -> None:
    with pytest.raises(EngineDown, match=r"nowhere\.invalid:80 .*cannot connect .*start the server or mend"):
        await ask(run(time, "http://nowhere.invalid/v1"))


async def test_starting_is_done_once_and_by_the_first_request_if_need_be(server: FakeOpenai, time: FakeTime) -> None:
    engine = Openai(model="fake", run=run(time, server.url))
    assert (await anext(engine.complete([ASK])))[0] == 0
    await engine.start()
    await engine.close()
    await engine.start()
    assert (await anext(engine.complete([ASK])))[0] == 0
    await engine.close()
