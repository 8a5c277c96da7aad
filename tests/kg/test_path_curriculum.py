"""The loop with feedback: counts of accepted paths alone, honest ends, the same bytes after a crash."""

from __future__ import annotations

from collections import Counter
from pathlib import Path as FilePath
from typing import Any

import pytest

from kg.held_out import HeldOut, path_key
from kg.path_curriculum import PathCurriculum
from kg.sample import PathSampler
from mashbill.engine import Request, ScriptedEngine
from mashbill.errors import EngineDown
from mashbill.records import QA, Edge, Triple
from mashbill.store import Stored
from synth.generators.kg_path import KgPath
from synth.graders import Grading
from tests.kg.path_helpers import Rule, grid, umls
from tests.support.kernel import bytes_of, rejects_in, rows_of
from tests.synth.kg_path_run import engines, run_step
from tests.synth.kg_path_teacher import Teacher


def dull(request: Request) -> str:
    return f"Thinking of {request.messages[-1].content}"


async def curriculum(
    root: FilePath, triples: list[Triple], engine: ScriptedEngine | None = None, **fields: Any
) -> Stored:
    step = PathCurriculum(**{"generate": Rule(), "count": 30, **fields})
    return await run_step(root, step, triples, {"": engine or ScriptedEngine(dull)})


async def test_it_ends_with_exactly_the_items_wanted(tmp_path: FilePath) -> None:
    stored = await curriculum(tmp_path, grid(6, 6), count=37, batch=8, generate=Rule(fails=0.3))
    rows: list[QA] = rows_of(stored)
    assert len(rows) == 37
    assert stored.manifest.notes["ended"] == "all 37 items accepted"
    assert len({path_key(row.path) for row in rows}) == 37
    assert all(row.parents and len(row.parents) == row.hops for row in rows)  # the triples on its path
    assert Counter(one.reason for one in rejects_in(stored))["too_dull"] == stored.manifest.counts.rejected["too_dull"]


async def test_the_triples_on_a_path_are_the_items_parents(tmp_path: FilePath) -> None:
    triples = grid(4, 4)
    by_id = {one.id: (one.head, one.relation, one.tail) for one in triples}
    rows: list[QA] = rows_of(await curriculum(tmp_path, triples))
    for row in rows:
        assert [by_id[parent] for parent in row.parents] == [edge.triple for edge in row.path]


async def test_counts_are_those_of_accepted_paths_alone(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    committed: list[Any] = []
    released: list[Any] = []

    class Watched(PathSampler):
        def commit(self, path: Any) -> None:
            committed.append(path)
            super().commit(path)

        def release(self, path: Any) -> None:
            released.append(path)
            super().release(path)

    monkeypatch.setattr("kg.sample.PathSampler", Watched)
    stored = await curriculum(tmp_path, grid(6, 6), generate=Rule(fails=0.5))
    rows: list[QA] = rows_of(stored)
    assert [path.edges for path in committed] == [row.path for row in rows]
    assert len(released) == len(rejects_in(stored)) > 5


async def test_an_early_end_is_said(tmp_path: FilePath) -> None:
    stored = await curriculum(tmp_path, grid(4, 4), generate=Rule(fails=1.0), give_up=12, batch=5)
    assert stored.manifest.counts.kept == 0
    assert stored.manifest.notes["ended"].startswith("gave up at 0 of 30 items, after 12 paths one after another")
    assert "too_dull 15" in stored.manifest.notes["ended"]


async def test_a_narrow_graph_ends_when_its_paths_are_used_up(tmp_path: FilePath) -> None:
    line = [Triple.new(head=f"n{at}", relation="next", tail=f"n{at + 1}") for at in range(4)]
    stored = await curriculum(tmp_path, line, count=500, give_up=50)
    rows: list[QA] = rows_of(stored)
    assert len(rows) == 4 + 3 + 2  # one for each stretch of one, two and three edges, whichever way it is walked
    assert stored.manifest.counts.rejected["repeated_path"] >= 50


async def test_a_path_may_be_asked_about_again_where_that_is_wanted(tmp_path: FilePath) -> None:
    line = [Triple.new(head=f"n{at}", relation="next", tail=f"n{at + 1}") for at in range(4)]
    rows: list[QA] = rows_of(await curriculum(tmp_path, line, count=60, unique=False))
    assert len(rows) == 60


async def test_a_crash_in_the_middle_costs_nothing_and_changes_no_byte(tmp_path: FilePath) -> None:
    whole = await curriculum(tmp_path / "a", grid(6, 6), generate=Rule(fails=0.4))
    paid = ScriptedEngine(dull)
    calls = 0

    def dies(request: Request) -> str | Exception:
        nonlocal calls
        calls += 1
        if calls > 20:
            return EngineDown("the machine went away")
        return dull(request)

    with pytest.raises(EngineDown):
        await curriculum(tmp_path / "b", grid(6, 6), ScriptedEngine(dies), generate=Rule(fails=0.4))
    again = await curriculum(tmp_path / "b", grid(6, 6), paid, generate=Rule(fails=0.4))
    assert bytes_of(again.path) == bytes_of(whole.path)
    assert len(paid.seen) == whole.manifest.counts.asks - 20


async def test_parts_are_written_on_the_way(tmp_path: FilePath) -> None:
    stored = await curriculum(tmp_path, grid(6, 6), count=25, part_rows=10, batch=5)
    kept = [part.counts.kept for part in stored.manifest.parts]
    assert sum(kept) == 25
    assert all(10 <= one < 15 for one in kept[:-1])  # as soon as there are ten, with what the same batch gave


async def test_what_is_held_out_is_never_asked_about(tmp_path: FilePath) -> None:
    held = HeldOut(share=0.4, seed=3)
    engine = ScriptedEngine(dull)
    stored = await curriculum(tmp_path, grid(6, 6), engine, held_out=held)
    rows: list[QA] = rows_of(stored)
    assert not any(held.holds_path(row.path) for row in rows)
    assert stored.manifest.counts.rejected["held_out_path"] > 5
    assert len(engine.seen) == len(rows)


async def test_an_edge_held_out_is_on_no_item(tmp_path: FilePath) -> None:
    held = HeldOut(edges=0.3, seed=3)
    rows: list[QA] = rows_of(await curriculum(tmp_path, grid(6, 6), held_out=held))
    assert rows
    assert not any(held.holds_edge(edge.head, edge.tail) for row in rows for edge in row.path)


def test_a_path_is_held_out_whichever_way_it_is_walked() -> None:
    there = [Edge(head=f"n{at}", relation="r", tail=f"n{at + 1}") for at in range(3)]
    back = [
        Edge(head=edge.tail, relation="inverse of r", tail=edge.head, inverse=True, stated="r") for edge in there[::-1]
    ]
    for seed in range(50):
        held = HeldOut(share=0.5, seed=seed)
        assert held.holds_path(there) == held.holds_path(back)
    shares = [HeldOut(share=0.3, seed=seed).holds_path(there) for seed in range(1000)]
    assert 250 < sum(shares) < 350


async def test_batches_of_any_size_reach_every_node(tmp_path: FilePath) -> None:
    for batch in (1, 16):
        stored = await curriculum(tmp_path / str(batch), grid(5, 5), count=60, batch=batch)
        assert stored.manifest.notes["nodes_on_items"] == 25


@pytest.mark.parametrize("field", ["count", "batch", "give_up", "part_rows"])
def test_numbers_that_mean_nothing_are_refused(field: str) -> None:
    numbers: dict[str, Any] = {field: 0}
    with pytest.raises(ValueError, match=f"{field} is 0; it must be 1 or more"):
        PathCurriculum(generate=Rule(), **{"count": 1, **numbers})


async def test_the_whole_chain_on_a_real_graph_with_perfect_models(tmp_path: FilePath) -> None:
    both = Grading(graders=("first", "second"))
    step = PathCurriculum(generate=KgPath(grading=both), count=60, batch=16)
    by_role = engines(Teacher(), first=Teacher(), second=Teacher())
    stored = await run_step(tmp_path, step, umls(), by_role)
    rows: list[QA] = rows_of(stored)
    notes = stored.manifest.notes
    assert len(rows) == 60
    assert all(verdict.passed for row in rows for verdict in row.verdicts)
    assert set(notes["items_by_hops"]) == {"1", "2", "3"}
    assert notes["answer_letters_chi2"] < 16.27
    assert all(row.answer == row.path[-1].tail.replace("_", " ") for row in rows)
    assert "isa" not in {edge.triple[1] for row in rows for edge in row.path}


async def test_sloppy_models_on_a_real_graph_lose_what_they_spoilt_and_no_more(tmp_path: FilePath) -> None:
    teacher = Teacher({"write:twins": 0.2, "write:no_tag": 0.1, "think:other_answer": 0.1})
    strict = Teacher(verdict=lambda who, request: "fail" if hash_of(request) % 5 == 0 else "pass")
    step = PathCurriculum(generate=KgPath(grading=Grading(graders=("first", "second"))), count=60, batch=16)
    stored = await run_step(tmp_path, step, umls(), engines(teacher, first=Teacher(), second=strict))
    reasons = stored.manifest.counts.rejected
    assert reasons["near_duplicate_options"] == teacher.made["write:twins"]
    assert reasons["template_not_matched"] == teacher.made["write:no_tag"]
    assert reasons["trace_other_answer"] == teacher.made["think:other_answer"]
    assert reasons["grader_failed"] > 0
    assert len(rows_of(stored)) == 60


def hash_of(request: Request) -> int:
    import zlib

    return zlib.crc32(request.messages[-1].content.encode())


async def test_a_wrong_option_that_the_same_steps_lead_to_is_refused(tmp_path: FilePath) -> None:
    goods = ("amber beacon", "salt")  # the scripted writer offers the first as wrong
    triples = [Triple.new(head="guild", relation="taxes", tail=good) for good in goods]
    step = PathCurriculum(generate=KgPath(), count=2, hops=1, way="forwards", give_up=6, batch=1, unique=False)
    stored = await run_step(tmp_path, step, triples, engines(Teacher()))
    assert {row.answer for row in rows_of(stored)} <= {"amber beacon"}
    assert stored.manifest.counts.rejected["wrong_option_true"] > 0
