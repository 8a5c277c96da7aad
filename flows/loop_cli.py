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
    or_without: Annotated[
        bool, typer.Option("--or-without", help="Where no Prefect server answers, go on without one.")
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
    from flows.kitchen import Outcome
    from flows.loop import run_loop_bill
    from flows.prefect_down import go_on_without
    from flows.progress import RichProgress
    from mashbill.errors import Interrupted, PrefectDown
    from mashbill.progress import Silent

    settings = with_budget(settings_of(root), budget, prices, account)

    def begun(prefect: bool) -> Outcome:
        with nullcontext(Silent()) if quiet else RichProgress() as progress:
            return run_loop_bill(bill, settings, progress, prefect=prefect)

    try:
        try:
            outcome = begun(prefect)
        except PrefectDown as down:
            go_on_without(down, or_without)
            outcome = begun(False)
    except Interrupted:
        typer.echo("stopped: to go on, run the same command again", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{outcome.summary}\nreport: {outcome.report}")
