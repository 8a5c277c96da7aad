"""The budget of a run: what an ask may cost is reserved before it is sent, and what it did cost replaces it after.

::

    limit 10,000 tokens    spent 8,000    reserved 1,500  ->  an ask of at most 700 tokens must wait, or is left

**What is reserved** for an ask is the most it can cost: `max_tokens` new ones, and for its prompt as many tokens as it
has bytes of UTF-8 (no tokenizer of a language model makes more tokens than bytes), its schema's bytes, and
`PER_MESSAGE` and `PER_REQUEST` for what a chat template puts around them. So what is spent never passes the limit,
but for one case: an engine that counts more prompt tokens than that, or more new ones than `max_tokens`. The excess of
the asks then in flight is what the limit is passed by, and from the first such reply on the engine's reserves are
raised by the largest ratio it was seen to have.

**When an ask is left**: nothing that is in flight could free what it needs. Asks are sent in the order of their
records, so that what money there is finishes the first ones; one that waits for money holds back those behind it.

What is in flight when a process is killed may be billed by a provider and is not in the ledger: it is asked again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mashbill.engine import Reply, Request
from mashbill.errors import BudgetError
from mashbill.limits import Limits
from mashbill.prices import PriceTable
from mashbill.spending import Account, Spent

PER_MESSAGE = 16
"""Tokens reserved for what a chat template writes around a message: role and special tokens are 3 to 7 in those of
ChatML, Llama 3 and Gemma."""
PER_REQUEST = 128
"""Tokens reserved for what a template adds of its own: SmolLM2's default system message is 23 tokens, the dates that
Llama 3.1's writes 25."""


def prompt_bound(request: Request) -> int:
    """More tokens than the prompt of a request can have.

    >>> from mashbill.engine import user
    >>> prompt_bound(Request(messages=(user("Größe?"),)))
    152
    """
    text = sum(len(part.encode("utf-8", "surrogatepass")) for one in request.messages for part in one.parts)
    return text + len(request.schema.encode()) + PER_MESSAGE * len(request.messages) + PER_REQUEST


@dataclass(frozen=True, slots=True)
class Hold:
    """What is reserved for one ask in flight."""

    engine: str
    tariff: str
    bound: tuple[int, int]
    """Prompt and new tokens that it should not pass."""
    prompt_tokens: int
    completion_tokens: int
    """The same, raised where the engine was seen to count more."""


@dataclass
class Budget:
    """What a run may still spend: one for all its engines. Not for several threads."""

    limits: Limits
    account: Account
    prices: PriceTable | None = None
    clock: Callable[[], float] = time.monotonic
    _spent: dict[tuple[str, str], Spent] = field(default_factory=dict)
    """By engine and tariff, earlier runs of the account included."""
    _held: dict[tuple[str, str], Spent] = field(default_factory=dict)
    """By engine and tariff: what is reserved, and for how many asks."""
    _ratio: dict[str, float] = field(default_factory=dict)
    """Engine -> the most that it was seen to count of one token reserved, where that is above 1."""
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)
    _began: float = 0.0

    def __post_init__(self) -> None:
        """Take up what the account has spent.

        Raises:
            BudgetError: where money is limited, and there are no prices, or they are in another currency.
            SettingsError: where there is no price for an engine that the account has paid.
        """
        self._began = self.clock()
        for payer, spent in self.account.spent.items():
            one = self._spent.setdefault((payer.engine, payer.tariff), Spent())
            one.add(spent.asks, spent.prompt_tokens, spent.completion_tokens)
        if self.limits.money is not None:
            if self.prices is None:
                raise BudgetError(
                    f"a budget of {self.limits.money:g} {self.limits.currency} cannot be reckoned without prices; give "
                    'them with --prices FILE, or prices = "FILE" in mashbill.toml'
                )
            if self.prices.currency != self.limits.currency:
                found = self.prices.currency or "no currency"
                raise BudgetError(
                    f"a budget in {self.limits.currency} cannot be reckoned with {self.prices.path}, which has {found}"
                )
            self.prices.need(engine for engine, _ in self._spent)

    @property
    def busy(self) -> bool:
        """Whether something is in flight that may free what is reserved for it."""
        return any(one.asks for one in self._held.values())

    @property
    def seconds(self) -> float:
        """What the account has used of its time, this run until now included."""
        return self.account.seconds + self.clock() - self._began

    @property
    def out_of_time(self) -> bool:
        """Whether the time is used up: nothing new is sent, what is in flight ends."""
        return self.limits.seconds is not None and self.seconds >= self.limits.seconds

    def reserve(self, engine: str, tariff: str, request: Request) -> Hold | None:
        """Set aside the most that an ask can cost, or None where that is not there now."""
        if self.out_of_time:
            return None
        ratio = self._ratio.get(engine, 1.0)
        prompt, new = prompt_bound(request), request.sampling.max_tokens
        hold = Hold(engine, tariff, (prompt, new), math.ceil(prompt * ratio), math.ceil(new * ratio))
        held = self._held.setdefault((engine, tariff), Spent())
        held.add(1, hold.prompt_tokens, hold.completion_tokens)
        if self._within():
            return hold
        held.add(-1, -hold.prompt_tokens, -hold.completion_tokens)
        return None

    def charge(self, hold: Hold, reply: Reply) -> None:
        """Put what an ask did cost in the place of what was set aside for it."""
        spent = self._spent.setdefault((hold.engine, hold.tariff), Spent())
        spent.add(1, reply.prompt_tokens, reply.completion_tokens)
        ratio = max(reply.prompt_tokens / hold.bound[0], reply.completion_tokens / hold.bound[1])
        if ratio > self._ratio.get(hold.engine, 1.0):
            self._ratio[hold.engine] = ratio
        self.release(hold)

    def release(self, hold: Hold) -> None:
        """Give back what was set aside for an ask that did not come to a reply, and wake those who wait for it."""
        held = self._held[hold.engine, hold.tariff]
        held.add(-1, -hold.prompt_tokens, -hold.completion_tokens)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def changed(self) -> None:
        """Wait until something that was in flight has ended."""
        one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(one)
        await one

    def tokens(self) -> tuple[int, int]:
        """Tokens spent and reserved."""
        return sum(one.tokens for one in self._spent.values()), sum(one.tokens for one in self._held.values())

    def money(self) -> tuple[float, float]:
        """Money spent and reserved; an engine without a price costs nothing."""
        return self._cost(self._spent), self._cost(self._held)

    def _within(self) -> bool:
        if self.limits.tokens is not None and sum(self.tokens()) > self.limits.tokens:
            return False
        return self.limits.money is None or sum(self.money()) <= self.limits.money

    def _cost(self, tokens: Mapping[tuple[str, str], Spent]) -> float:
        if self.prices is None:
            return 0.0
        priced = ((self.prices.get(engine), tariff, one) for (engine, tariff), one in tokens.items())
        return sum(p.cost(one.prompt_tokens, one.completion_tokens, tariff) for p, tariff, one in priced if p)
