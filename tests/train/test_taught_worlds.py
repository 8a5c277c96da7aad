"""Learning from a teacher in several processes, as torchrun starts them: the same student as alone."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.processes import forget, run_processes
from tests.train.taught_plans import distill, taught_columns, teacher_at
from train.distill_spec import Generic
from train.hardware import Hardware
from train.metrics import read_metrics
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.run import train_student
from train.tokenizer import StudentTokenizer

pytestmark = pytest.mark.slow

CHILD = """
import json, sys
from pathlib import Path
import torch
from tests.train.test_taught_worlds import learn
torch.set_num_threads(1)
way, plan, out, teacher, columns = sys.argv[1:6]
learn(way, Path(plan), Path(out), Path(teacher), json.loads(columns))
"""
WAYS: dict[str, dict[str, Any]] = {
    "top_k": {"k": 16},
    "hidden": {"encoding": "live", "divergence": "reverse_kl", "generic": {"share": 0.4}},
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return teacher_at(tmp_path_factory.mktemp("teacher"))


def losses(out: Path) -> list[float]:
    return [float(str(line["loss"])) for line in read_metrics(out / "metrics.jsonl")]


def learn(way: str, plan: Path, out: Path, teacher: Path, columns: Mapping[str, str]) -> None:
    fields = dict(WAYS[way])
    generic = Generic(**fields.pop("generic")) if "generic" in fields else None
    train_student(
        plan_dir=plan,
        out=out,
        student=StudentSpec(scratch=Scratch(layers=2, width=32, heads=4, kv_heads=2, mlp_width=64)),
        recipe=TrainRecipe(learning_rate=3e-3),
        hardware=Hardware(device="cpu", checkpoint_every=3, micro_batch=3),
        distill=distill(teacher, generic=generic, **fields),
        columns={name: Path(one) for name, one in columns.items()},
    )


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_learn_the_same_from_a_teacher(
    way: str, teacher: Path, plan_dir: Path, tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    stored = WAYS[way].get("encoding") != "live"
    made = taught_columns(tmp_path, plan_dir, distill(teacher, **WAYS[way]), tokenizer)[0] if stored else {}
    columns = {name: str(one) for name, one in made.items()}
    alone, two, again = (tmp_path / name for name in ("alone", "two", "again"))

    def line(out: Path) -> list[str]:
        return [sys.executable, "-c", CHILD, way, str(plan_dir), str(out), str(teacher), json.dumps(columns)]

    learn(way, plan_dir, alone, teacher, columns)
    run_processes(2, line(two))
    assert losses(two) == pytest.approx(losses(alone), rel=1e-5)
    mine, theirs = (load_file(out / "model" / "model.safetensors") for out in (alone, two))
    for name in mine:
        torch.testing.assert_close(theirs[name], mine[name], rtol=0, atol=1e-4)
    if way == "top_k":  # and goes on to the bit from its last checkpoint but one
        shutil.copytree(two, again)
        forget(again, 12)
        run_processes(2, line(again))
        assert losses(again) == losses(two)
