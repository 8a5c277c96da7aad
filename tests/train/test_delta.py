from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from safetensors.torch import save_file

from mashbill.errors import BillError, InputError
from train.batches import PlanReader
from train.delta import DeltaSpec, Point, delta_of, rank_curve, read_delta, with_delta, write_delta
from train.few_bits import pack, unpack
from train.hardware import Hardware
from train.importance import importance
from train.recipe import StudentSpec, TrainRecipe
from train.run import train_student
from train.student import load_student


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 6), columns=st.integers(1, 9), fine=st.integers(0, 4), seed=st.integers(0, 99))
def test_a_number_is_off_by_half_a_step_at_most(rows: int, columns: int, fine: int, seed: int) -> None:
    values = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    values[0, 0] = 0.0
    packed = pack("x", values, fine)
    found = unpack(packed)
    assert found.shape == values.shape
    assert bool(((found - values).abs() <= packed.scale[:, None] * 0.5001).all())
    assert packed.coarse.numel() == max(rows - fine, 0) * -(-columns // 2)


def states(tiny: StudentSpec) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    base = {name: value.clone() for name, value in load_student(tiny).model.state_dict().items()}
    torch.manual_seed(1)
    tuned = {
        name: value + (torch.randn(value.shape[0], 3) @ torch.randn(3, value.shape[1]) if value.ndim == 2 else 0.01)
        for name, value in base.items()
    }
    return base, tuned


def test_a_change_of_low_rank_comes_back_but_for_the_rounding(tiny: StudentSpec) -> None:
    base, tuned = states(tiny)
    again = with_delta(base, delta_of(base, tuned, DeltaSpec(rank=3, fine=3)))
    for name, value in again.items():
        if "embed" in name or name.startswith("lm_head"):
            assert torch.equal(value, base[name])
        else:
            error = (value - tuned[name]).norm() / (tuned[name] - base[name]).norm()
            assert error < 0.02, name
    coarse = with_delta(base, delta_of(base, tuned, DeltaSpec(rank=3, fine=0)))
    name = "model.layers.0.mlp.up_proj.weight"
    assert (coarse[name] - tuned[name]).norm() > (again[name] - tuned[name]).norm()


def test_a_file_belongs_to_its_base_alone(tiny: StudentSpec, tmp_path: Path) -> None:
    base, tuned = states(tiny)
    delta = delta_of(base, tuned, DeltaSpec(rank=2))
    write_delta(tmp_path / "d", delta, base="abcd1234", spec=DeltaSpec(rank=2))
    found = read_delta(tmp_path / "d", base="abcd1234")
    assert all(torch.equal(found[name], delta[name]) for name in {*found, *delta})
    with pytest.raises(InputError, match="belongs to the base abcd1234 and this one is ffff"):
        read_delta(tmp_path / "d", base="ffff")
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    (tmp_path / "text").write_text("not a delta")
    for name in ("other", "text", "absent"):
        with pytest.raises(InputError, match="is no delta"):
            read_delta(tmp_path / name, base="abcd1234")


def test_students_of_two_shapes_have_no_delta(tiny: StudentSpec) -> None:
    base, tuned = states(tiny)
    with pytest.raises(BillError, match=r"differ in model\.norm\.weight"):
        delta_of(base, {name: value for name, value in tuned.items() if name != "model.norm.weight"}, DeltaSpec())
    with pytest.raises(BillError, match="rank is 0"):
        DeltaSpec(rank=0)


def test_the_curve_rises_to_what_the_whole_change_did(plan_dir: Path, tiny: StudentSpec, tmp_path: Path) -> None:
    result = train_student(
        plan_dir=plan_dir, student=tiny, recipe=TrainRecipe(learning_rate=5e-3),
        hardware=Hardware(device="cpu", micro_batch=6), out=tmp_path,
    )  # fmt: skip
    model = load_student(tiny).model
    base = {name: value.clone() for name, value in model.state_dict().items()}
    tuned = load_student(StudentSpec(path=result.model_dir)).model.state_dict()
    reader = PlanReader(plan_dir)
    batch = reader.batch(list(range(24)))

    def curve(spec: DeltaSpec) -> list[Point]:
        before, after, points = rank_curve(
            model, base, tuned, [1, 4, 32], lambda one: -importance(one, [batch]).loss, spec
        )
        assert after > before
        assert torch.equal(model.state_dict()["model.norm.weight"], base["model.norm.weight"])
        return points

    points = curve(DeltaSpec(fine=32, embeddings=True))
    assert points[0].share < points[1].share < points[2].share
    assert points[2].share == pytest.approx(1.0, abs=0.02)
    assert [point.bytes for point in points] == sorted(point.bytes for point in points)
    assert curve(DeltaSpec(fine=32))[2].share < 0.9, "much of what a tiny student learns is in its table"
