"""Contradictions are found, shown and, where it is wanted, rejected; guesses are only ever reported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.contradictions import Contradictions
from kg.relation_kinds import RelationKind, kinds_table, relation_kinds
from mashbill.engine import ScriptedEngine
from mashbill.records import Triple
from mashbill.store import Stored
from tests.kg.extract_support import edges, reasons_of, rejects_of, run, triples_of
from tests.support.kernel import store

Rows = list[tuple[str, str, str]]


def graph(tmp_path: Path, rows: Rows) -> Stored:
    triples = [Triple.new(head=h, relation=r, tail=t, evidence=f"sentence {at}") for at, (h, r, t) in enumerate(rows)]
    return store(tmp_path, triples)


async def checked(tmp_path: Path, rows: Rows, **fields: Any) -> Stored:
    return await run(Contradictions(**fields), graph(tmp_path, rows), ScriptedEngine({}))


BORN: Rows = [
    ("Ora", "born_in", "Oskelby"),
    ("Ora", "born_in", "Vintrack"),
    ("Ora", "born_in", "Oskelby"),
    ("Perrick", "born_in", "Vintrack"),
    ("Ora", "met", "Perrick"),
]
FINDINGS: dict[str, tuple[Rows, dict[str, Any], list[str]]] = {
    "two_tails": (BORN, {"functional": ("born_in",)}, ["Ora | born_in | Oskelby, Vintrack"]),
    "two_heads": (
        [("Adrow", "capital_of", "Tolvarey"), ("Oskelby", "capital_of", "Tolvarey"), ("Ora", "met", "Perrick")],
        {"inverse_functional": ("capital_of",)},
        ["Adrow, Oskelby | capital_of | Tolvarey"],
    ),
    "both_ways": (
        [("Ora", "older_than", "Perrick"), ("Perrick", "older_than", "Ora"), ("Ora", "older_than", "Imlay")],
        {"asymmetric": ("older_than",)},
        ["Ora | older_than | Perrick, and back"],
    ),
    "exclusive_relations": (
        [("salt", "causes", "thirst"), ("salt", "treats", "thirst"), ("salt", "causes", "rust")],
        {"exclusive": (("treats", "causes"),)},
        ["salt | causes, treats | thirst"],
    ),
}
TWICE: dict[str, tuple[Rows, dict[str, Any], list[str]]] = {
    "said_both_ways": (
        [("Ora", "married_to", "Perrick"), ("Perrick", "married_to", "Ora")],
        {"symmetric": ("married_to",)},
        ["Ora | married_to | Perrick, and back"],
    ),
    "said_by_inverse": (
        [("Ora", "parent_of", "Imlay"), ("Imlay", "child_of", "Ora"), ("Ora", "parent_of", "Fesk")],
        {"inverses": {"parent_of": "child_of"}},
        ["Ora | parent_of | Imlay, and as child_of"],
    ),
}


@pytest.mark.parametrize("name", FINDINGS)
async def test_a_contradiction_is_reported_and_nothing_rejected_unless_it_is_wanted(tmp_path: Path, name: str) -> None:
    rows, fields, examples = FINDINGS[name]
    stored = await checked(tmp_path, rows, **fields)
    assert edges(triples_of(stored)) == rows
    assert stored.manifest.notes["contradictions"] == {name: {"triples": 2, "examples": examples}}


@pytest.mark.parametrize("name", FINDINGS)
async def test_contradicting_triples_are_rejects_where_it_is_wanted(tmp_path: Path, name: str) -> None:
    rows, fields, examples = FINDINGS[name]
    stored = await checked(tmp_path, rows, **fields, reject=True)
    assert set(reasons_of(stored)) == {name}
    assert {reject.detail for reject in rejects_of(stored)} == set(examples)
    assert len(triples_of(stored)) + len(rejects_of(stored)) == len(rows)
    assert all(edge in rows for edge in edges(triples_of(stored)))


async def test_of_two_tails_the_one_with_more_evidence_stays_and_of_equal_ones_none(tmp_path: Path) -> None:
    stored = await checked(tmp_path / "more", BORN, functional=("born_in",), reject=True)
    assert edges(triples_of(stored)) == [BORN[0], BORN[2], BORN[3], BORN[4]]
    stored = await checked(tmp_path / "equal", [*BORN[:2], *BORN[3:]], functional=("born_in",), reject=True)
    assert edges(triples_of(stored)) == BORN[3:]


@pytest.mark.parametrize("name", TWICE)
async def test_what_is_said_twice_is_reported_and_stays(tmp_path: Path, name: str) -> None:
    rows, fields, examples = TWICE[name]
    stored = await checked(tmp_path, rows, **fields, reject=True)
    assert edges(triples_of(stored)) == rows
    assert stored.manifest.notes["contradictions"][name]["examples"] == examples


TOWNS: Rows = [(f"person {at}", "born_in", f"town {at % 4}") for at in range(20)]


async def test_guesses_are_reported_and_count_only_where_a_field_says_so(tmp_path: Path) -> None:
    rows = [*TOWNS, ("person 3", "born_in", "town 1")]
    stored = await checked(tmp_path / "a", rows, reject=True)
    assert stored.manifest.notes["relations_look"] == {"functional": ["born_in"]}
    assert (reasons_of(stored), stored.manifest.notes["guesses_used"]) == ({}, False)
    stored = await checked(tmp_path / "b", rows, reject=True, use_guesses=True)
    assert reasons_of(stored) == {"two_tails": 2}


async def test_contradictions_in_different_parts_are_found(tmp_path: Path) -> None:
    rows = [BORN[0], *TOWNS, BORN[1]]
    stored = await checked(tmp_path, rows, functional=("born_in",))
    assert stored.manifest.notes["contradictions"]["two_tails"]["triples"] == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"exclusive": (("treats",),)}, "exclusive has the group ['treats']; it takes two relations or more"),
        ({"symmetric": ("a", "b"), "asymmetric": ("b",)}, "b cannot be both symmetric and asymmetric"),
    ],
)
def test_fields_that_contradict_themselves_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Contradictions(**fields)


def kind_of(rows: Rows) -> RelationKind:
    (found,) = relation_kinds(rows)
    return found


def test_kinds_are_seen_in_the_edges() -> None:
    ring = [(f"p{at}", "knows", f"p{at + 1}") for at in range(12)]
    assert kind_of([*ring, *((t, r, h) for h, r, t in ring)]).guesses() == ("symmetric",)
    tree = [(f"n{at}", "part_of", f"n{(at - 1) // 2}") for at in range(1, 40)]
    ancestors = [
        (f"n{at}", "part_of", f"n{up}") for at in range(1, 40) for up in range(40) if _above(up, at) and up != at
    ]
    assert kind_of(ancestors).guesses() == ("taxonomic",)
    assert "taxonomic" not in kind_of(tree).guesses(), "a chain of steps alone may be a route"
    assert kind_of([("a", "isa", "b")]).guesses() == ("taxonomic",)
    assert kind_of(TOWNS[:9]).guesses() == (), "nine edges say nothing"


def _above(up: int, at: int) -> bool:
    while at > up:
        at = (at - 1) // 2
    return at == up


def test_inverse_relations_are_found_by_their_edges() -> None:
    rows = [(f"p{at}", "parent_of", f"c{at}") for at in range(12)] + [
        (f"c{at}", "child_of", f"p{at}") for at in range(12)
    ]
    assert kinds_table(relation_kinds(rows))["inverse"] == ["child_of / parent_of"]


EDGES = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from(["r", "s"]), st.sampled_from("abcdef")), max_size=40
)


@given(EDGES, st.randoms(use_true_random=False))
def test_kinds_do_not_depend_on_order_or_repetition(rows: Rows, order: Any) -> None:
    again = [*rows, *rows]
    order.shuffle(again)
    assert relation_kinds(again) == relation_kinds(rows)
    for one in relation_kinds(rows):
        assert all(0.0 <= share <= 1.0 for share in (one.one_tail, one.one_head, one.both_ways, one.closed))


async def test_a_relation_whose_name_has_a_comma_excludes_nothing_alone(tmp_path: Path) -> None:
    rows = [Triple.new(head="Ora", relation="born, bred in", tail="Oskelby")]
    step = Contradictions(exclusive=(("born, bred in", "died_in"),))
    stored = await run(step, store(tmp_path, rows), ScriptedEngine({}))
    assert stored.manifest.notes["contradictions"] == {}
    assert stored.manifest.notes["relations_not_there"] == ["died_in"]


def test_a_hub_with_many_ways_in_and_out_is_looked_at_in_part() -> None:
    # 3,000 lead to the hub and it to 3,000 others: nine million two-step paths, of which none is closed.
    rows = [(f"in{at}", "to", "hub") for at in range(3000)] + [("hub", "to", f"out{at}") for at in range(3000)]
    (one,) = relation_kinds(rows)
    assert (one.closed, one.circles) == (0.0, False)
