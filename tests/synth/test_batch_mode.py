"""Every way a batch ends, on order: each request gets its own reply once, or an outcome of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from mashbill.engine import Reply, Request, Sampling, user
from mashbill.errors import (
    EngineDown,
    EngineError,
    EngineGarbage,
    EngineRefused,
    Interrupted,
    LedgerError,
    RequestFailed,
    RequestRefused,
    SettingsError,
)
from synth.engines.batch_run import BatchRun
from synth.engines.batch_store import BatchStore
from synth.engines.openai import Openai
from synth.engines.openai_run import OpenaiRun, Secret
from tests.contract.fake_openai import FakeOpenai, cut, echo_key, garbage, half_an_answer, status
from tests.support import fake_batches as fake
from tests.support.fake_batches import FakeBatches

MANY = tuple(
    Request(messages=(user(f"Where does salt {number} come from?"),), sampling=Sampling(max_tokens=20), seed=number + 1)
    for number in range(20)
)
Outcomes = list[Reply | BaseException]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeBatches]:
    async with FakeBatches() as one:
        yield one


def engine_for(server: FakeOpenai, folder: Path, key: str = "", patience: float = 5.0, **how: Any) -> Openai:
    settings: dict[str, Any] = {"folder": folder, "poll": 0.01, "linger": 0.001} | how
    run = OpenaiRun(
        endpoints=(server.url,),
        keys=(Secret(key),) if key else (),
        batch=BatchRun(**settings),
        patience=patience,
        tries=3,
        sleep=lambda seconds: asyncio.sleep(min(seconds, 0.01)),
    )
    return Openai(model="fake", run=run)


async def ask(engine: Openai, *requests: Request) -> Outcomes:
    try:
        return await asyncio.gather(*(engine.answer(one) for one in requests or MANY), return_exceptions=True)
    finally:
        await engine.close()


async def online(*requests: Request) -> Outcomes:
    """What the endpoint says to each request by itself."""
    async with FakeOpenai() as server:
        return await ask(Openai(model="fake", run=OpenaiRun(endpoints=(server.url,))), *requests)


async def test_a_batch_says_what_the_requests_would_be_told_one_by_one(server: FakeBatches, tmp_path: Path) -> None:
    assert await ask(engine_for(server, tmp_path)) == await online()
    [job] = server.jobs.values()
    assert len(job.rows) == len(MANY)
    assert not list(tmp_path.glob("*.input.jsonl")), "what was sent is not needed any more"
    assert len(list(tmp_path.glob("*.output.jsonl"))) == 1, "what came back is kept as it came"


async def test_online_and_in_batches_the_identity_is_one(server: FakeBatches, tmp_path: Path) -> None:
    batched = engine_for(server, tmp_path)
    plain = Openai(model="fake", run=OpenaiRun(endpoints=(server.url,)))
    assert batched.identity == plain.identity
    assert (batched.batched, plain.batched) == (True, False)
    assert (batched.records_wanted, plain.records_wanted) == (50_000, 0)


@pytest.mark.parametrize("change", [fake.shuffled, fake.doubled, fake.slow(9), fake.hidden(4)])
async def test_order_doubles_and_patience_change_nothing(
    server: FakeBatches, tmp_path: Path, change: fake.Change
) -> None:
    server.next.append(change)
    assert await ask(engine_for(server, tmp_path)) == await online()
    assert len(server.jobs) == 1


@pytest.mark.parametrize(
    "change",
    [
        fake.expired(7),
        fake.missing(7),
        fake.garbled(7),
        fake.answered(7, 500),
        fake.answered(7, 429, "slow down"),
        fake.answered(7, 408),
    ],
)
async def test_what_a_batch_leaves_open_goes_into_another(
    server: FakeBatches, tmp_path: Path, change: fake.Change
) -> None:
    server.next.append(change)
    assert await ask(engine_for(server, tmp_path)) == await online()
    first, second = server.jobs.values()
    assert (len(first.rows), len(second.rows)) == (20, 7)


@pytest.mark.parametrize("code", [400, 413, 422])
async def test_a_request_that_is_refused_is_refused_alone(server: FakeBatches, tmp_path: Path, code: int) -> None:
    server.next.append(fake.answered(2, code, "the prompt is too long"))
    outcomes = await ask(engine_for(server, tmp_path))
    assert [type(one) for one in outcomes[:2]] == [RequestRefused, RequestRefused]
    assert "the prompt is too long" in str(outcomes[0])
    assert outcomes[2:] == (await online())[2:]
    assert len(server.jobs) == 1


async def test_a_request_that_fails_in_every_batch_fails_alone(server: FakeBatches, tmp_path: Path) -> None:
    server.next += [fake.answered(1, 500)] * 3
    outcomes = await ask(engine_for(server, tmp_path))
    assert isinstance(outcomes[0], RequestFailed)
    assert re_said(outcomes[0], "in none of 3 batches (last: 500 no)")
    assert outcomes[1:] == (await online())[1:]
    assert [len(job.rows) for job in server.jobs.values()] == [20, 1, 1]


async def test_an_endpoint_that_serves_nothing_is_down(server: FakeBatches, tmp_path: Path) -> None:
    server.next += [fake.answered(20, 503)] * 3
    outcomes = await ask(engine_for(server, tmp_path))
    assert {type(one) for one in outcomes} == {EngineDown}
    assert re_said(outcomes[0], "nor any other request")


@pytest.mark.parametrize("code", [401, 403, 404])
async def test_lines_that_refuse_the_key_or_the_model_end_the_run(
    server: FakeBatches, tmp_path: Path, code: int
) -> None:
    server.next.append(fake.answered(20, code, "no such model"))
    outcomes = await ask(engine_for(server, tmp_path))
    assert {type(one) for one in outcomes} == {EngineRefused}
    assert re_said(outcomes[0], "no such model; check the model's name")


async def test_a_model_that_wants_the_newer_name_of_max_tokens_gets_it(server: FakeBatches, tmp_path: Path) -> None:
    server.next.append(fake.answered(20, 400, "use 'max_completion_tokens' instead"))
    server._answer = renamed(server._answer)  # type: ignore[assignment,method-assign]
    assert await ask(engine_for(server, tmp_path)) == await online()
    first, second = server.jobs.values()
    assert all("max_tokens" in row["body"] for row in first.rows)
    assert all("max_completion_tokens" in row["body"] and "max_tokens" not in row["body"] for row in second.rows)


def renamed(answer: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def of(body: dict[str, Any]) -> Any:
        return answer({"max_tokens": body.get("max_completion_tokens"), **body})

    return of


async def test_a_batch_that_is_refused_whole_ends_the_run_with_its_reason(server: FakeBatches, tmp_path: Path) -> None:
    server.next.append(fake.refused_whole("model_not_found", "the model `fake` serves no batches"))
    outcomes = await ask(engine_for(server, tmp_path))
    assert {type(one) for one in outcomes} == {EngineRefused}
    assert re_said(outcomes[0], "the model `fake` serves no batches")


async def test_a_provider_without_room_is_waited_for(server: FakeBatches, tmp_path: Path) -> None:
    server.next += [fake.refused_whole("token_limit_exceeded")] * 5
    assert await ask(engine_for(server, tmp_path)) == await online()
    assert len(server.jobs) == 6


async def test_a_provider_that_never_has_room_is_given_up(server: FakeBatches, tmp_path: Path) -> None:
    server.next += [fake.refused_whole("token_limit_exceeded", "enqueued token limit reached")] * 61
    outcomes = await ask(engine_for(server, tmp_path, poll=0.0001), *MANY[:2])
    assert {type(one) for one in outcomes} == {EngineDown}
    assert re_said(outcomes[0], "took no batch in 61 tries: enqueued token limit reached")


async def test_limits_of_requests_and_bytes_make_several_batches(server: FakeBatches, tmp_path: Path) -> None:
    assert await ask(engine_for(server, tmp_path / "a", requests=8)) == await online()
    assert sorted(len(job.rows) for job in server.jobs.values()) == [4, 8, 8]
    server.jobs.clear()
    assert await ask(engine_for(server, tmp_path / "b", megabytes=0.001)) == await online()
    assert len(server.jobs) > 4
    assert all(len(server.files[job.input_file]) <= 1000 for job in server.jobs.values())


async def test_a_request_larger_than_a_batch_is_refused_alone(server: FakeBatches, tmp_path: Path) -> None:
    long = replace(MANY[0], messages=(user("salt " * 300),))
    refused, reply = await ask(engine_for(server, tmp_path, megabytes=0.001), long, MANY[1])
    assert isinstance(refused, RequestRefused)
    assert re_said(refused, "larger than a whole batch may be")
    assert isinstance(reply, Reply)


async def test_no_more_batches_are_under_way_than_the_limit(server: FakeBatches, tmp_path: Path) -> None:
    looks, at_most = 0, 0

    def event(what: str) -> None:
        nonlocal looks, at_most
        if len(server.jobs) >= 3:
            looks += what == "before GET batch"
        if looks <= 60:
            at_most = max(at_most, len(server.jobs))
        else:  # long enough for a fourth to have come
            for job in server.jobs.values():
                job.looks = min(job.looks, 0)

    server.event = event
    server.next += [fake.slow(10**6)] * 3
    assert await ask(engine_for(server, tmp_path, requests=2, under_way=3)) == await online()
    assert at_most == 3
    assert len(server.jobs) == 10


async def test_two_draws_of_a_greedy_request_are_one_line(server: FakeBatches, tmp_path: Path) -> None:
    one, two = await ask(engine_for(server, tmp_path), MANY[0], MANY[0])
    assert one == two
    assert [len(job.rows) for job in server.jobs.values()] == [1]


async def test_what_one_run_left_under_way_the_next_takes_up(server: FakeBatches, tmp_path: Path) -> None:
    server.next.append(fake.slow(10**6))
    engine = engine_for(server, tmp_path)
    asked = [asyncio.create_task(engine.answer(one)) for one in MANY]
    await until(lambda: bool(server.jobs))
    engine.leave()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    await engine.close()
    assert {type(one) for one in outcomes} == {Interrupted}
    server.jobs["batch_0"].looks = 2
    # One new request among them: it alone is sent.
    new = replace(MANY[0], seed=999)
    assert await ask(engine_for(server, tmp_path), *MANY, new) == await online(*MANY, new)
    assert [len(job.rows) for job in server.jobs.values()] == [20, 1]


async def test_what_came_back_is_read_from_disk_by_the_next_run(server: FakeBatches, tmp_path: Path) -> None:
    first = await ask(engine_for(server, tmp_path))
    server.files.clear()
    assert await ask(engine_for(server, tmp_path)) == first
    assert len(server.jobs) == 1
    for path in tmp_path.glob("*.output.jsonl"):
        path.unlink()
    assert await ask(engine_for(server, tmp_path)) == first
    assert len(server.jobs) == 2, "removed by hand: asked again"


async def test_a_batch_that_seemed_not_to_be_created_is_not_created_again(server: FakeBatches, tmp_path: Path) -> None:
    for keeps in (True, False):  # a server may drop metadata: its input file tells too
        server.keeps_metadata = keeps
        server.jobs.clear()

        def lose_the_answer(what: str) -> None:
            if what == "after POST batches":
                server.event = lambda _: None
                raise ConnectionResetError  # the server has it, we hear a 500

        server.event = lose_the_answer
        assert await ask(engine_for(server, tmp_path / str(keeps))) == await online()
        assert len(server.jobs) == 1


@pytest.mark.parametrize("kind", ["POST files", "POST batches", "GET batch", "GET content"])
@pytest.mark.parametrize("fault", [status(500), status(429), cut, half_an_answer], ids=["500", "429", "cut", "half"])
async def test_momentary_faults_of_each_call_are_waited_out(
    server: FakeBatches, tmp_path: Path, kind: str, fault: Any
) -> None:
    server.http[kind] += [fault, fault]
    assert await ask(engine_for(server, tmp_path)) == await online()
    assert len(server.jobs) == 1
    assert set(server.paid.values()) == {1}


@pytest.mark.parametrize("kind", ["POST files", "POST batches", "GET batch"])
async def test_answers_that_are_no_answers_end_in_engine_garbage(
    server: FakeBatches, tmp_path: Path, kind: str
) -> None:
    server.http[kind] += [garbage(b"<html>"), garbage(b"[]"), garbage(b"{}")] * 3
    outcomes = await ask(engine_for(server, tmp_path))
    assert {type(one) for one in outcomes} == {EngineGarbage}


async def test_a_dead_endpoint_ends_in_engine_down_and_the_next_run_goes_on(
    server: FakeBatches, tmp_path: Path
) -> None:
    server.http["GET batch"] += [status(503)] * 50
    outcomes = await ask(engine_for(server, tmp_path, patience=0.05))
    assert {type(one) for one in outcomes} == {EngineDown}
    assert re_said(outcomes[0], "batches under way stay at the provider")
    server.http.clear()
    assert await ask(engine_for(server, tmp_path)) == await online()
    assert len(server.jobs) == 1


async def test_an_endpoint_without_batches_is_said_to_have_none(tmp_path: Path) -> None:
    async with FakeOpenai() as plain:
        outcomes = await ask(engine_for(plain, tmp_path))
    assert {type(one) for one in outcomes} == {EngineRefused}
    assert re_said(outcomes[0], "run without MASHBILL_ENGINE_BATCH")


async def test_a_batch_that_its_account_does_not_know_is_not_paid_again_by_itself(
    server: FakeBatches, tmp_path: Path
) -> None:
    server.http["GET batch"] += [status(404)]
    outcomes = await ask(engine_for(server, tmp_path))
    assert {type(one) for one in outcomes} == {EngineRefused}
    assert re_said(outcomes[0], "mashbill batches --forget batch_0")
    assert len(server.jobs) == 1


async def test_an_output_that_is_never_named_is_not_asked_again(server: FakeBatches, tmp_path: Path) -> None:
    server.next.append(fake.hidden(10**6))
    outcomes = await ask(engine_for(server, tmp_path, poll=0.0001))
    assert {type(one) for one in outcomes} == {EngineGarbage}
    assert len(server.jobs) == 1


async def test_the_key_is_nowhere(server: FakeBatches, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = "mb-verysecretkey0123456789"
    caplog.set_level(logging.DEBUG)
    server.key = key
    [reply] = await ask(engine_for(server, tmp_path, key=key), MANY[0])
    assert isinstance(reply, Reply)
    seen = []
    for fault in (echo_key, status(400, f"you sent Bearer {key}".encode())):
        server.http["POST files"].append(fault)
        [error] = await ask(engine_for(server, tmp_path, key=key), MANY[1])
        assert isinstance(error, EngineError)
        seen += [str(error), repr(error.__cause__), repr(error.__context__)]
    server.next.append(fake.answered(1, 400, f"key {key} may not"))
    seen += map(str, await ask(engine_for(server, tmp_path, key=key), MANY[2]))
    assert key not in "".join(seen) + caplog.text
    written = [path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith(".errors.jsonl")]
    assert key.encode() not in b"".join(written), "but in what the provider itself wrote into its error file"


async def test_batches_go_to_one_endpoint(tmp_path: Path) -> None:
    run = OpenaiRun(endpoints=("http://a/v1", "http://b/v1"), batch=BatchRun(folder=tmp_path))
    with pytest.raises(SettingsError, match="2 endpoints are set, and batches go to one"):
        await Openai(model="fake", run=run).start()


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "batches").write_text("a file")
    run = OpenaiRun(endpoints=("http://a/v1",), batch=BatchRun(folder=tmp_path / "batches"))
    with pytest.raises(LedgerError, match="cannot open the list of batches"):
        await Openai(model="fake", run=run).start()


async def test_nobody_waits_for_what_was_given_up_before_it_was_sent(server: FakeBatches, tmp_path: Path) -> None:
    engine = engine_for(server, tmp_path, linger=0.05)
    gone = asyncio.create_task(engine.answer(MANY[0]))
    await asyncio.sleep(0)
    gone.cancel()
    assert isinstance((await ask(engine, MANY[1]))[0], Reply)
    assert [len(job.rows) for job in server.jobs.values()] == [1]


async def test_a_run_that_ends_while_a_batch_is_created_knows_of_it(server: FakeBatches, tmp_path: Path) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        reached.set()
        await go_on.wait()
        return server._create(request, await request.read())

    server.http["POST batches"].append(late)
    engine = engine_for(server, tmp_path)
    asked = asyncio.create_task(engine.answer(MANY[0]))
    await reached.wait()
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    go_on.set()
    await closing
    with pytest.raises(Interrupted):
        await asked
    store = BatchStore(tmp_path)
    [row] = store.batches()
    store.close()
    assert (row.state, row.batch_id) == ("created", "batch_0")


async def test_requests_of_a_batch_that_was_left_may_be_asked_for_one_after_another(
    server: FakeBatches, tmp_path: Path
) -> None:
    server.next.append(fake.slow(10**6))
    engine = engine_for(server, tmp_path)
    asked = [asyncio.create_task(engine.answer(one)) for one in MANY[:2]]
    await until(lambda: bool(server.jobs))
    await engine.close()
    await asyncio.gather(*asked, return_exceptions=True)
    looks = server.jobs["batch_0"].looks
    engine = engine_for(server, tmp_path)
    first = asyncio.create_task(engine.answer(MANY[0]))
    await until(lambda: server.jobs["batch_0"].looks < looks)
    second = asyncio.create_task(engine.answer(MANY[1]))
    await asyncio.sleep(0.02)
    server.jobs["batch_0"].looks = 0
    assert [await first, await second] == await online(*MANY[:2])
    await engine.close()
    assert len(server.jobs) == 1


async def test_what_nobody_waits_for_any_more_is_not_asked_again(server: FakeBatches, tmp_path: Path) -> None:
    server.next += [fake.slow(10**6)]
    engine = engine_for(server, tmp_path)
    gone, kept = (asyncio.create_task(engine.answer(one)) for one in MANY[:2])
    await until(lambda: bool(server.jobs))
    gone.cancel()
    job = server.jobs["batch_0"]
    job.output = [line for line in job.output if fake.key_of(line) != fake.key_of(job.output[0])]
    job.looks = 0
    assert await kept == (await online(MANY[1]))[0]
    await engine.close()
    assert len(server.jobs) == 1


async def until(true: Callable[[], bool]) -> None:
    """Look, and do not guess at a time."""
    while not true():
        await asyncio.sleep(0.001)


async def test_the_store_says_how_batches_ended(server: FakeBatches, tmp_path: Path) -> None:
    server.next.append(fake.expired(7))
    await ask(engine_for(server, tmp_path))
    store = BatchStore(tmp_path)
    found = [(row.state, row.status, row.requests, row.done, row.failed) for row in store.batches()]
    store.close()
    assert found == [("collected", "expired", 20, 13, 7), ("collected", "completed", 7, 7, 0)]


def test_settings_from_the_environment() -> None:
    assert OpenaiRun.from_env({}).batch is None
    assert OpenaiRun.from_env({"MASHBILL_ENGINE_BATCH": "0"}).batch is None
    said = {"": "yes", "_REQUESTS": "100", "_MEGABYTES": "5", "_POLL": "3", "_UNDER_WAY": "2", "_LINGER": "0.5"}
    env = {f"MASHBILL_ENGINE_BATCH{name}": value for name, value in (said | {"_TRIES": "4", "_WINDOW": "1h"}).items()}
    assert OpenaiRun.from_env(env | {"MASHBILL_ROOT": "here"}).batch == BatchRun(
        folder=Path("here/batches"), requests=100, megabytes=5, poll=3, under_way=2, linger=0.5, tries=4, window="1h"
    )


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"": "maybe"}, "MASHBILL_ENGINE_BATCH is 'maybe'; wanted 1"),
        ({"": "1", "_POLL": "-1"}, "_POLL is '-1', wanted a"),
    ],
)
def test_wrong_settings_are_named(env: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        OpenaiRun.from_env({f"MASHBILL_ENGINE_BATCH{name}": value for name, value in env.items()})


def re_said(error: object, part: str) -> bool:
    assert part in str(error), str(error)
    return True
