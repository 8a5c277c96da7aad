"""``mashbill cells``: what a student can, by discipline and difficulty, and what is to be written for each cell.

    $ mashbill cells cell_budget --draw weakness.svg
    $ mashbill cells before --against after

Nothing heavy is imported here: each command imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def cells(
    step: Annotated[
        str,
        typer.Argument(
            metavar="STEP", help="A finished step that stored a budget: name, fingerprint or path.", show_default=False
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="STEP", help="A later one, to see what changed.", show_default=False),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option("--draw", metavar="FILE", help="Draw heat maps: .svg, .png, .pdf or .html.", show_default=False),
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].")
    ] = None,
) -> None:
    """Show what a student can by discipline and difficulty, and the budget that follows."""
    from flows.cli import settings_of
    from flows.look_cells import show_cells

    show_cells(step, against, draw, settings_of(root).root)
