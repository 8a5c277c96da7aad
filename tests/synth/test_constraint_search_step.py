"""The search as a step: seeds from files, rows with their lineage, and a reason for every seed that gives none."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mashbill.constraint_sets import constraint_key, set_key
from mashbill.errors import BillError, InputError, StoreError
from mashbill.execute import place_of
from mashbill.lineage import ancestry
from mashbill.read_bill import read_bill
from mashbill.records import Document, Instruction, from_table
from mashbill.runtime import Runtime
from mashbill.store import Stored
from synth.generators.constraint_search import ConstraintSearch
from synth.generators.decompose import Decompose
from synth.generators.instruction_database import InstructionDatabase
from synth.search_seeds import read_seeds
from synth.task_database import pools
from tests.support.kernel import store
from tests.synth.rationale_helpers import rejects_in, rows_of, run
from tests.synth.tcia_helpers import SUMMARY, SUMMARY_REPLY, analyst, apart, reply, task
from tests.synth.test_constraint_search import after

WANTS = [
    "mention each deadline", "be brief", "write in rhymes", "leave out names", "as a table", "for children",
    "in at most five bullets", "begin with the decisions", "in Greek", "quote one speaker", "with a title",
]  # fmt: skip
CORPUS = [task(f"Sum up the meeting of day {at}.", *WANTS[at : at + 3]) for at in range(9)]
SEED = {
    "instruction": "Turn {notes} into minutes for the board, in French.",
    "task_type": "meeting summary",
    "base_query": "Turn {notes} into minutes.",
    "constraints": [{"category": "language", "text": "in French"}, {"category": "style", "text": "for the board"}],
}


def seeds(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


async def searched(root: Path, path: str, corpus: Any = CORPUS, answers: Any = None, **fields: Any) -> Stored:
    """The search over a database of a corpus."""
    root.mkdir(exist_ok=True)
    base = await run(root, InstructionDatabase(), corpus, {})
    step = ConstraintSearch(**{"states": 150, "repeats": 4, "count": 60, "seeds": path, **fields})
    return await run(root, step, rows_of(base), analyst(answers or {}), part_rows=4)


def made_of(made: Stored, root: Path) -> Stored:
    """The database that a search was made over."""
    (place,) = made.manifest.inputs
    return Stored.open(root / place)


async def test_each_row_is_its_seed_with_constraints_that_its_operations_lead_to(tmp_path: Path) -> None:
    made = await searched(tmp_path, seeds(tmp_path / "seeds.jsonl", SEED))
    rows = rows_of(made)
    assert len(rows) == 60
    assert rejects_in(made) == []
    root = frozenset({constraint_key(text) for text in ("in French", "for the board", "{notes}")})
    ids = {one.id: one for one in rows_of(made_of(made, tmp_path))}
    for row in rows:
        assert (row.text, row.task_type, row.base_query) == ("", "meeting summary", "Turn {notes} into minutes.")
        assert (row.task_cluster, row.source, row.made.step) == (
            "meeting summary",
            "seeds.jsonl:1",
            "constraint_search",
        )
        key = root
        for done in row.operations:
            key = after(key, done)
            if done.source_task:
                assert constraint_key(done.constraint) in set_key(ids[done.source_task].constraints)
        assert set_key(row.constraints) == key
        assert row.hop == len(row.operations) >= 1
        assert set(row.parents) == {done.source_task for done in row.operations if done.source_task}
    assert len({set_key(row.constraints) for row in rows}) == 60
    assert len({row.id for row in rows}) == 60
    assert len({row.source_id for row in rows}) == 1


async def test_the_notes_tell_sets_uniqueness_and_acceptance_by_hop(tmp_path: Path) -> None:
    made = await searched(tmp_path, seeds(tmp_path / "seeds.jsonl", SEED))
    notes = made.manifest.notes
    assert notes["sets_sampled"] == 60
    assert notes["seeds"] == 1
    assert notes["ended"] == {"queue_full": 1}
    assert notes["pool_tasks"] == {"least": 9, "most": 9}
    assert notes["pool_constraints"] == {"least": 11, "most": 11}
    by_hop = {one["hop"]: one for one in notes["hops"]}
    assert list(by_hop) == sorted(by_hop)
    assert sum(one["sets"] for one in by_hop.values()) == notes["sets_found"] > 150
    assert sum(one["sampled"] for one in by_hop.values()) == 60
    assert {hop: one["sampled"] for hop, one in by_hop.items() if one["sampled"]} == {
        hop: count for hop, count in Counter(row.hop for row in rows_of(made)).items()
    }
    first = by_hop[1]
    assert first["add"]["tried"] == first["remove"]["tried"] == 4
    tried = sum(one[name]["tried"] for one in by_hop.values() for name in ("add", "remove", "replace"))
    assert tried == notes["sets_taken"] * 12
    for one in by_hop.values():
        for name in ("add", "remove", "replace"):
            outcomes = {key: value for key, value in one[name].items() if key not in ("tried", "acceptance")}
            assert sum(outcomes.values()) == one[name]["tried"]
        assert one["unique_ratio"] is None or 0 <= one["unique_ratio"] <= 1
    assert first["unique_ratio"] == round(
        first["sets"] / (first["sets"] + sum(first[name].get("repeated", 0) for name in ("add", "remove", "replace"))),
        4,
    )


async def test_seeds_that_are_whole_are_taken_apart_first(tmp_path: Path) -> None:
    path = seeds(tmp_path / "seeds.jsonl", {"instruction": SUMMARY}, {"instruction": "Say hello."}, SEED)
    spoilt = json.loads(SUMMARY_REPLY)
    spoilt["tasks"][0]["constraints"].append({"category": "content", "constraint": "mention every penguin"})
    answers = {SUMMARY: json.dumps(spoilt), "Say hello.": reply(complex=False)}
    made = await searched(tmp_path, path, answers=answers, count=10)
    assert Counter(row.base_query for row in rows_of(made)) == {
        "Summarise {transcript}.": 10,
        "Turn {notes} into minutes.": 10,
    }
    assert [(one.reason, one.source) for one in rejects_in(made)] == [
        ("invented_constraint", "seeds.jsonl:1"),
        ("plain", "seeds.jsonl:2"),
    ]
    assert made.manifest.counts.asks == 2
    two = reply(apart("Summarise {transcript}.", ("language", "in French")), apart("Answer.", ("style", "for a busy")))
    made = await searched(
        tmp_path / "two", seeds(tmp_path / "two.jsonl", {"instruction": SUMMARY}), answers={SUMMARY: two}
    )
    assert [one.reason for one in rejects_in(made)] == ["several_tasks"]
    loose = ConstraintSearch(
        seeds=seeds(tmp_path / "three.jsonl", {"instruction": SUMMARY}), decompose=Decompose(least_present=0)
    )
    base = await run(tmp_path / "base", InstructionDatabase(), CORPUS, {})
    made = await run(tmp_path / "three", loose, rows_of(base), analyst({SUMMARY: two}))
    assert [one.reason for one in rejects_in(made)] == ["several_tasks"]


async def test_a_stored_step_of_instructions_can_be_the_seeds(tmp_path: Path) -> None:
    apart_already = task("Turn {notes} into minutes.", "be kind", "in rhymes")
    stored = store(tmp_path / "seeds", [apart_already])
    made = await searched(tmp_path, str(stored.path), count=5)
    rows = rows_of(made)
    assert len(rows) == 5
    assert all("{notes}" in {one.text for one in row.constraints} for row in rows)
    assert {row.base_query for row in rows} == {"Turn {notes} into minutes."}


async def test_what_the_pool_is_made_of_can_be_read_on_each_row(tmp_path: Path) -> None:
    made = await searched(tmp_path, seeds(tmp_path / "seeds.jsonl", SEED), pool=3, count=4)
    scores = {score.name: score.value for score in rows_of(made)[0].scores}
    assert scores["pool_tasks"] == 3
    assert scores["pool_clusters"] == 1
    (nearest,) = pools(made_of(made, tmp_path), read_seeds(tmp_path / "seeds.jsonl"), size=3)
    assert scores["pool_constraints"] == len({one.text for task in nearest.tasks for one in task.constraints}) < 11
    assert scores["type_similarity"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "fields", "reason", "said"),
    [
        ({"task_type": "zoology quiz"}, {"least_type": 0.6}, "no_like_type", "no task type like 'zoology quiz'"),
        ({"constraints": ["be brief"], "base_query": "Say it."}, {"pool": 1, "near": 0.1}, "nothing_found", "new set"),
    ],
)
async def test_a_seed_that_gives_no_set_has_a_reason(
    change: dict[str, Any], fields: dict[str, Any], reason: str, said: str, tmp_path: Path
) -> None:
    corpus = [task("Say it.", "in verse and briefly")]
    made = await searched(tmp_path, seeds(tmp_path / "seeds.jsonl", {**SEED, **change}), corpus, **fields)
    assert rows_of(made) == []
    (bad,) = rejects_in(made)
    assert (bad.reason, bad.source) == (reason, "seeds.jsonl:1")
    assert said in bad.detail
    assert made.manifest.notes["pool_tasks"] is None


async def test_a_database_that_holds_only_the_seed_has_no_similar_task(tmp_path: Path) -> None:
    same = task("Sum up.", "be brief")
    row = {"task_type": same.task_type, "base_query": "sum up", "constraints": ["Be brief!"]}
    made = await searched(tmp_path, seeds(tmp_path / "seeds.jsonl", row), [same])
    assert [one.reason for one in rejects_in(made)] == ["no_similar_task"]


async def test_without_dedup_the_sets_that_repeat_in_the_sample_are_rejects(tmp_path: Path) -> None:
    wants = [f"mention the {word}" for word in ("salt", "rye", "oak", "tide")]
    path = seeds(tmp_path / "seeds.jsonl", {**SEED, "constraints": wants})
    made = await searched(tmp_path, path, unique=False, count=10_000)
    assert made.manifest.notes["sets_found"] == 12 * made.manifest.notes["sets_taken"]
    kept, bad = rows_of(made), rejects_in(made)
    assert len(kept) + len(bad) == made.manifest.notes["sets_found"]
    assert {one.reason for one in bad} == {"repeated_set"}
    assert {one.kept_id for one in bad} <= {row.id for row in kept}


async def test_a_stratified_sample_is_the_bills_to_ask_for(tmp_path: Path) -> None:
    path = seeds(tmp_path / "seeds.jsonl", SEED)
    even = await searched(tmp_path / "even", path, sample="stratified", states=400, repeats=6, count=60)
    plain = await searched(tmp_path / "plain", path, states=400, repeats=6, count=60)
    first = [sum(row.hop == 1 for row in rows_of(one)) for one in (even, plain)]
    assert first[0] > first[1]


async def test_seeds_are_identity_and_their_place_is_not(tmp_path: Path) -> None:
    base = await run(tmp_path, InstructionDatabase(), CORPUS, {})
    runtime = Runtime(root=tmp_path)
    (tmp_path / "there").mkdir()
    same = [seeds(tmp_path / name, SEED) for name in ("a.jsonl", "there/b.jsonl")]
    other = seeds(tmp_path / "c.jsonl", {**SEED, "task_type": "minutes"})
    first, moved, changed = (place_of(ConstraintSearch(seeds=one), base, runtime)[2] for one in (*same, other))
    assert first == moved != changed


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "holds no seed prompt"),
        ("not json", r":1: is not JSON"),
        ('{"instruction": ""}', r":1: the field 'instruction' must be text"),
        ('{"base_query": "a", "task_type": ""}', r":1: the field 'task_type' must be text"),
        ('{"base_query": "a", "task_type": "b", "constraints": [3]}', r":1: a constraint must be text"),
    ],
)
async def test_a_seed_that_cannot_be_read_is_named_with_its_line(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "seeds.jsonl").write_text(line)
    with pytest.raises(InputError, match=said):
        await searched(tmp_path, str(tmp_path / "seeds.jsonl"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"states": 0}, "states is 0"),
        ({"count": 0}, "count is 0"),
        ({"near": 0}, "near is 0"),
        ({"least_type": 2}, "type 2"),
    ],
)
def test_numbers_out_of_their_range_are_refused(fields: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        ConstraintSearch(seeds=seeds(tmp_path / "seeds.jsonl", SEED), **fields)


def test_seeds_that_are_not_there_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file of seed prompts"):
        ConstraintSearch(seeds=str(tmp_path / "no.jsonl"))
    (tmp_path / "seeds.txt").write_text("a")
    with pytest.raises(InputError, match=r"seed prompts are read from \.jsonl"):
        ConstraintSearch(seeds=str(tmp_path / "seeds.txt"))
    with pytest.raises(StoreError, match="has no manifest"):
        ConstraintSearch(seeds=str(tmp_path))
    with pytest.raises(InputError, match="holds Document rows"):
        ConstraintSearch(seeds=str(store(tmp_path / "d", [Document.new(text="a")]).path))


BILL = """\
name: minutes
sources: {corpus: {read_instructions: {path: corpus.jsonl}}}
engine: {transformers: {model: smollm2-135m-instruct}}
streams:
  searched:
    from: corpus
    generate:
      - decompose
      - instruction_database
      - constraint_search: {seeds: seeds.jsonl, states: 60}
"""


def test_a_bill_chains_the_steps_and_refuses_them_out_of_order(tmp_path: Path) -> None:
    seeds(tmp_path / "seeds.jsonl", SEED)
    seeds(tmp_path / "corpus.jsonl", {"instruction": "Say hello."})
    path = tmp_path / "bill.yaml"
    path.write_text(BILL)
    assert [step.name for step in read_bill(path).streams["searched"].steps] == [
        "decompose", "instruction_database", "constraint_search",
    ]  # fmt: skip
    path.write_text(BILL.replace("      - instruction_database\n", ""))
    with pytest.raises(BillError, match="constraint_search reads DatabaseTask but decompose gives Instruction"):
        read_bill(path)
    path.write_text(BILL.replace("seeds.jsonl", "none.jsonl"))
    with pytest.raises(BillError, match=r"bill\.yaml:\d+: .*no such file of seed prompts"):
        read_bill(path)


async def test_a_row_is_traced_to_the_tasks_its_constraints_come_from(tmp_path: Path) -> None:
    corpus = store(tmp_path, CORPUS, step="decompose")
    base = await run(tmp_path, InstructionDatabase(), CORPUS, {})
    assert from_table(corpus.table(0), Instruction)
    made = await searched(tmp_path, seeds(tmp_path / "seeds.jsonl", SEED), count=20)
    row = next(one for one in rows_of(made) if one.parents)
    found = ancestry(tmp_path, row.id, None)
    assert {parent.place.row["id"] for parent in found.parents} == set(row.parents)
    assert found.parents[0].place.folder.parent.name in ("instruction_database", base.path.parent.name, "made_by_hand")
    assert found.parents[0].parents[0].place.row["id"] in {one.id for one in CORPUS}
