"""``mashbill exemplars``: let a bank of worked examples grow from what a run kept, and look at it.

    $ mashbill exemplars grow bank.parquet teacher_rationale farthest_rationales --most 500
    $ mashbill exemplars ls bank.parquet

Nothing heavy is imported here: each command imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

exemplars_app = typer.Typer(
    help="Banks of worked examples that prompts show (`few_shot: {bank: …}` in a bill).",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BankArgument = Annotated[Path, typer.Argument(metavar="BANK", help="A Parquet file.", show_default=False)]


@exemplars_app.command()
def grow(
    bank: BankArgument,
    things: Annotated[
        list[str],
        typer.Argument(
            metavar="STEP...",
            help="Finished steps or releases of rationales, by name, fingerprint or path; the last one's rows enter.",
            show_default=False,
        ),
    ],
    most: Annotated[
        int | None,
        typer.Option("--most", min=0, help="Keep so many, the most useful; people's always.", show_default=False),
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].")
    ] = None,
) -> None:
    """Count how examples fared in steps, and take the last one's rows in; a bank that is not there yet is made."""
    from flows.cli import settings_of
    from flows.exemplar_bank import grow_bank
    from flows.stored import the_thing

    place = settings_of(root).root
    typer.echo(grow_bank(bank, [the_thing(one, place, ["step", "release"]) for one in things], most))


@exemplars_app.command("ls")
def list_examples(
    bank: BankArgument,
    rows: Annotated[int, typer.Option("-n", "--rows", min=1, help="Examples to show.")] = 20,
) -> None:
    """Show the examples of a bank, the most useful first."""
    from mashbill.exemplars import read_bank

    found = sorted(read_bank(bank), key=lambda one: (-one.usefulness, one.id))
    typer.echo(f"{len(found):,} examples, {sum(one.human for one in found):,} by people")
    for one in found[:rows]:
        key = " ".join(one.keys[0].split())[:80] if one.keys else ""
        by = "people" if one.human else "model"
        typer.echo(f"{one.id[:12]}  {by:6}  helped {one.n_success:,} of {one.n_retrieved:,}  {key}")
