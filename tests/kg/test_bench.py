"""The evaluation set: held-out paths by length and kind, quotas, bins, and nothing of it in the training rows."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path as FilePath
from typing import Any

import pytest

from kg.bench_paths import BenchPaths
from kg.bench_set import BenchSet
from kg.decontaminate_paths import DecontaminatePaths, held_by, read_bench
from kg.held_out import HeldOut, path_key
from kg.path_curriculum import PathCurriculum
from mashbill.difficulty import difficulty_of
from mashbill.disk import write_parquet
from mashbill.engine import ScriptedEngine
from mashbill.errors import InputError
from mashbill.execute import execute
from mashbill.fingerprint import fingerprint, step_identity
from mashbill.records import QA, Edge, Path, Record, Triple, to_row, to_table
from mashbill.runtime import RejectPolicy, Runtime
from mashbill.step import Step
from mashbill.store import Stored
from tests.kg.path_helpers import Rule, grid, umls
from tests.support.kernel import rejects_in, rows_of, store
from tests.synth.kg_path_run import run_step


async def run(root: FilePath, step: Step, rows: list[Any], part_rows: int = 1000) -> Stored:
    return await execute(step, store(root, rows, part_rows=part_rows), Runtime(root=root), RejectPolicy(share=1.0))


def kinds(width: int, height: int) -> list[Triple]:
    """The grid, its nodes of two kinds by their row."""

    def kind(name: str) -> str:
        return "upper" if int(name.split(".")[1]) % 2 else "lower"

    return [
        Triple.new(
            head=one.head, relation=one.relation, tail=one.tail, head_type=kind(one.head), tail_type=kind(one.tail)
        )
        for one in grid(width, height)
    ]


def item(name: str, hops: int, category: str = "guild", **fields: Any) -> QA:
    edges = tuple(Edge(head=f"{name}{at}", relation="r", tail=f"{name}{at + 1}") for at in range(hops))
    return QA.new(question=f"What of {name}?", answer="x", path=edges, category=category, **fields)


async def test_paths_of_each_length_are_drawn_for_each_kind(tmp_path: FilePath) -> None:
    stored = await run(tmp_path, BenchPaths(held_out=HeldOut(share=0.5), quota=(0, 7, 5, 3)), kinds(6, 6))
    rows: list[Path] = rows_of(stored)
    assert Counter((row.domain, row.hops) for row in rows) == {
        (kind, hops): count for kind in ("upper", "lower") for hops, count in ((2, 7), (3, 5), (4, 3))
    }
    assert len({path_key(row.edges) for row in rows}) == len(rows)
    assert stored.manifest.notes["paths"]["upper, 4 hops"] == 3
    assert all(len(row.parents) == row.hops for row in rows)


@pytest.mark.parametrize("held", [HeldOut(share=0.3, seed=1), HeldOut(share=0.5, edges=0.2, seed=1)])
async def test_no_path_of_the_set_is_trained_on(held: HeldOut, tmp_path: FilePath) -> None:
    bench: list[Path] = rows_of(
        await run(tmp_path, BenchPaths(held_out=held, quota=(0, 40, 40), most_draws=12_000), grid(6, 6))
    )
    step = PathCurriculum(generate=Rule(), count=150, held_out=held)
    trained: list[QA] = rows_of(await run_step(tmp_path, step, grid(6, 6), {"": ScriptedEngine(lambda request: "Hm.")}))
    assert len(bench) > 20
    assert len(trained) > 50
    assert not {path_key(row.edges) for row in bench} & {path_key(row.path) for row in trained}
    if held.edges:
        facts = {edge.triple for row in trained for edge in row.path}
        assert all(any(edge.triple not in facts for edge in row.edges) for row in bench)


async def test_a_graph_with_too_few_paths_gives_those_it_has(tmp_path: FilePath) -> None:
    line = [Triple.new(head=f"n{at}", relation="next", tail=f"n{at + 1}") for at in range(3)]
    step = BenchPaths(held_out=HeldOut(share=0.99), quota=(0, 50, 50, 50), most_draws=500)
    rows: list[Path] = rows_of(await run(tmp_path, step, line))
    assert Counter(row.hops for row in rows) == {2: 2, 3: 1}


async def test_a_real_graph_fills_its_quotas(tmp_path: FilePath) -> None:
    rows: list[Path] = rows_of(await run(tmp_path, BenchPaths(), umls()))
    assert Counter(row.hops for row in rows) == {2: 100, 3: 100, 4: 30, 5: 15}
    assert "isa" not in {edge.triple[1] for row in rows for edge in row.edges}


async def test_the_set_takes_its_quota_of_each_length_and_category(tmp_path: FilePath) -> None:
    items = [
        item(f"{kind}{hops}n{at}", hops, kind) for kind in ("guild", "good") for hops in (1, 2, 3) for at in range(9)
    ]
    items.append(QA.new(question="Without a path?", answer="x"))
    stored = await run(tmp_path, BenchSet(quota=(0, 4, 2)), items, part_rows=5)
    rows: list[QA] = rows_of(stored)
    assert Counter((row.category, row.hops) for row in rows) == {
        ("guild", 2): 4, ("good", 2): 4, ("guild", 3): 2, ("good", 3): 2,
    }  # fmt: skip
    assert Counter(one.reason for one in rejects_in(stored)) == {"hops_not_wanted": 18, "quota_full": 24, "no_path": 1}


async def test_which_items_are_taken_does_not_depend_on_their_order(tmp_path: FilePath) -> None:
    items = [item(f"n{at}x", 2) for at in range(30)]
    one: list[QA] = rows_of(await run(tmp_path / "a", BenchSet(quota=(0, 7)), items))
    two: list[QA] = rows_of(await run(tmp_path / "b", BenchSet(quota=(0, 7)), items[::-1], part_rows=4))
    assert {row.id for row in one} == {row.id for row in two}


async def test_one_item_of_a_path_is_taken(tmp_path: FilePath) -> None:
    first = item("n", 2)
    back = tuple(
        Edge(head=edge.tail, relation="inverse of r", tail=edge.head, inverse=True, stated="r")
        for edge in first.path[::-1]
    )
    second = QA.new(question="And back?", answer="x", path=back, category="guild")
    stored = await run(tmp_path, BenchSet(quota=(0, 5)), [first, second])
    assert [one.reason for one in rejects_in(stored)] == ["path_taken"]


async def test_items_have_a_bin_where_they_have_a_pass_rate(tmp_path: FilePath) -> None:
    items = [item(f"n{at}x", 2, pass_rate=rate) for at, rate in enumerate((1.0, 0.5, 0.0))]
    stored = await run(tmp_path, BenchSet(quota=(0, 5)), [*items, item("other", 2)])
    rows: list[QA] = rows_of(stored)
    assert {row.pass_rate: row.difficulty for row in rows} == {1.0: 1, 0.5: 3, 0.0: 5, None: None}
    assert {row.id for row in rows} == {row.id for row in [*items, item("other", 2)]}


def test_a_pass_rate_is_a_share() -> None:
    assert [difficulty_of(at / 20) for at in range(21)] == [5] * 5 + [4] * 4 + [3] * 4 + [2] * 4 + [1] * 4
    with pytest.raises(ValueError, match="from 0 to 1"):
        difficulty_of(1.2)


LONG = " ".join(f"word{at}" for at in range(30))


def bench_file(root: FilePath, rows: list[QA], suffix: str) -> FilePath:
    if suffix == "folder":
        write_parquet(root / "bench" / "train-0.parquet", to_table(rows, QA))
        return root / "bench"
    path = root / f"bench{suffix}"
    if suffix == ".parquet":
        write_parquet(path, to_table(rows, QA))
    else:
        path.write_text("\n".join(json.dumps(to_row(row)) for row in rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", "folder"])
async def test_what_the_set_holds_is_taken_out_by_its_reason(suffix: str, tmp_path: FilePath) -> None:
    held = item("bench", 3)
    back = tuple(
        Edge(head=edge.tail, relation="inverse of r", tail=edge.head, inverse=True, stated="r")
        for edge in held.path[::-1]
    )
    long = QA.new(question=f"Case: {LONG}?", answer="x")
    against = bench_file(tmp_path, [held, long], suffix)
    rows: list[Record] = [
        QA.new(question="Another question of this path?", answer="x", path=held.path),
        QA.new(question="And of the way back?", answer="x", path=back),
        QA.new(question="Of a part of it?", answer="x", path=held.path[:2]),
        QA.new(question="Other words.", answer="x", rationale=f"As said: {' '.join(LONG.split()[5:23]).upper()}."),
        QA.new(question="Other words.", answer="x", rationale=f"As said: {' '.join(LONG.split()[5:22])}."),
        QA.new(question="what of BENCH", answer="x"),
    ]
    stored = await run(tmp_path, DecontaminatePaths(against=str(against)), rows)
    reasons = {one.record.split('"question":"')[1].split('"')[0]: one.reason for one in rejects_in(stored)}
    assert [one.reason for one in rejects_in(stored)] == ["bench_path", "bench_path", "bench_18_gram", "bench_question"]
    assert stored.manifest.counts.kept == 2
    assert "Of a part of it?" not in reasons


def test_a_paraphrase_is_not_claimed_to_be_found(tmp_path: FilePath) -> None:
    bench = read_bench(bench_file(tmp_path, [QA.new(question=f"Case: {LONG}?", answer="x")], ".jsonl"))
    assert held_by(bench, QA.new(question=f"Case: {' so '.join(LONG.split())}?", answer="x"), 18) is None


def test_where_the_set_lies_is_no_identity_and_what_it_holds_is(tmp_path: FilePath) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    one = DecontaminatePaths(against=str(bench_file(tmp_path / "a", [item("n", 2)], ".jsonl")))
    same = DecontaminatePaths(against=str(bench_file(tmp_path / "b", [item("n", 2)], ".parquet")))
    other = DecontaminatePaths(against=str(bench_file(tmp_path / "c", [item("m", 2)], ".jsonl")))
    digests = [fingerprint(step_identity(step)) for step in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.jsonl", None, "no such evaluation set"),
        ("bench.txt", "x", "wanted .jsonl, .parquet"),
        ("bench.jsonl", "", "has no item"),
        ("bench.jsonl", '{"question": "a"}\n{', "bench.jsonl:2: is no JSON"),
        ("bench.jsonl", '{"answer": "a"}', "wanted an object with a `question`"),
    ],
)
def test_a_set_that_cannot_be_read_is_named(name: str, content: str | None, message: str, tmp_path: FilePath) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        DecontaminatePaths(against=str(tmp_path / name))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BenchPaths(held_out=HeldOut()), "held_out.share is 0"),
        (lambda: BenchPaths(quota=(0, 0)), "not 0 for all"),
        (lambda: BenchPaths(most_draws=0), "1 or more"),
        (lambda: BenchSet(quota=()), "not 0 for all"),
        (lambda: BenchSet(bins=0), "1 or more"),
        (lambda: HeldOut(share=1.0), "from 0 to below 1"),
    ],
)
def test_numbers_that_take_nothing_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_edge_is_held_out_alike_by_itself_and_with_its_graph() -> None:
    from kg.load_graph import graph_of

    held, graph = HeldOut(edges=0.3, seed=4), graph_of(umls())
    alone = [held.holds_edge(edge.head, edge.tail) for edge in map(graph.edge, range(graph.edges))]
    assert held.held_edges(graph).tolist() == alone
    assert alone == [held.holds_edge(edge.tail, edge.head) for edge in map(graph.edge, range(graph.edges))]
    assert 0.25 < sum(alone) / len(alone) < 0.35
    assert held.trained_on(graph).edges == len(alone) - sum(alone)


def test_a_path_over_parallel_or_inverse_edges_is_held_out_with_it() -> None:
    held = HeldOut(share=0.5, seed=1)
    for at in range(40):
        names = (f"a{at}", f"b{at}", f"c{at}")
        plain = tuple(Edge(head=one, relation="r", tail=two) for one, two in itertools.pairwise(names))
        other = tuple(Edge(head=one, relation="s", tail=two) for one, two in itertools.pairwise(names[::-1]))
        assert held.holds_path(plain) == held.holds_path(other)


def judged(root: FilePath, bench: QA, row: QA) -> str:
    found = held_by(read_bench(bench_file(root, [bench], ".jsonl")), row, 18)
    return found.reason if found else ""


def chain(*names: str, relation: str = "r") -> tuple[Edge, ...]:
    return tuple(Edge(head=one, relation=relation, tail=two) for one, two in itertools.pairwise(names))


@pytest.mark.parametrize(
    ("bench", "row", "reason"),
    [
        # An inverse by a name of its own, in a file that does not say that it is one; and another spelling.
        (chain("Salt Guild", "b", "c"), chain("c", "b", "salt_guild", relation="has_r"), "bench_path"),
        (chain("a", "b", "c"), chain("a", "c", "b"), ""),
    ],
)
def test_a_path_is_told_by_its_nodes(
    bench: tuple[Edge, ...], row: tuple[Edge, ...], reason: str, tmp_path: FilePath
) -> None:
    one = QA.new(question="Who of the one?", answer="x", path=bench)
    assert judged(tmp_path, one, QA.new(question="Who of the other?", answer="x", path=row)) == reason


@pytest.mark.parametrize(
    ("said", "copied"),
    [
        (LONG, LONG.replace(" ", "_")),
        (LONG, LONG.upper().replace(" ", "; ")),
        ("盐" * 7 + "会馆的主人是谁呢请你告诉我们大家", "盐" * 7 + "会馆的主人是谁呢请你告诉我们大家吧"),
        ("é " * 20, "e\u0301 " * 20),
    ],
)
def test_a_run_of_words_is_found_in_any_dress(said: str, copied: str, tmp_path: FilePath) -> None:
    assert judged(tmp_path, QA.new(question=f"{said}?", answer="x"), QA.new(question="Hm", answer=copied)) == (
        "bench_18_gram"
    )


def test_chains_to_be_mended_are_told_apart_by_their_sentences(tmp_path: FilePath) -> None:
    bench = QA.new(kind="edit", question="One name is wrong.", context="Ora leads tar.", answer="Ora leads salt.")
    other = QA.new(kind="edit", question="One name is wrong.", context="Venn leads oak.", answer="Venn leads amber.")
    assert judged(tmp_path, bench, other) == ""
    assert judged(tmp_path, bench, bench) == "bench_question"


def test_what_an_evaluation_item_thinks_is_not_trained_on(tmp_path: FilePath) -> None:
    bench = QA.new(question="Who?", answer="x", rationale=LONG)
    assert judged(tmp_path, bench, QA.new(question="Another?", answer="y", rationale=LONG)) == "bench_18_gram"
