"""The example from weakness to a mid-training mix, run whole with models by rule in the place of the embedded one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import yaml

from flows.look_cells import budget_in
from flows.run_bill import run_bill
from mashbill.lineage import stored_steps
from mashbill.progress import Silent
from mashbill.records import QA
from mashbill.settings import Settings
from tests.flows.by_rule import engine_by_rule
from tests.support.kernel import rows_of
from train.batches import PlanReader

EXAMPLE = Path(__file__).parents[2] / "examples" / "boostqa" / "boost.yaml"
RULE = engine_by_rule(
    "A teacher that writes and adds, and a student that knows nothing.",
    r"""
import json
import re


def said(request, model):
    if model == "student":
        return "I do not know.\n#### nothing"
    asked = request.messages[-1].content
    if '"difficulty"' in request.schema:
        return json.dumps({"knowledge_points": ["counting"], "discipline": "mathematics/arithmetic",
            "question_type": "short_answer", "grade": "primary", "takes": "To add.", "difficulty": 2})
    if '"tests"' in request.schema:
        first, second = request.seed % 90 + 1, request.seed // 90 % 90 + 1
        question = f"At dawn {first} casks lie in the cellar, then {second} are rolled down. What is the count at dusk?"
        return json.dumps({"question": question, "answer": str(first + second), "knowledge_points": ["sums"]})
    first, second = re.findall(r"\d+", asked)[:2]
    return f"They add up: {first} + {second} = {int(first) + int(second)}.\n#### {int(first) + int(second)}"
""",
)


def test_the_example_goes_from_weakness_to_a_student_with_general_text_among_its_questions(tmp_path: Path) -> None:
    folder = tmp_path / "examples" / "boostqa"
    (folder / "steps").mkdir(parents=True)
    (folder / "steps" / "by_rule.py").write_text(RULE, encoding="utf-8")
    for name in ("rationales", "tolvarey"):
        (tmp_path / "examples" / name).symlink_to(EXAMPLE.parents[1] / name)
    bill = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    engines = {role: {"by_rule": {"model": role}} for role in ("student", "editor")}
    bill |= {"steps": "steps", "engine": {"by_rule": {}}, "engines": engines}
    bill["train"]["tokens"] = 4_000
    (folder / "boost.yaml").write_text(yaml.safe_dump(bill, sort_keys=False), encoding="utf-8")
    settings = dataclasses.replace(Settings(), root=tmp_path / "runs", tables={"hardware": {"device": "cpu"}})
    assert run_bill(folder / "boost.yaml", settings, Silent()).releases is not None

    (stored,) = (one for one in stored_steps(settings.root) if one.manifest.step == "boostqa")
    rows: list[QA] = rows_of(stored)
    budget = budget_in(stored.path)
    (cell,) = budget.cells
    assert (cell.discipline, cell.difficulty, cell.accuracy, cell.budget) == ("mathematics", 2, 0.0, 4)
    assert len(rows) == 4
    assert all("casks" in row.question and row.rationale.startswith("They add up") for row in rows)
    assert stored.manifest.notes["refinement"]["kept"] >= 4
    (plan,) = (settings.root / "plans" / "boost-boosted").iterdir()
    assert abs(PlanReader(plan).manifest.streams["general"].share - 0.35) < 0.1
