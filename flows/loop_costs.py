"""What a loop asked of models, round by round and recipe by recipe, and what validation accuracy gained for it.

::

    round  recipe  asks  prompt tokens  new tokens        cost    gain  points a million tokens  points a USD
    2      notes     42          8,400       4,200  0.0025 USD  +0.040                     +317        +1,600

A point is 0.01 of validation accuracy. Counted is what the rows of a round are made of, whoever paid for it and when,
as in every report of costs; what streams made before the loop's recipes read them is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.costs import shown
from flows.loop_round import Round
from flows.loop_rounds import Rounds
from mashbill.card import table
from mashbill.costs import Tokens, money_of, together
from mashbill.prices import MILLION, PriceTable

ALL = "all"
"""A round's line of all its recipes."""
POINTS = 100
"""In an accuracy of 1."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What one recipe of a round, one round, or all rounds up to the chosen one asked, and what was gained."""

    rounds: str
    recipe: str
    asked: Mapping[str, Tokens]
    gain: float | None
    """Change in validation accuracy; None where a recipe's own was not measured."""

    @property
    def tokens(self) -> Tokens:
        """Of all engines."""
        return Tokens(*map(sum, zip(Tokens(0, 0, 0), *self.asked.values(), strict=True)))

    @property
    def for_tokens(self) -> float | None:
        """Points gained for a million tokens read and written."""
        return self._for((self.tokens.prompt + self.tokens.completion) / MILLION)

    def for_money(self, prices: PriceTable | None) -> float | None:
        """Points gained for one of the currency; None without a price, and for what cost nothing."""
        return self._for(money_of(self.asked, prices))

    def _for(self, cost: float | None) -> float | None:
        return None if self.gain is None or not cost else POINTS * self.gain / cost

    def plain(self, prices: PriceTable | None) -> dict[str, Any]:
        """For ``loop.json``; money is null without prices."""
        return {
            "rounds": self.rounds,
            "recipe": self.recipe,
            **self.tokens._asdict(),
            "cost": money_of(self.asked, prices),
            "gain": self.gain,
            "points_a_million_tokens": self.for_tokens,
            "points_a_unit_of_money": self.for_money(prices),
        }


def spent_in(run: Rounds) -> list[Spent]:
    """A line for each recipe of each round and one for the round, then one for all rounds up to the chosen one."""
    found = [line for before, one in zip(run.done, run.done[1:], strict=False) for line in _round(run, before, one)]
    best = run.best
    if best.number:
        asked = together(made.asked for one in run.done[1 : best.number + 1] for made in one.made.values())
        gain = best.accuracy.value - run.done[0].accuracy.value
        found.append(Spent(rounds=f"1 to {best.number}", recipe="all, to the chosen round", asked=asked, gain=gain))
    return found


def _round(run: Rounds, before: Round, one: Round) -> Iterator[Spent]:
    own = run.probes(one.made)
    for name, made in one.made.items():
        gain = one.worth[name].measured_gain if own else None
        yield Spent(rounds=str(one.number), recipe=name, asked=made.asked, gain=gain)
    yield Spent(
        rounds=str(one.number),
        recipe=ALL,
        asked=together(made.asked for made in one.made.values()),
        gain=one.accuracy.value - before.accuracy.value,
    )


def costs_section(runs: Sequence[Rounds], prices: PriceTable | None) -> list[str]:
    """The part of the report, one table a run; nothing where no model was asked."""
    tables = [(run.name, spent_in(run)) for run in runs]
    if not any(one.tokens.asks for _, lines in tables for one in lines):
        return []
    said = [
        "## What it took",
        "Gains are of validation accuracy against the round before, and a recipe's is its own where a probe measured "
        "it; a point is 0.01. Where a gain is within the intervals above it may be chance, and so is what it cost.",
    ]
    for name, lines in tables:
        said += [*([f"### {name}"] if len(tables) > 1 else []), _table(lines, prices)]
    return said


def _table(lines: Sequence[Spent], prices: PriceTable | None) -> str:
    heads = ["round", "recipe", "asks", "prompt tokens", "new tokens", "gain", "points a million tokens"]
    if prices is not None:
        heads[5:5] = ["cost"]
        heads.append(f"points a {prices.currency or 'unit of money'}")
    return table(heads, [_row(one, prices) for one in lines])


def _row(one: Spent, prices: PriceTable | None) -> list[object]:
    tokens = one.tokens
    gain = "not measured" if one.gain is None else f"{one.gain:+.3f}"
    row: list[object] = [one.rounds, one.recipe, *tokens]
    row += [] if prices is None else [_money(one, prices)]
    row += [gain, _points(one.for_tokens)]
    return row if prices is None else [*row, _points(one.for_money(prices))]


def _money(one: Spent, prices: PriceTable) -> str:
    cost = money_of(one.asked, prices)
    return "–" if cost is None else shown(cost, prices.currency)


def _points(value: float | None) -> str:
    """With its sign, and no more places than say something.

    >>> _points(12345.6), _points(0.1234), _points(-3.21), _points(0.0), _points(None)
    ('+12,346', '+0.12', '-3.2', '0', '–')
    """
    if value is None:
        return "–"
    if not value:
        return "0"
    return f"{value:+,.0f}" if abs(value) >= 10 else f"{value:+.2g}"


def spent_line(run: Rounds, prices: PriceTable | None) -> str:
    """For the end of a run, as ``country: 84 asks, 1,680 + 840 tokens, 0.0063 USD in 2 rounds``; empty without asks."""
    asked = together(made.asked for one in run.done for made in one.made.values())
    all_ = Spent(rounds="", recipe=ALL, asked=asked, gain=None)
    if not all_.tokens.asks:
        return ""
    cost = (
        "" if prices is None else ", cost unknown" if money_of(asked, prices) is None else f", {_money(all_, prices)}"
    )
    rounds = len(run.done) - 1
    return (
        f"{run.name}: {all_.tokens.asks:,} asks, {all_.tokens.prompt:,} + {all_.tokens.completion:,} tokens{cost} in "
        f"{rounds} round{'s' * (rounds > 1)}"
    )
