"""``mashbill refresh``: one more dated release of a bill, of what is new in its sources.

    $ mashbill refresh tolvarey.yaml --date 2026-12-01

Nothing heavy is imported here: the command imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.budget_options import AccountOption, BudgetOption, PricesOption, with_budget


def refresh(
    bill: Annotated[Path, typer.Argument(metavar="BILL", help="The bill: a YAML file.", show_default=False)],
    date: Annotated[
        str, typer.Option(metavar="DAY", help="The release's date, as 2026-12-01 [today].", show_default=False)
    ] = "",
    full: Annotated[bool, typer.Option("--full", help="Take everything anew and begin a new series.")] = False,
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].", show_default=False),
    ] = None,
    budget: BudgetOption = None,
    prices: PricesOption = None,
    account: AccountOption = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Publish what is new in a bill's sources since its last dated release, as NAME@DATE."""
    from contextlib import nullcontext

    from flows.cli import settings_of
    from flows.progress import RichProgress
    from flows.refresh import refresh_bill
    from flows.stored import replies_kept
    from mashbill.errors import Interrupted
    from mashbill.progress import Silent

    settings = with_budget(settings_of(root), budget, prices, account)
    try:
        with nullcontext(Silent()) if quiet else RichProgress() as progress:
            outcome = refresh_bill(bill, settings, progress, date=date, full=full)
    except Interrupted:
        kept = f"{replies_kept(settings.ledger):,} replies are kept"
        typer.echo(f"stopped: to go on, run the same command again: {kept}", err=True)
        raise typer.Exit(130) from None
    typer.echo(outcome.summary)
