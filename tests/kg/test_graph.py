"""The graph in memory: what was said is what can be walked, in both directions, and nothing else."""

from __future__ import annotations

import itertools
import random

import pyarrow as pa
import pytest
from hypothesis import given

from kg.graph import TAXONOMIC, Graph, Hop, relations_of
from kg.load_graph import graph_of
from kg.shortest import shortest_paths
from kg.stats import GraphStats
from kg.to_networkx import to_networkx
from mashbill.errors import InputError
from mashbill.records import Triple
from tests.kg.graphs import TRIPLES, Plain, graph, star, stated


def seen_from(one: Graph, name: str) -> list[Plain]:
    """What a node's edges say, backwards ones by their inverse label."""
    edges = [one.edge(hop.edge, hop.inverse) for hop in one.hops(one.node(name))]
    assert all(edge.head == name for edge in edges)
    return sorted((edge.head, edge.relation, edge.tail) for edge in edges)


@given(TRIPLES)
def test_every_triple_is_seen_from_both_ends_once(triples: list[Plain]) -> None:
    one, said = graph(*triples), set(triples)
    assert stated(one) == sorted(said)
    for name in one.names.to_pylist():
        ahead = [(h, r, t) for h, r, t in said if h == name]
        behind = [(t, f"inverse of {r}", h) for h, r, t in said if t == name]
        assert seen_from(one, name) == sorted([*ahead, *behind])
        assert one.degrees[one.node(name)] == len(ahead) + len(behind)


@given(TRIPLES)
def test_the_same_triples_are_the_same_graph_in_any_order(triples: list[Plain]) -> None:
    shuffled = [*triples, *triples]
    random.Random(7).shuffle(shuffled)
    first, second = graph(*triples), graph(*shuffled)
    assert first.names.equals(second.names)
    for name in ("head", "relation", "tail", "out_start", "in_start", "in_edge"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist()


def test_an_edge_walked_backwards_is_true_and_leads_back_to_its_triple() -> None:
    one = graph("salt made_by Ora", "salt sold_in Veylund", sold_in="sells")
    assert seen_from(one, "Veylund") == [("Veylund", "sells", "salt")]
    edge = one.edge(0, inverse=True)
    assert (edge.head, edge.relation, edge.tail, edge.inverse) == ("Ora", "inverse of made_by", "salt", True)
    assert edge.triple == ("salt", "made_by", "Ora") == one.edge(0).triple
    assert not one.edge(0).inverse


def test_parallel_edges_and_loops_are_kept() -> None:
    one = graph("a r b", "a s b", "a r b", "b r b")
    assert stated(one) == [("a", "r", "b"), ("a", "s", "b"), ("b", "r", "b")]
    assert [(hop.inverse, one.name(hop.node)) for hop in one.hops(one.node("b"))] == [
        (False, "b"),
        (True, "a"),
        (True, "a"),
        (True, "b"),
    ]
    assert one.rows is not None
    assert one.rows.tolist() == [0, 1, 3]


def test_an_inverse_label_of_no_relation_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no relation is called 'made_bye' \(did you mean made_by\?\)"):
        relations_of(["made_by", "sold_in"], {"made_bye": "makes"})
    with pytest.raises(InputError, match="the inverse label of 'made_by' is empty"):
        relations_of(["made_by"], {"made_by": " "})


def test_a_label_that_is_a_relation_of_the_graph_makes_the_two_inverses_of_each_other() -> None:
    names = ["broader", "has_part", "next_to", "part_of", "wider"]
    found = {
        one.name: one for one in relations_of(names, {"part_of": "has_part ", "next_to": "next_to", "wider": "broader"})
    }
    assert {name: one.inverse for name, one in found.items()} == {
        "broader": "wider",
        "has_part": "part_of",
        "next_to": "next_to",
        "part_of": "has_part",
        "wider": "broader",
    }
    # What sorts things into kinds does so read backwards, too.
    assert [name for name, one in found.items() if one.taxonomic] == ["broader", "wider"]
    walked = relations_of(["inverse of inverse of r", "inverse of r", "r"])
    assert [one.inverse for one in walked] == ["inverse of inverse of inverse of r", "r", "inverse of r"]


@pytest.mark.parametrize("inverses", [{"a": "c", "b": "c"}, {"a": "b", "b": "c"}, {"a": "b", "b": "b"}])
def test_a_relation_that_would_have_two_inverses_is_refused(inverses: dict[str, str]) -> None:
    with pytest.raises(InputError, match="a relation of the graph whose own inverse label is"):
        relations_of(["a", "b", "c"], inverses)


@given(TRIPLES)
def test_what_is_said_once_is_seen_once_from_each_end_and_nothing_is_lost(triples: list[Plain]) -> None:
    names = {relation for _, relation, _ in triples}
    given = {name: label for name, label in (("r", "s"), ("t", "t")) if name in names}
    whole = graph(*triples, **given)
    once = whole.said_once()
    for name in whole.names.to_pylist():
        seen = seen_from(once, name)
        # A loop is seen from both of its ends, which are one.
        assert sorted({*seen}) == sorted({*seen_from(whole, name)})
        away = [said for said in seen if said[2] != name]
        assert len(away) == len(set(away))
    assert set(stated(once)) <= set(stated(whole))
    assert graph(*triples).said_once().edges == whole.edges


def test_a_relation_is_left_out_with_its_inverse() -> None:
    one = graph("a part_of b", "c has_part d", "a r b", part_of="has_part")
    for name in ("part_of", "has_part"):
        assert stated(one.without([name])) == [("a", "r", "b")]


@given(TRIPLES)
def test_without_a_relation_all_other_edges_stay(triples: list[Plain]) -> None:
    one = graph(*triples, "a r b", "a isa c")
    left = one.without(["r"])
    again = graph(*(said for said in stated(one) if said[1] != "r"))
    assert stated(left) == stated(again)
    assert left.names.equals(one.names)
    for name in again.names.to_pylist():
        assert seen_from(left, name) == seen_from(again, name)
    assert all(said[1] not in TAXONOMIC for said in stated(one.without([], taxonomic=True)))
    assert left.without([]) is left
    assert one.rows is not None
    assert left.rows is not None
    assert [stated(one)[one.rows.tolist().index(row)] for row in left.rows.tolist()] == stated(left)


def test_an_unknown_relation_to_leave_out_is_an_error_with_the_nearest() -> None:
    with pytest.raises(
        InputError, match=r"no relation is called 'mad_by' \(did you mean made_by\?\); there are: made_by"
    ):
        graph("salt made_by Ora").without(["mad_by"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("Salt", "no node is called 'Salt'; did you mean 'salt'"),
        ("slat", "did you mean 'salt'"),
        ("Guild", "did you mean 'the salt guild'"),
        ("xyz", "no node is called 'xyz'; names look like 'Ora', 'salt', 'the salt guild'$"),
        ("", "no node is called ''; names look like"),
    ],
)
def test_a_node_that_is_not_there_is_named_with_the_nearest(asked: str, message: str) -> None:
    one = graph(("salt", "made_by", "Ora"), ("the salt guild", "sells", "salt"))
    with pytest.raises(InputError, match=message):
        one.node(asked)


def test_in_a_large_graph_a_misspelt_node_is_still_found() -> None:
    with pytest.raises(InputError, match="did you mean 'leaf 0012345'"):
        star(30_000).node("feal 0012345")


def test_an_edge_is_found_by_what_it_says() -> None:
    one = graph("a r b", "a s b", "b r a")
    assert [one.edge_number(*said) for said in stated(one)] == [0, 1, 2]
    for absent in (("a", "r", "a"), ("a", "t", "b"), ("x", "r", "b"), ("a", "r", "x")):
        assert one.edge_number(*absent) is None


def test_names_keep_tabs_quotes_emoji_and_markup() -> None:
    names = ('tab\there "quoted"', "🧂 salt", "<b>bold</b> [red]x[/]", "naïve\u2028café", "a\x00b")
    one = graph(*((name, "is <in>", names[0]) for name in names))
    assert one.names.to_pylist() == sorted(names)
    assert [one.name(one.node(name)) for name in names] == list(names)


def test_walking_takes_fourteen_bytes_an_edge_and_sixteen_a_node() -> None:
    leaves = 1000
    one = star(leaves)
    # head 4, tail 4, relation 1 (few relations), place among the edges of its tail 4; two offsets of 8 a node.
    assert one.bytes_per_edge == 13 + 16 * (leaves + 2) / leaves
    many = relations_of([f"r{number:03d}" for number in range(300)])
    wide = Graph.build(one.names, many, one.head, one.relation, one.tail)
    assert wide.bytes_per_edge == 14 + 16 * (leaves + 2) / leaves


def test_a_graph_of_nothing_is_one() -> None:
    one = graph()
    assert (one.nodes, one.edges, GraphStats.of(one).components) == (0, 0, 0)


def test_codes_too_large_for_one_number_are_sorted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import kg.graph

    plain = kg.graph._distinct
    triples = [("b", "r", "a"), ("a", "s", "b"), ("a", "r", "b"), ("a", "s", "b")]
    first = graph(*triples)
    monkeypatch.setattr("kg.graph._distinct", lambda h, r, t, nodes, _: plain(h, r, t, nodes, 1 << 62))
    second = graph(*triples)
    assert stated(first) == stated(second)
    assert first.rows is not None
    assert second.rows is not None
    assert first.rows.tolist() == second.rows.tolist()


def test_the_types_of_triples_are_the_tags_of_nodes_and_the_commonest_wins() -> None:
    said = [("salt", "thing", "Ora", "person"), ("salt", "mineral", "sea", ""), ("salt", "mineral", "pan", "")]
    triples = [Triple.new(head=h, relation="r", tail=t, head_type=a, tail_type=b) for h, a, t, b in said]
    one = graph_of(triples)
    assert {name: one.tag(one.node(name)) for name in ("salt", "Ora", "sea")} == {
        "salt": "mineral",
        "Ora": "person",
        "sea": "",
    }
    again = one.with_tags({"sea": "place"})
    assert (again.tag(again.node("sea")), again.tag(again.node("salt"))) == ("place", "mineral")
    with pytest.raises(InputError, match="no node is called 'lake'"):
        one.with_tags({"lake": "place"})


def test_networkx_is_given_every_edge_and_tag() -> None:
    networkx = pytest.importorskip("networkx")
    one = graph("a r b", "a s b", "b r a", "c r c").with_tags({"a": "letter"})
    made = to_networkx(one)
    assert isinstance(made, networkx.MultiDiGraph)
    assert sorted((h, r, t) for h, t, r in made.edges(keys=True)) == stated(one)
    assert dict(made.nodes(data=True)) == {"a": {"tag": "letter"}, "b": {}, "c": {}}


@given(TRIPLES)
def test_numbers_are_those_of_networkx(triples: list[Plain]) -> None:
    networkx = pytest.importorskip("networkx")
    one = graph(*triples)
    made, found = to_networkx(one), GraphStats.of(one)
    parts = [len(part) for part in networkx.weakly_connected_components(made)]
    assert (found.components, found.largest) == (len(parts), max(parts))
    assert found.loops == networkx.number_of_selfloops(made)
    assert found.parallel == made.number_of_edges() - networkx.DiGraph(made).number_of_edges()
    assert dict(found.hubs).items() <= dict(made.degree()).items()
    made.remove_edges_from(list(networkx.selfloop_edges(made, keys=True)))
    assert found.isolated == networkx.number_of_isolates(made)


@given(TRIPLES)
def test_shortest_ways_are_all_those_of_networkx(triples: list[Plain]) -> None:
    networkx = pytest.importorskip("networkx")
    one = graph(*triples)
    plain = networkx.Graph(to_networkx(one))
    names = one.names.to_pylist()
    for target in names[1:]:
        ways = shortest_paths(one, names[0], target, most=10_000)
        if not networkx.has_path(plain, names[0], target):
            assert ways == []
            continue
        nodes = {(way[0].head, *(edge.tail for edge in way)) for way in ways}
        assert nodes == set(map(tuple, networkx.all_shortest_paths(plain, names[0], target)))
        assert len(set(ways)) == len(ways)
        assert all(edge.triple in stated(one) for way in ways for edge in way)


def test_a_way_longer_than_the_stack_is_found() -> None:
    names = [f"n{number:05d}" for number in range(3000)]
    chain = graph(*((first, "r", second) for first, second in itertools.pairwise(names)))
    (way,) = shortest_paths(chain, names[-1], names[0])
    assert (len(way), way[0].inverse) == (2999, True)
    assert shortest_paths(chain, names[5], names[5]) == [()]


def test_a_way_that_is_said_from_both_ends_is_one_way() -> None:
    one = graph("a part_of b", "b has_part a", "b near c", "c near b", part_of="has_part", near="near")
    (way,) = shortest_paths(one, "a", "c")
    assert [(edge.relation, edge.tail) for edge in way] == [("part_of", "b"), ("near", "c")]


def test_a_hop_is_an_edge_seen_from_a_node() -> None:
    assert list(graph("a r b").hops(1)) == [Hop(edge=0, inverse=True, node=0)]
    assert pa.types.is_large_string(graph("a r b").names.type)
