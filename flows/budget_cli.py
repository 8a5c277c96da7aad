"""Commands about money: ``mashbill budget`` and ``mashbill costs``.

    $ mashbill budget tolvarey.yaml --budget 5USD --prices prices.toml
    $ mashbill costs tolvarey --prices prices.toml

Nothing heavy is imported here: each command imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.budget_options import AccountOption, BudgetOption, PricesOption, with_budget

budget_app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})

RootOption = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].", show_default=False),
]


@budget_app.command()
def budget(
    bill: Annotated[Path, typer.Argument(metavar="BILL", help="The bill: a YAML file.", show_default=False)],
    limits: BudgetOption = None,
    prices: PricesOption = None,
    account: AccountOption = "",
    root: RootOption = None,
) -> None:
    """Show what a bill's runs have spent, by engine and step, and what a budget would leave."""
    from dataclasses import replace

    from flows.budget import shown_account
    from mashbill.read_bill import read_bill
    from mashbill.settings import Settings

    settings = Settings.load()
    settings = with_budget(settings if root is None else replace(settings, root=root), limits, prices, account)
    typer.echo(shown_account(read_bill(bill), settings))


@budget_app.command()
def costs(
    release: Annotated[str, typer.Argument(help="A release: path, name or fingerprint.", show_default=False)],
    prices: PricesOption = None,
    root: RootOption = None,
) -> None:
    """Show what a release took: yield, asks, tokens and money, by step and by source."""
    from flows.costs import render_costs
    from flows.stored import the_thing
    from mashbill.prices import PriceTable
    from mashbill.release_manifest import ReleaseManifest
    from mashbill.settings import Settings

    settings = Settings.load()
    file = prices or settings.prices
    place = the_thing(release, settings.root if root is None else root, ["release"]).path
    typer.echo(render_costs(ReleaseManifest.read(place), None if file is None else PriceTable.read(file)))
