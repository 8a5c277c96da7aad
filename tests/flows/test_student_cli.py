"""`mashbill student` and `mashbill seen`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from flows.cli import app
from tests.flows.fake_kitchen import Project, project
from tests.flows.test_arms import FAST, PLAIN
from train.student import load_model

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    torch.set_num_threads(1)
    run = project(tmp_path_factory.mktemp("run"), **{**PLAIN, "train": {**FAST, "arms": {"raw": {"raw": 1}}}})
    ended = run.run()
    assert ended.code == 0, ended.err
    return run


def said(*line: object, code: int = 0) -> str:
    found = RUNNER.invoke(app, [str(word) for word in line])
    assert found.exit_code == code, found.output
    return found.output


def test_what_was_seen_at_a_step_is_said_with_its_text(trained: Project) -> None:
    plan = trained.one("plans/*/*")
    student = trained.one("students/*/*")
    by_plan = said("seen", plan, 1, "--root", trained.root)
    assert by_plan.startswith("step 1 of ")
    assert "Ora Venn" in by_plan
    assert said("seen", student, 1, "--root", trained.root) == by_plan
    assert said("seen", "tiny-raw", 1, "--root", trained.root) == by_plan
    assert "has steps 1 to" in said("seen", plan, 999, "--root", trained.root, code=2)
    assert "planned: tiny-raw" in said("seen", "tiny-rew", 1, "--root", trained.root, code=2)


def test_a_student_is_cut_and_its_change_kept_as_a_file(trained: Project, tmp_path: Path) -> None:
    plan, model = trained.one("plans/*/*"), trained.one("students/*/*") / "model"
    config = load_model(model).config
    output = said(
        "student",
        "prune",
        model,
        "--plan",
        plan,
        "--mlp-width",
        config.intermediate_size // 2,
        "--to",
        tmp_path / "small",
    )
    assert "loss on" in output
    assert load_model(tmp_path / "small").config.intermediate_size == config.intermediate_size // 2
    assert "is there already" in said(
        "student", "prune", model, "--plan", plan, "--layers", 1, "--to", tmp_path / "small", code=2
    )
    # A second student of the same shape: the first with its final norm changed.
    from train.recipe import StudentSpec
    from train.student import load_student, save_student

    other = load_student(StudentSpec(path=model))
    with torch.no_grad():
        other.model.model.norm.weight.add_(0.5)
    save_student(other, tmp_path / "other")
    output = said("student", "delta", model, tmp_path / "other", "--to", tmp_path / "d", "--rank", 2, "--curve", plan)
    assert "% of the student's" in output
    assert "rank     2" in output
    said("student", "apply", model, tmp_path / "d", "--to", tmp_path / "again")
    weights = load_model(tmp_path / "again").state_dict()
    torch.testing.assert_close(weights["model.norm.weight"], other.model.state_dict()["model.norm.weight"])
    assert "belongs to the base" in said(
        "student", "apply", tmp_path / "other", tmp_path / "d", "--to", tmp_path / "x", code=2
    )
