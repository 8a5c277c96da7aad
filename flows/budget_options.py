"""The options of a command that may spend: ``--budget``, ``--prices`` and ``--account``; for `run` and its like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mashbill.settings import Settings

BudgetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        metavar="AMOUNT",
        help="The most to spend: 200k tokens, 5USD or 30min; several hold together.",
        show_default=False,
    ),
]
PricesOption = Annotated[
    Path | None,
    typer.Option(
        "--prices", metavar="FILE", help="Prices per million tokens [prices in mashbill.toml].", show_default=False
    ),
]
AccountOption = Annotated[
    str, typer.Option("--account", metavar="NAME", help="What it is entered on [the bill's name].", show_default=False)
]


def with_budget(settings: Settings, budget: list[str] | None, prices: Path | None, account: str) -> Settings:
    """The settings with what these options say.

    Raises:
        BudgetError: for a budget that means nothing; it says what is accepted.
    """
    from mashbill.limits import Limits

    limits = Limits.parse(budget) if budget else settings.budget
    return replace(
        settings, budget=limits, prices=prices or settings.prices, account=account.strip() or settings.account
    )
