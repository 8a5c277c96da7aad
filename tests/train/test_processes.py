from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mashbill.errors import Interrupted, StepFailed, StoreError, UserError
from train.checkpoint import Checkpoints
from train.hardware import Hardware
from train.job import Job, main
from train.metrics import read_metrics
from train.processes import train_job
from train.recipe import Lora, StudentSpec, TrainRecipe


@pytest.fixture
def job(plan_dir: Path, tiny: StudentSpec, tmp_path: Path) -> Job:
    hardware = Hardware(device="cpu", checkpoint_every=100, micro_batch=3, processes=2)
    recipe = TrainRecipe(learning_rate=3e-3)
    return Job(plan_dir=plan_dir, out=tmp_path / "out", student=tiny, recipe=recipe, hardware=hardware)


def losses(out: Path) -> list[float]:
    return [float(str(line["loss"])) for line in read_metrics(out / "metrics.jsonl")]


def test_a_job_is_read_as_it_was_written(job: Job, tmp_path: Path) -> None:
    whole = replace(job, lora=Lora(r=2), columns={"made": tmp_path}, start=tmp_path, dataset="09ab")
    assert Job.read(whole.write()) == whole
    with pytest.raises(StoreError, match="is no job"):
        Job.read(tmp_path / "absent.json")
    with pytest.raises(StoreError, match=r"is not finished, and .* goes on from it"):
        whole.started_from()


def test_a_job_is_carried_out_by_its_file(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    path = replace(job, hardware=replace(job.hardware, processes=1)).write()
    assert main([str(path)]) == 0
    assert capsys.readouterr().out.count('"loss"') == 12
    assert (job.out / "result.json").is_file()
    assert main([]) == 2
    assert main([str(path.parent)]) == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_stop_when_told_and_go_on_to_the_losses_of_one(job: Job, tmp_path: Path) -> None:
    seen: list[object] = []
    with pytest.raises(Interrupted, match="the step it was at is in a checkpoint"):
        train_job(job, progress=lambda line: seen.append(line["step"]), stopping=lambda: len(seen) >= 2)
    (done,) = Checkpoints(job.out / "checkpoints", {}).steps()
    assert 2 <= done < 12
    result = train_job(job, progress=lambda line: seen.append(line["step"]))
    assert seen == list(range(1, 13))
    assert train_job(job) == result, "a finished one is opened"
    one = replace(job, out=tmp_path / "one", hardware=replace(job.hardware, processes=1))
    train_job(one)
    assert losses(job.out) == pytest.approx(losses(one.out), rel=1e-5)


@pytest.mark.slow
def test_what_a_process_says_is_the_error(job: Job, tmp_path: Path) -> None:
    lost = replace(job, plan_dir=tmp_path / "copy")
    shutil.copytree(job.plan_dir, lost.plan_dir)
    (lost.plan_dir / "tokens.arrow").write_bytes(b"not Arrow")
    with pytest.raises(UserError, match=r"tokens\.arrow: cannot be read .*; remove .* and plan again"):
        train_job(lost)
    broken = replace(job, student=StudentSpec(path=tmp_path / "student"))
    (tmp_path / "student").mkdir()
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / "student" / name).write_text("[]")
    with pytest.raises((UserError, StepFailed), match=r"process \d of 2 ended with 1|no tokenizer|no causal"):
        train_job(broken)
