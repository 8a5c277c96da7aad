from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mashbill.errors import BillError
from tests.train.test_supervised_run import _through_peft
from train.adapter import attach
from train.batches import PlanReader
from train.hardware import Hardware
from train.lora_start import low_rank
from train.metrics import read_metrics
from train.recipe import Lora, StudentSpec, TrainRecipe
from train.result import TrainResult
from train.run import train_student
from train.student import load_model, load_student

STARTS = ("pissa", "corda_kpm", "corda_ipm", "kasa")


def lora(start: str, r: int = 4) -> Lora:
    return Lora(r=r, alpha=r, start=start)  # type: ignore[arg-type]


def run(plan_dir: Path, tiny: StudentSpec, out: Path, start: str, *, dies: int = 0) -> TrainResult:
    def progress(line: dict[str, object]) -> None:
        if line["step"] == dies:
            raise KeyboardInterrupt

    return train_student(
        plan_dir=plan_dir, student=tiny, recipe=TrainRecipe(learning_rate=3e-3), out=out, lora=lora(start),
        hardware=Hardware(device="cpu", checkpoint_every=3, micro_batch=3), progress=progress,
    )  # fmt: skip


def logits(model: torch.nn.Module) -> torch.Tensor:
    ids = torch.arange(2, 42)[None]
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=ids).logits
    return found


@pytest.mark.parametrize("start", STARTS)
def test_every_start_exports_an_ordinary_adapter_over_the_student_as_it_was(
    start: str, plan_dir: Path, tiny: StudentSpec, tmp_path: Path
) -> None:
    result = run(plan_dir, tiny, tmp_path / "run", start)
    assert result.final_loss < result.first_loss
    ours = logits(load_model(result.model_dir))
    theirs = logits(_through_peft(load_student(tiny).model, result.adapter_dir))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert (ours - logits(load_student(tiny).model)).abs().max() > 1e-2
    # What is not updated is as it was.
    before, after = load_student(tiny).model.state_dict(), load_file(result.model_dir / "model.safetensors")
    assert torch.equal(before["model.norm.weight"], after["model.norm.weight"])


@pytest.mark.parametrize("start", ["pissa", "corda_kpm"])
def test_what_starts_from_the_weights_begins_as_the_student(start: str, plan_dir: Path, tiny: StudentSpec) -> None:
    whole, started = load_student(tiny).model, load_student(tiny).model
    attach(started, lora(start), plan_dir)
    torch.testing.assert_close(logits(started), logits(whole), rtol=1e-3, atol=1e-4)


def test_a_killed_run_starts_from_the_same_decomposition(plan_dir: Path, tiny: StudentSpec, tmp_path: Path) -> None:
    whole = run(plan_dir, tiny, tmp_path / "whole", "corda_ipm")
    with pytest.raises(KeyboardInterrupt):
        run(plan_dir, tiny, tmp_path / "again", "corda_ipm", dies=5)
    again = run(plan_dir, tiny, tmp_path / "again", "corda_ipm")
    one, other = ([line["loss"] for line in read_metrics(result.metrics)] for result in (whole, again))
    assert one == other


def test_kept_knowledge_is_where_the_updates_do_not_reach(plan_dir: Path, tiny: StudentSpec) -> None:
    """Of the two modes on the same text: the preserved one's directions move what that text asks of a layer less."""

    def reach(start: str) -> float:
        model = load_student(tiny).model
        attach(model, lora(start), plan_dir)
        layer = model.model.layers[0].self_attn.q_proj
        update = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        batch = PlanReader(plan_dir).batch(list(range(12)))
        seen: list[torch.Tensor] = []
        hook = layer.register_forward_hook(lambda module, given, made: seen.append(given[0].detach()))
        with torch.no_grad():
            model(input_ids=batch.input_ids, position_ids=batch.position_ids)
        hook.remove()
        return float((seen[0].flatten(0, 1) @ update.detach().T).norm())

    assert reach("corda_kpm") < 0.3 * reach("corda_ipm")


def test_kasa_keeps_its_matrices_near_orthogonal(plan_dir: Path, tiny: StudentSpec) -> None:
    from train.adapter import penalty_of

    tuner = attach(load_student(tiny).model, lora("kasa"), plan_dir)
    penalty = penalty_of(tuner, lora("kasa"))
    assert penalty is not None
    assert float(penalty().detach()) > 0
    assert penalty_of(tuner, lora("pissa")) is None


def test_starts_that_cannot_be_are_refused(tiny: StudentSpec, plan_dir: Path) -> None:
    with pytest.raises(BillError, match="there is no plan here"):
        attach(load_student(tiny).model, lora("corda_ipm"))
    with pytest.raises(BillError, match="r is 64, too large for start kasa"):
        attach(load_student(tiny).model, lora("kasa", r=64), plan_dir)


def test_a_low_rank_difference_is_found_whole() -> None:
    torch.manual_seed(0)
    difference = torch.randn(6, 3) @ torch.randn(3, 9)
    down, up = low_rank(difference, 3)
    assert (down.shape, up.shape) == ((3, 9), (6, 3))
    torch.testing.assert_close(up @ down, difference, rtol=1e-4, atol=1e-5)
