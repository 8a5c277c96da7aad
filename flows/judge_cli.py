"""``mashbill judge``: what a judge is worth before it is trusted, and the rubrics there are.

    $ mashbill judge check bill.yaml --role judge
    $ mashbill judge check bill.yaml --role judge --rubric mine --folder rubrics --gold gold.jsonl
    $ mashbill judge rubrics

Nothing heavy is imported here: each command imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

judge_app = typer.Typer(
    help="Check a judge against texts whose marks are known.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
RubricFolder = Annotated[
    str, typer.Option("--folder", metavar="DIR", help="A folder of rubrics of your own.", show_default=False)
]


@judge_app.command()
def check(
    bill: Annotated[Path, typer.Argument(metavar="BILL", help="The bill that names the engine.", show_default=False)],
    role: Annotated[
        str, typer.Option("--role", help="The judge's role under `engines`; main is the main one.")
    ] = "judge",
    rubric: Annotated[str, typer.Option("--rubric", help="The rubric it marks by.")] = "knowledge",
    folder: RubricFolder = "",
    gold: Annotated[
        Path | None, typer.Option("--gold", metavar="FILE", help="A gold set of your own.", show_default=False)
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs/--no-pairs", help="Whether pairs are asked about, twice each.")
    ] = True,
    to: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here too.", show_default=False)
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].")
    ] = None,
) -> None:
    """Ask a judge about a gold set: agreement (kappa), and how position and length sway it."""
    from flows.cli import settings_of
    from flows.judge_check import check_bill_judge, render_check
    from mashbill.disk import write_json

    found = check_bill_judge(bill, settings_of(root), role=role, rubric=rubric, folder=folder, gold=gold, pairs=pairs)
    typer.echo(render_check(found))
    if to is not None:
        write_json(to, found)


@judge_app.command()
def rubrics(
    name: Annotated[str, typer.Argument(help="A rubric, to be shown as a judge reads it.", show_default=False)] = "",
    folder: RubricFolder = "",
) -> None:
    """List the rubrics, or show one as a judge reads it."""
    from filters.rubric_file import read_rubric, rubric_files

    if name:
        typer.echo(read_rubric(name, folder).messages({})[0].content)
        return
    for one in rubric_files(folder):
        found = read_rubric(one, folder)
        typer.echo(f"{one:12}  {', '.join(found.dimensions)}: {found.about}")
