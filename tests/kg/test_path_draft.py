"""Items drafted from a graph: one right option, nothing told that is to be found, letters balanced."""

from __future__ import annotations

from collections import Counter
from pathlib import Path as FilePath
from typing import Any

import pytest

from kg.facts import Facts
from kg.held_out import HeldOut
from kg.load_graph import graph_of
from kg.path_draft import PathDraft, stem_of
from kg.truth import Truth
from kg.verbalise_wording import Wording
from mashbill.execute import execute
from mashbill.qa_text import answer_letter, spoken
from mashbill.records import QA, Edge, Path, Triple
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.store import Stored
from tests.kg.path_helpers import grid, umls
from tests.support.kernel import rejects_in, rows_of, store


async def drafted(root: FilePath, triples: list[Triple], part_rows: int = 10_000, **fields: Any) -> Stored:
    source = store(root, triples, part_rows=part_rows)
    return await execute(PathDraft(**fields), source, Runtime(root=root), RejectPolicy(share=1.0))


def town(size: int = 40) -> list[Triple]:
    """Masters, each of one guild, and guilds that tax three goods each."""
    triples = []
    for at in range(size):
        triples.append(Triple.new(head=f"master {at}", relation="leads", tail=f"guild {at}", domain="trade"))
        triples += [Triple.new(head=f"guild {at}", relation="taxes", tail=f"good {(at + k) % size}") for k in range(3)]
    return triples


def test_a_stem_tells_each_fact_as_the_graph_states_it() -> None:
    path = Path.new(
        edges=(
            Edge(head="salt", relation="taxed by", tail="Guild", inverse=True, stated="taxes"),
            Edge(head="Guild", relation="founded_by", tail="Ora"),
        )
    )
    assert stem_of(path, Wording()) == ("Thing 1 taxes salt. Thing 1 is founded by thing 2. Which of these is thing 2?")


async def test_no_wrong_option_is_reached_by_the_same_steps(tmp_path: FilePath) -> None:
    triples = town()
    stored = await drafted(tmp_path, triples, count=150)
    rows: list[QA] = rows_of(stored)
    truth = Truth(Facts(graph_of(triples)))
    assert len(rows) == 150
    for row in rows:
        right = {spoken(truth.facts.name(node)) for node in truth.ends_of(row.path)}
        assert set(row.options) & right == {row.answer}
        assert len(set(row.options)) == 4
        nodes = [row.path[0].head, *(edge.tail for edge in row.path)]
        assert not any(f" {node}." in f" {row.question}" for node in nodes[1:])
        assert row.parents
        assert row.discipline in ("trade", "")
    assert {row.hops for row in rows} == {1, 2, 3}
    counts = Counter(answer_letter(row) for row in rows)
    assert sum((counts[letter] - 37.5) ** 2 / 37.5 for letter in "ABCD") < 16.27
    assert stored.manifest.notes["ended"] == "all 150 items accepted"


async def test_drafts_of_a_real_graph_have_one_right_option(tmp_path: FilePath) -> None:
    triples = umls()
    rows: list[QA] = rows_of(await drafted(tmp_path, triples, count=60))
    truth = Truth(Facts(graph_of(triples)))
    assert len(rows) == 60
    for row in rows:
        assert set(row.options) & {spoken(truth.facts.name(node)) for node in truth.ends_of(row.path)} == {row.answer}


async def test_the_parts_hold_the_same_items_however_many_there_are(tmp_path: FilePath) -> None:
    one: list[QA] = rows_of(await drafted(tmp_path / "a", town(), count=40))
    two: list[QA] = rows_of(await drafted(tmp_path / "b", town(), count=40, part_rows=7))
    assert {row.id for row in one} == {row.id for row in two}


async def test_a_source_with_the_answer_in_its_name_is_not_asked_about(tmp_path: FilePath) -> None:
    triples = [Triple.new(head=f"good {at} works", relation="sells", tail=f"good {at}") for at in range(8)]
    stored = await drafted(tmp_path, triples, count=5, hops=1, way="forwards", give_up=20)
    assert rows_of(stored) == []
    assert Counter(one.reason for one in rejects_in(stored)) == {"answer_in_stem": 20}
    assert stored.manifest.notes["ended"].startswith("gave up at 0 of 5 items")


async def test_what_is_held_out_is_not_drafted(tmp_path: FilePath) -> None:
    held = HeldOut(share=0.4, seed=2)
    rows: list[QA] = rows_of(await drafted(tmp_path, grid(7, 7), count=100, held_out=held))
    assert len(rows) > 50
    assert all(held.keeps_path(row.path) for row in rows)


@pytest.mark.parametrize("name", ["count", "give_up"])
def test_numbers_out_of_range_are_refused(name: str) -> None:
    numbers: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0; it must be 1 or more"):
        PathDraft(**numbers)
