"""Loops over questions: a step with a budget of its own is given the loop's, and errors become new questions."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from flows.look_cells import budget_in
from flows.loop import run_loop
from flows.run_bill import kitchen_for
from mashbill.lineage import stored_steps
from mashbill.progress import Silent
from mashbill.records import QA
from mashbill.settings import Settings
from tests.flows.test_example_boost import RULE
from tests.support.kernel import rows_of

WRITES = """
    if '"questions"' in request.schema and "was sure of a wrong one" in asked:
        first, second = request.seed % 90 + 1, request.seed // 90 % 90 + 1
        options = [str(first), str(second + 100)]
        new = {"question": f"Of {first} and {second} casks, which are more?", "options": options, "answer": options[1]}
        other = {"question": "How many are 9 and 9?", "options": ["18", "19"], "answer": "18"}
        return json.dumps({"questions": [new, other]})
"""
CELL = {"discipline": "mathematics/arithmetic", "is_stem": True, "difficulty": 2}
VALIDATION = [
    {"id": f"v{at}", "question": f"How many are {at} and {at}?", "options": [str(2 * at), str(2 * at + 1)],
     "answer": str(2 * at), **CELL}
    for at in range(3, 13)
]  # fmt: skip
BILL: dict[str, Any] = {
    "name": "casks",
    "seed": 3,
    "steps": "steps",
    "sources": {"sums": {"read_qa": {"path": "sums.jsonl"}}},
    "engine": {"by_rule": {}},
    "engines": {"editor": {"by_rule": {"model": "editor"}}},
    "streams": {
        "seeds": {"from": "sums", "generate": ["annotate"]},
        "boosted": {
            "from": "seeds",
            "generate": [{"boostqa": {
                "budget": {"non_stem": 0}, "grades": ["primary"], "refiner": "editor", "repeats": 6,
                "same_language": False, "leaks": False,
            }}],
            "curate": [],
            "rejects": {"share": 1.0},
        },
        "mended": {"from": "seeds", "generate": ["hard_negatives"], "curate": [], "rejects": {"share": 1.0}},
    },
    "student": {"scratch": {"layers": 1, "width": 16, "heads": 2}, "tokenizer": "bytes"},
    "loop": {
        "rounds": 2, "rows": 6, "recipes": ["boosted", "mended"], "from_errors": ["mended"], "weak": {"by": "cells"},
        "validation": "validation.jsonl", "test": "test.jsonl", "dedup": "exact_dedup", "probe": 0.0, "patience": 0,
        "train": {
            "tokens": 512, "sequence_length": 64, "batch": 2, "learning_rate": 1.0e-2, "render": {"questions": {}},
        },
    },
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def project(folder: Path) -> Path:
    (folder / "steps").mkdir(parents=True)
    rule = RULE.replace(
        "    asked = request.messages[-1].content\n", f"    asked = request.messages[-1].content\n{WRITES}"
    )
    (folder / "steps" / "by_rule.py").write_text(rule)
    (folder / "sums.jsonl").write_text(
        lines([{"question": f"How many are {at} and {at + 1}?", "answer": str(2 * at + 1)} for at in range(4)])
    )
    (folder / "validation.jsonl").write_text(lines(VALIDATION))
    (folder / "test.jsonl").write_text(
        lines([{"id": "t", "question": "How many are 90 and 90?", "options": ["180", "181"], "answer": "180"}])
    )
    bill = folder / "casks.yaml"
    bill.write_text(yaml.safe_dump(BILL, sort_keys=False))
    return bill


def test_a_budget_of_a_steps_own_is_the_loops_and_errors_become_questions_that_are_new(tmp_path: Path) -> None:
    bill = project(tmp_path)

    async def inside() -> dict[str, Any]:
        settings = Settings(root=tmp_path / "runs", tables={"hardware": {"device": "cpu"}})
        async with kitchen_for(bill, settings, Silent()) as kitchen:
            outcome = await run_loop(kitchen)
        assert outcome.report is not None
        return dict(json.loads((outcome.report / "loop.json").read_bytes()))

    rounds = asyncio.run(inside())["runs"]["casks"]["rounds"]
    budgets = [budget_in(one.path) for one in stored_steps(tmp_path / "runs") if one.manifest.step == "boostqa"]
    assert len(budgets) == 2
    for number, one in enumerate(rounds[1:], start=1):
        wanted = one["allocation"]["wanted"]["boosted"][""]
        # The validation questions, with what the student made of them, are what the step measures weakness by.
        before = _share(rounds[number - 1])
        (cell,) = next(each for each in budgets if each.total == wanted and each.cells[0].accuracy == before).cells
        assert (cell.discipline, cell.difficulty, cell.seeds, cell.probed) == ("mathematics", 2, 4, len(VALIDATION))
        assert one["made"]["boosted"]["rows"] > 0
    # Seeds are numbered by the round, so the second round's questions are others.
    kept = [
        row.question
        for one in stored_steps(tmp_path / "runs")
        if one.manifest.step == "boostqa"
        for row in rows_of(one)
    ]
    assert len(set(kept)) == len(kept)
    mended: list[QA] = [
        row for one in stored_steps(tmp_path / "runs") if one.manifest.step == "hard_negatives" for row in rows_of(one)
    ]
    errors = rounds[0]["validation"]["asked"] - rounds[0]["validation"]["right"]
    assert rounds[1]["made"]["mended"]["generated"] <= 3 * errors
    released = {
        row["question"]
        for file in (tmp_path / "runs" / "releases").rglob("*.parquet")
        for row in _rows(file)
        if row["stream"] == "mended"
    }
    assert released
    # A question of the validation, though the teacher wrote it, is learned by nobody.
    asked = {one["question"] for one in VALIDATION}
    assert "How many are 9 and 9?" in {row.question for row in mended}
    assert not released & asked
    rejected = [one for one in stored_steps(tmp_path / "runs") if one.manifest.step == "take_rows"]
    assert any("validation_question" in one.manifest.counts.rejected for one in rejected)


def made_by(step: str, root: Path) -> list[QA]:
    return [row for one in stored_steps(root) if one.manifest.step == step for row in rows_of(one)]


def _share(one: dict[str, Any]) -> float:
    return float(one["validation"]["right"] / one["validation"]["asked"])


def _rows(file: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return list(pq.read_table(file).to_pylist())
