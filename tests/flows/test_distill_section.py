"""A bill whose arms have a teacher: what it may say, and a whole run with its controls and its report."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.training_section import Training, read_training
from mashbill.errors import BillError
from mashbill.read_bill import read_bill
from tests.train.taught_plans import teacher_at

WORDS = ["salt", "guild", "tax", "river", "barrel", "mash", "rye", "oak", "copper", "still"]
BILL = """
name: salt
sources:
  documents: {{read_documents: {{path: corpus}}}}
streams:
  raw: {{from: documents}}
release: {{splits: {{test: 0.25}}}}
student: {{scratch: {{layers: 1, width: 16, heads: 2}}}}
train:
  tokens: 1500
  sequence_length: 64
  batch: 4
  {distill}
  arms:
{arms}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bill")
    rng = random.Random(0)
    (folder / "corpus").mkdir()
    for number in range(12):
        (folder / "corpus" / f"d{number}.txt").write_text(" ".join(rng.choices(WORDS, k=30)))
    teacher_at(folder / "teacher")
    return folder


def written(place: Path, distill: str, *arms: str) -> Path:
    path = place / "bill.yaml"
    path.write_text(BILL.format(distill=distill, arms="\n".join(f"    {arm}" for arm in arms)))
    return path


def training(place: Path, distill: str, *arms: str) -> Training:
    found = read_training(read_bill(written(place, distill, *arms)))
    assert found is not None
    return found


def test_each_taught_arm_has_before_it_one_of_its_plan_without_a_teacher(place: Path) -> None:
    found = training(place, "distill: {teacher: {path: teacher}}", "one: {raw: 1}", "two: {raw: 1, distill: {k: 8}}")
    # The same plan needs but one control.
    assert list(found.plans) == ["one-ce", "one", "two"]
    assert found.plans["one-ce"] == found.plans["one"]
    assert found.controls == {"one-ce": "one"}
    assert (found.distills["one"].k, found.distills["two"].k) == (64, 8)
    assert found.distills["two"].teacher.path == place / "teacher"


def test_an_arm_without_a_teacher_is_the_control_of_those_with_its_plan(place: Path) -> None:
    found = training(place, "distill: {teacher: {base: true}}", "plain: {raw: 1, distill: false}", "taught: {raw: 1}")
    assert list(found.plans) == ["plain", "taught"]
    assert list(found.distills) == ["taught"]
    alone = training(place, "distill: {teacher: {base: true}, control: false}", "taught: {raw: 1}")
    assert list(alone.plans) == ["taught"]


def test_what_is_learned_from_the_teacher_is_part_of_what_a_student_is(place: Path) -> None:
    one = training(place, "distill: {teacher: {base: true}, weight: 0.4}", "taught: {raw: 1}")
    two = training(place, "distill: {teacher: {base: true}, weight: 0.5}", "taught: {raw: 1}")
    assert repr(one.identity) != repr(two.identity)


@pytest.mark.parametrize(("distill", "why"), [
    ("distill: {k: 3}", r"bill.yaml:13: train.distill: needs `teacher`"),
    ("distill: {teacher: {path: nowhere}}", "teacher.path: no Hugging Face checkpoint is there"),
    ("distill: {teacher: {base: true}, streams: [raw, web]}", "arm one reads no 'web'; it reads raw"),
    ("distill: {teacher: {base: true}, encoding: live, k: 0}", "k is 0; at least 1"),
    ("distill: {teacher: {base: true}, kk: 3}", "kk"),
    ("distill: teacher", "is what is learned from a teacher"),
])  # fmt: skip
def test_a_wrong_section_is_refused_at_its_line(place: Path, distill: str, why: str) -> None:
    with pytest.raises(BillError, match=why):
        training(place, distill, "one: {raw: 1}")


def test_a_bill_is_taught_trained_and_reported(place: Path, tmp_path: Path) -> None:
    path = written(
        place, "distill: {teacher: {path: teacher}, k: 8}", "made: {raw: 1}",
        "drawn: {raw: 1, distill: {encoding: sampled, draws: 20}}",
        "live: {raw: 1, distill: {encoding: live, generic: {share: 0.5}}}",
    )  # fmt: skip
    root = ["--root", str(tmp_path), "-q"]
    taught = CliRunner().invoke(app, ["teach", str(path), *root])
    assert taught.exit_code == 0, taught.output
    assert "tokens of top 8 by teacher" in taught.output
    assert "tokens of 20 draws by teacher" in taught.output
    parts = sorted((tmp_path / "teachers" / "raw").glob("*/part-*.parquet"))
    before = [part.stat().st_mtime_ns for part in parts]
    assert len(parts) == 2
    ran = CliRunner().invoke(app, ["run", str(path), *root])
    assert ran.exit_code == 0, ran.output
    assert [part.stat().st_mtime_ns for part in parts] == before  # scored once
    report = json.loads(next((tmp_path / "reports").rglob("report.json")).read_text())
    assert set(report["arms"]) == {"made-ce", "made", "drawn", "live"}
    assert len({arm["plan"]["hash"] for arm in report["arms"].values()}) == 1
    assert set(report["teachers"]["teacher"]) == set(report["arms"])
    assert report["teachers"]["teacher"]["made"]["tokens"] > 50
    page = next((tmp_path / "reports").rglob("report.md")).read_text()
    assert "Beside the probabilities of the teacher teacher" in page


def test_teaching_needs_an_arm_with_stored_signals(place: Path, tmp_path: Path) -> None:
    path = written(place, "distill: {teacher: {base: true}, encoding: live}", "one: {raw: 1}")
    found = CliRunner().invoke(app, ["teach", str(path), "--root", str(tmp_path), "-q"])
    assert found.exit_code == 2
    assert "no arm learns from stored signals" in found.output
