"""What is true besides what is stated: through symmetric, inverse and parallel edges, and up a taxonomy."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kg.facts import Facts
from kg.truth import Truth
from mashbill.records import Edge
from tests.kg.graphs import Plain, graph


def truth(*triples: Plain | str, **inverses: str) -> Truth:
    return Truth(Facts(graph(*triples, **inverses)))


def tails(of: Truth, head: str, relation: str) -> set[str]:
    found = of.tails(of.facts.node(head), of.facts.code(relation))
    return {of.facts.name(node) for node in found}


@pytest.mark.parametrize(
    ("triples", "inverses", "asked", "true"),
    [
        (["a adjacent_to b", "c adjacent_to a"], {}, ("a", "adjacent_to"), {"b", "c"}),
        (["a part_of b", "a partOf c"], {}, ("a", "part_of"), {"b", "c"}),
        (["a part_of b", "b has_part c"], {"part_of": "has_part"}, ("b", "has_part"), {"a", "c"}),
        (["a part_of b", "b has_part c"], {"part_of": "has part"}, ("c", "part_of"), {"b"}),
        (["a isa b", "b isa c", "c isa a"], {}, ("a", "isa"), {"b", "c"}),
        (["a eats b", "b eats c"], {}, ("a", "eats"), {"b"}),
    ],
)
def test_what_is_true_of_a_head(
    triples: list[Plain | str], inverses: Mapping[str, str], asked: tuple[str, str], true: set[str]
) -> None:
    assert tails(truth(*triples, **inverses), *asked) == true


def test_what_runs_both_ways_nine_times_in_ten_runs_both_ways() -> None:
    both = [(f"a{at}", "trades", f"b{at}") for at in range(10)]
    back = [(f"b{at}", "trades", f"a{at}") for at in range(9)]
    assert tails(truth(*both, *back), "b9", "trades") == {"a9"}
    assert tails(truth(*both[:4], *back[:3]), "b3", "trades") == set()  # too few to say


def test_relations_that_mirror_each_other_say_each_other() -> None:
    one = [(f"a{at}", "sells", f"b{at}") for at in range(12)]
    other = [(f"b{at}", "sold_by", f"a{at}") for at in range(12)]
    assert tails(truth(*one, *other[1:], ("b0", "sold_by", "x")), "b0", "sold_by") == {"a0", "x"}


def test_heads_are_the_mirror_of_tails() -> None:
    of = truth("a adjacent_to b", "c isa d", "d isa e", "c partOf e", "a part_of e", part_of="has")
    for relation in range(len(of.facts.graph.relations)):
        for head in range(of.facts.graph.nodes):
            for tail in range(of.facts.graph.nodes):
                assert (tail in of.tails(head, relation)) == (head in of.heads(relation, tail))


def test_the_ends_of_a_path_are_all_its_right_answers() -> None:
    of = truth("ora leads guild", "ora leads club", "guild taxes salt", "club taxes tar", "mill taxes oak")
    path = [Edge(head="ora", relation="leads", tail="guild"), Edge(head="guild", relation="taxes", tail="salt")]
    assert {of.facts.name(node) for node in of.ends_of(path)} == {"salt", "tar"}
    back = [Edge(head="salt", relation="inverse of taxes", tail="guild", inverse=True, stated="taxes")]
    assert {of.facts.name(node) for node in of.ends_of(back)} == {"guild"}
