"""The command line: ``mashbill run bill.yaml`` and what looks at what it made.

    $ mashbill run tolvarey.yaml
    $ mashbill ls
    $ mashbill rejects entigraph --reason truncated
    $ mashbill trace 6f1c

Nothing heavy is imported here: each command imports what it needs, so that help and completion answer at once.
Exit codes: 0 done, 1 a bug, 2 something the user can mend, 3 the model end, 4 the ledger, 75 another run is at
work, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.asks_cli import asks_app
from flows.batches_cli import batches_app
from flows.budget_cli import budget_app
from flows.budget_options import AccountOption, BudgetOption, PricesOption, with_budget
from flows.cells_cli import cells
from flows.dedup_cli import dedup_app
from flows.exemplars_cli import exemplars_app
from flows.exits import Exits
from flows.judge_cli import judge_app
from flows.kg_cli import kg_app
from flows.look_cli import look_app
from flows.loop_cli import loop
from flows.refresh_cli import refresh
from flows.serve_cli import serve
from flows.status_cli import status
from flows.student_cli import seen, student_app
from flows.tcia_cli import tcia_app
from flows.teach_cli import teach

if TYPE_CHECKING:
    from mashbill.settings import Settings

app = typer.Typer(
    cls=Exits,
    help="From documents to a trained small model: synthesise, curate, train, and measure whether the data helped.",
    no_args_is_help=True,
    add_completion=False,
    # Plain help: rich's costs twice what all of typer does.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(kg_app, name="kg")
app.add_typer(judge_app, name="judge")
app.add_typer(dedup_app, name="dedup")
app.add_typer(look_app)
app.add_typer(batches_app)
app.add_typer(asks_app)
app.add_typer(exemplars_app, name="exemplars")
app.command()(teach)
app.command()(status)
app.add_typer(tcia_app, name="tcia")
app.add_typer(student_app, name="student")
app.command()(seen)
app.command("cells")(cells)
app.command()(refresh)
app.command()(serve)
app.add_typer(budget_app)
app.command("loop")(loop)

BillPath = Annotated[Path, typer.Argument(metavar="BILL", help="The bill: a YAML file.", show_default=False)]
Root = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].", show_default=False)
]
Folders = Annotated[
    list[Path] | None,
    typer.Option("--folder", metavar="DIR", help="A folder of steps of your own.", show_default=False),
]


def _version(wanted: bool) -> None:
    if wanted:
        from mashbill import __version__

        typer.echo(f"mashbill {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def settings_of(root: Path | None) -> Settings:
    """The settings; a root given on the command line beats the environment and the file."""
    from dataclasses import replace

    from mashbill.settings import Settings

    settings = Settings.load()
    return settings if root is None else replace(settings, root=root)


@app.command()
def run(
    bill: BillPath,
    prefect: Annotated[bool, typer.Option("--prefect", help="Run as Prefect flows: same bytes, with history.")] = False,
    or_without: Annotated[
        bool, typer.Option("--or-without", help="Where no Prefect server answers, go on without one.")
    ] = False,
    root: Root = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    budget: BudgetOption = None,
    prices: PricesOption = None,
    account: AccountOption = "",
    wait: Annotated[bool, typer.Option("--wait", help="Begin when another run of this bill has ended.")] = False,
    log_level: Annotated[
        str,
        typer.Option(metavar="LEVEL", help="Log and show: debug, info, warning or error.", show_default=False),
    ] = "",
) -> None:
    """Run a bill: all of it, or what an earlier run left to do."""
    from contextlib import nullcontext
    from dataclasses import replace

    from flows.batches import under_way
    from flows.kitchen import Outcome
    from flows.prefect_down import go_on_without
    from flows.progress import RichProgress
    from flows.run_bill import run_bill
    from flows.stored import replies_kept
    from mashbill.errors import Interrupted, PrefectDown
    from mashbill.progress import Silent

    settings = settings_of(root)
    settings = replace(settings, log_level=log_level or settings.log_level)
    settings = with_budget(settings, budget, prices, account)
    say = (lambda text: typer.echo(text, err=True)) if wait else None

    def begun(prefect: bool) -> Outcome:
        with nullcontext(Silent()) if quiet else RichProgress() as progress:
            return run_bill(bill, settings, progress, prefect=prefect, wait=say)

    try:
        try:
            outcome = begun(prefect)
        except PrefectDown as down:
            go_on_without(down, or_without)
            outcome = begun(False)
    except Interrupted:
        kept = f"{replies_kept(settings.ledger):,} replies are kept"
        typer.echo(f"stopped: to go on, run the same command again: {kept}", err=True)
        if left := under_way(settings.root / "batches"):
            typer.echo(left, err=True)
        raise typer.Exit(130) from None
    typer.echo(outcome.summary)
    if outcome.report is not None:
        typer.echo(f"report: {outcome.report}")


@app.command()
def replay(
    bill: BillPath,
    offline: Annotated[bool, typer.Option("--offline", help="Said for clearness: a replay never asks a model.")] = True,
    date: Annotated[
        str, typer.Option(help="A dated release, of `mashbill refresh`: 2026-12-01, or 2026-12-01.2 for its second.")
    ] = "",
    root: Root = None,
) -> None:
    """Make a release once more from the ledger alone, and compare it with the one that stands."""
    from flows.replay import replay as rebuilt
    from mashbill.progress import Silent

    del offline
    typer.echo(rebuilt(bill, settings_of(root), Silent(), date))


@app.command()
def star(
    bill: BillPath,
    root: Root = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Let a bill's student learn from its own right answers, round by round, or what an earlier run left to do."""
    from contextlib import nullcontext

    from flows.progress import RichProgress
    from flows.run_bill import run_stages
    from flows.star import bootstrap
    from mashbill.errors import Interrupted
    from mashbill.progress import Silent

    try:
        with nullcontext(Silent()) if quiet else RichProgress() as progress:
            outcome = run_stages(bill, settings_of(root), progress, bootstrap)
    except Interrupted:
        typer.echo("stopped: to go on, run the same command again", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{outcome.summary}\nreport: {outcome.report}")


@app.command()
def plan(
    bill: BillPath,
    probe: Annotated[
        int, typer.Option(metavar="N", help="Records of each stream to ask the model about; 0 asks nothing.")
    ] = 2,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Prices per million tokens.", show_default=False)
    ] = None,
    root: Root = None,
) -> None:
    """Say what a bill would ask, take and cost, before it is run."""
    from flows.estimate import estimate_bill

    typer.echo(estimate_bill(bill, settings_of(root), probe=probe, prices=prices).render())


@app.command("ls")
def list_things(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="What is stored (steps, releases, students, reports) or what a bill can name (sources, generators, "
            "filters, dataset-steps, engines).",
            show_default=False,
        ),
    ] = "",
    root: Root = None,
    folder: Folders = None,
) -> None:
    """List what is stored, or what a bill can name."""
    from flows.listing import render_list

    render_list(what, settings_of(root), folder or [])


@app.command()
def show(
    thing: Annotated[str, typer.Argument(help="A stored step or release (path, name or fingerprint), or a row's id.")],
    rows: Annotated[int, typer.Option("-n", "--rows", min=0, help="Rows to show.")] = 3,
    root: Root = None,
) -> None:
    """Show a stored step, a release or a row: what it is and how it reads."""
    from flows.look import render_thing

    render_thing(thing, settings_of(root).root, rows)


@app.command()
def rejects(
    step: Annotated[str, typer.Argument(help="A stored step: path, name or fingerprint; it may be unfinished.")],
    reason: Annotated[str, typer.Option(help="Only this reason.", show_default=False)] = "",
    rows: Annotated[
        int | None, typer.Option("-n", "--rows", min=0, help="Rows to show [10; all with --json].", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, whole.")] = False,
    root: Root = None,
) -> None:
    """Show what a step rejected, and why."""
    from flows.look_rejects import render_rejects

    render_rejects(step, settings_of(root).root, reason=reason, rows=rows, as_json=as_json)


@app.command()
def trace(
    row: Annotated[str, typer.Argument(help="A row's id, or its first characters (4 or more).")],
    full: Annotated[bool, typer.Option("--full", help="Whole prompts, replies and texts.")] = False,
    root: Root = None,
) -> None:
    """Trace a row to its asks and its source document."""
    from flows.look_trace import render_trace

    render_trace(row, settings_of(root), full=full)


@app.command()
def card(
    release: Annotated[str, typer.Argument(help="A release: path, name or fingerprint.")],
    root: Root = None,
) -> None:
    """Print the data card of a release."""
    from flows.look import card_of

    typer.echo(card_of(release, settings_of(root).root).rstrip("\n"))


@app.command()
def export(
    release: Annotated[str, typer.Argument(help="A release: path, name or fingerprint.", show_default=False)],
    target: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write.", show_default=False)],
    root: Root = None,
) -> None:
    """Write a release as `datasets.load_from_disk` reads it."""
    from flows.stored import the_thing
    from mashbill.hf_disk import export_to_disk

    place = the_thing(release, settings_of(root).root, ["release"]).path
    export_to_disk(place, target)
    typer.echo(f"{target}: open it with datasets.load_from_disk; {place} itself opens with datasets.load_dataset")


@app.command()
def new(
    sort: Annotated[str, typer.Argument(metavar="SORT", help="generator, filter or bill.", show_default=False)],
    name: Annotated[str, typer.Argument(help="In snake_case, e.g. ask_why.", show_default=False)],
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to write [steps; for a bill, here].", show_default=False),
    ] = None,
) -> None:
    """Write a new generator, filter or bill that works, to be changed."""
    from flows.scaffold import write_new

    typer.echo(write_new(sort, name, folder))


@app.command()
def schema(folder: Folders = None) -> None:
    """Print the JSON schema of bills, for editors."""
    import json

    from flows.editor_schema import bill_schema

    typer.echo(json.dumps(bill_schema(folder or []), indent=2, ensure_ascii=False))


def main() -> None:
    """The entry point."""
    app(prog_name="mashbill")


if __name__ == "__main__":
    main()
