"""``mashbill serve``: refresh a bill at set times under Prefect.

    $ mashbill serve tolvarey.yaml --cron "0 3 * * *"

Nothing heavy is imported here: the command imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    bill: Annotated[Path, typer.Argument(metavar="BILL", help="The bill: a YAML file.", show_default=False)],
    cron: Annotated[str, typer.Option(metavar="LINE", help='When, as "0 3 * * *".', show_default=False)] = "",
    interval: Annotated[str, typer.Option(metavar="SPAN", help="How often, as 15m.", show_default=False)] = "",
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="Of --cron, as Europe/Berlin [the machine's].", show_default=False)
    ] = "",
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].", show_default=False),
    ] = None,
) -> None:
    """Refresh a bill at set times under Prefect, until stopped."""
    from flows.cli import settings_of
    from flows.serve import serve_bill

    serve_bill(bill, settings_of(root), typer.echo, cron=cron, interval=interval, zone=timezone)
    typer.echo("stopped")
