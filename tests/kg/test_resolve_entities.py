"""Entity resolution: certain pairs are merged, doubtful ones asked about once, and chains are checked."""

from __future__ import annotations

import asyncio
import json
import random
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.extract_triples import ExtractTriples
from kg.resolve_entities import ResolveEntities
from mashbill.asker import Asker
from mashbill.engine import Request, ScriptedEngine
from mashbill.execute import execute
from mashbill.ledger import Ledger
from mashbill.records import Triple
from mashbill.runtime import RejectPolicy, Runtime
from tests.kg.extract_support import (
    edges,
    kinds_in,
    labelled,
    question_in,
    reasons_of,
    rejects_of,
    run,
    triples_of,
)
from tests.kg.test_extract_triples import knows
from tests.support.kernel import bytes_of, store


def triple(head: str, relation: str, tail: str, place: str = "a", **fields: Any) -> Triple:
    evidence = fields.pop("evidence", f"{head} {relation} {tail}.")
    return Triple.new(head=head, relation=relation, tail=tail, evidence=evidence, source=place, **fields)


def names_in(request: Request) -> tuple[str, str]:
    """The two names of a question."""
    one, other = re.findall(r"^\d\. (.+?)(?: \([a-z]+\))?$", question_in(request), re.MULTILINE)
    return one, other


def judge(*groups: set[str]) -> ScriptedEngine:
    """Says that names are the same where one group holds both."""

    def script(request: Request) -> str:
        same = any(set(names_in(request)) <= group for group in groups)
        return json.dumps({"answer": "same" if same else "different"})

    return ScriptedEngine(script)


def asked(engine: ScriptedEngine) -> list[tuple[str, str]]:
    return sorted(names_in(request) for request in engine.seen)


async def resolved(
    tmp_path: Path, triples: Iterable[Triple], engine: ScriptedEngine | None = None, **fields: Any
) -> tuple[list[Triple], dict[str, int], ScriptedEngine]:
    engine = engine or judge()
    stored = await run(ResolveEntities(**fields), store(tmp_path, list(triples)), engine)
    return triples_of(stored), reasons_of(stored), engine


async def test_spellings_that_are_certainly_one_are_merged_and_nobody_is_asked(tmp_path: Path) -> None:
    rows = [
        triple("Café Olvera", "sells", "salt"),
        triple("the cafe Olvera", "sells", "lamps"),
        triple("Café Olvera", "stands_in", "Marrow Bay"),
        triple("lamp", "made_of", "glass"),
    ]
    found, reasons, engine = await resolved(tmp_path, rows)
    assert edges(found) == [
        ("Café Olvera", "sells", "salt"),
        ("Café Olvera", "sells", "lamps"),
        ("Café Olvera", "stands_in", "Marrow Bay"),
        ("lamps", "made_of", "glass"),
    ]
    assert [one.head_surface for one in found] == ["Café Olvera", "the cafe Olvera", "Café Olvera", "lamp"]
    assert found[1].evidence == rows[1].evidence
    assert (found[1].source_id, found[1].parents) == (rows[1].id, (rows[1].id,))
    assert (reasons, engine.seen) == ({}, [])


async def test_only_doubtful_pairs_are_asked_about_each_once_with_their_sentences(tmp_path: Path) -> None:
    rows = [
        triple("Ora Venn", "founded", "Salt Guild", head_type="person"),
        triple("Venn", "sold", "salt", head_type="person"),
        triple("Venn", "sold", "lamp oil", head_type="person"),
        triple("Kessenbray", "lies_in", "Tolvarey", head_type="place"),
        triple("Kesenbray", "lies_in", "Highmoor", head_type="place"),
    ]
    found, _, engine = await resolved(tmp_path, rows, judge({"Ora Venn", "Venn"}))
    assert asked(engine) == [("Kesenbray", "Kessenbray"), ("Ora Venn", "Venn"), ("salt", "Salt Guild")]
    (request,) = [one for one in engine.seen if "Venn" in names_in(one)]
    assert question_in(request) == (
        '1. Ora Venn (person)\n   "Ora Venn founded Salt Guild."\n2. Venn (person)\n   "Venn sold salt."'
    )
    assert [one.head for one in found] == ["Venn", "Venn", "Venn", "Kessenbray", "Kesenbray"]
    assert [len(one.made.asks) for one in found] == [1, 1, 1, 0, 0]


async def test_the_name_used_most_is_kept_and_of_several_the_longest(tmp_path: Path) -> None:
    rows = [triple("Ora Venn", "a", "x1"), triple("Venn", "b", "y2")]
    found, _, _ = await resolved(tmp_path, rows, judge({"Ora Venn", "Venn"}))
    assert [(one.head, one.head_surface) for one in found] == [("Ora Venn", "Ora Venn"), ("Ora Venn", "Venn")]


async def test_numbers_and_kinds_that_differ_are_never_asked_about(tmp_path: Path) -> None:
    rows = [
        triple("census of 1842", "counted", "Marrow Bay"),
        triple("census of 1843", "counted", "Oskelby"),
        triple("factor VIII", "found_by", "Imlay"),
        triple("factor VII", "found_by", "Fesk"),
        triple("Mercury", "orbits", "sun", head_type="planet"),
        triple("Mercury", "guards", "trade", head_type="god"),
        triple("Mercury", "is", "small", head_type="planet"),
    ]
    found, reasons, engine = await resolved(tmp_path, rows)
    assert engine.seen == []
    assert reasons == {}
    assert [one.head for one in found[4:]] == ["Mercury", "Mercury (god)", "Mercury"]


async def test_with_kinds_that_cannot_be_relied_on_they_are_asked_about(tmp_path: Path) -> None:
    rows = [
        triple("Salt Guild", "sold", "rope", head_type="group"),
        triple("Salt Guild", "met_in", "Oskelby", head_type="place"),
    ]
    found, _, engine = await resolved(tmp_path, rows, judge({"Salt Guild"}), any_kind=True)
    assert asked(engine) == [("Salt Guild", "Salt Guild")]
    assert len({(one.head, one.head_type) for one in found}) == 1


async def test_a_chain_does_not_merge_what_is_unlike(tmp_path: Path) -> None:
    rows = [triple("Tesk", "a", "x1"), triple("Tesk", "a", "x2"), triple("Ammory Tesk", "b", "y1")]
    rows += [triple("Jorrane Tesk", "c", "z1")]
    engine = judge({"Tesk", "Ammory Tesk"}, {"Tesk", "Jorrane Tesk"})
    found, reasons, engine = await resolved(tmp_path, rows, engine)
    names = {one.head_surface: one.head for one in found}
    assert names["Ammory Tesk"] != names["Jorrane Tesk"]
    assert names["Tesk"] == names["Ammory Tesk"] == "Tesk"
    assert reasons == {"chain_refused": 1}
    assert ("Ammory Tesk", "Jorrane Tesk") in asked(engine)


async def test_groups_whose_representatives_are_found_to_be_the_same_are_joined(tmp_path: Path) -> None:
    rows = [triple("Tesk", "a", "x1"), triple("Ammory Tesk", "b", "y1"), triple("Jorrane Tesk", "c", "z1")]
    one = {"Tesk", "Ammory Tesk", "Jorrane Tesk"}
    found, reasons, engine = await resolved(tmp_path, rows, judge(one))
    assert ("Ammory Tesk", "Jorrane Tesk") in asked(engine), "not alike enough to be a pair of its own"
    assert {triple.head for triple in found} == {"Jorrane Tesk"}
    assert reasons == {}


async def test_loops_and_doubles_that_a_merge_makes_are_rejects_and_evidence_is_kept(tmp_path: Path) -> None:
    rows = [
        triple("Ora Venn", "founded", "guild", evidence="Ora Venn founded it."),
        triple("Venn", "founded", "guild", evidence="Venn founded it, they say."),
        triple("Venn", "knows", "Ora Venn"),
        triple("ora venn", "likes", "salt", evidence=""),
        triple("Ora Venn", "likes", "salt", evidence=""),
    ]
    found, reasons, _ = await resolved(tmp_path, rows, judge({"Ora Venn", "Venn"}, {"ora venn", "Venn"}))
    assert reasons == {"duplicate": 1, "self_loop": 1}
    assert [one.evidence for one in found] == ["Ora Venn founded it.", "Venn founded it, they say.", ""]
    assert len({edge for edge in edges(found)}) == 2


async def test_a_judge_that_fails_or_is_unsure_merges_nothing_and_is_accounted_for(tmp_path: Path) -> None:
    rows = [
        triple("Ora Venn", "a", "x1"),
        triple("Venn", "b", "y1"),
        triple("Kessenbray", "c", "z1"),
        triple("Kesenbray", "d", "w1"),
    ]

    def script(request: Request) -> str:
        return "It depends." if "Venn" in names_in(request) else '{"answer": "unsure"}'

    stored = await run(ResolveEntities(), store(tmp_path, rows), ScriptedEngine(script))
    assert [one.head for one in triples_of(stored)] == ["Ora Venn", "Venn", "Kessenbray", "Kesenbray"]
    found = {reject.reason: reject.subjects for reject in rejects_of(stored)}
    assert found == {"unparsable": ("Ora Venn", "Venn"), "pair_unsure": ("Kesenbray", "Kessenbray")}


async def test_pairs_beyond_the_bound_are_counted_and_not_asked(tmp_path: Path) -> None:
    rows = [triple(f"{word} Kessenbray{end}", "a", f"x{word}") for word in ("Old", "New") for end in ("", "e", "es")]
    found, reasons, engine = await resolved(tmp_path, rows, max_asks=2)
    assert len(engine.seen) == 2
    assert reasons == {"pairs_not_asked": 1}
    assert len(found) == len(rows)


async def test_documents_added_later_cost_only_their_own_pairs(tmp_path: Path) -> None:
    groups = {"Ora Venn", "Venn"}, {"Kessenbray", "Kesenbray"}, {"Perrick", "Old Perrick"}
    old = [
        triple("Ora Venn", "founded", "guild"),
        triple("Venn", "sold", "rope"),
        triple("Kessenbray", "lies_in", "Tolvarey"),
        triple("Kesenbray", "sells", "bells"),
    ]
    new = [triple("Venn", "met", "Old Perrick"), triple("Perrick", "left", "Kesenbray"), triple("a venn", "b", "zz")]
    ledger = tmp_path / "ledger.sqlite"
    first, second = judge(*groups), judge(*groups)
    await run(ResolveEntities(), store(tmp_path / "one", old), first, ledger)
    grown = await run(ResolveEntities(), store(tmp_path / "two", [*old, *new]), second, ledger)
    assert len(first.seen) == 2
    assert asked(second) == [("Old Perrick", "Perrick")]
    assert {one.head for one in triples_of(grown)} == {"Venn", "Kesenbray", "Old Perrick"}


async def test_the_same_bytes_come_of_the_same_graph_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    rows = [triple("Ora Venn", "founded", "guild"), triple("Venn", "sold", "rope"), triple("venn", "sold", "salt")]
    ledger = tmp_path / "ledger.sqlite"
    again = ScriptedEngine({}, name="scripted")
    one = await run(ResolveEntities(), store(tmp_path / "one", rows), judge({"Ora Venn", "Venn"}), ledger)
    two = await run(ResolveEntities(), store(tmp_path / "two", rows), again, ledger)
    assert again.seen == []
    assert bytes_of(one.path) == bytes_of(two.path)


async def test_a_resolved_graph_stays_as_it_is(tmp_path: Path) -> None:
    rows = [triple("Ora Venn", "founded", "guild"), triple("Venn", "sold", "rope")]
    once, _, _ = await resolved(tmp_path / "one", rows, judge({"Ora Venn", "Venn"}))
    twice, reasons, engine = await resolved(tmp_path / "two", once)
    assert edges(twice) == edges(once)
    assert [one.head_surface for one in twice] == ["Ora Venn", "Venn"]
    assert (reasons, engine.seen) == ({}, [])


async def test_the_manifest_reports_names_before_and_after(tmp_path: Path) -> None:
    rows = [triple("Ora Venn", "founded", "guild"), triple("Venn", "sold", "rope")]
    stored = await run(ResolveEntities(), store(tmp_path, rows), judge({"Ora Venn", "Venn"}))
    notes = stored.manifest.notes
    assert (notes["names_read"], notes["things"]) == (4, 3)
    assert notes["most_spellings"] == {"Ora Venn": ["Ora Venn", "Venn"]}
    assert (notes["pairs_asked"], notes["pairs_same"]) == (1, 1)


async def test_undecided_pairs_are_counted_and_do_not_stop_a_graph_of_many_parts(tmp_path: Path) -> None:
    words = ("Kessenbray", "Oldwater", "Marrowmere", "Tolvarin", "Pellinor", "Vintracken")
    rows = [triple(f"{word}{end}", "a", f"x{word}") for word in words for end in ("", "e", "es")]
    source = store(tmp_path, rows, part_rows=2)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    async with Asker(ScriptedEngine(lambda _: '{"answer": "unsure"}'), ledger) as asker:
        runtime = Runtime(root=tmp_path, asker=asker)
        stored = await execute(ResolveEntities(), source, runtime, RejectPolicy(share=0.7, after=5))
    await ledger.close()
    counts = stored.manifest.counts
    assert counts.kept == len(rows)
    assert counts.noted["pairs_undecided"] == counts.rejected["pair_unsure"] > 6
    assert stored.manifest.notes["pairs_asked"] == counts.noted["pairs_undecided"]


UNLIKE = [
    ("US", "us"),
    ("AIDS", "aids"),
    ("John Adams", "John Adam"),
    ("Martin Luther", "Luther Martin"),
    ("Baden", "Baden Baden"),
    ("Na⁺", "Na"),
    ("blood group A-", "blood group A"),
    ("BMI > 30", "BMI < 30"),
    ("かぎ", "かき"),
    ("दिल", "दूल"),
    (".NET", "net"),
    ("City of Gold", "Gold of City"),
]


@pytest.mark.parametrize(("one", "other"), UNLIKE)
async def test_names_of_unlike_things_are_never_merged_unasked(tmp_path: Path, one: str, other: str) -> None:
    rows = [triple(one, "a", "x1"), triple(other, "b", "y1")]
    found, reasons, _ = await resolved(tmp_path, rows, judge())
    assert [row.head for row in found] == [one, other]
    assert reasons == {}


@pytest.mark.parametrize(
    ("one", "other"), [("Type II diabetes", "type 2 diabetes"), ("US", "United States"), ("Adams", "adam")]
)
async def test_names_that_may_be_one_are_asked_about(tmp_path: Path, one: str, other: str) -> None:
    rows = [triple(one, "a", "x1"), triple(other, "b", "y1")]
    found, _, engine = await resolved(tmp_path, rows, judge({one, other}))
    assert len({row.head for row in found}) == 1
    assert len(engine.seen) == 1


async def test_a_name_turned_round_is_merged_unasked(tmp_path: Path) -> None:
    rows = [triple("University of Oxford", "a", "x1"), triple("Oxford University", "b", "y1")]
    found, _, engine = await resolved(tmp_path, rows)
    assert ({row.head for row in found}, engine.seen) == ({"University of Oxford"}, [])


async def test_a_name_made_to_tell_two_things_apart_is_not_that_of_a_third(tmp_path: Path) -> None:
    rows = [
        triple("Mercury", "orbits", "x1", head_type="planet"),
        triple("Mercury", "orbits", "x2", head_type="planet"),
        triple("Mercury", "guards", "y1", head_type="god"),
        triple("Mercury (god)", "was", "z1", head_type="god"),
    ]
    found, _, _ = await resolved(tmp_path, rows)
    assert len({row.head for row in found}) == 3


NAMES = ("Tesk", "Ammory Tesk", "A. Tesk", "tesk", "Tesks", "Jorrane Tesk", "Tesk II", "Tesk 2", "Tesk III", "Tesc")
ROWS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(("", "person", "place")), st.sampled_from(("a", "b"))),
    min_size=1,
    max_size=10,
)


@settings(max_examples=12, deadline=None)
@given(ROWS, st.integers(0, 2**32), st.integers(1, 4))
def test_whatever_is_answered_nothing_unlike_is_merged_and_parts_make_no_difference(
    rows: list[tuple[str, str, str]], seed: int, part_rows: int
) -> None:
    triples = [
        triple(name, "r", f"{tail}{at}", head_type=kind, tail_type="thing")
        for at, (name, kind, tail) in enumerate(rows)
    ]
    said: dict[frozenset[str], str] = {}

    def script(request: Request) -> str:
        lines = frozenset(re.findall(r"^\d\. (.+)$", question_in(request), re.MULTILINE))
        assert lines not in said, "asked once"
        drawn = random.Random(f"{seed}/{sorted(lines)}").choice(("same", "same", "different", "unsure"))
        said[lines] = drawn
        return json.dumps({"answer": drawn})

    async def both() -> None:
        with tempfile.TemporaryDirectory() as folder:
            one = await run(ResolveEntities(), store(Path(folder) / "one", triples), ScriptedEngine(script))
            said.clear()
            source = store(Path(folder) / "two", triples, part_rows=part_rows)
            two = await run(ResolveEntities(), source, ScriptedEngine(script))
            whole, cut = triples_of(one), triples_of(two)
            assert edges(whole) == edges(cut)
            assert one.manifest.counts.noted == two.manifest.counts.noted
            kinds: dict[str, set[str]] = {}
            numbers: dict[str, set[str]] = {}
            for old, new in zip(triples, whole, strict=True):
                kinds.setdefault(new.head, set()).add(old.head_type)
                two_or_three = old.head.replace("III", "3").replace("II", "2")
                numbers.setdefault(new.head, set()).update(re.findall("[23]", two_or_three))
            assert all(len(found - {""}) <= 1 for found in kinds.values())
            assert all(len(found) <= 1 for found in numbers.values())

    asyncio.run(both())


async def test_an_empty_input_and_a_single_triple_are_no_trouble(tmp_path: Path) -> None:
    found, reasons, engine = await resolved(tmp_path, [triple("a1", "b", "c1")])
    assert (edges(found), reasons, engine.seen) == ([("a1", "b", "c1")], {}, [])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ask_from": 0.0}, "ask_from is 0.0; it is a cosine above 0, up to 1"),
        ({"merge_from": 0.5}, "merge_from is 0.5, below the 0.6 of ask_from"),
        ({"embedder": "minlm"}, "no embedder is called 'minlm' (did you mean minilm?)"),
        ({"neighbours": 0}, "neighbours is 0; it must be 1 or more"),
        ({"max_asks": -1}, "max_asks is -1; it must be 0 or more"),
    ],
)
def test_fields_that_could_never_work_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ResolveEntities(**fields)


async def test_from_documents_to_one_graph_with_a_perfect_teacher(tmp_path: Path) -> None:
    documents = labelled()
    lines = [line for one in documents for line in one.gold]
    extract = ExtractTriples(
        relations=tuple(sorted({line["relation"] for line in lines})), entity_types=kinds_in(lines)
    )
    source = store(tmp_path, [one.document for one in documents])
    triples = await run(extract, source, knows(documents))
    engine = judge({"Bessa Quarl", "Quarl"})
    graph = await run(ResolveEntities(), triples, engine)
    found = triples_of(graph)
    assert reasons_of(graph) == {}
    wanted = {(one["head"].removeprefix("the "), one["relation"], one["tail"].removeprefix("the ")) for one in lines}
    same = {"Quarl": "Bessa Quarl", "moorcurl": "moorcurl"}
    plain = {(same.get(head, head), relation, same.get(tail, tail)) for head, relation, tail in wanted}
    assert {(head.removeprefix("the "), rel, tail.removeprefix("the ")) for head, rel, tail in edges(found)} == plain
    assert 0 < len(engine.seen) < 15, "of some fifty names only a few pairs are in doubt"
