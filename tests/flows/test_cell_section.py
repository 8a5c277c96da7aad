"""Accuracy by discipline and difficulty: which questions count, and a whole run whose report has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.cell_section import CELLS, cell_scores, cell_table, draw_cells
from flows.run_bill import run_bill
from flows.written_arms import held_out_questions
from mashbill.progress import Silent
from mashbill.records import QA
from mashbill.settings import Settings
from tests.flows.fake_kitchen import project
from tests.flows.test_arms import PLAIN, settings_of
from tests.support.kernel import store


def asked(place: Path, rows: Sequence[dict[str, Any]]) -> Path:
    file = place / "asked.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def question(number: int, **cell: Any) -> dict[str, Any]:
    return {"id": f"q{number}", "question": f"Which is {number}?", "options": ["a", "b"], "answer": "a", **cell}


@given(st.lists(st.tuples(st.sampled_from(["salt", "law"]), st.integers(1, 5), st.booleans()), min_size=1, max_size=40))
def test_every_question_of_a_cell_counts_once(
    tmp_path_factory: pytest.TempPathFactory, given: list[tuple[str, int, bool]]
) -> None:
    file = asked(
        tmp_path_factory.mktemp("cells"),
        [question(at, discipline=name, difficulty=level) for at, (name, level, _) in enumerate(given)],
    )
    right = {f"q{at}": one for at, (*_, one) in enumerate(given)}
    scores = cell_scores(file, {"base": right})
    assert scores is not None
    assert sum(scores.questions.values()) == len(given)
    assert sum(
        round(one.value * scores.questions[cell]) for cell, one in scores.right["base"].items()
    ) == sum(right.values())  # fmt: skip


def test_questions_without_a_cell_are_in_none(tmp_path: Path) -> None:
    rows = [question(1, discipline="law"), question(2, difficulty=2), question(3, discipline="", difficulty=1)]
    rows.append(question(4, discipline="law", difficulty=True))
    right = {f"q{at}": True for at in range(1, 6)}
    assert cell_scores(asked(tmp_path, rows), {"base": right}) is None
    scores = cell_scores(asked(tmp_path, [*rows, question(5, discipline="law", difficulty=3)]), {"base": right})
    assert scores is not None
    assert scores.questions == {("law", 3): 1}
    assert "| law 3 | 1 | 1.000 [0.207, 1.000] |" in cell_table(scores)


def test_students_are_drawn_side_by_side_with_what_they_gained(tmp_path: Path) -> None:
    rows = [question(at, discipline="law" if at % 2 else "salt", difficulty=1 + at % 3) for at in range(24)]
    students = {name: {f"q{at}": at % by == 0 for at in range(24)} for name, by in (("base", 3), ("a", 2), ("b", 1))}
    scores = cell_scores(asked(tmp_path, rows), students)
    assert scores is not None
    draw_cells(scores, tmp_path / "cells.svg")
    drawn = (tmp_path / "cells.svg").read_text(encoding="utf-8")
    assert all(title in drawn for title in ("base", "a − base", "b − base"))


def test_a_run_reports_by_cell(tmp_path: Path) -> None:
    first = project(tmp_path / "first", **PLAIN)
    run_bill(first.bill, settings_of(first), Silent())
    model = first.one("students/tiny-raw/*/model")
    bill = {**PLAIN, "student": {"path": str(model)}, "evaluate": {"questions": "asked.jsonl", "most_tokens": 3}}
    run = project(tmp_path / "second", **{**bill, "train": None})
    asked(run.bill.parent, [question(at, discipline="salt", difficulty=1 + at % 2) for at in range(6)])
    outcome = run_bill(run.bill, settings_of(run), Silent())
    assert outcome.report is not None
    report = json.loads((outcome.report / "report.json").read_bytes())
    assert [(one["discipline"], one["difficulty"], one["questions"]) for one in report["cells"]] == [
        ("salt", 1, 3),
        ("salt", 2, 3),
    ]
    assert set(report["cells"][0]["accuracy"]) == {"base"}
    assert "| salt 1 | 3 |" in (outcome.report / "report.md").read_text()
    assert (outcome.report / CELLS).is_file()


def test_held_out_rows_of_a_stream_keep_their_cell(tmp_path: Path) -> None:
    rows = [
        QA.new(question="Who taxed salt?", answer="The guild", discipline="law", difficulty=3, source_id="kept"),
        QA.new(question="Who sold salt?", answer="The guild", source_id="kept"),
    ]
    file = held_out_questions(Settings(root=tmp_path).root, store(tmp_path, rows), frozenset({"kept"}))
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [(line.get("discipline"), line.get("difficulty")) for line in lines] == [("law", 3), (None, None)]
