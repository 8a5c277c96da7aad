"""Written answers and fidelity in a whole run: what a bill may say, what is measured, and that gold is for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from flows.run_bill import run_bill
from flows.training_section import read_evaluation
from mashbill.errors import BillError, InputError
from mashbill.progress import Silent
from mashbill.read_bill import read_bill
from mashbill.settings import Settings
from tests.flows.fake_kitchen import Project, project

FACTS = [{"question": f"What is {one} and {two}?", "answer": str(one + two)} for one in range(5) for two in range(4)]
BILL: dict[str, Any] = {
    "engine": None,
    "steps": None,
    "sources": {"facts": {"read_qa": {"path": "facts", "readable_by": "numeric"}}},
    "streams": {"facts": {"from": "facts"}},
    "curate": None,
    "release": {"streams": {"facts": 1}, "splits": {"validation": 0.3}},
    "train": {
        "tokens": 2048, "sequence_length": 64, "batch": 2, "learning_rate": 1.0e-2, "target": "answer_only",
        "template": "plain", "arms": {"first": {"facts": 1}},
    },
    "evaluate": {
        "questions": "questions.jsonl",
        "most_tokens": 4,
        "write": {"samples": 2, "k": [1, 2], "most_tokens": 6, "matcher": "exact"},
        "teacher": "teacher.jsonl",
        "bins": 5,
    },
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def made(folder: Path, **sections: Any) -> Project:
    found = project(folder, **{**BILL, **sections})
    (folder / "facts").mkdir(exist_ok=True)
    (folder / "facts" / "facts.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in FACTS))
    said = [("q1", "salt", 0.9), ("q2", "Vintrack", 0.6)]
    lines = [json.dumps({"id": name, "answer": answer, "confidence": sure}) for name, answer, sure in said]
    (folder / "teacher.jsonl").write_text("\n".join(lines))
    return found


def run(one: Project) -> Path:
    outcome = run_bill(one.bill, Settings(root=one.root, tables={"hardware": {"device": "cpu"}}), Silent())
    assert outcome.report is not None
    return outcome.report


def evaluate(**changes: Any) -> dict[str, Any]:
    whole = {**BILL["evaluate"], **changes}
    return {name: value for name, value in whole.items() if value is not None}


def test_a_report_has_what_was_written_and_how_faithful_it_is(tmp_path: Path) -> None:
    one = made(tmp_path)
    folder = run(one)
    report = json.loads((folder / "report.json").read_bytes())
    written = report["written"]["first"]
    assert written["questions"] == 3
    assert list(written["pass_at"]) == ["1", "2"]
    assert sum(written["outcomes"].values()) == pytest.approx(1)
    faithful = report["fidelity"]["first"]
    assert (faithful["questions"], faithful["missing"]) == (2, 1)
    assert faithful["teacher_accuracy"]["value"] == 0.5
    assert faithful["teacher_calibration"]["brier"] == pytest.approx((0.1**2 + 0.6**2) / 2)
    assert len(faithful["teacher_calibration"]["bins"]) == 5
    text = (folder / "report.md").read_text()
    assert "| arm | accuracy | pass@1 | pass@2 | majority@2 | tokens an answer |" in text
    assert "Fidelity to the teacher on 2 questions; the teacher answered 1 others not at all" in text
    assert "| the teacher | 2 | 0.750 | 0.500 |" in text
    assert (folder / "reliability.png").stat().st_size > 1000 or written["sample_outcomes"].keys() <= {"truncated"}
    rows = pq.read_table(next(one.root.glob("students/*/*/written-*/written.parquet")))
    assert rows.num_rows == 3 * 3
    assert "written" in report["lines"][0]


def test_questions_of_a_stream_are_its_held_out_rows_and_none_of_them_is_learned(tmp_path: Path) -> None:
    one = made(tmp_path, evaluate=evaluate(questions={"from": "facts"}, teacher=None))
    folder = run(one)
    (path,) = one.root.glob("questions/*/*.jsonl")
    asked = [json.loads(line) for line in path.read_text().splitlines()]
    assert 0 < len(asked) < len(FACTS)
    (plan,) = one.root.glob("plans/*/*/plan.parquet")
    learned = {part["record_id"] for row in pq.read_table(plan).column("segments").to_pylist() for part in row}
    assert learned
    assert not learned & {question["id"] for question in asked}
    assert json.loads((folder / "report.json").read_bytes())["written"]["first"]["questions"] == len(asked)
    assert run(one) == folder, "a finished report is opened"


def test_what_decides_the_numbers_is_identity(tmp_path: Path) -> None:
    one = made(tmp_path)
    first = run(one)
    assert run(one) == first
    (tmp_path / "teacher.jsonl").write_text('{"id": "q3", "answer": "Ora"}')
    other = run(one)
    assert other != first
    assert json.loads((other / "report.json").read_bytes())["fidelity"]["first"]["teacher_calibration"] is None
    one.write(**{**BILL, "evaluate": evaluate(teacher=None, bins=None, write={"most_tokens": 5})})
    assert run(one) not in (first, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": "questions.jsonl"}, r"tiny\.yaml:\d+: evaluate\.validation: .*stands in the test too"),
        ({"validation": "none.jsonl"}, r"evaluate\.validation: no such file"),
        ({"teacher": "none.jsonl"}, r"evaluate\.teacher: no such file"),
        (
            {"teacher": {"from": "fact"}},
            r"evaluate\.teacher\.from: no stream is called 'fact' \(did you mean facts\?\)",
        ),
        ({"teacher": {"from": "facts"}}, r"its rows are QA; rows of kind Rationale are wanted here"),
        ({"questions": {"from": "raw"}}, r"evaluate\.questions\.from: no stream is called 'raw'"),
        ({"write": {"samples": 2, "k": [4]}}, r"tiny\.yaml:\d+: .*k cannot be"),
        ({"write": {"temprature": 1}}, r"unknown field \(did you mean temperature\?\)"),
        ({"bins": 0}, r"evaluate\.bins: at least one bin"),
    ],
)
def test_a_wrong_value_is_named_before_any_work(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    one = made(tmp_path, evaluate=evaluate(**changes))
    with pytest.raises(BillError, match=message):
        read_evaluation(read_bill(one.bill))


def test_a_right_answer_that_no_matcher_reads_is_found_before_any_work(tmp_path: Path) -> None:
    one = made(tmp_path, evaluate=evaluate(write={"matcher": "numeric"}))
    with pytest.raises(InputError, match="question 'q1': the matcher numeric does not hold the answer 'salt'"):
        read_evaluation(read_bill(one.bill))


def test_a_teacher_that_answers_none_of_the_questions_is_refused(tmp_path: Path) -> None:
    one = made(tmp_path)
    (tmp_path / "teacher.jsonl").write_text('{"id": "zz", "answer": "Ora"}')
    with pytest.raises(InputError, match="answers none of the questions"):
        run(one)


def test_validation_questions_are_kept_apart(tmp_path: Path) -> None:
    one = made(tmp_path, evaluate=evaluate(validation="v.jsonl"))
    (tmp_path / "v.jsonl").write_text('{"id": "v1", "question": "Who sold it?", "answer": "Venn"}')
    found = read_evaluation(read_bill(one.bill))
    assert found is not None
    assert found.validation == tmp_path / "v.jsonl"
    # Another id does not make another question.
    (tmp_path / "v.jsonl").write_text('{"id": "v1", "question": "what did the  Guild sell?", "answer": "salt"}')
    with pytest.raises(BillError, match="stands in the test too"):
        read_evaluation(read_bill(one.bill))


def test_validation_questions_are_kept_apart_from_those_of_a_stream_too(tmp_path: Path) -> None:
    one = made(tmp_path, evaluate=evaluate(questions={"from": "facts"}, teacher=None, validation="v.jsonl"))
    lines = [json.dumps({"id": f"v{at}", **fact}) for at, fact in enumerate(FACTS)]
    (tmp_path / "v.jsonl").write_text("\n".join(lines))
    with pytest.raises(BillError, match="stands in the test too"):
        run(one)


def test_questions_of_a_stream_may_hold_any_character(tmp_path: Path) -> None:
    odd = [{**fact, "question": f"{fact['question']}\u2028\x85\x0c Say it."} for fact in FACTS]
    one = made(tmp_path, evaluate=evaluate(questions={"from": "facts"}, teacher=None))
    (tmp_path / "facts" / "facts.jsonl").write_text("".join(f"{json.dumps(fact)}\n" for fact in odd))
    assert json.loads((run(one) / "report.json").read_bytes())["written"]["first"]["questions"] > 0


def test_opening_a_finished_report_loads_no_torch() -> None:
    import subprocess
    import sys

    said = "import sys, flows.arms, flows.star; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout == "[]\n"
