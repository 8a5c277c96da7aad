"""Triples from files: every line accounted for, every wrong one named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.load import Tally, read_triples
from kg.to_networkx import to_networkx
from mashbill.errors import InputError, SettingsError
from mashbill.records import Triple


@pytest.fixture
def umls() -> Path:
    if "MASHBILL_DATA" not in os.environ:
        pytest.skip("MASHBILL_DATA, the folder of umls.tsv, is not set")
    return Path(os.environ["MASHBILL_DATA"]) / "umls.tsv"


def written(tmp_path: Path, data: bytes | str) -> Path:
    path = tmp_path / "graph.tsv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def plain(triples: list[Triple]) -> list[tuple[str, str, str]]:
    return [(one.head, one.relation, one.tail) for one in triples]


def test_lines_are_triples_in_their_order_with_their_place(tmp_path: Path) -> None:
    path = written(tmp_path, "salt\tmade_by\tOra Venn\nsalt\tsold_in\tcafé\n")
    triples = list(read_triples(path))
    assert plain(triples) == [("salt", "made_by", "Ora Venn"), ("salt", "sold_in", "café")]
    assert [one.source for one in triples] == ["graph.tsv:1", "graph.tsv:2"]
    assert all(one.id == one.source_id != "" for one in triples)
    assert [one.id for one in read_triples(path)] == [one.id for one in triples]


def test_marks_spaces_and_line_ends_of_other_systems_are_no_part_of_a_name(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbf salt \tr\tb\r\n\r\n  \nsalt\tr\tc")
    tally = Tally()
    assert plain(list(read_triples(path, tally))) == [("salt", "r", "b"), ("salt", "r", "c")]
    assert tally == Tally(lines=4, triples=2, blank=2)


def test_a_triple_that_stands_twice_is_given_once_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "a\tr\tb\na\tr\tc\na\tr\tb\na \tr\tb\nb\tr\ta\n")
    tally = Tally()
    assert plain(list(read_triples(path, tally))) == [("a", "r", "b"), ("a", "r", "c"), ("b", "r", "a")]
    assert tally == Tally(lines=5, triples=3, duplicates=2, first_duplicate="graph.tsv:3")


NAMES = st.text(st.characters(exclude_characters="\t\n\ufeff", codec="utf-8"), max_size=4).map(str.strip)


@given(st.lists(st.tuples(*[NAMES.filter(bool)] * 3), min_size=1, max_size=30))
def test_what_is_written_is_read_whatever_the_names(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    path = written(tmp_path_factory.mktemp("kg"), "".join("\t".join(row) + "\n" for row in rows))
    tally = Tally()
    assert plain(list(read_triples(path, tally))) == list(dict.fromkeys(rows))
    assert tally.lines == len(rows) == tally.triples + tally.duplicates + tally.blank


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\tr\tb\na\tr\n", "graph.tsv:2: has 2 columns; wanted three with tabs between: head, relation, tail"),
        (b"a r b\n", "graph.tsv:1: has 1 columns"),
        (b"a\tr\tb\tc\n", "graph.tsv:1: has 4 columns"),
        (b"a\t \tb\n", "graph.tsv:1: has no relation; wanted something in each of head, relation, tail"),
        (b"\tr\tb\n", "graph.tsv:1: has no head"),
        (b"a\tr\t\n", "graph.tsv:1: has no tail"),
        (b"a\tr\tb\na\tr\tcaf\xe9\n", "graph.tsv:2: is not UTF-8 (byte 8 of the line)"),
        (b"", "graph.tsv: has no triple; wanted rows of a head, a relation and a tail"),
        (b"\n\n", "graph.tsv: has no triple"),
    ],
)
def test_a_line_that_is_no_triple_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        list(read_triples(written(tmp_path, data)))
    assert message in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tsv: no such file of triples"):
        list(read_triples(tmp_path / "none.tsv"))
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        list(read_triples(tmp_path))


def test_a_graph_has_an_edge_for_each_relation(tmp_path: Path) -> None:
    pytest.importorskip("networkx")
    path = written(tmp_path, "a\tr\tb\na\ts\tb\nb\tr\ta\na\tr\ta\n")
    triples = list(read_triples(path))
    again = Triple.new(head="a", relation="r", tail="b", source="other.tsv:1")
    graph = to_networkx([*triples, again])
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (2, 4)
    assert sorted(graph.edges(keys=True)) == sorted((one.head, one.tail, one.relation) for one in triples)
    assert graph.edges["a", "b", "r"] == {"relation": "r", "id": triples[0].id, "source": "graph.tsv:1"}
    assert to_networkx([]).number_of_nodes() == 0


def test_without_networkx_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(SettingsError, match=r"networkx is not installed: `pip install 'mashbill\[kg\]'`"):
        to_networkx([])


def test_umls_is_read_whole(umls: Path) -> None:
    tally = Tally()
    triples = list(read_triples(umls, tally))
    assert tally == Tally(lines=6529, triples=6529)
    graph = to_networkx(triples)
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (135, 6529)
    assert len({one.relation for one in triples}) == 46
