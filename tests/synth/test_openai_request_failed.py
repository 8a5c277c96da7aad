"""One request that an endpoint fails again and again, while it serves others, ends alone; a dead endpoint ends all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import pytest_asyncio

from mashbill.engine import Reply, Request, user
from mashbill.errors import EngineDown, EngineError, EngineGarbage, RequestFailed, RequestRefused
from synth.engines.adaptive import FAILED_LEAST, FIRST_REST, SUSPECT_AFTER
from synth.engines.openai import Openai
from synth.engines.openai_calls import PROBE
from synth.engines.openai_run import OpenaiRun
from tests.contract.fake_openai import FakeOpenai, cut, garbage, half_an_answer, status
from tests.synth.openai_helpers import ASK, FakeTime, ask, run

POISON = "the poisoned well"


def asking(number: int, about: str = "salt") -> Request:
    return replace(ASK, messages=(user(f"{about} {number}"),), seed=number)


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeOpenai]:
    async with FakeOpenai() as fake:
        yield fake


async def each(how: OpenaiRun, requests: Sequence[Request]) -> list[Reply | BaseException]:
    """Each request as the dispatcher asks it: alone, many at once."""
    engine = Openai(model="fake", run=how)
    await engine.start()
    try:
        return await asyncio.gather(*[engine.answer(one) for one in requests], return_exceptions=True)
    finally:
        await engine.close()


@pytest.mark.parametrize("fault", [status(500), garbage(b"<html>"), cut, half_an_answer])
async def test_a_request_that_fails_among_others_ends_alone(server: FakeOpenai, time: FakeTime, fault: object) -> None:
    server.poison[POISON] = fault  # type: ignore[assignment]
    requests = [asking(number) for number in range(9)] + [asking(9, POISON)]
    *others, failed = await each(run(time, server.url), requests)
    assert all(isinstance(one, Reply) and one.text for one in others)
    assert isinstance(failed, RequestFailed)
    assert "gave no completion of model 'fake' in 4 tries" in str(failed)
    assert "the same command asks again" in str(failed)


@pytest.mark.parametrize("alone", [1, 5])
async def test_asked_again_with_no_other_beside_them_they_end_alone_too(
    server: FakeOpenai, time: FakeTime, alone: int
) -> None:
    server.poison[POISON] = status(500)
    failed = await each(run(time, server.url), [asking(number, POISON) for number in range(alone)])
    assert [type(one) for one in failed] == [RequestFailed] * alone
    assert any(one["messages"][-1]["content"] == PROBE for one in server.seen)
    # The endpoint serves others, so it does not rest for these.
    assert max(time.slept) <= 4 * FIRST_REST


async def test_a_probe_asks_for_one_token_and_no_shape(server: FakeOpenai, time: FakeTime) -> None:
    server.poison[POISON] = status(500)
    await each(run(time, server.url), [replace(asking(1, POISON), schema='{"type": "string"}')])
    [probe, *_] = [one for one in server.seen if one["messages"][-1]["content"] == PROBE]
    assert probe["max_tokens"] == 1
    assert "response_format" not in probe


async def test_no_more_probes_are_asked_than_requests_fail_on_every_try(server: FakeOpenai, time: FakeTime) -> None:
    # What they take is on no account, so they must stay few; with one try each, no endpoint is made to rest.
    server.poison[POISON] = status(500)
    engine = Openai(model="fake", run=run(time, server.url, tries=1))
    for number in range(2 * SUSPECT_AFTER):
        assert isinstance(await engine.answer(asking(number)), Reply)
        with pytest.raises(RequestFailed):
            await engine.answer(asking(number, POISON))
    probes = [one for one in server.seen if one["messages"][-1]["content"] == PROBE]
    assert 0 < len(probes) <= 2 * SUSPECT_AFTER
    await engine.close()


async def test_an_endpoint_that_serves_nobody_ends_all(server: FakeOpenai, time: FakeTime) -> None:
    assert isinstance((await each(run(time, server.url), [ASK]))[0], Reply)
    server.always = status(502)
    ended = await each(run(time, server.url), [asking(number) for number in range(6)])
    assert {type(one) for one in ended} == {EngineDown}
    server.always = garbage(b"{}")
    ended = await each(run(time, server.url), [asking(number) for number in range(6)])
    assert {type(one) for one in ended} == {EngineGarbage}


async def test_an_endpoint_that_dies_after_it_served_ends_all(server: FakeOpenai, time: FakeTime) -> None:
    engine = Openai(model="fake", run=run(time, server.url))
    await asyncio.gather(*[engine.answer(asking(number)) for number in range(9)])
    server.always = cut
    with pytest.raises(EngineDown):
        await engine.answer(asking(10))
    await engine.close()


async def test_past_a_share_of_such_requests_the_server_is_ill(server: FakeOpenai, time: FakeTime) -> None:
    server.poison[POISON] = status(500)
    many = [asking(number, POISON) for number in range(FAILED_LEAST + 1)]
    engine = Openai(model="fake", run=run(time, server.url, tries=2))
    for one in many[:FAILED_LEAST]:
        with pytest.raises(RequestFailed):
            await engine.answer(one)
    with pytest.raises(EngineDown, match=r"51 of .* requests failed on every try, more than 20%"):
        await engine.answer(many[FAILED_LEAST])
    await asyncio.gather(*[engine.answer(asking(number)) for number in range(500)])
    with pytest.raises(RequestFailed):  # few, among those that are answered
        await engine.answer(asking(1, POISON))
    await engine.close()


async def test_a_call_of_several_hands_out_all_others_and_then_says_which_end_it_was(
    server: FakeOpenai, time: FakeTime
) -> None:
    server.poison[POISON] = status(500)
    requests = [asking(0, POISON), *(asking(number) for number in range(1, 40))]
    for ending, kind in ((asking(0, POISON), RequestFailed), (asking(0, "half a pair \ud800"), RequestRefused)):
        engine = Openai(model="fake", run=replace(run(time, server.url), concurrency=2))
        found = list[int]()

        async def all_of(one: Openai, ending: Request, found: list[int]) -> None:
            async for index, _ in one.complete([ending, *requests[1:]]):
                found.append(index)

        with pytest.raises(kind):
            await all_of(engine, ending, found)
        assert sorted(found) == list(range(1, 40))
        await engine.close()


async def test_the_end_of_all_is_told_before_the_end_of_one(server: FakeOpenai, time: FakeTime) -> None:
    server.always = status(404)
    with pytest.raises(EngineError, match="check the model name"):
        await ask(run(time, server.url), asking(0, "half a pair \ud800"), asking(1))
