"""Graphs small enough to read, and triples drawn at random."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from kg.graph import Graph, relations_of
from kg.load_graph import graph_of_tables

Plain = tuple[str, str, str]


def graph(*triples: Plain | str, **inverses: str) -> Graph:
    """A graph of triples, each a tuple or three words: ``graph("a r b", "b s c", r="has_r")``."""
    rows = [tuple(one.split()) if isinstance(one, str) else one for one in triples]
    columns = zip(*rows, strict=True) if rows else [[], [], []]
    table = pa.table([pa.array(list(column), pa.string()) for column in columns], names=["head", "relation", "tail"])
    return graph_of_tables([table], inverses)


def star(leaves: int) -> Graph:
    """A hub with so many leaves, made in memory: the hub is node 0."""
    names = pa.array(["hub", *(f"leaf {number:07d}" for number in range(leaves))], pa.large_string())
    tails = np.arange(1, leaves + 1)
    return Graph.build(names, relations_of(["has"]), np.zeros(leaves, int), np.zeros(leaves, int), tails)


def stated(one: Graph) -> list[Plain]:
    """The triples of a graph."""
    return [one.edge(number).triple for number in range(one.edges)]


SHORT = st.sampled_from("abcdef")
TRIPLES = st.lists(st.tuples(SHORT, st.sampled_from("rst"), SHORT), min_size=1, max_size=25)
