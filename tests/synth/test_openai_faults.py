"""Every way an endpoint fails, on order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from mashbill.errors import EngineDown, EngineError, EngineGarbage, EngineRefused
from synth.engines.openai import Openai
from synth.engines.openai_calls import PROBE
from tests.contract.fake_openai import FakeOpenai, cut, echo_key, garbage, half_an_answer, hang, status
from tests.synth.openai_helpers import ASK, FakeTime, ask, free_port, run


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeOpenai]:
    async with FakeOpenai() as fake:
        yield fake


async def test_500_twice_then_an_answer(server: FakeOpenai, time: FakeTime) -> None:
    server.faults += [status(500), status(502)]
    [reply] = await ask(run(time, server.url))
    assert reply.text
    assert len(server.seen) == 3
    first, second = time.slept
    assert 0.25 <= first <= 0.5 <= second <= 1.0


async def test_back_off_is_the_same_when_repeated(server: FakeOpenai) -> None:
    naps = []
    for _ in range(2):
        clock = FakeTime()
        server.faults += [status(500), status(500)]
        await ask(run(clock, server.url))
        naps.append(clock.slept)
    assert naps[0] == naps[1]


@pytest.mark.parametrize("code", [408, 409, 500, 502, 504])
async def test_momentary_faults_end_in_engine_down(server: FakeOpenai, time: FakeTime, code: int) -> None:
    server.always = status(code)
    with pytest.raises(EngineDown, match=rf"127\.0\.0\.1:\d+ gave no completion .* in 4 tries \(last: {code}"):
        await ask(run(time, server.url))
    tries = [one for one in server.seen if one["messages"][-1]["content"] != PROBE]
    assert len(tries) == 4
    assert len(server.seen) - len(tries) <= 3  # whether it serves anybody: at each rest, and at the end


@pytest.mark.parametrize(
    ("code", "todo"), [(400, "too long for the server"), (403, "MASHBILL_API_KEY"), (404, "model name"), (422, "extra")]
)
async def test_refusals_are_not_retried(server: FakeOpenai, time: FakeTime, code: int, todo: str) -> None:
    server.faults.append(status(code, b'{"error": {"message": "no such thing"}}'))
    with pytest.raises(EngineRefused, match=r"127\.0\.0\.1:\d+ refused model 'fake'") as caught:
        await ask(run(time, server.url))
    assert todo in str(caught.value)
    assert ("no such thing" in str(caught.value)) == (code != 403)
    assert len(server.seen) == 1
    assert not time.slept


async def test_the_key_is_nowhere(server: FakeOpenai, time: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    key = "mb-verysecretkey0123456789"
    caplog.set_level(logging.DEBUG)
    seen = []
    for fault in (echo_key, status(400, f"you sent Bearer {key}; {key}".encode()), status(500, key.encode())):
        server.always = fault
        engine = Openai(model="fake", run=run(time, server.url + f"?token={key}", key=key))
        with pytest.raises(EngineError) as caught:
            await anext(engine.complete([ASK]))
        seen += [str(caught.value), repr(caught.value), repr(engine), repr(engine.run.keys), engine.identity]
        seen += [repr(caught.value.__cause__), repr(caught.value.__context__)]
        await engine.close()
    assert key not in "".join(seen)
    assert key not in caplog.text


async def test_401_says_whether_a_key_was_sent(server: FakeOpenai, time: FakeTime) -> None:
    server.always = echo_key
    with pytest.raises(EngineRefused, match="no key was sent; set MASHBILL_API_KEY"):
        await ask(run(time, server.url))
    with pytest.raises(EngineRefused, match="key it was sent is not accepted"):
        await ask(run(time, server.url, key="wrong"))


async def test_retry_after_rests_the_endpoint(server: FakeOpenai, time: FakeTime) -> None:
    server.faults.append(status(429, headers={"Retry-After": "7"}))
    await ask(run(time, server.url))
    assert time.slept == [7.0]


async def test_retry_after_as_a_date(server: FakeOpenai, time: FakeTime) -> None:
    headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    server.faults.append(status(503, headers=headers))
    await ask(run(time, server.url))
    assert time.slept == [30.0]


async def test_rate_limits_cost_no_tries(server: FakeOpenai, time: FakeTime) -> None:
    server.faults += [status(429)] * 9
    assert await ask(run(time, server.url, tries=2))
    assert len(server.seen) == 10


async def test_rate_limited_for_ever_ends_in_engine_down(server: FakeOpenai, time: FakeTime) -> None:
    server.always = status(429)
    with pytest.raises(EngineDown, match=r"429 .* let nothing through for 9"):
        await ask(run(time, server.url))
    server.always = status(429, headers={"Retry-After": "86400"})
    with pytest.raises(EngineDown, match="asks to wait 86400 s"):
        await ask(run(time, server.url))


async def test_no_quota_left_is_a_refusal(server: FakeOpenai, time: FakeTime) -> None:
    server.always = status(429, b'{"error": {"code": "insufficient_quota", "message": "pay"}}')
    with pytest.raises(EngineRefused, match="no quota left"):
        await ask(run(time, server.url))


@pytest.mark.parametrize(
    "body",
    [
        b"<html>busy</html>",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": "x"}, "finish_reason": null}]}',
        b'{"choices": [{"message": {"content": ""}, "finish_reason": "tool_calls"}]}',
        b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": "many"}}',
        b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": []}'[:-3] + b"7}",
    ],
)
async def test_garbage_is_retried_then_said(server: FakeOpenai, time: FakeTime, body: bytes) -> None:
    server.faults.append(garbage(body))
    assert await ask(run(time, server.url))
    server.always = garbage(body)
    with pytest.raises(EngineGarbage, match="check that the URL is an OpenAI-compatible"):
        await ask(run(time, server.url))


@pytest.mark.parametrize("fault", [half_an_answer, cut])
async def test_a_broken_connection_is_retried(server: FakeOpenai, time: FakeTime, fault: object) -> None:
    server.faults += [half_an_answer, cut]
    assert await ask(run(time, server.url))
    server.always = half_an_answer if fault is half_an_answer else cut
    with pytest.raises(EngineDown, match="half an answer" if fault is half_an_answer else "connection broke"):
        await ask(run(time, server.url))


async def test_silence_is_a_timeout(server: FakeOpenai, time: FakeTime) -> None:
    server.faults.append(hang)
    how = replace(run(time, server.url, tries=2), timeout=0.05)
    assert await ask(how)
    server.always = hang
    with pytest.raises(EngineDown, match=r"no whole answer in 0\.05 s"):
        await ask(how)


async def test_connection_refused(time: FakeTime) -> None:
    with pytest.raises(EngineDown, match=r"no answer .* in 4 rounds .*refused.*; start the server"):
        await ask(run(time, f"http://127.0.0.1:{free_port()}/v1"), ASK, replace(ASK, seed=8), replace(ASK, seed=9))
    assert time.slept[:4] == [0.5, 1.0, 2.0, 4.0]


async def test_one_of_two_endpoints_is_dead(server: FakeOpenai, time: FakeTime) -> None:
    requests = [replace(ASK, seed=seed) for seed in range(60)]
    replies = await ask(run(time, f"http://127.0.0.1:{free_port()}/v1", server.url), *requests)
    assert len(replies) == len(server.seen) == 60


async def test_a_broken_endpoint_loses_its_work_to_the_other(server: FakeOpenai, time: FakeTime) -> None:
    async with FakeOpenai() as broken:
        broken.always = status(500)
        requests = [replace(ASK, seed=seed) for seed in range(200)]
        replies = await ask(run(time, broken.url, server.url), *requests)
        assert len(replies) == 200
        assert len(broken.seen) < 150


async def test_the_engine_comes_back_after_engine_down(server: FakeOpenai, time: FakeTime) -> None:
    engine = Openai(model="fake", run=run(time, server.url))
    server.always = status(500)
    with pytest.raises(EngineDown):
        await anext(engine.complete([ASK]))
    server.always = None
    time.now += 60
    assert (await anext(engine.complete([ASK])))[1].text
    await engine.close()


async def test_replies_in_flight_are_handed_out_before_the_error(server: FakeOpenai, time: FakeTime) -> None:
    server.gate = asyncio.Event()
    server.faults.append(status(404))
    engine = Openai(model="fake", run=run(time, server.url))
    got: list[int] = []
    asyncio.get_running_loop().call_later(0.05, server.gate.set)

    async def collect() -> None:
        async for index, _ in engine.complete([replace(ASK, seed=seed) for seed in range(4)]):
            got.append(index)

    with pytest.raises(EngineRefused):
        await collect()
    await engine.close()
    assert len(got) == 3


async def test_the_new_name_of_max_tokens(server: FakeOpenai, time: FakeTime) -> None:
    server.faults.append(status(400, b'{"error": {"message": "Use \'max_completion_tokens\' instead."}}'))
    server.always = garbage(b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}')
    [reply] = await ask(run(time, server.url))
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("x", 0, 0)
    assert server.seen[-1]["max_completion_tokens"] == 20
    assert "max_tokens" not in server.seen[-1]
