from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mashbill.errors import StoreError
from tests.train.processes import command, forget, run_processes
from train.checkpoint import Checkpoints
from train.hardware import Hardware
from train.metrics import read_metrics
from train.recipe import StudentSpec, TrainRecipe
from train.result import TrainResult
from train.run import train_student

pytestmark = pytest.mark.slow


def losses(out: Path) -> list[float]:
    return [float(str(line["loss"])) for line in read_metrics(out / "metrics.jsonl")]


@pytest.fixture(scope="module")
def alone(plan_dir: Path, tiny: StudentSpec, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train_student(
        plan_dir=plan_dir,
        student=tiny,
        recipe=TrainRecipe(learning_rate=3e-3, ema=0.9),
        hardware=Hardware(device="cpu", checkpoint_every=3, micro_batch=3),
        out=tmp_path_factory.mktemp("alone"),
    )


@pytest.fixture(scope="module")
def two(plan_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("two")
    run_processes(2, command(plan_dir, out, ema=0.9))
    return out


def same_weights(one: Path, other: Path, *, within: float) -> None:
    mine, theirs = (load_file(out / "model" / "model.safetensors") for out in (one, other))
    for name in set(mine) & set(theirs):
        torch.testing.assert_close(mine[name], theirs[name], rtol=0, atol=within)


def test_two_processes_train_the_same_student(alone: TrainResult, two: Path) -> None:
    assert losses(two) == pytest.approx(losses(alone.out), rel=1e-5)
    same_weights(alone.out, two, within=1e-4)
    (*_, last) = sorted((two / "checkpoints").iterdir())
    about = json.loads((last / "checkpoint.json").read_bytes())
    assert about["step"] == 12
    assert len([name for name in about["files"] if name.endswith(".distcp")]) == 2


def test_the_same_number_of_processes_goes_on_bit_for_bit(two: Path, plan_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(two, tmp_path / "again")
    forget(tmp_path / "again", 12)
    run_processes(2, command(plan_dir, tmp_path / "again", ema=0.9))
    assert losses(tmp_path / "again") == losses(two)
    weights = [(out / "model" / "model.safetensors").read_bytes() for out in (two, tmp_path / "again")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("size", [1, 4])
def test_another_number_of_processes_goes_on_to_the_same_losses(
    two: Path, plan_dir: Path, tmp_path: Path, size: int
) -> None:
    shutil.copytree(two, tmp_path / "other")
    forget(tmp_path / "other", 12)
    run_processes(size, command(plan_dir, tmp_path / "other", ema=0.9))
    # The three steps after the checkpoint: the sums of gradients are taken in another order.
    assert losses(tmp_path / "other") == pytest.approx(losses(two), rel=1e-6)
    same_weights(two, tmp_path / "other", within=1e-5)


def test_two_go_on_from_what_one_wrote_and_stop_together(alone: TrainResult, plan_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(alone.out, tmp_path / "later")
    forget(tmp_path / "later", 12)
    # The first process alone is asked to stop, and both do, after the same step.
    said = run_processes(2, command(plan_dir, tmp_path / "later", stop_at=10, every=100, ema=0.9))
    assert "stopped after step 10 of 12" in said
    assert Checkpoints(tmp_path / "later" / "checkpoints", {}).steps()[-1] == 10
    run_processes(2, command(plan_dir, tmp_path / "later", ema=0.9))
    assert losses(tmp_path / "later") == pytest.approx(losses(alone.out), rel=1e-6)


def test_a_shard_cut_short_is_found_before_it_is_read(
    two: Path, tiny: StudentSpec, plan_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "short"
    shutil.copytree(two, out)
    forget(out, 12)
    (*_, last) = sorted((out / "checkpoints").iterdir())
    shard = next(last.glob("*.distcp"))
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(StoreError, match=r"distcp has .* bytes: it was cut short; remove the folder to go on"):
        train_student(
            plan_dir=plan_dir, student=tiny, recipe=TrainRecipe(learning_rate=3e-3, ema=0.9),
            hardware=Hardware(device="cpu"), out=out,
        )  # fmt: skip
    shutil.rmtree(last)
    run_processes(2, command(plan_dir, out, ema=0.9))
    assert losses(out) == losses(two)
