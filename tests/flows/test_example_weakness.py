"""The example that measures a student's weakness, run whole with a teacher and a student by rule."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import yaml

from flows.run_bill import run_bill
from mashbill.lineage import stored_steps
from mashbill.progress import Silent
from mashbill.settings import Settings
from synth.budget import Budget
from tests.flows.by_rule import engine_by_rule

EXAMPLE = Path(__file__).parents[2] / "examples" / "boostqa" / "weakness.yaml"
RULE = engine_by_rule(
    "A teacher that labels by what it sees, and a student that is right about sums and wrong about notes.",
    r"""
import json
import re


def said(request, model):
    asked = request.messages[-1].content
    if '"difficulty"' in request.schema:
        sum_ = "How many" in asked
        return json.dumps({"knowledge_points": ["counting" if sum_ else "Tolvarey"],
            "discipline": "mathematics/arithmetic" if sum_ else "humanities/history", "question_type": "short_answer",
            "grade": "primary" if sum_ else "high", "takes": "To know.", "difficulty": 2 if sum_ else 1})
    numbers = [int(one) for one in re.findall(r"\d+", asked)]
    right = {(3, 4): 12, (20, 6): 14, (7, 5): 12, (24, 4): 6, (2, 5): 10, (8, 3, 4): 20, (9, 3): 6, (2, 3): 5,
             (6, 2, 2): 24, (15, 5, 2): 12}
    return f"So.\n#### {right.get(tuple(numbers), 'nobody')}"
""",
)


def test_the_example_measures_by_cell_and_sends_the_budget_where_the_student_is_weak(tmp_path: Path) -> None:
    folder = tmp_path / "examples" / "boostqa"
    (folder / "steps").mkdir(parents=True)
    (folder / "steps" / "by_rule.py").write_text(RULE, encoding="utf-8")
    for name in ("rationales", "tolvarey"):
        (tmp_path / "examples" / name).symlink_to(EXAMPLE.parents[1] / name)
    bill = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    bill |= {"steps": "steps", "engine": {"by_rule": {}}, "engines": {"student": {"by_rule": {"model": "student"}}}}
    (folder / "weakness.yaml").write_text(yaml.safe_dump(bill, sort_keys=False), encoding="utf-8")
    settings = dataclasses.replace(Settings(), root=tmp_path / "runs")
    made = run_bill(folder / "weakness.yaml", settings, Silent())
    assert made.releases is not None
    (stored,) = (one for one in stored_steps(settings.root) if one.manifest.step == "cell_budget")
    budget = Budget.from_plain(stored.manifest.notes["budget"])
    cells = {(one.discipline, one.difficulty): one for one in budget.cells}
    assert set(cells) == {("humanities", 1), ("mathematics", 2)}
    known, unknown = cells["mathematics", 2], cells["humanities", 1]
    assert (known.accuracy, unknown.accuracy) == (1.0, 0.0)
    assert unknown.budget > 2 * known.budget
    assert known.budget + unknown.budget == 400
    assert known.seeds + known.probed == 10
