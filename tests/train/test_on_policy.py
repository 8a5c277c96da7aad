"""The edge to TRL: what it says without TRL, and, where TRL is installed, a student that was trained."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from mashbill.errors import BillError, UserError
from tests.train.taught_plans import teacher_at
from train.on_policy import train_on_policy
from train.student import load_model

WITH_TRL = pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="TRL is not installed")


def test_without_trl_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(UserError, match=r"pip install 'mashbill\[onpolicy\]'"):
        train_on_policy(tmp_path, tmp_path, ["Why?"], tmp_path / "out", steps=1)


@WITH_TRL
@pytest.mark.filterwarnings("ignore")
def test_a_student_learns_from_what_it_wrote_itself(tmp_path: Path) -> None:
    student, teacher = teacher_at(tmp_path / "student", seed=1), teacher_at(tmp_path / "teacher", seed=2)
    with pytest.raises(UserError, match="no prompt"):
        train_on_policy(student, teacher, [], tmp_path / "out", steps=1)
    cpu = {"use_cpu": True, "bf16": False}
    made = train_on_policy(
        student, teacher, ["salt", "rye"], tmp_path / "out",
        steps=1, batch=2, most_tokens=4, learning_rate=1e-3, **cpu,
    )  # fmt: skip
    before, after = (load_model(path).get_output_embeddings().weight for path in (student, made))
    assert not torch.equal(before, after)


@WITH_TRL
def test_on_policy_too_the_tokenizer_must_be_the_same(tmp_path: Path) -> None:
    student, teacher = teacher_at(tmp_path / "student"), teacher_at(tmp_path / "teacher")
    config = teacher / "tokenizer.json"
    config.write_text(config.read_text().replace('"Ġ":', '"ĠĠ":', 1))
    with pytest.raises(BillError, match="probabilities are about different tokens"):
        train_on_policy(student, teacher, ["salt"], tmp_path / "out", steps=1)
