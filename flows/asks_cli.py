"""``mashbill asks`` and ``mashbill retry``: how asks ended, and another try for those that did not end well.

    $ mashbill asks retell --state truncated
    $ mashbill retry bill.yaml --state truncated --max-tokens 2x

Nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.budget_options import AccountOption, BudgetOption, PricesOption, with_budget

if TYPE_CHECKING:
    from mashbill.settings import Settings

asks_app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})

Root = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].", show_default=False),
]
StateOption = Annotated[
    str,
    typer.Option(
        "--state",
        metavar="STATE",
        help="truncated, filtered, unparsable, refused, provider_error or over_budget.",
        show_default=False,
    ),
]


def _settings(root: Path | None) -> Settings:
    from dataclasses import replace

    from mashbill.settings import Settings

    settings = Settings.load()
    return settings if root is None else replace(settings, root=root)


@asks_app.command()
def asks(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A bill, a release or a stored step; nothing is every step that asked.",
            show_default=False,
        ),
    ] = "",
    state: StateOption = "",
    rows: Annotated[
        int | None, typer.Option("-n", "--rows", min=0, help="Asks to show [10; all with --json].", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, whole.")] = False,
    root: Root = None,
) -> None:
    """Show how the asks of each step ended, and those that did not end ok."""
    from flows.look_asks import render_asks

    render_asks(what, _settings(root), state=state, rows=rows, as_json=as_json)


@asks_app.command()
def retry(
    bill: Annotated[Path, typer.Argument(metavar="BILL", help="The bill: a YAML file.", show_default=False)],
    state: StateOption,
    max_tokens: Annotated[
        str,
        typer.Option(
            metavar="N", help="Tokens a reply may have: 2x as many as before, or a number.", show_default=False
        ),
    ] = "",
    temperature: Annotated[
        float | None,
        typer.Option(help="Another temperature; above 0 each retry is a draw of its own.", show_default=False),
    ] = None,
    step: Annotated[str, typer.Option(metavar="NAME", help="Only asks of this step.", show_default=False)] = "",
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most so many.", show_default=False)] = None,
    budget: BudgetOption = None,
    prices: PricesOption = None,
    account: AccountOption = "",
    root: Root = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Ask again what ended in a state, changed as you say, and make the release anew of it."""
    from contextlib import nullcontext

    from flows.progress import RichProgress
    from flows.retry import retry_bill
    from flows.retry_change import Change, state_named
    from mashbill.errors import Interrupted
    from mashbill.progress import Silent

    settings = with_budget(_settings(root), budget, prices, account)
    change = Change(state=state_named(state), max_tokens=max_tokens, temperature=temperature, step=step, limit=limit)
    settings = with_budget(_settings(root), budget, prices, account)
    try:
        with nullcontext(Silent()) if quiet else RichProgress() as progress:
            outcome = retry_bill(bill, settings, progress, change)
    except Interrupted:
        typer.echo("stopped: to go on, run the same command again", err=True)
        raise typer.Exit(130) from None
    typer.echo(outcome.summary)
