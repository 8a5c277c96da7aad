"""What a run may spend, as it is said on the command line: ``--budget "200k tokens" --budget 5USD --budget 30min``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mashbill.errors import BudgetError

ACCEPTED = "wanted tokens (200000tokens, 200k tokens, 1.5M tokens), money (5USD, 0.50 EUR) or time (90s, 30min, 2h)"
_SAID = re.compile(r"\s*(?P<number>[0-9][0-9_]*(?:\.[0-9]+)?)\s*(?P<unit>[A-Za-z]+(?:\s+[A-Za-z]+)?)\s*")
_TOKENS = {"token": 1, "tokens": 1, "k tokens": 1_000, "ktokens": 1_000, "M tokens": 1_000_000, "Mtokens": 1_000_000}
_SECONDS = {"s": 1, "sec": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that a run may spend; None is no limit. How it runs: no fingerprint knows it."""

    tokens: int | None = None
    """Prompt and new tokens, of all engines together."""
    money: float | None = None
    currency: str = ""
    """Of `money`, as the price table has it."""
    seconds: float | None = None

    def __bool__(self) -> bool:
        return not self.tokens is self.money is self.seconds is None

    @classmethod
    def parse(cls, said: Sequence[str]) -> Limits:
        """Read what was said, each limit once.

        >>> Limits.parse(["200k tokens", "5USD", "2h"])
        Limits(tokens=200000, money=5.0, currency='USD', seconds=7200.0)

        Raises:
            BudgetError: for nothing or less, an unknown unit, or two limits of one kind; it says what is accepted.
        """
        found: dict[str, float | int | str] = {}
        for one in said:
            for name, value in _one(one).items():
                if name in found:
                    raise BudgetError(f"--budget {one!r}: a budget of {name} was given already; give one of each kind")
                found[name] = value
        return cls(**found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """As it would be said: ``200,000 tokens, 5 USD, 120 min``."""
        said = [f"{self.tokens:,} tokens"] if self.tokens is not None else []
        said += [f"{self.money:g} {self.currency}"] if self.money is not None else []
        said += [f"{self.seconds / 60:g} min"] if self.seconds is not None else []
        return ", ".join(said) or "no limit"


def _one(said: str) -> dict[str, float | int | str]:
    match = _SAID.fullmatch(said)
    if match is None:
        raise BudgetError(f"--budget {said!r}: is no number above 0 with a unit; {ACCEPTED}")
    number, unit = float(match["number"].replace("_", "")), " ".join(match["unit"].split())
    if unit in _TOKENS:
        tokens = number * _TOKENS[unit]
        if tokens != int(tokens):
            raise BudgetError(f"--budget {said!r}: is {tokens:g} tokens; wanted a whole number of them")
        return _positive(said, "tokens", int(tokens))
    if unit in _SECONDS:
        return _positive(said, "seconds", number * _SECONDS[unit])
    if re.fullmatch("[A-Z]{3}", unit):
        return _positive(said, "money", number) | {"currency": unit}
    raise BudgetError(f"--budget {said!r}: {unit!r} is no unit; {ACCEPTED}")


def _positive(said: str, name: str, value: float) -> dict[str, float | int | str]:
    if not 0 < value < float("inf"):
        raise BudgetError(f"--budget {said!r}: nothing can be asked for that; leave --budget out for no limit")
    return {name: value}
