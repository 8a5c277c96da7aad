"""``mashbill teach``: score the texts of a bill's arms with their teacher, once, before anything is trained on them.

    $ mashbill teach salt.yaml
    made: 1,204,331 tokens of top 64 by qwen3-4b, 187.2 bytes a token, in runs/teachers/made/71bc…

Nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def teach(
    bill: Annotated[Path, typer.Argument(metavar="BILL", help="The bill: a YAML file.", show_default=False)],
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].", show_default=False),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Score the texts of a bill's arms with their teacher, or what an earlier run left to do."""
    from contextlib import nullcontext

    from flows.cli import settings_of
    from flows.kitchen import run_stages
    from flows.progress import RichProgress
    from flows.teaching import teach_bill
    from mashbill.errors import Interrupted
    from mashbill.progress import Silent

    try:
        with nullcontext(Silent()) if quiet else RichProgress() as progress:
            outcome = run_stages(bill, settings_of(root), progress, teach_bill)
    except Interrupted:
        typer.echo("stopped: to go on, run the same command again", err=True)
        raise typer.Exit(130) from None
    typer.echo(outcome.summary)
