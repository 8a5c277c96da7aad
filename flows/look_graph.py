"""What ``mashbill kg`` prints.

$ mashbill kg path umls.tsv alga health_care_activity
alga
  → issue_in → biomedical_occupation_or_discipline
  → inverse of issue_in → health_care_activity  (health_care_activity issue_in biomedical_occupation_or_discipline)
"""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.padding import Padding
from rich.text import Text

from flows.terminal import console, excerpt, grid, number, some
from kg.coverage import Coverage
from kg.graph import Graph
from mashbill.errors import InputError, SettingsError, StoreError
from mashbill.records import Edge

if TYPE_CHECKING:
    from kg.load_rows import Columns


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """What ``kg coverage`` is told of the paths to draw."""

    paths: int
    hops: int
    eps: float
    seed: int
    exclude: tuple[str, ...]
    taxonomic: bool


def loaded(said: str, columns: str, header: bool | None, tags: Path | None, root: Path | None) -> Graph:
    """The graph that is meant by a path or the name of a stored step.

    Raises:
        InputError, StoreError: when there is none, or it cannot be read.
    """
    from kg.load_graph import load_graph

    return _tagged(load_graph(_place(said, root), columns=_columns(columns, header)), tags)


def stored(
    said: str, folder: Path, columns: str, header: bool | None, evidence: str, tags: Path | None, root: Path | None
) -> str:
    """Store a graph with the places that state its edges, and say what was stored.

    Raises:
        InputError, StoreError: when there is none, or it cannot be read or written.
    """
    from kg.store import save_graph, stated

    named = _columns(columns, header)
    if evidence:
        named = dataclasses.replace(named, evidence=evidence, header=True if header is None else header)
    graph, triples = stated(_place(said, root), named)
    rows = save_graph(_tagged(graph, tags), folder, triples).rows
    counts = (some(rows["nodes"], "node"), some(rows["edges"], "edge"), some(rows["relations"], "relation"))
    return f"{folder}: {', '.join(counts)}; {some(rows['evidence'], 'place')} of evidence"


def _tagged(graph: Graph, tags: Path | None) -> Graph:
    from kg.load_graph import read_tags

    if tags is None:
        return graph
    try:
        return graph.with_tags(read_tags(tags))
    except InputError as error:
        raise error if error.path else InputError(f"tags what is not there: {error}", path=tags) from error


def _place(said: str, root: Path | None) -> Path:
    place = Path(said)
    if place.exists() or place.suffix:
        return place
    from flows.cli import settings_of
    from flows.stored import the_thing

    try:
        return the_thing(said, settings_of(root).root, ["step"]).path
    except StoreError as error:
        raise StoreError(f"{said}: no such file or folder, and no stored step: {error}") from error


def _columns(said: str, header: bool | None) -> Columns:
    from kg.load_rows import Columns

    if not said:
        return Columns(header=header)
    names = [name.strip() for name in said.split(",")]
    if len(names) != 3 or not all(names):
        raise InputError(f"--columns is {said!r}; wanted three names with commas between: of head, relation and tail")
    head, relation, tail = names
    # Columns are named by a line of names: who names them has one.
    return Columns(head=head, relation=relation, tail=tail, header=True if header is None else header)


@contextlib.contextmanager
def drawn() -> Iterator[None]:
    """Says on one line of the error stream which letters a picture could not show."""
    from kg.plot_figure import MissingLetters

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MissingLetters)
        yield
    for one in caught:
        if issubclass(one.category, MissingLetters):
            typer.echo(f"warning: {one.message}", err=True)
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def render_stats(graph: Graph) -> None:
    """Print the numbers of a graph."""
    from kg.stats import GraphStats

    found, out = GraphStats.of(graph), console()
    rest = f", the largest of {some(found.largest, 'node')}" if found.components > 1 else ""
    facts = [
        ("nodes", f"{number(found.nodes)}, {number(found.isolated)} of them joined to no other"),
        (
            "edges",
            f"{number(found.edges)}, {number(found.parallel)} of them parallel to another, {some(found.loops, 'loop')}",
        ),
        ("parts", f"{number(found.components)}{rest}"),
        ("edges a node", f"median {found.degree_median:g}, most {number(found.degree_largest)}"),
        ("hubs", ", ".join(f"{excerpt(name, 50)} {number(degree)}" for name, degree in found.hubs)),
        ("tags", ", ".join(f"{excerpt(tag, 30)} {number(count)}" for tag, count in found.tags[:20])),
        ("memory", f"{graph.bytes_per_edge:.1f} bytes an edge, without names"),
    ]
    table = grid(["", ""], [fact for fact in facts if fact[1]], wide="")
    table.show_header = False
    out.print(table)
    out.print()
    rows = (
        [excerpt(one.name), number(count), excerpt(one.inverse), "yes" if one.taxonomic else ""]
        for one, count in found.relations
    )
    out.print(grid(["RELATION", "EDGES", "BACKWARDS", "TAXONOMIC"], rows, right=["EDGES"]))


def render_node(graph: Graph, name: str, most: int) -> None:
    """Print what a node is joined to."""
    from kg.plot import neighbourhood

    node, out = graph.node(name), console()
    into, outof = neighbourhood(graph, name, each=most)
    tag = graph.tag(node)
    out.print(Text(excerpt(name), "bold"), Text(excerpt(tag)))
    for title, side, away in (("it points to", outof, True), ("points to it", into, False)):
        out.print(f"\n{title}: {some(sum(block.edges for block in side), 'edge')}")
        for block in side:
            shown = [excerpt(one, 60) for one, _ in block.shown]
            rest = number(block.edges - len(shown))
            more = f" and {rest} more" if shown else rest
            more = more if block.edges > len(shown) else ""
            arrow = "→" if away else "←"
            relation = f"{arrow} {excerpt(block.relation, 60)} {arrow}"
            out.print(Padding(Text(f"{relation} {', '.join(shown)}{more}"), (0, 0, 0, 2), expand=False))


def render_ways(graph: Graph, source: str, target: str, most: int) -> None:
    """Print the shortest ways between two nodes."""
    from kg.shortest import shortest_paths

    out = console()
    ways = shortest_paths(graph, source, target, most)
    if not ways:
        raise InputError(f"no way leads from {source!r} to {target!r}: they lie in parts that no edge joins")
    if not ways[0]:
        raise InputError(f"{source!r} is both ends; name two nodes")
    out.print(f"{some(len(ways[0]), 'hop')}; {'the only way' if len(ways) == 1 else f'{len(ways)} ways'} shown")
    for way in ways:
        out.print()
        out.print(_way(way))


def _way(edges: Iterable[Edge]) -> Text:
    text = Text()
    for at, edge in enumerate(edges):
        if not at:
            text.append(excerpt(edge.head), "bold")
        text.append(f"\n  → {excerpt(edge.relation)} → ").append(excerpt(edge.tail), "bold")
        if edge.inverse:
            text.append(f"  ({excerpt(' '.join(edge.triple))})", "dim")
    return text


def render_coverage(graph: Graph, sampling: Sampling, to: Path) -> None:
    """Draw paths from balanced and from uniform sources, print what each covers, and draw both."""
    from kg.plot_coverage import draw_coverage
    from kg.sample import PathSampler, check_numbers

    try:
        check_numbers(sampling.hops, (), sampling.eps)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    found = dict[str, Coverage]()
    for start in ("balanced", "uniform"):
        sampler = PathSampler(
            graph,
            seed=sampling.seed,
            hops=sampling.hops,
            eps=sampling.eps,
            exclude=sampling.exclude,
            exclude_taxonomic=not sampling.taxonomic,
            start="balanced" if start == "balanced" else "uniform",
        )
        sampler.walks(sampling.paths)
        found[f"{start} sources"] = sampler.coverage
    heads = ["PATHS", "DISTINCT", "COVERED", "OF", "GINI", "HOPS"]
    rows = ([name, *_numbers(one)] for name, one in found.items())
    console().print(grid(["", *heads], rows, right=heads[:-1]))
    console().print(str(draw_coverage(found, to)))


def _numbers(one: Coverage) -> list[str]:
    hops = ", ".join(f"{length}: {number(count)}" for length, count in one.hops.items())
    return [
        number(one.paths),
        number(one.distinct),
        number(one.covered),
        number(one.reachable),
        f"{one.gini:.3f}",
        hops,
    ]
