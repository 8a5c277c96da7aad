"""What engines charge: a TOML file with a table for each engine's identity, in money per million tokens.

::

    currency = "USD"

    ["openai/qwen3-8b@2026-04-28"]
    input = 0.10            # a million prompt tokens
    output = 0.40           # a million new tokens
    batch_input = 0.05      # the same at a batch endpoint, where the provider has one;
    batch_output = 0.20     # without these two a batch costs what other asks do

An engine of your own costs ``input = 0`` and ``output = 0``. Prices are how a run is reckoned, never what it is: no
fingerprint knows them.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mashbill.errors import SettingsError
from mashbill.registry import nearest

MILLION = 1_000_000
BATCH = "batch"
"""The tariff of an engine that sends its requests to a provider's batch endpoint: one that says it is ``batched``."""
_SIDES = ("input", "output", "batch_input", "batch_output")


@dataclass(frozen=True, slots=True)
class Price:
    """One engine's, in money per million tokens.

    >>> Price(0.10, 0.40).cost(2_000_000, 500_000)
    0.4
    """

    input: float
    output: float
    batch_input: float | None = None
    batch_output: float | None = None

    def cost(self, prompt_tokens: float, completion_tokens: float, tariff: str = "") -> float:
        """What so many tokens cost."""
        prompt, new = self.input, self.output
        if tariff == BATCH:
            prompt = prompt if self.batch_input is None else self.batch_input
            new = new if self.batch_output is None else self.batch_output
        return (prompt_tokens * prompt + completion_tokens * new) / MILLION


@dataclass(frozen=True)
class PriceTable:
    """Prices by engine identity."""

    path: Path
    currency: str = ""
    engines: Mapping[str, Price] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> PriceTable:
        """Read a price file.

        Raises:
            SettingsError: naming the file and what is wrong in it.
        """
        try:
            said = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{path}: cannot be read as a price file (TOML): {error}") from error
        currency = said.pop("currency", "")
        if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}|", currency):
            raise SettingsError(f'{path}: currency is {currency!r}; wanted three capital letters, as currency = "USD"')
        return cls(path, currency, {name: _price(path, name, one) for name, one in said.items()})

    def get(self, engine: str) -> Price | None:
        """The price of an engine, or None."""
        return self.engines.get(engine)

    def need(self, engines: Iterable[str]) -> None:
        """Refuse a table without one of these engines, before anything is asked.

        Raises:
            SettingsError: naming each identity to add, and the nearest there is.
        """
        missing = sorted({one for one in engines if one not in self.engines})
        if missing:
            named = ", ".join(f"{one}{nearest(one, self.engines)}" for one in missing)
            raise SettingsError(
                f"{self.path}: has no price for {named}; add the table "
                f'["{missing[0]}"] with input and output, per million tokens (0 and 0 for an engine of your own)'
            )


def _price(path: Path, name: str, said: Any) -> Price:
    sides: Mapping[str, Any] = said if isinstance(said, dict) else {}
    if not all(_number(sides.get(side)) for side in ("input", "output")):
        raise SettingsError(f"{path}: {name!r} must hold the numbers input and output, per million tokens, 0 or more")
    for side, value in sides.items():
        if side not in _SIDES:
            known = ", ".join(_SIDES)
            raise SettingsError(
                f"{path}: {name!r} has an unknown price {side!r}{nearest(side, _SIDES)}; known: {known}"
            )
        if not _number(value):
            raise SettingsError(f"{path}: {side} of {name!r} is {value!r}; wanted a number, 0 or more")
    return Price(**{side: float(value) for side, value in sides.items()})


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
