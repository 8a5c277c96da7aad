from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mashbill.errors import BillError
from train.batches import PlanReader
from train.hardware import Hardware
from train.prune import Kept, PruneSpec, cut, prune_student
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.run import train_student
from train.student import Student, load_model, load_student


def student_of(architecture: str = "llama") -> Student:
    spec = StudentSpec(
        scratch=Scratch(architecture=architecture, layers=3, width=32, heads=4, kv_heads=2, mlp_width=48)
    )
    return load_student(spec)


def logits(student: Student, plan_dir: Path) -> torch.Tensor:
    batch = PlanReader(plan_dir).batch([0, 1, 2])
    with torch.no_grad():
        found: torch.Tensor = student.model.eval()(
            input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False
        ).logits
    return found


def make_idle(student: Student) -> None:
    """One layer, one key-value head of each layer and four neurons of each do nothing at all."""
    with torch.no_grad():
        for at, layer in enumerate(student.model.model.layers):
            rows = len(layer.self_attn.v_proj.weight)
            layer.self_attn.v_proj.weight[rows // 2 :] = 0  # the second of two key-value heads
            layer.mlp.up_proj.weight[[3, 11, 20, 47]] = 0
            if at == 1:
                layer.self_attn.o_proj.weight.zero_()
                layer.mlp.down_proj.weight.zero_()


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_what_does_nothing_goes_and_nothing_changes(architecture: str, plan_dir: Path, tmp_path: Path) -> None:
    student = student_of(architecture)
    make_idle(student)
    if architecture == "qwen2":  # its value projection has a bias
        for layer in student.model.model.layers:
            layer.self_attn.v_proj.bias.data.zero_()
    before = logits(student, plan_dir)
    small = prune_student(student, plan_dir, PruneSpec(layers=2, kv_heads=1, mlp_width=44), tmp_path)
    torch.testing.assert_close(logits(small, plan_dir), before, rtol=1e-4, atol=1e-5)
    report = json.loads((tmp_path / "pruning.json").read_bytes())
    assert report["layers_kept"] == [0, 2]
    assert report["sizes"]["after"] == {"layers": 2, "kv_heads": 1, "mlp_width": 44, "width": 32}
    assert report["loss"]["after"] == pytest.approx(report["loss"]["before"], abs=1e-5)
    assert report["parameters"]["after"] < report["parameters"]["before"]
    opened = load_model(tmp_path)
    torch.testing.assert_close(logits(Student(opened, student.tokenizer), plan_dir), before, rtol=1e-4, atol=1e-5)


def test_channels_that_nothing_is_written_to_go_first(plan_dir: Path, tmp_path: Path) -> None:
    student = student_of()
    idle = [1, 5, 12, 30]
    with torch.no_grad():
        student.model.get_input_embeddings().weight[:, idle] = 0
        for layer in student.model.model.layers:
            layer.self_attn.o_proj.weight[idle] = 0
            layer.mlp.down_proj.weight[idle] = 0
    before = logits(student, plan_dir)
    small = prune_student(student, plan_dir, PruneSpec(width=28), tmp_path)
    with torch.no_grad():
        # A norm divides by the root of a mean over channels, of which there are 28 in place of 32 now.
        for name, weight in small.model.named_parameters():
            if "norm" in name:
                weight.mul_((32 / 28) ** 0.5)
    torch.testing.assert_close(logits(small, plan_dir), before, rtol=1e-3, atol=1e-4)


def test_a_trained_student_loses_less_by_importance_than_by_chance(plan_dir: Path, tmp_path: Path) -> None:
    spec = StudentSpec(scratch=Scratch(layers=3, width=32, heads=4, kv_heads=2, mlp_width=48))
    trained = train_student(
        plan_dir=plan_dir, student=spec, recipe=TrainRecipe(learning_rate=5e-3),
        hardware=Hardware(device="cpu", micro_batch=6), out=tmp_path / "run",
    )  # fmt: skip
    student = load_student(StudentSpec(path=trained.model_dir))
    prune_student(student, plan_dir, PruneSpec(mlp_width=24), tmp_path / "small")
    loss = json.loads((tmp_path / "small" / "pruning.json").read_bytes())["loss"]
    generator = torch.Generator().manual_seed(0)
    by_chance = []
    for _ in range(5):
        drawn = {at: sorted(torch.randperm(48, generator=generator)[:24].tolist()) for at in range(3)}
        kept = Kept([0, 1, 2], {at: [0, 1] for at in range(3)}, drawn, list(range(32)))
        by_chance.append(_loss(Student(cut(student.model, kept), student.tokenizer), plan_dir))
    assert loss["before"] <= loss["after"] < sum(by_chance) / 5


def _loss(student: Student, plan_dir: Path) -> float:
    from train.importance import importance

    reader = PlanReader(plan_dir)
    return importance(student.model, [reader.batch(list(range(reader.manifest.rows)))]).loss


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"layers": 4}, "layers 4 is more than the 3 that the student has"),
        ({}, "nothing is asked for; say layers, kv_heads, mlp_width or width"),
        ({"width": 30}, "width 30 is no multiple of the 4 query heads that stay"),
        ({"width": 0}, "width is 0; at least 1 is wanted"),
    ],
)
def test_sizes_that_cannot_be_are_refused(spec: dict[str, int], message: str, plan_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(BillError, match=message):
        prune_student(student_of(), plan_dir, PruneSpec(**spec), tmp_path)


def test_a_model_that_is_built_otherwise_is_refused(plan_dir: Path, tmp_path: Path) -> None:
    spec = StudentSpec(scratch=Scratch(architecture="gpt_neox", layers=2, width=16, heads=2))
    with pytest.raises(BillError, match=r"has no .* in its layers; models built like Llama"):
        prune_student(load_student(spec), plan_dir, PruneSpec(layers=1), tmp_path)
