"""The command ``mashbill status``.

    $ mashbill status
    $ mashbill status --follow

Nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def status(
    last: Annotated[int, typer.Option("-n", "--last", min=0, help="Ended runs to show.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON: a list of runs.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until no run is at work.")] = False,
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].", show_default=False),
    ] = None,
) -> None:
    """Show the runs at work, and how the last ones ended."""
    from flows.status import render_status
    from mashbill.settings import Settings

    render_status(Settings.load().root if root is None else root, last=last, as_json=as_json, follow=follow)
