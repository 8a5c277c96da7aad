"""`ask`: paid once, durable, shaped, and never left hanging."""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.ask import TRIES, Ask
from mashbill.asker import Asker
from mashbill.engine import Reply, Request, Sampling, ScriptedEngine, assistant, system, user
from mashbill.errors import (
    BadReply,
    EngineDown,
    EngineGarbage,
    EngineRefused,
    Interrupted,
    LedgerError,
    RequestRefused,
    SettingsError,
)
from mashbill.ledger import Ledger
from tests.support.kernel import GREEDY, Gate, Names, Shuffled, ask_of, fickle, reply


@pytest.fixture(autouse=True)
async def _nothing_left_pending() -> AsyncIterator[None]:
    """No task outlives a test, and no error of a future goes unheard."""
    loop = asyncio.get_running_loop()
    unheard: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unheard.append(context))
    loop.set_debug(True)
    before = asyncio.all_tasks()
    yield
    gc.collect()
    await asyncio.sleep(0)
    ours = asyncio.all_tasks() - before - {asyncio.current_task()}
    left = {task for task in ours if "_flush" not in repr(task.get_coro())}  # the ledger is closed after this
    assert not left, f"tasks left pending: {left}"
    assert not unheard


def asker_of(engine: Any, ledger: Ledger) -> Asker:
    return Asker(engine, ledger)


def echo(request: Request) -> str:
    return f"{request.messages[-1].content} and seed {request.seed}"


async def test_an_answer_carries_all_that_a_record_needs(ledger: Ledger) -> None:
    engine = ScriptedEngine({"salt": "The east."})
    async with asker_of(engine, ledger) as asker:
        answer = await ask_of(asker)("Where is the salt from?", sampling=Sampling(max_tokens=50))
    assert (answer.value, answer.text, answer.finish_reason, answer.repaired) == (
        "The east.",
        "The east.",
        "stop",
        False,
    )
    made = answer.made()
    assert made.engine == "scripted/scripted"
    assert made.step == "echo"
    assert made.asks == (answer.reply.key,)
    assert '"max_tokens":50' in made.sampling
    assert made.seed == engine.seen[0].seed
    assert (made.prompt_tokens, made.completion_tokens) == (5, 2)
    entry = ledger.entry(answer.reply.key)
    assert entry is not None
    assert entry.request == engine.seen[0]


async def test_a_record_made_from_several_answers_names_each_reply_once(ledger: Ledger) -> None:
    async with asker_of(ScriptedEngine(echo), ledger) as asker:
        ask = ask_of(asker)
        first, second = await ask("a"), await ask("b")
        assert second.made(first, first).asks == (first.reply.key, second.reply.key)


async def test_a_prompt_may_be_text_a_message_or_a_conversation(ledger: Ledger) -> None:
    engine = ScriptedEngine(echo)
    async with asker_of(engine, ledger) as asker:
        ask = ask_of(asker)
        await ask("a")
        await ask(user("b"))
        await ask([system("c"), user("d")])
    assert [request.messages for request in engine.seen] == [(user("a"),), (user("b"),), (system("c"), user("d"))]


async def test_the_engine_is_started_once_and_only_when_asked(ledger: Ledger) -> None:
    engine = ScriptedEngine(echo)
    async with asker_of(engine, ledger):
        pass
    assert (engine.started, engine.closed) == (0, 0)
    async with asker_of(engine, ledger) as asker:
        await asyncio.gather(*[ask_of(asker, str(n))("a") for n in range(200)])
        await asker.close()
    assert (engine.started, engine.closed) == (1, 1)


async def test_the_same_question_at_once_is_paid_once(ledger: Ledger) -> None:
    engine = ScriptedEngine(echo)
    async with asker_of(engine, ledger) as asker:
        asks = [Ask(asker, f"r{n}", "echo") for n in range(10)]
        answers = await asyncio.gather(*[ask("Same?", sampling=GREEDY) for ask in asks])
    assert len(engine.seen) == 1
    assert {answer.text for answer in answers} == {"Same? and seed 0"}
    assert asker.usage.asks == 10
    assert asker.usage.replayed == 9
    assert asker.usage.completion_tokens == 40
    assert asker.usage.new_completion_tokens == 4


async def test_what_was_paid_is_replayed(ledger: Ledger) -> None:
    first, second = ScriptedEngine(echo), ScriptedEngine(lambda _: EngineDown("must not be asked"))
    async with asker_of(first, ledger) as asker:
        one = await ask_of(asker)("a")
    async with asker_of(second, ledger) as asker:
        two = await ask_of(asker)("a")
        assert asker.usage.new_completion_tokens == 0
    assert two == one


async def test_each_draw_is_an_answer_of_its_own(ledger: Ledger) -> None:
    engine = ScriptedEngine(echo)
    async with asker_of(engine, ledger) as asker:
        for name in ("short", "a_step_with_a_name_so_long_that_it_fills_the_whole_key_of_the_digest"):
            answers = [await ask_of(asker, step=name)("a", draw=draw) for draw in range(4)]
            assert len({answer.request.seed for answer in answers}) == 4
            assert len({answer.reply.key for answer in answers}) == 4
        greedy = [await ask_of(asker)("g", sampling=GREEDY, draw=draw) for draw in range(2)]
    assert len({answer.reply.key for answer in greedy}) == 2


async def test_seeds_differ_by_record_and_step_and_stay_on_replay(ledger: Ledger) -> None:
    async def seeds() -> list[int]:
        async with asker_of(ScriptedEngine(echo), ledger) as asker:
            asks = [Ask(asker, record, step) for record in ("r1", "r2") for step in ("s1", "s2")]
            return [(await ask("Same?")).request.seed for ask in asks]

    first = await seeds()
    assert len(set(first)) == 4
    assert all(0 <= seed < 2**31 for seed in first)
    assert await seeds() == first


async def test_a_greedy_request_has_seed_zero(ledger: Ledger) -> None:
    async with asker_of(ScriptedEngine(echo), ledger) as asker:
        assert (await ask_of(asker)("a", sampling=GREEDY)).request.seed == 0


def script_of(*texts: str | Reply) -> Callable[[Request], str | Reply]:
    left = iter(texts)
    return lambda _: next(left)


async def test_a_wrong_shape_is_asked_for_again_with_the_error_and_the_last_bad_reply_only(ledger: Ledger) -> None:
    engine = ScriptedEngine(script_of("Names? Ora.", '{"name": "Ora"}', '{"names": ["Ora"]}'))
    async with asker_of(engine, ledger) as asker:
        answer = await ask_of(asker)([system("Be brief."), user("Who?")], returns=Names)
    question = (system("Be brief."), user("Who?"))
    assert answer.value == Names(names=["Ora"])
    assert engine.seen[0].messages == question
    assert engine.seen[1].messages[:3] == (*question, assistant("Names? Ora."))
    assert "Invalid JSON" in engine.seen[1].messages[3].content
    assert engine.seen[2].messages[:3] == (*question, assistant('{"name": "Ora"}'))
    assert "names: Field required" in engine.seen[2].messages[3].content
    assert len(engine.seen[2].messages) == 4
    assert all('"names"' in request.schema for request in engine.seen)
    assert len({request.seed for request in engine.seen}) == 3
    assert answer.keys[-1] == answer.reply.key
    assert len(answer.keys) == len(answer.made().asks) == 3
    assert asker.usage.asks == 3


async def test_mended_json_is_noted(ledger: Ledger) -> None:
    async with asker_of(ScriptedEngine(lambda _: "{'names': ['Ora']}"), ledger) as asker:
        answer = await ask_of(asker)("Who?", returns=Names)
    assert answer.repaired
    assert answer.value.names == ["Ora"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply('{"names": ["Or', "length"), "truncated"),
        (reply("I will not."), "unparsable"),
        (reply("", "content_filter"), "filtered"),
    ],
)
async def test_tries_are_bounded_and_the_reason_is_countable(ledger: Ledger, answer: Reply, reason: str) -> None:
    engine = ScriptedEngine(lambda _: answer)
    async with asker_of(engine, ledger) as asker:
        with pytest.raises(BadReply) as caught:
            await ask_of(asker)("Who?", returns=Names)
        assert len(engine.seen) == TRIES
        assert caught.value.reason == reason
        assert caught.value.text == answer.text
        assert len(set(caught.value.asks)) == TRIES
        with pytest.raises(BadReply):
            await ask_of(asker)("Who else?", returns=Names, tries=0)
        assert len(engine.seen) == TRIES + 1


async def test_a_blank_reply_is_bad(ledger: Ledger) -> None:
    async with asker_of(ScriptedEngine(lambda _: " \n"), ledger) as asker:
        with pytest.raises(BadReply) as caught:
            await ask_of(asker)("Who?")
    assert caught.value.reason == "empty"
    assert len(caught.value.asks) == 1


@dataclass
class Wayward(Shuffled):
    """Answers as told: by index, or an error in between."""

    says: Sequence[int | Exception] = ()
    started: int = 0

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        for word in self.says:
            await asyncio.sleep(0)
            if isinstance(word, Exception):
                raise word
            yield word, reply(f"answer {word}")


async def flushed(ledger: Ledger) -> None:
    while ledger._flusher is not None and not ledger._flusher.done():
        await asyncio.wait([ledger._flusher])


async def outcomes(asker: Asker, count: int = 3) -> list[Any]:
    asks = [Ask(asker, "r", "s")(f"question {n}", sampling=GREEDY) for n in range(count)]
    return await asyncio.gather(*asks, return_exceptions=True)


async def test_answers_may_come_out_of_order(ledger: Ledger) -> None:
    async with asker_of(Wayward(fickle, says=(2, 0, 1)), ledger) as asker:
        assert [answer.text for answer in await outcomes(asker)] == ["answer 0", "answer 1", "answer 2"]


@pytest.mark.parametrize(
    ("says", "stored", "message"),
    [
        ((0, 0, 1, 2), 1, "answered request 0 twice"),
        ((0, 7), 1, "answered request 7 twice, or none such exists"),
        ((-1,), 0, "none such exists"),
        ((0, 2), 2, "left 1 of 3 requests open"),
        ((), 0, "left 3 of 3 requests open"),
    ],
)
async def test_an_engine_that_miscounts_is_garbage_and_its_good_replies_stay(
    ledger: Ledger, says: tuple[int, ...], stored: int, message: str
) -> None:
    async with asker_of(Wayward(fickle, says=says), ledger) as asker:
        found = await outcomes(asker)
    errors = [one for one in found if isinstance(one, Exception)]
    assert errors
    assert all(isinstance(error, EngineGarbage) and message in str(error) for error in errors)
    await ledger.close()
    assert Ledger(ledger.path).count() == stored


@pytest.mark.parametrize("error", [EngineDown("gone"), EngineRefused("401")])
async def test_an_engine_that_fails_in_the_middle_leaves_what_it_answered_in_the_ledger(
    ledger: Ledger, error: Exception
) -> None:
    async with asker_of(Wayward(fickle, says=(1, error)), ledger) as asker:
        found = await outcomes(asker)
        assert found[0] is error
        assert found[2] is error
        await flushed(ledger)
        later = await outcomes(asker, 5)
        assert later[1].text == "answer 1"
        assert later[4] is error, "a dead engine is not asked again"
    assert ledger.count() == 1


async def test_a_bug_in_an_engine_is_the_model_ends_failure_and_keeps_its_cause(ledger: Ledger) -> None:
    bug = ZeroDivisionError("a bug in the engine")
    async with asker_of(Wayward(fickle, says=(1, bug)), ledger) as asker:
        found = await outcomes(asker)
    assert isinstance(found[0], EngineDown)
    assert found[0].__cause__ is bug
    assert "ZeroDivisionError" in str(found[0])


async def test_a_package_that_is_missing_is_named_with_what_to_install(ledger: Ledger) -> None:
    class Bare(ScriptedEngine):
        async def start(self) -> None:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

    async with asker_of(Bare(echo), ledger) as asker:
        with pytest.raises(SettingsError, match=r"wants the package torch.*mashbill\[local\]"):
            await ask_of(asker)("x")


async def test_a_run_that_ends_by_an_error_stores_what_it_had_in_flight(ledger: Ledger) -> None:
    gate = Gate(fickle, batch=4, calls=1)
    asker = asker_of(gate, ledger)
    asked = [asyncio.ensure_future(ask_of(asker)(text)) for text in "abcd"]
    await gate.reached.wait()
    for task in asked:
        task.cancel()  # as a task group does when one of its records hits a bug
    await asyncio.gather(*asked, return_exceptions=True)
    asyncio.get_running_loop().call_soon(gate.opened.set)
    await asker.close()
    await ledger.close()
    assert Ledger(ledger.path).count() == 4


async def test_abandoned_asks_are_not_waited_for(ledger: Ledger) -> None:
    gate = Gate(fickle, batch=4, calls=1)
    asker = asker_of(gate, ledger)
    asked = asyncio.ensure_future(ask_of(asker)("a"))
    await gate.reached.wait()
    asker.abandon()
    await asker.close()
    with pytest.raises(Interrupted):
        await asked
    assert ledger.count() == 0


async def test_an_engine_that_cannot_start_fails_every_ask(ledger: Ledger) -> None:
    class Broken(ScriptedEngine):
        async def start(self) -> None:
            raise EngineDown("no weights")

    engine = Broken(echo, calls=2, batch=1)
    async with asker_of(engine, ledger) as asker:
        found = await outcomes(asker)
    assert [str(one) for one in found] == ["no weights"] * 3
    assert engine.closed == 1


async def test_closing_while_the_engine_starts_leaves_nothing_behind(ledger: Ledger) -> None:
    class Slow(ScriptedEngine):
        async def start(self) -> None:
            await asyncio.Event().wait()

    engine = Slow(echo)
    asker = asker_of(engine, ledger)
    waiting = asyncio.create_task(outcomes(asker))
    while asker._starting is None:
        await asyncio.sleep(0)
    await asker.close()
    assert all(isinstance(one, Interrupted) for one in await waiting)
    assert engine.closed == 1


async def test_closing_ends_what_was_still_queued(ledger: Ledger) -> None:
    engine = Gate(fickle, batch=1, calls=1)
    asker = asker_of(engine, ledger)
    waiting = asyncio.create_task(outcomes(asker, 5))
    await engine.reached.wait()
    asyncio.get_running_loop().call_soon(engine.opened.set)
    await asker.close()
    ends = await waiting
    assert sum(isinstance(one, Interrupted) for one in ends) == 4, "only what was in flight is waited for"
    assert ledger.count() == 1


async def test_a_ledger_that_cannot_write_fails_the_ask(ledger: Ledger) -> None:
    ledger._writer.execute(f"PRAGMA max_page_count={ledger._writer.execute('PRAGMA page_count').fetchone()[0]}")
    async with asker_of(ScriptedEngine(lambda _: "x" * 200_000), ledger) as asker:
        with pytest.raises(LedgerError, match="full"):
            await ask_of(asker)("a")


async def test_an_asker_gone_before_the_answer_does_no_harm(ledger: Ledger) -> None:
    engine = Gate(lambda _: reply("yes"))
    async with asker_of(engine, ledger) as asker:
        gone = asyncio.create_task(ask_of(asker, "r1")("a", sampling=GREEDY))
        stays = asyncio.create_task(ask_of(asker, "r2")("a", sampling=GREEDY))
        await engine.reached.wait()
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        engine.opened.set()
        await stays
    assert engine.paid == 1


async def test_stopping_ends_what_waits_and_finishes_what_is_in_flight(ledger: Ledger) -> None:
    engine = Gate(lambda request: reply(request.messages[0].content), batch=2, calls=1)
    asker = asker_of(engine, ledger)
    waiting = asyncio.create_task(outcomes(asker, 5))
    await engine.reached.wait()
    asker.stop()
    with pytest.raises(Interrupted):
        await ask_of(asker)("Too late?")
    engine.opened.set()
    await asker.close()
    found = await waiting
    assert [isinstance(one, Interrupted) for one in found] == [False, False, True, True, True]
    assert engine.paid == ledger.count() == 2
    replayed = asker_of(engine, ledger)
    replayed.stop()
    assert (await ask_of(replayed)("question 0", sampling=GREEDY)).text == "question 0"


@dataclass
class Halting(Shuffled):
    """Answers the first of a batch and no other."""

    answered: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        yield 0, reply("first")
        self.answered.set()
        await self.stopped.wait()
        yield 1, reply("second")
        await asyncio.Event().wait()


async def test_stopping_does_not_wait_for_the_rest_of_a_batch_not_yet_begun(ledger: Ledger) -> None:
    engine = Halting(fickle)
    asker = asker_of(engine, ledger)
    asker._patience = lambda answered, batch: 0.01 if asker.stopping else None  # type: ignore[method-assign]
    waiting = asyncio.create_task(outcomes(asker, 3))
    await engine.answered.wait()
    asker.stop()
    engine.stopped.set()
    await asker.close()
    found = await waiting
    assert isinstance(found[2], Interrupted)
    assert ledger.count() == 2


async def test_an_engine_that_times_out_by_itself_is_an_error(ledger: Ledger) -> None:
    async with asker_of(Wayward(fickle, says=(0, TimeoutError("slow"))), ledger) as asker:
        found = await outcomes(asker)
    assert isinstance(found[1], EngineDown)
    assert isinstance(found[1].__cause__, TimeoutError)


@settings(max_examples=25)
@given(
    batch=st.integers(1, 8),
    calls=st.integers(1, 4),
    order=st.integers(0, 1000),
    count=st.integers(1, 20),
)
def test_how_the_engine_is_fed_does_not_change_what_it_answers(batch: int, calls: int, order: int, count: int) -> None:
    async def answers(batch: int, calls: int, order: int) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            ledger = Ledger(Path(folder) / "ledger.sqlite")
            engine = Shuffled(fickle, random.Random(order), batch, calls)
            async with Asker(engine, ledger) as asker:
                asks: list[Awaitable[Any]] = []
                for number in range(count):
                    ask = Ask(asker, f"r{number}", "s")
                    asks.append(ask(f"q{number % 7}", returns=Names) if number % 2 else ask(f"q{number % 7}"))
                found: list[Any] = await asyncio.gather(*asks, return_exceptions=True)
            await ledger.close()
            assert max(engine.sizes) <= batch
            return [f"{one.reason}" if isinstance(one, BadReply) else f"{one.text} {one.keys}" for one in found]

    assert asyncio.run(answers(batch, calls, order)) == asyncio.run(answers(64, 1, 0))


async def test_asks_made_at_once_fill_a_batch(ledger: Ledger) -> None:
    engine = Shuffled(lambda _: reply("yes"), batch=16, calls=1)
    async with asker_of(engine, ledger) as asker:
        await outcomes(asker, 64)
    assert engine.sizes == [16] * 4


@dataclass
class RefusesTheLong:
    """Answers all short requests of a call, then refuses the rest, as an engine does with a prompt over its context."""

    identity: str = "scripted/short"
    batch: int = 8
    calls: int = 1
    seen: int = 0

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to close."""

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        long = [index for index, request in enumerate(requests) if len(request.messages[-1].content) > 20]
        for index in range(len(requests)):
            if index not in long:
                self.seen += 1
                yield index, reply("fine")
        if long:
            raise RequestRefused(f"request {long[0]} is too long")


async def test_a_request_the_engine_will_not_serve_is_a_bad_reply_and_the_others_go_on(ledger: Ledger) -> None:
    engine = RefusesTheLong()
    async with asker_of(engine, ledger) as asker:
        ask = ask_of(asker)
        asked = [ask(text) for text in ("one", "x" * 50, "two", "y" * 50)]
        first, second, third, fourth = await asyncio.gather(*asked, return_exceptions=True)
        assert not isinstance(first, BaseException)
        assert not isinstance(third, BaseException)
        for refused in (second, fourth):
            assert isinstance(refused, BadReply)
            assert refused.reason == "request_refused"
            assert "too long" in refused.detail
        assert (await ask("three")).text == "fine"
    assert ledger.count() == engine.seen == 3
