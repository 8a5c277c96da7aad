from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mashbill.errors import StoreError
from train.average import Average
from train.checkpoint import Checkpoints
from train.hardware import Hardware
from train.recipe import StudentSpec, TrainRecipe
from train.run import train_student


def test_an_average_is_the_recurrence_written_out() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    average = Average(model, 0.5)
    wanted = float(model.weight.detach())
    for step, value in enumerate([1.0, 3.0, -2.0, 4.0], start=1):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * value
    assert float(average.state()["weight"].detach()) == pytest.approx(wanted)
    assert float(model.weight.detach()) == 4.0, "what is trained stays as it was"
    average.put_in()
    assert float(model.weight.detach()) == pytest.approx(wanted)


def test_the_student_that_is_written_is_the_average(plan_dir: Path, tiny: StudentSpec, tmp_path: Path) -> None:
    def run(name: str, ema: float) -> Path:
        result = train_student(
            plan_dir=plan_dir, student=tiny, recipe=TrainRecipe(learning_rate=3e-3, ema=ema),
            hardware=Hardware(device="cpu", micro_batch=6), out=tmp_path / name,
        )  # fmt: skip
        return result.out

    plain, averaged = run("plain", 0.0), run("averaged", 0.9)
    kept = torch.load(averaged / "checkpoints" / "step-00000012.pt", weights_only=True)
    written = load_file(averaged / "model" / "model.safetensors")
    last = load_file(plain / "model" / "model.safetensors")
    name = "model.norm.weight"
    assert torch.equal(written[name], kept["average"][name])
    assert torch.equal(last[name], kept["model"][name]), "the loop's own weights are those without an average"
    assert not torch.equal(written[name], last[name])


def test_a_checkpoint_without_an_average_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no averaged weights; it is of a run without `ema`"):
        Average(torch.nn.Linear(2, 2), 0.9).load(None, Checkpoints(tmp_path, {}).file(3))
