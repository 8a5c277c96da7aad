from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from mashbill.errors import BillError, InputError, StoreError
from train.hardware import Hardware
from train.metrics import MetricsFile, read_metrics
from train.plan_manifest import PlanManifest
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.result import TrainResult
from train.run import train_student
from train.student import load_model, load_student, save_student

RECIPE = TrainRecipe(learning_rate=3e-3)
HARDWARE = Hardware(device="cpu", checkpoint_every=3, micro_batch=3)


class Stopped(Exception):
    pass


def run(
    plan_dir: Path, tiny: StudentSpec, out: Path, *, stop_at: int = 0, hardware: Hardware = HARDWARE
) -> TrainResult:
    def progress(line: dict[str, object]) -> None:
        if line["step"] == stop_at:
            raise Stopped

    return train_student(
        plan_dir=plan_dir, student=tiny, recipe=RECIPE, hardware=hardware, out=out, progress=progress, dataset="09ab"
    )


def losses(out: Path) -> list[tuple[object, object]]:
    return [(line["step"], line["loss"]) for line in read_metrics(out / "metrics.jsonl")]


@pytest.fixture(scope="module")
def whole(plan_dir: Path, tiny: StudentSpec, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return run(plan_dir, tiny, tmp_path_factory.mktemp("whole"))


def test_a_run_leaves_a_student_that_transformers_opens(whole: TrainResult, plan_dir: Path) -> None:
    assert (whole.steps, whole.tokens) == (12, PlanManifest.read(plan_dir).tokens)
    assert whole.final_loss < whole.first_loss
    model = AutoModelForCausalLM.from_pretrained(whole.model_dir)
    tokenizer = AutoTokenizer.from_pretrained(whole.model_dir)
    ids = tokenizer("salt guild", return_tensors="pt").input_ids
    trained = torch.load(whole.out / "checkpoints" / "step-00000012.pt", weights_only=True)["model"]
    torch.testing.assert_close(model.state_dict()["model.norm.weight"], trained["model.norm.weight"], rtol=0, atol=0)
    assert model(ids).logits.shape == (1, 10, len(tokenizer))


def test_metrics_say_all_of_each_step(whole: TrainResult) -> None:
    lines = read_metrics(whole.metrics)
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert lines[-1]["tokens"] == whole.tokens
    assert set(json.loads(json.dumps(lines[0]["stream_loss"]))) == {"made", "web"}
    assert lines[0]["mfu"] is None
    assert "6*(body + V*d)" in str(lines[0]["mfu_formula"])


@pytest.mark.parametrize("stop_at", [1, 3, 5, 12])
def test_a_stopped_run_goes_on_to_the_same_losses(
    whole: TrainResult, plan_dir: Path, tiny: StudentSpec, tmp_path: Path, stop_at: int
) -> None:
    with pytest.raises(Stopped):
        run(plan_dir, tiny, tmp_path, stop_at=stop_at)
    resumed = run(plan_dir, tiny, tmp_path)
    assert losses(tmp_path) == losses(whole.out)
    assert resumed.final_loss == whole.final_loss
    weights = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert weights == (whole.model_dir / "model.safetensors").read_bytes()
    assert [file.name for file in sorted((tmp_path / "checkpoints").iterdir())] == [
        "step-00000009.pt",
        "step-00000012.pt",
    ]


CHILD = """
import sys
from pathlib import Path
import torch
from train.hardware import Hardware
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.run import train_student
torch.set_num_threads(1)
def slow(line):
    print(line["step"], flush=True)
    import time; time.sleep(0.05)
train_student(
    plan_dir=Path(sys.argv[1]), out=Path(sys.argv[2]), progress=slow,
    student=StudentSpec(scratch=Scratch(layers=2, width=32, heads=4, kv_heads=2, mlp_width=64)),
    recipe=TrainRecipe(learning_rate=3e-3), hardware=Hardware(device="cpu", checkpoint_every=3, micro_batch=3),
)
"""


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_losses(whole: TrainResult, plan_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(plan_dir), str(tmp_path)]
    last = random.randint(1, 11)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= last:
                break
        # Somewhere within a step or a checkpoint, not at its end.
        time.sleep(random.random() * 0.06)
        os.kill(child.pid, signal.SIGKILL)
    assert not (tmp_path / "result.json").exists()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert losses(tmp_path) == losses(whole.out), f"killed after step {last}"


def test_a_finished_run_is_answered_without_torch(whole: TrainResult, plan_dir: Path, tiny: StudentSpec) -> None:
    code = CHILD.replace("import torch\n", "").replace("torch.set_num_threads(1)\n", "")
    code += "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", code, str(plan_dir), str(whole.out)], check=True)
    assert run(plan_dir, tiny, whole.out) == whole


def test_hardware_is_not_identity(whole: TrainResult, plan_dir: Path, tiny: StudentSpec) -> None:
    assert run(plan_dir, tiny, whole.out, hardware=Hardware(micro_batch=1, peak_tflops=1.0)) == whole


def test_mfu_where_a_peak_is_given(plan_dir: Path, tiny: StudentSpec, tmp_path: Path) -> None:
    result = run(plan_dir, tiny, tmp_path, hardware=replace(HARDWARE, peak_tflops=0.1))
    assert result.mfu is not None
    assert 0 < result.mfu < 1


def test_another_run_in_the_same_place_is_refused(
    whole: TrainResult, plan_dir: Path, tiny: StudentSpec, tmp_path: Path
) -> None:
    other = {"plan_dir": plan_dir, "student": tiny, "recipe": TrainRecipe(learning_rate=1e-5), "hardware": HARDWARE}
    with pytest.raises(StoreError, match="whose recipe differ"):
        train_student(**other, out=whole.out)  # type: ignore[arg-type]
    with pytest.raises(Stopped):
        run(plan_dir, tiny, tmp_path, stop_at=5)
    with pytest.raises(StoreError, match="not the same in: recipe"):
        train_student(**other, out=tmp_path)  # type: ignore[arg-type]
    (tmp_path / "checkpoints" / "step-00000003.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(StoreError, match="cannot be read"):
        run(plan_dir, tiny, tmp_path)


def test_metrics_past_the_checkpoint_and_half_lines_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    with MetricsFile(path, steps_done=2) as metrics:
        metrics.write({"step": 3, "loss": 1.0})
    assert read_metrics(path) == [{"step": 1}, {"step": 2}, {"step": 3, "loss": 1.0}]
    MetricsFile(path, steps_done=0).close()
    assert read_metrics(path) == []


def test_another_tokenizer_is_refused(plan_dir: Path, tiny: StudentSpec, tmp_path: Path) -> None:
    student = load_student(tiny)
    student.tokenizer.inner.add_tokens(["zebra"])
    save_student(student, tmp_path / "other")
    with pytest.raises(BillError, match="plan again with this student's tokenizer"):
        run(plan_dir, StudentSpec(path=tmp_path / "other"), tmp_path / "out")


def test_a_student_by_path_starts_from_its_weights(whole: TrainResult, plan_dir: Path, tmp_path: Path) -> None:
    result = run(plan_dir, StudentSpec(path=whole.model_dir), tmp_path)
    assert result.first_loss < whole.final_loss + 0.5
    assert result.run["student"] != whole.run["student"]


def test_the_card_opens_with_yaml_and_names_the_run(whole: TrainResult, plan_dir: Path) -> None:
    text = (whole.model_dir / "README.md").read_text()
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["pipeline_tag"] == "text-generation"
    assert header["library_name"] == "transformers"
    for wanted in ("`09ab`", PlanManifest.read(plan_dir).hash, "| learning_rate | 0.003 |", "| web |"):
        assert wanted in text


def test_scratch_students_of_one_seed_are_alike() -> None:
    def first_weight(seed: int) -> torch.Tensor:
        spec = StudentSpec(scratch=Scratch(layers=1, width=16, heads=2, seed=seed))
        weights: torch.Tensor = load_student(spec).model.get_input_embeddings().weight
        return weights

    assert torch.equal(first_weight(0), first_weight(0))
    assert not torch.equal(first_weight(0), first_weight(1))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StudentSpec(), "found none"),
        (lambda: StudentSpec(model="gpt-9"), "no embedded model"),
        (lambda: Scratch(width=30, heads=4), "does not divide"),
        (lambda: Scratch(heads=4, kv_heads=3), "evenly"),
        (lambda: TrainRecipe(warmup_share=1.5), "warmup_share cannot be"),
    ],
)
def test_a_wrong_spec_is_refused(build: object, message: str) -> None:
    with pytest.raises(BillError, match=message):
        build()  # type: ignore[operator]


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no causal language model"):
        load_model(tmp_path)
