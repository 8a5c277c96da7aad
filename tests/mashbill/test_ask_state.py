"""Every ask ends in one state, which the ledger holds; nothing but ``ok`` passes for a success."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from mashbill.ask import Ask
from mashbill.ask_state import WITHOUT_REPLY, AskState
from mashbill.asker import Asker
from mashbill.engine import Engine, Reply, Request, Sampling, ScriptedEngine
from mashbill.errors import BadReply, NotKept, OverBudget, RequestFailed, RequestRefused, Unanswered
from mashbill.ledger import Ledger
from mashbill.ledger_states import Ended, Retry
from tests.support.kernel import GREEDY, Shuffled


class Number(BaseModel):
    n: int


def said(text: str, finish: str = "stop") -> Reply:
    return Reply(text=text, finish_reason=finish, prompt_tokens=3, completion_tokens=2)  # type: ignore[arg-type]


ANSWERS: dict[str, Reply | Exception] = {
    "ok": said('{"n": 7}'),
    "truncated": said('{"n": 7', "length"),
    "filtered": said("", "content_filter"),
    "unparsable": said("seven"),
    "refused": RequestRefused("it is too long"),
    "provider_error": RequestFailed("500 on each of 8 tries"),
    "over_budget": OverBudget("no token is left"),
}


@dataclass
class Single:
    """Answers in place, each record by its own script; the last answer of a script is repeated."""

    scripts: dict[str, list[str]]
    batch: int = 1
    calls: int = 4
    seen: list[Request] = field(default_factory=list)

    @property
    def identity(self) -> str:
        return "single/1"

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def answer(self, request: Request) -> Reply:
        await asyncio.sleep(0)
        self.seen.append(request)
        script = self.scripts[request.messages[0].content]
        outcome = ANSWERS[script.pop(0) if len(script) > 1 else script[0]]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        for index, request in enumerate(requests):
            yield index, await self.answer(request)


def states_in(ledger: Ledger, step: str = "place") -> dict[str, Ended]:
    return {one.record: one for one in ledger.states(step) if one.last}


async def asked(engine: Engine, ledger: Ledger, *records: str, shaped: bool = False) -> tuple[Asker, list[object]]:
    async with Asker(engine, ledger) as asker:
        asks = [Ask(asker, one, "echo", "place") for one in records]
        if shaped:
            calls = [ask(ask.record_id, returns=Number) for ask in asks]
            return asker, await asyncio.gather(*calls, return_exceptions=True)
        texts = [ask(ask.record_id) for ask in asks]
        return asker, await asyncio.gather(*texts, return_exceptions=True)


async def test_each_state_is_in_the_ledger_with_what_it_takes_to_look_at_it(ledger: Ledger) -> None:
    engine = Single({state: [state] for state in ANSWERS})
    asker, _ = await asked(engine, ledger, *ANSWERS, shaped=True)
    found = states_in(ledger)
    assert {record: one.state.value for record, one in found.items()} == {one: one for one in ANSWERS if one != "ok"}
    for record, one in found.items():
        assert (one.name, one.engine) == ("echo", "single/1")
        if one.state in WITHOUT_REPLY:
            assert ledger.entry(one.key) is None
            request = ledger.unanswered("place", one.key)
            assert request is not None
            assert request.messages[0].content == record
            assert one.detail == str(ANSWERS[record])
        else:
            entry = ledger.entry(one.key)
            assert entry is not None
            answer = ANSWERS[record]
            assert isinstance(answer, Reply)
            assert entry.reply.text == answer.text
    # Three tries for each that has no shape, one for what has no reply.
    assert asker.usage.states == {
        "truncated": 3,
        "filtered": 3,
        "unparsable": 3,
        "refused": 1,
        "provider_error": 1,
        "over_budget": 1,
    }


async def test_a_text_that_was_cut_off_is_truncated_though_it_is_handed_out(ledger: Ledger) -> None:
    engine = ScriptedEngine({"": "one two three"})
    async with Asker(engine, ledger) as asker:
        answer = await Ask(asker, "r", "echo", "place")("Count.", sampling=Sampling(max_tokens=2))
    assert answer.text == "one two"
    assert states_in(ledger)["r"].state is AskState.TRUNCATED
    async with Asker(engine, ledger) as asker:
        again = await Ask(asker, "r", "echo", "place")("Count.", sampling=Sampling(max_tokens=2))
    assert asker.usage.replayed == 1
    assert (again.finish_reason, asker.usage.states) == ("length", {"truncated": 1})


async def test_a_blank_text_is_unparsable_and_a_filtered_one_filtered(ledger: Ledger) -> None:
    async with Asker(Shuffled(lambda _: said(" ")), ledger) as asker:
        with pytest.raises(BadReply, match="empty"):
            await Ask(asker, "r", "echo", "place")("Count.")
    assert states_in(ledger)["r"].state is AskState.UNPARSABLE


async def test_a_shape_that_comes_at_the_second_try_leaves_the_first_in_its_own_state(ledger: Ledger) -> None:
    asker, [answer] = await asked(Single({"r": ["unparsable", "ok"]}), ledger, "r", shaped=True)
    assert answer.value == Number(n=7)  # type: ignore[attr-defined]
    [first] = ledger.states("place")
    assert (first.state, first.last, first.first) == (AskState.UNPARSABLE, False, first.key)
    assert (asker.usage.asks, asker.usage.states) == (2, {"unparsable": 1})


@pytest.mark.parametrize("state", ["provider_error", "over_budget"])
async def test_what_says_nothing_of_the_request_is_asked_again_and_its_row_goes(ledger: Ledger, state: str) -> None:
    _, [failed] = await asked(Single({"r": [state]}), ledger, "r", shaped=True)
    assert isinstance(failed, Unanswered)
    assert failed.state == state
    asker, [answer] = await asked(Single({"r": ["ok"]}), ledger, "r", shaped=True)
    assert answer.value == Number(n=7)  # type: ignore[attr-defined]
    assert asker.usage.replayed == 0
    assert states_in(ledger) == {}


async def test_two_steps_that_ask_the_same_each_have_their_state(ledger: Ledger) -> None:
    async with Asker(ScriptedEngine({"": "seven"}), ledger) as asker:
        for step in ("one", "two"):
            with pytest.raises(BadReply):
                await Ask(asker, "r", "echo", step)("Count.", returns=Number, sampling=GREEDY, tries=1)
    assert len(ledger.states("one")) == len(ledger.states("two")) == 1
    assert ledger.count() == 1


async def test_a_retry_is_asked_instead_and_is_counted_when_it_is_ok(ledger: Ledger) -> None:
    engine = ScriptedEngine({"": "one two three"})
    two = Sampling(max_tokens=2)
    async with Asker(engine, ledger) as asker:
        await Ask(asker, "r", "echo", "place")("Count.", sampling=two)
        [cut] = ledger.states("place")
        ledger.retry({"base": {cut.first: Retry(times=1, sampling=Sampling(max_tokens=4), state=cut.state)}})
        retries = ledger.retries("base")
        answer = await Ask(asker, "r", "echo", "other", retries=retries)("Count.", sampling=two)
    assert (answer.text, answer.made().finish_reason) == ("one two three", "stop")
    assert '"max_tokens":4' in answer.made().sampling
    assert engine.seen[0].seed != engine.seen[1].seed
    [now] = ledger.states("other")
    assert (now.state, now.first, now.last) == (AskState.OK, cut.first, True)
    assert now.key == answer.reply.key


SCRIPTS = st.lists(st.lists(st.sampled_from(sorted(ANSWERS)), min_size=1, max_size=4), min_size=1, max_size=12)


def expected(script: list[str]) -> list[str]:
    """The states of the asks that a script leads to."""
    tries = [*script, *script[-1:] * 3][:3]
    for number, state in enumerate(tries, 1):
        if state == "ok" or AskState(state) in WITHOUT_REPLY:
            return tries[:number]
    return tries


@settings(max_examples=40, deadline=None)
@given(SCRIPTS, st.integers(0, 2**16))
def test_every_ask_ends_in_one_state_and_none_but_ok_is_an_answer(scripts: list[list[str]], seed: int) -> None:
    records = {f"r{number}": script for number, script in enumerate(scripts)}
    order = random.Random(seed).sample(sorted(records), len(records))

    async def run(folder: Path) -> None:
        ledger = Ledger(folder / "ledger.sqlite")
        asker, outcomes = await asked(
            Single({name: list(script) for name, script in records.items()}), ledger, *order, shaped=True
        )
        wanted = {name: expected(script) for name, script in records.items()}
        for name, outcome in zip(order, outcomes, strict=True):
            if isinstance(outcome, BadReply | Unanswered):
                assert wanted[name][-1] != "ok"
            else:
                assert wanted[name][-1] == "ok"
        rows, ends = ledger.states("place"), states_in(ledger)
        found = Counter(one.state.value for one in rows)
        assert (
            found == asker.usage.states == Counter(state for one in wanted.values() for state in one if state != "ok")
        )
        without_reply = sum(found[state.value] for state in WITHOUT_REPLY)
        assert asker.usage.asks + without_reply == sum(map(len, wanted.values()))
        assert {name: one.state.value for name, one in ends.items()} == {
            name: states[-1] for name, states in wanted.items() if states[-1] != "ok"
        }
        await ledger.close()

    with TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


async def test_what_was_refused_is_refused_without_an_engine_too(ledger: Ledger) -> None:
    _, [first] = await asked(Single({"r": ["refused"]}), ledger, "r", shaped=True)
    async with Asker(Single({}), ledger, offline=True) as asker:
        with pytest.raises(BadReply, match="request_refused: it is too long") as again:
            await Ask(asker, "r", "echo", "place")("r", returns=Number)
        with pytest.raises(NotKept):
            await Ask(asker, "r", "echo", "place")("another", returns=Number)
    assert str(again.value) == str(first)
