"""``mashbill tcia``: which kinds of task a database of instructions has, what its tasks ask for, how a search went.

    $ mashbill tcia types instruction_database
    $ mashbill tcia show instruction_database "meeting summary"
    $ mashbill tcia hops constraint_search
    $ mashbill tcia report minutes=best_response evolved=on_task/5f0c --database instruction_database

Nothing heavy is imported here: each command imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

tcia_app = typer.Typer(
    help="Task-centric instruction augmentation: look at a database of instructions and at a search.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DatabaseArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATABASE",
        help="A finished step of `instruction_database`, by name, fingerprint or path.",
        show_default=False,
    ),
]
RootOption = Annotated[
    Path | None, typer.Option("--root", metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].")
]


@tcia_app.command()
def types(
    database: DatabaseArgument,
    rows: Annotated[int, typer.Option("-n", "--rows", min=1, help="Kinds of task to show.")] = 20,
    root: RootOption = None,
) -> None:
    """List the kinds of task of a database, those with most tasks first."""
    from flows.look_tcia import render_types

    render_types(_place(database, root), rows)


@tcia_app.command()
def show(
    database: DatabaseArgument,
    kind: Annotated[
        str, typer.Argument(metavar="TYPE", help="A kind of task, as `types` names it.", show_default=False)
    ],
    rows: Annotated[int, typer.Option("-n", "--rows", min=1, help="Tasks to show.")] = 10,
    root: RootOption = None,
) -> None:
    """Show tasks of one kind, each with its constraints and where it was read."""
    from flows.look_tcia import render_tasks

    render_tasks(_place(database, root), kind, rows)


@tcia_app.command()
def hops(
    search: Annotated[
        str,
        typer.Argument(
            metavar="SEARCH",
            help="A finished step of `constraint_search`, by name, fingerprint or path.",
            show_default=False,
        ),
    ],
    root: RootOption = None,
) -> None:
    """Show by hop how many sets a search found, how many were new, and which operations were accepted."""
    from flows.look_tcia import render_hops

    render_hops(_place(search, root))


@tcia_app.command()
def report(
    arms: Annotated[
        list[str],
        typer.Argument(
            metavar="ARM...",
            help="Finished steps of instructions, each as NAME=STEP, or a release, whose streams are the arms.",
            show_default=False,
        ),
    ],
    database: Annotated[
        str, typer.Option("--database", metavar="DATABASE", help="For on task by centroid.", show_default=False)
    ] = "",
    embedder: Annotated[
        str,
        typer.Option(
            "--embedder", metavar="NAME", help="Whose vectors [the database's, or hashed_ngrams].", show_default=False
        ),
    ] = "",
    most: Annotated[int, typer.Option("--most", min=2, help="Instructions compared of an arm at a hop.")] = 500,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where report.md, .json and .png go.")] = Path(
        "tcia-report"
    ),
    root: RootOption = None,
) -> None:
    """Compare arms hop by hop, diversity and on task, with what each step kept and why it lost the rest."""
    from flows.cli import settings_of
    from flows.tcia_report import tcia_report

    place = settings_of(root).root
    typer.echo(tcia_report(arms, place, database=database, embedder=embedder, out=to, most=most), nl=False)


def _place(said: str, root: Path | None) -> Path:
    from flows.cli import settings_of
    from flows.stored import the_thing

    return the_thing(said, settings_of(root).root, ["step"]).path
