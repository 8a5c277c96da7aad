"""Commands that set data sets beside each other: ``mashbill waterfall`` and ``mashbill diff``.

    $ mashbill waterfall tolvarey
    $ mashbill diff tolvarey/5f0c tolvarey/77ab

Nothing heavy is imported here: each command imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

look_app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})

RootOption = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].", show_default=False),
]


def _root(root: Path | None) -> Path:
    from mashbill.settings import Settings

    return Settings.load().root if root is None else root


@look_app.command()
def waterfall(
    release: Annotated[str, typer.Argument(help="A release: path, name or fingerprint.", show_default=False)],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FILE", help="The picture, .svg, .png, .pdf or .html [beside the card].", show_default=False
        ),
    ] = None,
    root: RootOption = None,
) -> None:
    """Show what each step left of each stream, from source to release, and draw it."""
    from flows.waterfall import render_waterfall

    render_waterfall(release, _root(root), to)


@look_app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A release or a stored step.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="Another, of the same type of rows.", show_default=False)],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FILE", help="Write every difference with its reason, as .parquet.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The counts as JSON.")] = False,
    root: RootOption = None,
) -> None:
    """Show which rows two data sets differ in, and which step or reason made each difference."""
    from flows.look_diff import render_diff

    render_diff((a, b), _root(root), to, as_json=as_json)
