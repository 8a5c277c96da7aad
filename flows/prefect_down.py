"""What happens when nobody answers at the user's Prefect server: a run can do without, if the user wants that.

$ mashbill run bill.yaml --prefect --or-without
http://127.0.0.1:4200/api: no Prefect server answers there (…)
going on without Prefect
"""

from __future__ import annotations

import sys

import typer

from mashbill.errors import PrefectDown


def go_on_without(down: PrefectDown, agreed: bool) -> None:
    """Return when the run is to go on without Prefect: agreed to before, or now, where somebody can be asked.

    Raises:
        PrefectDown: when it is not.
    """
    if not agreed and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise down
    typer.echo(str(down), err=True)
    if not agreed and not typer.confirm("Go on without Prefect?", default=False, err=True):
        raise typer.Exit(2)
    typer.echo("going on without Prefect", err=True)
