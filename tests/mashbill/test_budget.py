"""The budget: what is spent never passes it, every ask ends, and what the ledger says is what was paid."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill import logs
from mashbill.asker import Asker
from mashbill.budget import PER_MESSAGE, Budget, prompt_bound
from mashbill.engine import Reply, Request, Sampling, system, user
from mashbill.errors import (
    BudgetError,
    EngineDown,
    Interrupted,
    OverBudget,
    RequestFailed,
    RequestRefused,
    SettingsError,
)
from mashbill.ledger import Ledger
from mashbill.limits import Limits
from mashbill.prices import Price, PriceTable
from mashbill.spending import Account, Payer, Spent
from mashbill.waiting import RankedQueue, Waiting

NOBODY = Account("nobody", {}, 0.0)


@dataclass(frozen=True)
class Planned:
    """One ask: what it may take and what it does."""

    number: int
    rank: int
    engine: int
    words: int
    """Characters in its prompt, of two bytes each."""
    most: int
    share: float
    """Of what it may take that it does take."""
    ends: str

    @property
    def request(self) -> Request:
        text = f"{self.number} " + "ö" * self.words
        return Request(messages=(user(text),), sampling=Sampling(max_tokens=self.most, temperature=0.0))

    @property
    def key(self) -> str:
        return f"{self.number:032x}"


PLANNED = st.builds(
    Planned,
    number=st.just(0),
    rank=st.integers(0, 3),
    engine=st.integers(0, 1),
    words=st.integers(0, 400),
    most=st.integers(1, 600),
    share=st.floats(0, 1),
    ends=st.sampled_from(["reply"] * 6 + ["refused", "failed", "more"]),
)
PRICES = PriceTable(Path("prices.toml"), "USD", {"world/0": Price(0.5, 2.0), "world/1": Price(8.0, 32.0)})


@dataclass
class World:
    """Answers as planned, in any order; counts what it charged and how far that went beyond what could be known."""

    number: int
    plan: dict[str, Planned]
    order: random.Random
    batch: int
    calls: int
    charged: Spent = field(default_factory=Spent)
    beyond: Spent = field(default_factory=Spent)
    batched: bool = False

    @property
    def identity(self) -> str:
        return f"world/{self.number}"

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
        error: Exception | None = None
        for index in self.order.sample(range(len(requests)), len(requests)):
            for _ in range(self.order.randrange(5)):
                await asyncio.sleep(0)
            planned = self.plan[requests[index].messages[0].content.split()[0]]
            if planned.ends in ("refused", "failed"):
                # One of a batch: the others of it are answered first.
                kind = RequestRefused if planned.ends == "refused" else RequestFailed
                error = kind("not this one")
                if len(requests) > 1:
                    yield index, self._charge(planned, requests[index])
                continue
            yield index, self._charge(planned, requests[index])
        if error is not None and len(requests) == 1:
            raise error

    def _charge(self, planned: Planned, request: Request) -> Reply:
        bound = prompt_bound(request)
        prompt, new = int(planned.share * bound), int(planned.share * planned.most)
        if planned.ends == "more":
            prompt, new = bound + 50, planned.most + 20
            self.beyond.add(1, 50, 20)
        self.charged.add(1, prompt, new)
        return Reply(text="Salt.", finish_reason="stop", prompt_tokens=prompt, completion_tokens=new)


async def ask_all(plans: Sequence[Planned], worlds: Sequence[World], budget: Budget, ledger: Ledger) -> list[object]:
    askers = [Asker(world, ledger, account="salt", budget=budget) for world in worlds]

    async def one(planned: Planned) -> object:
        logs.WHERE.set((f"step{planned.rank}", "a record"))
        try:
            return await askers[planned.engine].reply(planned.key, planned.request, 0, planned.rank)
        except (OverBudget, RequestRefused, RequestFailed) as ended:
            return ended

    async with asyncio.timeout(30), askers[0], askers[1]:
        return await asyncio.gather(*(one(planned) for planned in plans))


def everything_ends(plans: Sequence[Planned], limits: Limits, seed: int, batch: int, calls: int) -> None:
    async def go(root: Path) -> None:
        ledger = Ledger(root / "ledger.sqlite")
        by_number = {str(planned.number): planned for planned in plans}
        worlds = [World(number, by_number, random.Random(seed + number), batch, calls) for number in range(2)]
        budget = Budget(limits, ledger.account("salt"), PRICES)
        try:
            outcomes = await ask_all(plans, worlds, budget, ledger)
            account = ledger.account("salt")
        finally:
            await ledger.close()
        assert len(outcomes) == len(plans)
        assert not budget.busy
        assert budget.tokens()[1] == 0
        charged, beyond = Spent(), Spent()
        for world in worlds:
            charged.add(world.charged.asks, world.charged.prompt_tokens, world.charged.completion_tokens)
            beyond.add(world.beyond.asks, world.beyond.prompt_tokens, world.beyond.completion_tokens)
            paid = [one for payer, one in account.spent.items() if payer.engine == world.identity]
            assert sum(one.tokens for one in paid) == world.charged.tokens
            assert sum(one.asks for one in paid) == world.charged.asks
        assert budget.tokens()[0] == charged.tokens
        if limits.tokens is not None:
            assert charged.tokens <= limits.tokens + beyond.tokens
        if limits.money is not None:
            # At the dearer engine's prices, what went beyond.
            over = PRICES.engines["world/1"].cost(beyond.prompt_tokens, beyond.completion_tokens)
            assert budget.money()[0] <= limits.money + over + 1e-9

    with tempfile.TemporaryDirectory() as root:
        asyncio.run(go(Path(root)))


@settings(max_examples=60, deadline=None)
@given(
    plans=st.lists(PLANNED, min_size=1, max_size=25),
    tokens=st.none() | st.integers(1, 12_000),
    money=st.none() | st.floats(1e-6, 0.2),
    seed=st.integers(0, 1000),
    batch=st.integers(1, 6),
    calls=st.integers(1, 4),
)
def test_spending_stays_within_the_budget_and_every_ask_ends(
    plans: list[Planned], tokens: int | None, money: float | None, seed: int, batch: int, calls: int
) -> None:
    numbered = [
        Planned(n, one.rank, one.engine, one.words, one.most, one.share, one.ends) for n, one in enumerate(plans)
    ]
    limits = Limits(tokens=tokens, money=money, currency="USD" if money else "")
    everything_ends(numbered, limits, seed, batch, calls)


@given(text=st.text(max_size=60), schema=st.text("{}ab", max_size=9))
def test_a_prompt_is_held_to_have_as_many_tokens_as_bytes_or_more(text: str, schema: str) -> None:
    request = Request(messages=(system("You are."), user(text, text)), schema=schema)
    sent = "".join(one.content for one in request.messages) + schema
    assert prompt_bound(request) >= len(sent.encode("utf-8", "surrogatepass")) + 2 * 16


def planned(number: int, **more: Any) -> Planned:
    usual = Planned(number=number, rank=number, engine=0, words=0, most=100, share=1.0, ends="reply")
    return replace(usual, **more)


def run(root: Path, plans: Sequence[Planned], limits: Limits, **more: Any) -> tuple[list[object], list[World], Account]:
    async def go() -> tuple[list[object], list[World], Account]:
        ledger = Ledger(root / "ledger.sqlite")
        ledger.clocks.start("salt")
        by_number = {str(one.number): one for one in plans}
        worlds = [World(number, by_number, random.Random(number), 1, 8) for number in range(2)]
        budget = Budget(limits, ledger.account("salt"), PRICES, **more)
        try:
            return await ask_all(plans, worlds, budget, ledger), worlds, ledger.account("salt")
        finally:
            await ledger.close()

    return asyncio.run(go())


def left(outcomes: Sequence[object]) -> list[int]:
    return [number for number, one in enumerate(outcomes) if isinstance(one, OverBudget)]


def test_the_account_is_kept_and_goes_on_in_the_next_run(tmp_path: Path) -> None:
    bound = prompt_bound(planned(0).request) + 100
    plans = [planned(number) for number in range(6)]
    limits = Limits(tokens=3 * bound + 50)
    outcomes, worlds, account = run(tmp_path, plans, limits)
    assert left(outcomes) == [3, 4, 5]
    assert worlds[0].charged.asks == 3
    assert account.seconds > 0
    again, worlds, account = run(tmp_path, plans, limits)
    assert left(again) == [3, 4, 5]
    assert worlds[0].charged.asks == 0  # what is in the ledger costs nothing
    more, worlds, account = run(tmp_path, plans, Limits(tokens=5 * bound + 50))
    assert left(more) == [5]
    assert worlds[0].charged.asks == 2
    assert sum(one.asks for one in account.spent.values()) == 5
    assert {payer.step for payer in account.spent} == {"step0", "step1", "step2", "step3", "step4"}


def test_two_engines_are_charged_by_their_own_prices(tmp_path: Path) -> None:
    cheap, dear = planned(0), planned(1, engine=1)
    cost = PRICES.engines["world/1"].cost(prompt_bound(dear.request), 100)
    outcomes, worlds, _ = run(tmp_path, [cheap, dear], Limits(money=cost, currency="USD"))
    # The dear one alone would just fit; beside the cheap one it does not.
    assert left(outcomes) == [1]
    assert (worlds[0].charged.asks, worlds[1].charged.asks) == (1, 0)


def test_a_batch_endpoint_is_charged_at_its_own_price(tmp_path: Path) -> None:
    async def tariffs() -> set[str]:
        ledger = Ledger(tmp_path / "ledger.sqlite")
        one = planned(0)
        engine = World(0, {"0": one}, random.Random(0), 1, 1, batched=True)
        async with Asker(engine, ledger, account="salt") as asker:
            await asker.reply(one.key, one.request, 0)
        account = ledger.account("salt")
        await ledger.close()
        return {payer.tariff for payer in account.spent}

    assert asyncio.run(tariffs()) == {"batch"}
    table = PriceTable(Path("p"), "USD", {"world/0": Price(1.0, 4.0, batch_input=0.5, batch_output=2.0)})
    spent = {Payer("salt", "world/0", tariff, "tales"): Spent(1, 1_000_000, 1_000_000) for tariff in ("", "batch")}
    budget = Budget(Limits(), Account("salt", spent, 0.0), table)
    assert budget.money() == (5.0 + 2.5, 0.0)


def test_an_ask_that_waits_for_money_holds_back_those_behind_it_and_is_sent_when_some_is_free(tmp_path: Path) -> None:
    first = planned(0, most=400, share=0.0)
    bound = prompt_bound(first.request) + 400
    # Room for one and a half: the second waits, and the first takes nothing of what was held for it.
    outcomes, worlds, _ = run(
        tmp_path, [first, planned(1, most=400), planned(2, most=10)], Limits(tokens=bound + bound // 2)
    )
    assert left(outcomes) == []
    assert worlds[0].charged.asks == 3


def test_the_first_records_are_finished_first(tmp_path: Path) -> None:
    plans = [planned(number, rank=rank) for number, rank in enumerate([5, 4, 3, 2, 1, 0])]
    bound = prompt_bound(plans[0].request) + 100
    outcomes, _, _ = run(tmp_path, plans, Limits(tokens=2 * bound))
    assert left(outcomes) == [0, 1, 2, 3]


def test_when_the_time_is_up_nothing_new_is_sent_and_earlier_runs_count(tmp_path: Path) -> None:
    now = [0.0]
    limits = Limits(seconds=60)
    outcomes, _, _ = run(tmp_path / "a", [planned(0)], limits, clock=lambda: now[0])
    assert left(outcomes) == []
    times = iter([0.0, *[61.0] * 50])
    outcomes, worlds, _ = run(tmp_path / "b", [planned(0), planned(1)], limits, clock=lambda: next(times))
    assert left(outcomes) == [0, 1]
    assert worlds[0].charged.asks == 0
    assert Budget(limits, Account("salt", {}, 60.0), clock=lambda: 0.0).out_of_time
    assert not Budget(limits, Account("salt", {}, 59.0), clock=lambda: 0.0).out_of_time


def test_an_engine_that_counts_more_than_was_reserved_is_reserved_more_from_then_on() -> None:
    budget = Budget(Limits(tokens=10_000), NOBODY)
    request = planned(0, most=100).request
    bound = prompt_bound(request) + 100
    holds = [budget.reserve("world/0", "", request) for _ in range(3)]
    for hold in holds:
        assert hold is not None
        twice = Reply(text="x", finish_reason="stop", prompt_tokens=2 * hold.bound[0], completion_tokens=50)
        budget.charge(hold, twice)
    dear = budget.reserve("world/0", "", request)
    assert dear is not None
    # Three that each counted double raise it to the double, not to the eightfold.
    assert dear.prompt_tokens + dear.completion_tokens == 2 * bound
    other = budget.reserve("world/1", "", request)
    assert other is not None
    assert other.prompt_tokens + other.completion_tokens == bound


def test_an_engine_that_fails_gives_back_what_was_reserved(tmp_path: Path) -> None:
    class Dead(World):
        async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
            raise EngineDown("gone")
            yield 0, self._charge(self.plan["0"], requests[0])

    async def go() -> None:
        ledger = Ledger(tmp_path / "ledger.sqlite")
        budget = Budget(Limits(tokens=400), NOBODY)
        plans = [planned(number) for number in range(3)]
        async with Asker(Dead(0, {}, random.Random(0), 1, 2), ledger, account="salt", budget=budget) as asker:
            asks = (asker.reply(one.key, one.request, 0) for one in plans)
            outcomes = await asyncio.gather(*asks, return_exceptions=True)
        assert {type(one) for one in outcomes} == {EngineDown}
        assert not budget.busy
        assert ledger.account("salt").spent == {}
        await ledger.close()

    asyncio.run(go())


def test_a_stop_ends_those_that_wait_for_money_and_those_whose_askers_are_gone_are_not_sent(tmp_path: Path) -> None:
    class Slow(World):
        opened: asyncio.Event
        reached: asyncio.Event

        async def complete(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Reply]]:
            self.reached.set()
            await self.opened.wait()
            for index, request in enumerate(requests):
                yield index, self._charge(self.plan[request.messages[0].content.split()[0]], request)

    async def go() -> None:
        plans = [planned(number, most=400) for number in range(3)]
        world = Slow(0, {str(one.number): one for one in plans}, random.Random(0), 1, 4)
        world.opened, world.reached = asyncio.Event(), asyncio.Event()
        ledger = Ledger(tmp_path / "ledger.sqlite")
        budget = Budget(Limits(tokens=prompt_bound(plans[0].request) + 500), NOBODY)
        async with Asker(world, ledger, account="salt", budget=budget) as asker:
            tasks = [asyncio.create_task(asker.reply(one.key, one.request, 0, one.rank)) for one in plans]
            await world.reached.wait()
            tasks[1].cancel()
            await asyncio.sleep(0)
            asker.stop()
            world.opened.set()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(outcomes[0], tuple)
        assert isinstance(outcomes[1], asyncio.CancelledError)
        assert isinstance(outcomes[2], Interrupted)
        assert world.charged.asks == 1
        await ledger.close()

    asyncio.run(go())


def test_one_that_nobody_waits_for_any_more_is_not_paid_for(tmp_path: Path) -> None:
    async def go() -> None:
        plans = [planned(number) for number in range(2)]
        world = World(0, {str(one.number): one for one in plans}, random.Random(0), 1, 1)
        ledger = Ledger(tmp_path / "ledger.sqlite")
        async with Asker(world, ledger, account="salt", budget=Budget(Limits(tokens=5000), NOBODY)) as asker:
            gone = asyncio.create_task(asker.reply(plans[0].key, plans[0].request, 0))
            await asyncio.sleep(0)
            gone.cancel()
            await asker.reply(plans[1].key, plans[1].request, 0)
        assert world.charged.asks == 1
        await ledger.close()

    asyncio.run(go())


def test_money_without_prices_or_in_another_currency_is_refused() -> None:
    limits = Limits.parse(["5EUR"])
    with pytest.raises(BudgetError, match="cannot be reckoned without prices; give them with --prices"):
        Budget(limits, NOBODY)
    with pytest.raises(BudgetError, match=r"in EUR cannot be reckoned with prices\.toml, which has USD"):
        Budget(limits, NOBODY, PRICES)
    paid = Account("salt", {Payer("salt", "world/7", "", "tales"): Spent(1, 1, 1)}, 0.0)
    with pytest.raises(SettingsError, match=r"has no price for world/7 \(did you mean world/[01]"):
        Budget(Limits.parse(["5USD"]), paid, PRICES)


def test_the_queue_keeps_its_order() -> None:
    queue = RankedQueue()
    request = planned(0).request
    ranks = [3, 1, 2, 1]
    for number, rank in enumerate(ranks):
        queue.append(Waiting(str(number), request, 0, [], rank=rank))
    assert [one.key for one in queue] == ["1", "3", "2", "0"]
    first = queue.popleft()
    queue.appendleft(first)
    assert [queue.popleft().key for _ in range(len(queue))] == ["1", "3", "2", "0"]
    queue.append(first)
    queue.clear()
    assert not len(queue)


def test_outcomes_are_of_three_kinds() -> None:
    # What the property above leaves open: that it saw asks that were sent as well as such that were left.
    seen: Counter[str] = Counter()
    rng = random.Random(3)
    for _ in range(4):
        plans = [planned(n, most=rng.randrange(1, 300), share=rng.random(), engine=n % 2) for n in range(12)]
        with tempfile.TemporaryDirectory() as root:
            outcomes, _, _ = run(Path(root), plans, Limits(tokens=1500))
        seen.update(type(one).__name__ for one in outcomes)
    assert seen["tuple"] > 4
    assert seen["OverBudget"] > 4


def test_without_prices_nothing_is_said_to_cost_anything() -> None:
    assert Budget(Limits(tokens=5), NOBODY).money() == (0.0, 0.0)


def test_what_is_reserved_holds_all_that_is_sent() -> None:
    plain = Request(messages=(user("Größe?"),))
    bound = prompt_bound(plain)
    assert prompt_bound(replace(plain, schema='{"ü": 1}')) == bound + len('{"ü": 1}'.encode())
    assert prompt_bound(replace(plain, messages=(*plain.messages, user("Ja.", " Nein.")))) == bound + PER_MESSAGE + 9
