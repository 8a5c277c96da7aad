"""``mashbill loop``: train, find what is weak, write more of it, and again, round by round.

    $ mashbill loop bill.yaml
    $ mashbill loop bill.yaml --prefect

Nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.budget_options import AccountOption, BudgetOption, PricesOption, with_budget


def loop(
    bill: Annotated[
        Path, typer.Argument(metavar="BILL", help="A bill with a `loop` section: a YAML file.", show_default=False)
    ],
    prefect: Annotated[
        bool, typer.Option("--prefect", help="Run as a Prefect flow: same bytes, with history.")
    ] = False,
    budget: BudgetOption = None,
    prices: PricesOption = None,
    account: AccountOption = "",
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].", show_default=False),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Close the loop of a bill: each round writes what the student of the one before is weak in."""
    from contextlib import nullcontext

    from flows.cli import settings_of
    from flows.loop import run_loop
    from flows.progress import RichProgress
    from flows.run_bill import run_stages
    from mashbill.errors import Interrupted
    from mashbill.progress import Silent

    settings = with_budget(settings_of(root), budget, prices, account)
    try:
        with nullcontext(Silent()) if quiet else RichProgress() as progress:
            if prefect:
                from flows.loop_flow import loop_with_prefect

                outcome = loop_with_prefect(bill, settings, progress)
            else:
                outcome = run_stages(bill, settings, progress, run_loop, command="loop")
    except Interrupted:
        typer.echo("stopped: to go on, run the same command again", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{outcome.summary}\nreport: {outcome.report}")
