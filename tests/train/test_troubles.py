from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest
import torch

from mashbill.errors import Interrupted, StoreError, UserError
from tests.train.processes import command, run_processes, terminated_after
from train.batches import PlanReader
from train.checkpoint import Checkpoints
from train.hardware import Hardware
from train.loop import Loop, run_loop
from train.metrics import read_metrics
from train.recipe import StudentSpec, TrainRecipe
from train.run import train_student
from train.student import load_student
from train.troubles import out_of_memory
from train.world import World

RECIPE = TrainRecipe(learning_rate=3e-3)
HARDWARE = Hardware(device="cpu", checkpoint_every=3, micro_batch=3)


def loop_of(tiny: StudentSpec, plan_dir: Path) -> Loop:
    return Loop(load_student(tiny).model, PlanReader(plan_dir), RECIPE, HARDWARE)


def test_a_stop_finishes_its_step_and_stores_it(tiny: StudentSpec, plan_dir: Path, tmp_path: Path) -> None:
    def run(out: Path, stop_at: int) -> None:
        seen: list[object] = []
        train_student(
            plan_dir=plan_dir, student=tiny, recipe=RECIPE, hardware=HARDWARE, out=out,
            progress=lambda line: seen.append(line["step"]), stopping=lambda: stop_at in seen,
        )  # fmt: skip

    with pytest.raises(Interrupted, match="stopped after step 4 of 12, which is in a checkpoint"):
        run(tmp_path / "stopped", 4)
    assert Checkpoints(tmp_path / "stopped" / "checkpoints", {}).steps() == [3, 4]
    run(tmp_path / "stopped", 0)
    run(tmp_path / "whole", 0)
    one, other = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("stopped", "whole"))
    assert [line["loss"] for line in one] == [line["loss"] for line in other]


@pytest.mark.slow
def test_sigterm_stores_the_step_and_ends_well(plan_dir: Path, tmp_path: Path) -> None:
    said = terminated_after(command(plan_dir, tmp_path, every=100), 2)
    (done,) = Checkpoints(tmp_path / "checkpoints", {}).steps()
    assert 2 <= done < 12
    assert f"stopped after step {done} of 12" in said
    assert run_processes(1, command(plan_dir, tmp_path)).split()[0] == str(done + 1)


@pytest.mark.slow
def test_a_full_disk_keeps_the_checkpoints_before(tiny: StudentSpec, plan_dir: Path, tmp_path: Path) -> None:
    loop, checkpoints = loop_of(tiny, plan_dir), Checkpoints(tmp_path, {})
    checkpoints.save(3, loop.model, loop.optimiser, World())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))  # a disk that takes 50 kB more
    try:
        with pytest.raises(StoreError, match=r"step-00000006\.pt: cannot be? ?writ"):
            checkpoints.save(6, loop.model, loop.optimiser, World())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [entry.name for entry in tmp_path.iterdir()] == ["step-00000003.pt"]
    assert checkpoints.restore(loop.model, loop.optimiser) == 3


def test_a_lost_gradient_names_no_row(tiny: StudentSpec, plan_dir: Path, tmp_path: Path) -> None:
    loop = loop_of(tiny, plan_dir)
    weight = next(loop.model.parameters())
    weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(UserError, match=r"gradient norm (nan|inf) at step 1 of 12\. The last checkpoint is kept"):
        run_loop(loop, Checkpoints(tmp_path, {}), None, first=0)
    assert not tmp_path.joinpath("step-00000003.pt").exists()


def test_only_the_rows_to_blame_are_named(tiny: StudentSpec, plan_dir: Path, tmp_path: Path) -> None:
    loop = loop_of(tiny, plan_dir)
    batch = loop.reader.batch(list(loop.reader.rows_of(0)))
    # A token that one row alone has: its embedding is no number.
    counts = {token: {row for row in range(6) if (batch.input_ids[row] == token).any()} for token in range(2, 258)}
    token, (row,) = next((token, tuple(rows)) for token, rows in counts.items() if len(rows) == 1)
    hook = loop.model.get_input_embeddings().register_forward_hook(
        lambda module, given, made: torch.where((given[0] == token)[..., None], torch.nan, made)
    )
    with pytest.raises(UserError, match=rf"from 1 rows of that step: row {row} \("):
        run_loop(loop, Checkpoints(tmp_path, {}), None, first=0)
    hook.remove()


def test_out_of_memory_says_what_to_lower() -> None:
    wanted = r"lower micro_batch under \[hardware\], now 3; or set gradient_checkpointing"
    with pytest.raises(UserError, match=wanted), out_of_memory(HARDWARE, 64):
        raise torch.OutOfMemoryError("CUDA out of memory")
    hardware = Hardware(micro_batch=1, gradient_checkpointing=True)
    wanted = "in a training step: shorten sequence_length in the bill, now 64"
    with pytest.raises(UserError, match=wanted), out_of_memory(hardware, 64):
        torch.empty(1 << 60)
    with pytest.raises(RuntimeError, match="other"), out_of_memory(HARDWARE, 64):
        raise RuntimeError("other")


def test_checkpoints_of_an_older_format_are_refused(tiny: StudentSpec, plan_dir: Path, tmp_path: Path) -> None:
    loop = loop_of(tiny, plan_dir)
    torch.save({"format": 1, "step": 3, "identity": {}}, tmp_path / "step-00000003.pt")
    with pytest.raises(StoreError, match="has format 1, this version reads 2; train anew"):
        Checkpoints(tmp_path, {}).restore(loop.model, loop.optimiser)
    shutil.rmtree(tmp_path)
