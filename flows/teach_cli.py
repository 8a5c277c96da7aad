"""``mashbill teach``: score texts with their teacher, once, before anything is trained on them.

    $ mashbill teach salt.yaml
    made: 1,204,331 tokens of top 64 by qwen3-4b, 187.2 bytes a token, in runs/teachers/made/71bc…
    $ mashbill teach salt/5f0c --student models/qwen3-0.6b --teacher models/qwen3-4b
    salt: 1,204,331 tokens of top 64 by qwen3-4b, 187.2 bytes a token, in runs/teachers/salt/9a02…

Nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mashbill.progress import Progress
    from mashbill.settings import Settings

ALONE = "For a dataset without a bill"


def teach(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A bill (YAML), whose arms' texts are scored; or a release or stored step (path, name, fingerprint).",
            show_default=False,
        ),
    ],
    student: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help=f"{ALONE}: whose tokens are scored; a directory, smollm2-135m-instruct, or bytes.",
            show_default=False,
        ),
    ] = "",
    teacher: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help=f"{ALONE}: a directory, smollm2-135m-instruct, or a vLLM server's address up to /v1.",
            show_default=False,
        ),
    ] = "",
    served: Annotated[
        str, typer.Option(metavar="NAME", help="What a server has the teacher under, as qwen3-4b@9c92.")
    ] = "",
    encoding: Annotated[str, typer.Option(help=f"{ALONE}: top_k or sampled.")] = "top_k",
    k: Annotated[int, typer.Option("--k", help="Entries of top_k.")] = 64,
    draws: Annotated[int, typer.Option(help="Of sampled, at each token.")] = 50,
    temperature: Annotated[float, typer.Option(help="Above 1 the distribution is flatter.")] = 1.0,
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].", show_default=False),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Score the texts of a bill's arms, or of a dataset, with their teacher, or what an earlier run left to do."""
    from contextlib import nullcontext

    from flows.cli import settings_of
    from flows.progress import RichProgress
    from mashbill.errors import BillError, Interrupted
    from mashbill.progress import Silent

    settings = settings_of(root)
    if bool(student) != bool(teacher):
        raise BillError("a dataset is scored with both --student and --teacher; a bill says both itself")
    signal: dict[str, str | int | float] = {"encoding": encoding, "k": k, "draws": draws, "temperature": temperature}
    try:
        with nullcontext(Silent()) if quiet else RichProgress() as progress:
            if teacher:
                line = _dataset(what, settings, student, teacher, served, signal, progress)
            else:
                line = _bill(what, settings, progress)
    except (Interrupted, KeyboardInterrupt):
        typer.echo("stopped: to go on, run the same command again", err=True)
        raise typer.Exit(130) from None
    typer.echo(line)


def _bill(what: str, settings: Settings, progress: Progress) -> str:
    from flows.run_bill import run_stages
    from flows.stored import find_thing
    from flows.teaching import teach_bill
    from mashbill.errors import BillError

    if not Path(what).is_file() and find_thing(what, settings.root, ["release", "step"]) is not None:
        raise BillError(f"{what} is a dataset, so say whose tokens and what teacher: --student MODEL --teacher MODEL")
    return run_stages(Path(what), settings, progress, teach_bill).summary


def _dataset(
    what: str,
    settings: Settings,
    student: str,
    teacher: str,
    served: str,
    signal: dict[str, str | int | float],
    progress: Progress,
) -> str:
    from flows.teach_dataset import student_said, teach_dataset, teacher_said
    from mashbill.errors import BillError
    from train.distill_spec import Distill

    if signal["encoding"] not in ("top_k", "sampled"):
        raise BillError(f"--encoding {signal['encoding']}: columns hold top_k or sampled")
    spec = Distill(teacher=teacher_said(teacher, served), **signal)  # type: ignore[arg-type]
    return teach_dataset(what, settings, student_said(student), spec, progress)
