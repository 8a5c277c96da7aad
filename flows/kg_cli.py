"""``mashbill kg``: what a knowledge graph is like, what a node is joined to, how two are, and pictures of it.

    $ mashbill kg stats umls.tsv
    $ mashbill kg show umls.tsv enzyme
    $ mashbill kg path umls.tsv alga health_care_activity
    $ mashbill kg plot umls.tsv enzyme --to enzyme.svg

A graph is a file of triples, a folder that ``kg store`` wrote, or a stored step of triples by its name or path. Nothing
heavy is imported here: each command imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

kg_app = typer.Typer(
    help="Look at a knowledge graph: a file of triples, a stored graph, or a stored step of triples.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

GraphArgument = Annotated[
    str,
    typer.Argument(
        metavar="GRAPH",
        help="A file of triples (.tsv, .csv, .nt, .graphml, .parquet), a stored graph, or a stored step of triples.",
        show_default=False,
    ),
]
ColumnsOption = Annotated[
    str,
    typer.Option(
        "--columns", metavar="H,R,T", help="Names of the columns of head, relation and tail.", show_default=False
    ),
]
HeaderOption = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Whether the first line names the columns [CSV: yes; tab-separated: no].",
        show_default=False,
    ),
]
TagsOption = Annotated[
    Path | None,
    typer.Option("--tags", metavar="FILE", help="A node, a tab and its tag on each line.", show_default=False),
]
RootOption = Annotated[
    Path | None, typer.Option("--root", metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].")
]
ToOption = Annotated[
    Path, typer.Option("--to", metavar="FILE", help="The picture to write: .svg, .png, .pdf or .html.")
]


@kg_app.command()
def stats(
    graph: GraphArgument,
    columns: ColumnsOption = "",
    header: HeaderOption = None,
    tags: TagsOption = None,
    root: RootOption = None,
) -> None:
    """Print the numbers of a graph: its size, its parts, its hubs and its relations."""
    from flows.look_graph import loaded, render_stats

    render_stats(loaded(graph, columns, header, tags, root))


@kg_app.command()
def show(
    graph: GraphArgument,
    node: Annotated[str, typer.Argument(metavar="NODE", help="A node's name.", show_default=False)],
    rows: Annotated[int, typer.Option("-n", "--rows", min=0, help="Neighbours to show of each relation.")] = 8,
    columns: ColumnsOption = "",
    header: HeaderOption = None,
    tags: TagsOption = None,
    root: RootOption = None,
) -> None:
    """Show what a node is joined to, by relation and direction."""
    from flows.look_graph import loaded, render_node

    render_node(loaded(graph, columns, header, tags, root), node, rows)


@kg_app.command()
def path(
    graph: GraphArgument,
    source: Annotated[str, typer.Argument(metavar="FROM", help="A node's name.", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="TO", help="Another's.", show_default=False)],
    most: Annotated[int, typer.Option("-n", "--most", min=1, help="Ways to show.")] = 5,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="RELATION", help="A relation not to walk; may be repeated."),
    ] = None,
    columns: ColumnsOption = "",
    header: HeaderOption = None,
    root: RootOption = None,
) -> None:
    """Show the shortest ways between two nodes, as true statements in the direction they are walked."""
    from flows.look_graph import loaded, render_ways

    render_ways(loaded(graph, columns, header, None, root).without(exclude or []), source, target, most)


@kg_app.command()
def plot(
    graph: GraphArgument,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node in the middle.", show_default=False)],
    to: ToOption = Path("graph.svg"),
    rows: Annotated[int, typer.Option("-n", "--rows", min=1, help="Neighbours to draw on a side, about.")] = 40,
    columns: ColumnsOption = "",
    header: HeaderOption = None,
    tags: TagsOption = None,
    root: RootOption = None,
) -> None:
    """Draw what a node is joined to."""
    from flows.look_graph import drawn, loaded
    from kg.plot import draw_neighbourhood

    with drawn():
        typer.echo(draw_neighbourhood(loaded(graph, columns, header, tags, root), node, to, most=rows))


@kg_app.command()
def coverage(
    graph: GraphArgument,
    to: ToOption = Path("coverage.svg"),
    paths: Annotated[int, typer.Option("--paths", min=1, help="Paths to draw.")] = 1000,
    hops: Annotated[int, typer.Option("--hops", min=1, help="The longest.")] = 3,
    eps: Annotated[float, typer.Option("--eps", help="Sources are drawn in proportion to 1 / (f + eps).")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other paths.")] = 0,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="RELATION", help="A relation not to walk; may be repeated."),
    ] = None,
    taxonomic: Annotated[bool, typer.Option("--taxonomic", help="Walk relations such as isa, too.")] = False,
    columns: ColumnsOption = "",
    header: HeaderOption = None,
    root: RootOption = None,
) -> None:
    """Draw paths, print what they cover beside those from uniform sources, and draw the curves."""
    from flows.look_graph import Sampling, loaded, render_coverage

    sampling = Sampling(paths=paths, hops=hops, eps=eps, seed=seed, exclude=tuple(exclude or ()), taxonomic=taxonomic)
    render_coverage(loaded(graph, columns, header, None, root), sampling, to)


@kg_app.command()
def store(
    graph: GraphArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write.", show_default=False)],
    columns: ColumnsOption = "",
    header: HeaderOption = None,
    evidence: Annotated[
        str,
        typer.Option(
            "--evidence", metavar="COLUMN", help="The column of the text that states a triple.", show_default=False
        ),
    ] = "",
    tags: TagsOption = None,
    root: RootOption = None,
) -> None:
    """Store a graph as Parquet tables: they open faster than the file, and say where each edge is stated."""
    from flows.look_graph import stored

    typer.echo(stored(graph, folder, columns, header, evidence, tags, root))
