"""The database of instructions: built at once or bit by bit, it is the same, and every row is in it or has a reason."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synth.generators.instruction_database as module
from mashbill.embedders.hashed_ngrams import HashedNgrams
from mashbill.embedding import unit_rows
from mashbill.errors import InputError, StoreError
from mashbill.records import Constraint, DatabaseTask, Document, Instruction
from mashbill.store import Stored
from synth.generators.instruction_database import InstructionDatabase
from synth.half_vectors import rounded
from synth.task_database import TypeIndex, database_at, pools, tasks_of, type_table
from tests.support.kernel import store
from tests.synth.rationale_helpers import rejects_in, rows_of, run
from tests.synth.tcia_helpers import constraint, task

CORPUS = [
    task("Summarise the meeting.", "in French", "name each speaker"),
    task("Sum up what was said.", "be brief", task_type="Meeting summaries"),
    task("List the decisions.", "in order", "with dates", task_type="meeting-summary"),
    task("Write a poem on salt.", "in rhymes", task_type="poem of nature"),
    task("Write of the sea.", "in rhymes", "ten lines", task_type="poems of nature"),
    task("Sort these numbers.", "descending", task_type="sorting of numbers"),
]
NONE: dict[str, str] = {}


async def database(root: Path, rows: list[Instruction], part_rows: int = 2, **fields: Any) -> Stored:
    return await run(root, InstructionDatabase(**fields), rows, NONE, part_rows=part_rows)


def in_it(stored: Stored) -> set[tuple[str, str, bytes, bytes]]:
    return {(row.id, row.task_cluster, row.query_vector, row.type_vector) for row in rows_of(stored)}


async def test_tasks_of_one_kind_are_one_cluster_called_by_its_commonest_type(tmp_path: Path) -> None:
    made = await database(tmp_path, CORPUS)
    rows = rows_of(made)
    assert [row.task_cluster for row in rows] == ["meeting summary"] * 3 + ["poem of nature"] * 2 + [
        "sorting of numbers"
    ]
    assert [row.task_type for row in rows][:3] == ["meeting summary", "meeting summaries", "meeting summary"]
    assert rows[0].constraints == CORPUS[0].constraints
    assert (rows[0].parents, rows[0].source_id, rows[0].source) == ((CORPUS[0].id,), CORPUS[0].id, "corpus.jsonl:1")
    assert made.kind is DatabaseTask
    notes = made.manifest.notes
    assert (notes["tasks"], notes["task_types"], notes["clusters"], notes["clusters_of_one_task"]) == (6, 5, 3, 1)
    assert notes["largest"] == {"cluster": "meeting summary", "tasks": 3, "types": 2}
    assert notes["constraints_per_query"] == {"median": 1.0, "largest": 1.67}
    assert notes["neighbours"] == "exact"
    assert notes["embedder"].startswith("hashed_ngrams/256")


async def test_a_database_that_grew_is_the_one_that_is_built_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await database(tmp_path / "whole", CORPUS, part_rows=3)
    first = await database(tmp_path / "first", CORPUS[:4], part_rows=1)
    asked = list[str]()

    class Counting(HashedNgrams):
        def embed(self, texts: Any) -> Any:
            asked.extend(texts)
            return super().embed(texts)

    monkeypatch.setattr(module, "load_embedder", lambda _name: Counting())
    grown = await database(tmp_path / "grown", CORPUS[4:], part_rows=1, extends=str(first.path))
    assert in_it(grown) == in_it(whole)
    assert set(asked) == {"poems of nature", "sorting of numbers", "Write of the sea.", "Sort these numbers."}
    assert len(grown) == 2
    again = await database(tmp_path / "again", CORPUS, part_rows=2, extends=str(first.path))
    assert in_it(again) == in_it(whole)
    assert again.manifest.counts.rejected == {"repeated_task": 4}
    names = {row.id for row in rows_of(first)}
    assert {reject.kept_id for reject in rejects_in(again)} == names


async def test_adding_to_a_database_draws_its_clusters_anew(tmp_path: Path) -> None:
    few = [CORPUS[1], CORPUS[3]]
    first = await database(tmp_path / "first", few)
    assert {row.task_cluster for row in rows_of(first)} == {"meeting summaries", "poem of nature"}
    more = [CORPUS[0], CORPUS[2]]
    grown = await database(tmp_path / "grown", more, extends=str(first.path))
    assert {row.task_cluster for row in rows_of(grown)} == {"meeting summary", "poem of nature"}


async def test_a_database_of_an_earlier_version_can_be_added_to(tmp_path: Path) -> None:
    first = await database(tmp_path / "first", CORPUS[:4], part_rows=9)
    (part,) = first.part_paths()
    pq.write_table(first.table(0).drop_columns(["languages", "hop"]), part)  # columns that rows had not then
    grown = await database(tmp_path / "grown", CORPUS[4:], part_rows=9, extends=str(first.path))
    assert in_it(grown) == in_it(await database(tmp_path / "whole", CORPUS))
    assert [(row.languages, row.hop) for row in rows_of(grown)] == [((), 0)] * 6


async def test_what_another_database_is_makes_another_step(tmp_path: Path) -> None:
    one = await database(tmp_path / "one", CORPUS[:2])
    other = await database(tmp_path / "other", CORPUS[:3])
    first, second = (InstructionDatabase(extends=str(where.path)) for where in (one, other))
    assert first.extends_digest != second.extends_digest


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Instruction.new(text="Say hello."), "no_task_type"),
        (Instruction.new(text="Say hello.", task_type="greeting"), "no_base_query"),
        (task("Say hello."), "no_constraints"),
        (task("Say {x}.", Constraint(category="input_placeholder", text="{x}")), "no_constraints"),
        (task("summarise THE meeting", "Name each speaker!", "IN FRENCH"), "repeated_task"),
    ],
)
async def test_what_is_no_new_task_has_a_reason(row: Instruction, reason: str, tmp_path: Path) -> None:
    made = await database(tmp_path, [*CORPUS, row])
    (bad,) = rejects_in(made)
    assert (bad.reason, bad.kind, bad.text) == (reason, "Instruction", row.text)
    assert bad.kept_id == (CORPUS[0].id if reason == "repeated_task" else "")
    assert len(rows_of(made)) == 6
    assert made.manifest.notes["tasks"] == 6


async def test_a_database_of_nothing_is_empty_and_says_so_when_it_is_searched(tmp_path: Path) -> None:
    made = await database(tmp_path, [Instruction.new(text="Say hello.")])
    assert rows_of(made) == []
    assert made.manifest.notes == {"tasks": 0}
    with pytest.raises(InputError, match="the database holds no task; read what was rejected"):
        pools(made, CORPUS[:1], size=2)


async def test_the_approximate_index_makes_the_same_database(tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="the extra `ann` is not installed")
    exact = await database(tmp_path / "exact", CORPUS)
    near = await database(tmp_path / "near", CORPUS, exact_up_to=2, probes=8)
    assert {row.id: row.task_cluster for row in rows_of(near)} == {row.id: row.task_cluster for row in rows_of(exact)}
    assert near.manifest.notes["neighbours"] == "faiss, 8 lists probed"


async def test_the_pool_of_a_seed_is_of_its_kind_nearest_first_and_without_itself(tmp_path: Path) -> None:
    made = await database(tmp_path, CORPUS)
    seed = task("Summarise the meeting.", "name each speaker", "in French", task_type="summary of a meeting")
    poem = task("Write a poem on salt.", "in prose", task_type="poem of nature")
    first, second = pools(made, [seed, poem], size=5)
    assert [one.base_query for one in first.tasks] == ["Sum up what was said.", "List the decisions."]
    assert [one.similarity for one in first.tasks] == sorted([one.similarity for one in first.tasks], reverse=True)
    assert first.clusters == ("meeting summary",)
    assert 0.5 < first.type_similarity < 1
    assert [one.base_query for one in second.tasks] == ["Write a poem on salt.", "Write of the sea."]
    assert second.tasks[0].similarity == pytest.approx(1, abs=1e-3)
    assert second.tasks[0].constraints == (constraint("in rhymes"),)
    (one,) = pools(made, [poem], size=1)
    assert len(one.tasks) == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 6))
def test_the_nearest_are_those_of_comparing_all_whatever_the_parts(said: list[int], part_rows: int, size: int) -> None:
    draw = np.random.default_rng(0)
    rows = unit_rows(draw.standard_normal((13, 256), dtype=np.float32))
    vectors = {at: row.tobytes() for at, row in enumerate(rows.astype("<f2"))}
    tasks = [
        DatabaseTask.new(
            text=f"{at}",
            task_type="naming",
            task_cluster="naming",
            base_query=f"query {at}",
            constraints=(constraint("be brief"),),
            query_vector=vectors[number],  # many tie, within a part and over parts
            type_vector=vectors[0],
            embedder="hashed_ngrams",
        )
        for at, number in enumerate(said)
    ]
    seed = task("a query of my own", "in rhymes", task_type="naming")
    query = rounded(HashedNgrams().embed([seed.base_query]))[0]
    similar = (rounded(rows).astype(np.float64) @ query.astype(np.float64)).round(6)
    wanted = sorted(range(len(said)), key=lambda at: (-similar[said[at]], at))[:size]
    with tempfile.TemporaryDirectory() as folder:
        (pool,) = pools(store(Path(folder), tasks, part_rows), [seed], size=size)
    assert [one.base_query for one in pool.tasks] == [f"query {at}" for at in wanted]


async def test_a_kind_with_one_member_takes_the_next_nearest_kinds_too(tmp_path: Path) -> None:
    made = await database(tmp_path, CORPUS)
    seed = task("Sort the names.", "ascending", task_type="sorting of numbers")
    (alone,) = pools(made, [seed], size=5)
    assert [one.base_query for one in alone.tasks] == ["Sort these numbers."]
    (wider,) = pools(made, [seed], size=5, least=3)
    assert (wider.clusters[0], len(wider.clusters), len(wider.tasks)) == ("sorting of numbers", 2, len(wider.tasks))
    assert len(wider.tasks) >= 3
    (everything,) = pools(made, [seed], size=50, least=100)
    assert len(everything.tasks) == 6


async def test_the_kinds_can_be_looked_at(tmp_path: Path) -> None:
    made = await database(tmp_path, CORPUS)
    table = type_table(made)
    assert table.rows()[0][:5] == ("meeting summary", 2, 3, 3, 5)
    assert table["task_cluster"].to_list() == ["meeting summary", "poem of nature", "sorting of numbers"]
    assert [row.base_query for row in tasks_of(made, "poem of nature")] == [
        "Write a poem on salt.",
        "Write of the sea.",
    ]
    assert tasks_of(made, "cookery") == []


async def test_vectors_of_two_embedders_are_never_compared(tmp_path: Path) -> None:
    made = await database(tmp_path, CORPUS)
    with pytest.raises(StoreError, match=r"its vectors are of hashed_ngrams, these would be of minilm; set `embedder`"):
        list(InstructionDatabase(embedder="minilm", extends=str(made.path)).run(made))
    rows = rows_of(made)
    mixed = store(tmp_path / "mixed", [rows[0], dataclasses.replace(rows[1], embedder="minilm")])
    with pytest.raises(StoreError, match="vectors of hashed_ngrams and minilm"):
        TypeIndex.of(mixed)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"eps": 0}, "eps is 0"),
        ({"eps": 1}, "eps is 1"),
        ({"probes": 0}, "probes is 0"),
        ({"min_samples": 0}, "min_sam"),
    ],
)
def test_numbers_out_of_their_range_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        InstructionDatabase(**fields)


def test_a_folder_that_is_no_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such stored step"):
        InstructionDatabase(extends=str(tmp_path / "nowhere"))
    documents = store(tmp_path, [Document.new(text="a")])
    with pytest.raises(StoreError, match="holds Document rows; a database has DatabaseTask rows"):
        database_at(documents.path)
    # Not even the only one of a step: the one that is built now would be the second when the run goes on.
    with pytest.raises(StoreError, match=f"holds stored steps and is none; name one of them: {documents.path.name}"):
        database_at(documents.path.parent)
