"""``mashbill student``: a smaller student cut out of a larger one, and what training changed as a small file.

    $ mashbill student prune smollm2-135m-instruct --plan runs/plans/salt-all/3b71… --layers 20 --to small
    $ mashbill student delta smollm2-135m-instruct runs/students/salt-all/90ac…/model --rank 64 --to salt.delta
    $ mashbill student apply smollm2-135m-instruct salt.delta --to salt

A student is the name of the embedded model or a folder with a Hugging Face checkpoint. Nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

student_app = typer.Typer(
    help="Cut a student down, or keep what training changed as a small file.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StudentArgument = Annotated[
    str, typer.Argument(metavar="STUDENT", help="A checkpoint's folder, or smollm2-135m-instruct.", show_default=False)
]
PlanOption = Annotated[
    Path, typer.Option("--plan", metavar="DIR", help="A plan whose first rows it is measured on.", show_default=False)
]
Size = Annotated[int | None, typer.Option(show_default=False)]
RootOption = Annotated[
    Path | None, typer.Option("--root", metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].")
]


@student_app.command()
def prune(
    student: StudentArgument,
    plan: PlanOption,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder to write.", show_default=False)],
    layers: Size = None,
    kv_heads: Size = None,
    mlp_width: Size = None,
    width: Size = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Calibration rows.")] = 1024,
) -> None:
    """Cut layers, heads, neurons or channels that do least on the rows of a plan; train the result by distillation."""
    from flows.student_files import prune_to

    sizes = {"layers": layers, "kv_heads": kv_heads, "mlp_width": mlp_width, "width": width}
    typer.echo(prune_to(student, plan, sizes, rows, to))


@student_app.command()
def delta(
    base: StudentArgument,
    tuned: Annotated[str, typer.Argument(metavar="TUNED", help="What was trained from it.", show_default=False)],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The delta to write.", show_default=False)],
    rank: Annotated[int, typer.Option("--rank", min=1, help="Singular vectors of each matrix.")] = 64,
    fine: Annotated[int, typer.Option("--fine", min=0, help="Of these, kept in 8 bits; the others in 4.")] = 2,
    embeddings: Annotated[bool, typer.Option("--embeddings", help="Keep what changed in embeddings and head.")] = False,
    curve: Annotated[
        Path | None,
        typer.Option("--curve", metavar="PLAN", help="Print the loss on a plan's rows by rank.", show_default=False),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows of that plan.")] = 64,
) -> None:
    """Keep the difference of two students as a file of low rank and few bits."""
    from flows.student_files import delta_to

    typer.echo(delta_to(base, tuned, to, rank=rank, fine=fine, embeddings=embeddings, curve=curve, rows=rows))


@student_app.command()
def apply(
    base: StudentArgument,
    file: Annotated[Path, typer.Argument(metavar="DELTA", help="A delta of that base.", show_default=False)],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder to write.", show_default=False)],
) -> None:
    """Add a delta to the student that it belongs to, and write a checkpoint."""
    from flows.student_files import apply_to

    typer.echo(apply_to(base, file, to))


def seen(
    run: Annotated[
        str, typer.Argument(help="A plan, a student, or an arm's name such as salt-entigraph.", show_default=False)
    ],
    step: Annotated[int, typer.Argument(help="An optimiser step, from 1.", show_default=False)],
    root: RootOption = None,
) -> None:
    """Show what a student saw at one step of its training."""
    from flows.cli import settings_of
    from flows.look_seen import render_seen

    typer.echo(render_seen(run, step, settings_of(root).root))
