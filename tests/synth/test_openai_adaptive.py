"""How many requests are in flight, and where."""

from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from mashbill.engine import Request, user
from mashbill.errors import EngineDown
from synth.engines.adaptive import Endpoint, Pool
from synth.engines.openai import Openai
from synth.engines.openai_run import OpenaiRun
from synth.engines.wire import Fault
from tests.contract.fake_openai import FakeOpenai, status

BUSY = Fault("overloaded", "429 Too Many Requests")
GONE = Fault("connection", "cannot connect (Connection refused)")
SICK = Fault("broken", "500 Internal Server Error")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


def pool_of(*names: str, ceiling: int = 64, first: int = 4, rounds: int = 3) -> tuple[Pool, Clock]:
    clock = Clock()
    endpoints = [Endpoint(URL(f"http://{name}/v1"), {}, ceiling, first, None) for name in names]
    return Pool(endpoints, rounds=rounds, clock=clock, sleep=clock.sleep), clock


async def rounds(pool: Pool, clock: Clock, count: int) -> None:
    """Fill every slot and answer them all, so many times."""
    for _ in range(count):
        taken = [await pool.take() for _ in range(sum(endpoint.free(clock()) for endpoint in pool.endpoints))]
        clock.now += 1
        for endpoint in taken:
            pool.good(endpoint)
            pool.put(endpoint)


async def test_slow_start_then_each_round_adds_one_at_most() -> None:
    pool, clock = pool_of("a")
    [endpoint] = pool.endpoints
    await rounds(pool, clock, 1)
    # In lockstep the second half of a round sees idle slots, so it adds half and not all.
    assert endpoint.limit == 6
    await rounds(pool, clock, 30)
    assert endpoint.limit == 64
    await pool.take()
    pool.bad(endpoint, BUSY, sent=clock() + 1)
    pool.put(endpoint)
    assert endpoint.limit == 32
    await rounds(pool, clock, 4)
    assert 33 < endpoint.limit <= 36
    await pool.close()


async def test_requests_turned_away_together_halve_once() -> None:
    pool, clock = pool_of("a", first=64)
    [endpoint] = pool.endpoints
    taken = [await pool.take() for _ in range(64)]
    clock.now = 5.0
    for one in taken:
        pool.bad(one, BUSY, sent=1.0)
        pool.put(one)
    assert endpoint.limit == 32
    clock.now = 9.0
    pool.bad(await pool.take(), BUSY, sent=8.0)
    assert endpoint.limit == 16
    await pool.close()


async def test_the_limit_never_falls_below_one() -> None:
    pool, clock = pool_of("a")
    [endpoint] = pool.endpoints
    for _ in range(9):
        clock.now += 1
        pool.bad(endpoint, BUSY, sent=clock())
        clock.now += 1
    assert endpoint.limit == 1
    assert endpoint.free(clock()) == 1
    await pool.close()


async def test_the_emptier_endpoint_is_taken_and_the_one_to_avoid_is_not() -> None:
    pool, _ = pool_of("a", "b")
    a, b = pool.endpoints
    assert [await pool.take() for _ in range(4)] == [a, b, a, b]
    assert [await pool.take(avoid=a) for _ in range(2)] == [b, b]
    assert await pool.take(avoid=b) is a
    assert await pool.take(avoid=a) is a
    await pool.close()


async def test_waiters_are_served_in_turn_and_may_leave() -> None:
    pool, _ = pool_of("a", first=1)
    first = await pool.take()
    got: list[str] = []

    async def wait(name: str) -> None:
        endpoint = await pool.take()
        got.append(name)
        pool.put(endpoint)

    tasks = [asyncio.create_task(wait(name)) for name in "abcd"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    pool.put(first)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert got == ["a", "d"]
    assert first.busy == 0
    await pool.close()


async def test_a_slot_given_to_one_who_left_goes_to_the_next() -> None:
    pool, _ = pool_of("a", first=1)
    held = await pool.take()
    leaver, heir = (asyncio.create_task(pool.take()) for _ in range(2))
    await asyncio.sleep(0)
    pool.put(held)
    leaver.cancel()
    assert await heir is held
    await pool.close()


async def test_an_endpoint_that_is_gone_rests_longer_each_time_then_is_dead() -> None:
    pool, clock = pool_of("a")
    [endpoint] = pool.endpoints
    for rest in (0.5, 1.0, 2.0):
        clock.now += 10
        assert await pool.take() is endpoint
        clock.now += 1
        pool.bad(endpoint, GONE, sent=clock())
        pool.put(endpoint)
        assert endpoint.rest_until == clock() + rest
    with pytest.raises(EngineDown, match=r"no answer from a:80 in 3 rounds \(last: cannot connect"):
        await pool.take()
    clock.now += 10
    # Rested: one request may look whether it is back, and only one.
    assert endpoint.free(clock()) == 1
    assert await pool.take() is endpoint
    pool.good(endpoint)
    pool.put(endpoint)
    assert endpoint.free(clock()) == 4
    await pool.close()


async def test_one_bad_prompt_does_not_stop_an_endpoint() -> None:
    pool, clock = pool_of("a")
    [endpoint] = pool.endpoints
    for expected in (4, 4, 0):
        clock.now += 1
        pool.bad(endpoint, SICK, sent=clock())
        assert endpoint.free(clock()) == expected
    await pool.close()


async def test_a_quota_is_found_from_above() -> None:
    """A server that takes six at once and turns the rest away: all are answered, and few are turned away twice."""
    async with FakeOpenai() as server:
        turned_away = 0

        async def quota(_: object) -> object:
            nonlocal turned_away
            if server.busy > 6:
                turned_away += 1
                return await status(429)(_)  # type: ignore[arg-type]
            await asyncio.sleep(0.002)
            return server._answer(server.seen[-1])

        server.always = quota  # type: ignore[assignment]
        run = OpenaiRun(endpoints=(server.url,), concurrency=64, sleep=lambda seconds: asyncio.sleep(seconds / 100))
        engine = Openai(model="fake", run=run)
        requests = [Request(messages=(user(str(number)),), seed=number) for number in range(300)]
        got = [index async for index, _ in engine.complete(requests)]
        await engine.close()
    assert sorted(got) == list(range(300))
    assert turned_away < 150
