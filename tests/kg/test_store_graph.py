"""A graph on disk: what was stored is opened, and what is unfinished or changed is refused."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given

from kg.graph import Relation
from kg.load_graph import graph_of_tables, load_graph
from kg.load_rows import Columns
from kg.store import edge_numbers, evidence_of, is_graph, open_graph, save_graph
from kg.store import stated as stated_in
from mashbill.errors import InputError, StoreError
from mashbill.records import Triple, to_table
from tests.kg.graphs import TRIPLES, Plain, graph, stated
from tests.support.kernel import documents, store


def triples(*said: str) -> list[Triple]:
    rows = [one.split() for one in said]
    return [
        Triple.new(head=h, relation=r, tail=t, evidence=f"{h} does {r} {t}.", source=f"g.tsv:{at}")
        for at, (h, r, t) in enumerate(rows, start=1)
    ]


@given(TRIPLES)
def test_what_is_stored_is_opened(tmp_path_factory: pytest.TempPathFactory, said: list[Plain]) -> None:
    place = tmp_path_factory.mktemp("kg")
    one = graph(*said, ("<b>\t🧂", "isa", 'a "q"'), isa="has kind").with_tags({"<b>\t🧂": "[red]"})
    manifest = save_graph(one, place)
    again = open_graph(place)
    assert stated(again) == stated(one)
    assert again.relations == one.relations
    assert again.tag(again.node("<b>\t🧂")) == "[red]"
    assert again.in_edge.tolist() == one.in_edge.tolist()
    assert save_graph(again, place) == manifest  # the same bytes
    assert stated(load_graph(place)) == stated(one)


def test_each_triple_is_the_evidence_of_its_edge(tmp_path: Path) -> None:
    rows = triples("b r a", "a r b", "b r a", "a s b")
    tables = [to_table(rows[:3], Triple), to_table(rows[3:], Triple)]
    one = graph_of_tables(tables)
    save_graph(one, tmp_path, tables)
    edge = one.edge_number("b", "r", "a")
    assert edge is not None
    found = evidence_of(tmp_path, edge)
    assert [row["evidence"] for row in found] == ["b does r a."] * 2
    assert sorted(row["source"] for row in found) == ["g.tsv:1", "g.tsv:3"]
    edges = pl.read_parquet(tmp_path / "edges.parquet")
    nodes = pl.read_parquet(tmp_path / "nodes.parquet")
    joined = edges.join(nodes, left_on="head", right_on="node").sort("edge")["name"].to_list()
    assert joined == [said[0] for said in stated(one)]


def test_a_triple_that_is_no_edge_is_named(tmp_path: Path) -> None:
    one = graph("a r b", "b r a")
    with pytest.raises(InputError, match="'b' 'r' 'b' is no edge of the graph"):
        edge_numbers(one, to_table(triples("a r b", "b r b"), Triple))
    with pytest.raises(InputError, match="a triple names what the graph does not have"):
        edge_numbers(one, to_table(triples("a r x"), Triple))


def test_what_is_unfinished_changed_or_something_else_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "graph"
    with pytest.raises(StoreError, match=r"has no manifest\.json: it holds no graph, or writing it did not finish"):
        open_graph(place)
    save_graph(graph("a r b"), place)
    assert is_graph(place)
    data = (place / "edges.parquet").read_bytes()
    (place / "edges.parquet").write_bytes(data + b"x")
    with pytest.raises(StoreError, match=r"edges\.parquet: its bytes are not the ones that were written"):
        open_graph(place)
    (place / "edges.parquet").unlink()
    with pytest.raises(StoreError, match="the manifest names it but it cannot be read"):
        open_graph(place)
    save_graph(graph("a r b"), place)
    (place / "manifest.json").write_text("{}")
    with pytest.raises(StoreError, match="is not the manifest of a graph"):
        open_graph(place)
    with pytest.raises(StoreError, match="holds something else than a graph"):
        save_graph(graph("a r b"), place)


def test_a_graph_half_written_over_another_is_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_graph(graph("a r b"), tmp_path)

    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr("kg.store.write_parquet", full)
    with pytest.raises(StoreError, match="the disk is full"):
        save_graph(graph("c r d"), tmp_path)
    with pytest.raises(StoreError, match=r"has no manifest\.json"):
        open_graph(tmp_path)


def test_labels_said_when_it_is_opened_stand_above_those_stored(tmp_path: Path) -> None:
    save_graph(graph("a isa b", "a r b", r="has_r"), tmp_path)
    again = open_graph(tmp_path, {"isa": "kind of"}, frozenset({"r"}))
    assert again.relations == (
        Relation(name="isa", inverse="kind of", taxonomic=False),
        Relation(name="r", inverse="has_r", taxonomic=True),
    )
    with pytest.raises(InputError, match="no relation is called 's'"):
        open_graph(tmp_path, {"s": "x"})


def places(place: Path) -> list[tuple[str, str, str]]:
    """What states each edge of a stored graph, in the order of the edges: triple, source and words."""
    found = [row for edge in range(open_graph(place).edges) for row in evidence_of(place, edge)]
    return [(row["triple"], row["source"], row["evidence"]) for row in found]


def test_a_graph_of_a_file_keeps_the_line_of_each_edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kg.load_graph.ROWS", 2)
    (tmp_path / "g.csv").write_text("head,relation,tail,said\nb,r,a,B does.\n\n a ,r,b,\nb,r,a,Again.\n")
    graph_and_rows = stated_in(tmp_path / "g.csv", Columns(evidence="said"))
    save_graph(graph_and_rows[0], tmp_path / "G", graph_and_rows[1])
    assert places(tmp_path / "G") == [("", "g.csv:4", ""), ("", "g.csv:2", "B does."), ("", "g.csv:5", "Again.")]
    # What was stored is stored again as it is: the same bytes.
    one, rows = stated_in(tmp_path / "G")
    assert save_graph(one, tmp_path / "H", rows) == save_graph(graph_and_rows[0], tmp_path / "I", graph_and_rows[1])


def test_a_graph_of_a_step_keeps_its_rows(tmp_path: Path) -> None:
    rows = triples("a r b", "b r c", "a r b")
    one, tables = stated_in(store(tmp_path / "runs", rows, part_rows=2).path)
    save_graph(one, tmp_path / "G", tables)
    assert sorted(places(tmp_path / "G")) == sorted((row.id, row.source, row.evidence) for row in rows)


def test_labels_said_when_it_is_opened_may_pair_two_relations(tmp_path: Path) -> None:
    save_graph(graph("a part_of b", "b has_part a", "a r b", r="has_r"), tmp_path)
    again = open_graph(tmp_path, {"part_of": "has_part"})
    assert [one.inverse for one in again.relations] == ["part_of", "has_part", "has_r"]
    assert (again.edges, again.said_once().edges) == (3, 2)


def test_a_folder_of_files_and_a_file_in_the_place_of_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "b.tsv").write_text("a\tr\tb\n")
    with pytest.raises(StoreError, match=r"holds no stored graph or step; name one of its files: b\.tsv"):
        load_graph(tmp_path)
    with pytest.raises(StoreError, match=r"b\.tsv: is no folder; a graph is several files"):
        save_graph(graph("a r b"), tmp_path / "b.tsv")
    (tmp_path / "none").mkdir()
    with pytest.raises(StoreError, match="no stored graph or step; nor a file of triples"):
        load_graph(tmp_path / "none")


def test_a_stored_step_of_triples_is_a_graph_and_another_is_not(tmp_path: Path) -> None:
    step = store(tmp_path, triples("a r b", "b r c", "c r a", "a s b", "b s c"), part_rows=2)
    one = load_graph(step.path)
    assert one.edges == 5
    with pytest.raises(StoreError, match="holds Document rows; a graph is made of Triple rows"):
        load_graph(store(tmp_path, documents(3)).path)
