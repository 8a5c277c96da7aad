"""Supervised runs: killed and gone on with, with LoRA and without, and a student that has learned something."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from mashbill.errors import BillError, StoreError, UserError
from mashbill.records import QA
from tests.train.processes import forget, run_processes
from tests.train.supervised_plans import plan, supervision, worked
from tests.train.test_train_run import Stopped, losses
from train.adapter import attach
from train.batches import PlanReader
from train.examples import asked
from train.flops import FlopCount
from train.hardware import Hardware
from train.loop import Loop
from train.metrics import read_metrics
from train.plan_manifest import PlanManifest
from train.prompt_form import prompt_form
from train.recipe import Lora, Scratch, StudentSpec, TrainRecipe
from train.result import TrainResult
from train.run import train_student
from train.student import load_model, load_student
from train.supervision import Supervision, read_supervision
from train.tokenizer import StudentTokenizer, load_tokenizer

RECIPE = TrainRecipe(learning_rate=3e-3)
HARDWARE = Hardware(device="cpu", checkpoint_every=3, micro_batch=3)
WAYS: dict[str, tuple[Supervision, Lora | None]] = {
    "answer_only": (supervision(), None),
    "multitask": (supervision("multitask"), None),
    "full_cot": (supervision("full_cot"), None),
    "lora": (supervision("multitask"), Lora(r=4, dropout=0.1)),
}


def run(
    plan_dir: Path, tiny: StudentSpec, out: Path, lora: Lora | None, *, stop_at: int = 0, micro_batch: int = 3
) -> TrainResult:
    def progress(line: dict[str, object]) -> None:
        if line["step"] == stop_at:
            raise Stopped

    hardware = Hardware(device="cpu", checkpoint_every=3, micro_batch=micro_batch)
    return train_student(
        plan_dir=plan_dir, student=tiny, recipe=RECIPE, hardware=hardware, out=out, progress=progress, lora=lora
    )


@pytest.fixture(scope="module", params=list(WAYS))
def whole(
    request: pytest.FixtureRequest,
    tiny: StudentSpec,
    tokenizer: StudentTokenizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Lora | None, TrainResult]:
    out = tmp_path_factory.mktemp(request.param)
    spec, lora = WAYS[request.param]
    manifest = plan({"worked": worked(40, each=2)}, tokenizer, spec, out / "plan")
    assert manifest.steps == 12
    return out / "plan", lora, run(out / "plan", tiny, out / "run", lora)


@pytest.mark.parametrize("stop_at", [1, 5, 12])
def test_a_stopped_run_goes_on_to_the_same_losses(
    whole: tuple[Path, Lora | None, TrainResult], tiny: StudentSpec, tmp_path: Path, stop_at: int
) -> None:
    plan_dir, lora, result = whole
    with pytest.raises(Stopped):
        run(plan_dir, tiny, tmp_path, lora, stop_at=stop_at)
    resumed = run(plan_dir, tiny, tmp_path, lora)
    assert losses(tmp_path) == losses(result.out)
    assert resumed.final_loss == result.final_loss
    for file in ("model/model.safetensors", *(["adapter/adapter_model.safetensors"] if lora else [])):
        assert (tmp_path / file).read_bytes() == (result.out / file).read_bytes()


CHILD = """
import sys, time
from pathlib import Path
import torch
from train.hardware import Hardware
from train.recipe import Lora, Scratch, StudentSpec, TrainRecipe
from train.run import train_student
torch.set_num_threads(1)
def slow(line):
    print(line["step"], flush=True)
    time.sleep(0.05)
if __name__ == "__main__":
    train_student(
        plan_dir=Path(sys.argv[1]), out=Path(sys.argv[2]), progress=slow,
        student=StudentSpec(scratch=Scratch(layers=2, width=32, heads=4, kv_heads=2, mlp_width=64)),
        recipe=TrainRecipe(learning_rate=3e-3), hardware=Hardware(device="cpu", checkpoint_every=3, micro_batch=3),
        lora=Lora(r=4, dropout=0.1) if sys.argv[3] == "lora" else None,
    )
"""


@pytest.mark.slow
@pytest.mark.parametrize("whole", ["full_cot", "lora"], indirect=True)
def test_a_killed_process_goes_on_to_the_same_losses(
    whole: tuple[Path, Lora | None, TrainResult], tmp_path: Path
) -> None:
    plan_dir, lora, result = whole
    command = [sys.executable, "-c", CHILD, str(plan_dir), str(tmp_path), "lora" if lora else ""]
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
    assert losses(tmp_path) == losses(result.out), f"killed after step {last}"


@pytest.mark.slow
@pytest.mark.parametrize("whole", ["multitask", "lora"], indirect=True)
def test_two_processes_train_the_same_student(
    whole: tuple[Path, Lora | None, TrainResult], tiny: StudentSpec, tmp_path: Path
) -> None:
    plan_dir, lora, _ = whole
    if lora is not None:
        lora = Lora(r=4)  # dropout is drawn by each process for its own rows
    child = CHILD.replace(", dropout=0.1", "")
    alone = run(plan_dir, tiny, tmp_path / "alone", lora)
    run_processes(2, [sys.executable, "-c", child, str(plan_dir), str(tmp_path / "two"), "lora" if lora else ""])
    for (step, one), (again, two) in zip(losses(alone.out), losses(tmp_path / "two"), strict=True):
        assert step == again
        assert two == pytest.approx(one, rel=1e-4)
    mine, theirs = (load_file(out / "model" / "model.safetensors") for out in (alone.out, tmp_path / "two"))
    assert set(mine) <= set(theirs), "a sharded run writes a tied head twice"
    for name, weight in mine.items():
        torch.testing.assert_close(theirs[name], weight, rtol=1e-3, atol=1e-4)
    # What two wrote, one goes on from.
    forget(tmp_path / "two", 12)
    run(plan_dir, tiny, tmp_path / "two", lora)
    assert losses(tmp_path / "two")[-1][1] == pytest.approx(losses(alone.out)[-1][1], rel=1e-4)


def test_metrics_and_card_say_what_was_taught(whole: tuple[Path, Lora | None, TrainResult]) -> None:
    plan_dir, lora, result = whole
    manifest = PlanManifest.read(plan_dir)
    assert manifest.supervised is not None
    lines = read_metrics(result.metrics)
    assert ("view_loss" in lines[0]) is (manifest.supervised.spec["target"] == "multitask")
    card = (result.model_dir / "README.md").read_text()
    tags = yaml.safe_load(card.split("---\n")[1])["tags"]
    assert "supervised-fine-tuning" in tags
    assert "continued-pretraining" not in tags
    for said in (
        f'| target | `"{manifest.supervised.spec["target"]}"` |',
        '| template | `"plain"` |',
        f"| tokens masked | {manifest.supervised.masked:,} (",
        "| rows of worked left out | none |",
    ):
        assert said in card
    assert ("| lora_r | 4 |" in card) is ("lora" in tags) is (lora is not None)
    assert read_supervision(result.model_dir) == Supervision(**manifest.supervised.spec)  # type: ignore[arg-type]


def test_the_base_is_byte_identical_and_the_merged_student_is_the_adapted_one(
    tiny: StudentSpec, tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    plan({"worked": worked(20)}, tokenizer, supervision("full_cot"), tmp_path / "plan")
    lora = Lora(r=4, alpha=8)
    student = load_student(tiny)
    before = {name: value.clone() for name, value in student.model.state_dict().items()}
    attach(student.model, lora)
    loop = Loop(student.model, PlanReader(tmp_path / "plan"), RECIPE, HARDWARE)
    # Updates start at zero: the first loss is the base's own.
    plain = Loop(load_student(tiny).model, PlanReader(tmp_path / "plan"), RECIPE, HARDWARE)
    first = loop.step(0)
    assert first.loss == pytest.approx(plain.step(0).loss, rel=1e-6)
    assert loop.step(1).loss < first.loss
    after = {name.replace(".base_layer", ""): value for name, value in student.model.state_dict().items()}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {id(one) for group in loop.optimiser.param_groups for one in group["params"]} == {
        id(one) for name, one in student.model.named_parameters() if "lora_" in name
    }

    result = run(tmp_path / "plan", tiny, tmp_path / "run", lora)
    changed = load_file(result.model_dir / "model.safetensors")
    for name, value in before.items():
        if name in changed:
            assert torch.equal(changed[name], value) is not name.endswith("_proj.weight"), name
    adapter = load_file(result.adapter_dir / "adapter_model.safetensors")
    assert result.trained == sum(value.numel() for value in adapter.values())
    assert result.parameters == sum(value.numel() for value in load_student(tiny).model.parameters())
    checkpoint = torch.load(result.out / "checkpoints" / "step-00000012.pt", weights_only=True)
    assert all("lora_" in name for name in checkpoint["model"])
    # The adapter over the base and the merged student say the same.
    ids = torch.tensor([tokenizer.ids(["Question: What is 3?\nAnswer:"])[0]])
    with torch.no_grad():
        ours = load_model(result.model_dir).eval()(input_ids=ids).logits
        theirs = _through_peft(load_student(tiny).model, result.adapter_dir)(input_ids=ids).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def _through_peft(base: Any, adapter: Path) -> Any:
    from peft import PeftModel

    # PEFT reads a name that transformers 5 has renamed.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return PeftModel.from_pretrained(base, str(adapter)).eval()


def test_frozen_weights_cost_no_gradient_of_their_own(tiny: StudentSpec) -> None:
    model = load_student(tiny).model
    plain = FlopCount.of(model)
    attach(model, Lora(r=2))
    count = FlopCount.of(model)
    added = count.body - plain.body
    assert count.frozen == plain.body + plain.head
    assert count.per_token(10) == plain.per_token(10) - 2 * count.frozen + 6 * added
    assert "2*frozen" in count.formula
    assert "frozen" not in plain.formula


def test_another_lora_in_the_same_place_is_refused(
    tiny: StudentSpec, tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    plan({"worked": worked(20)}, tokenizer, supervision(), tmp_path / "plan", tokens=160 * 4 * 2)
    run(tmp_path / "plan", tiny, tmp_path / "run", Lora(r=4))
    for other in (Lora(r=8), None):
        with pytest.raises(StoreError, match="lora"):
            run(tmp_path / "plan", tiny, tmp_path / "run", other)
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(StoreError, match="not the same in: lora"):
        run(tmp_path / "plan", tiny, tmp_path / "run", None)


def test_targets_that_are_in_no_layer_are_refused(tiny: StudentSpec) -> None:
    with pytest.raises(BillError, match=r"targets wte fit no layer of LlamaForCausalLM"):
        attach(load_student(tiny).model, Lora(targets=("wte",)))
    model = load_student(tiny).model
    attach(model, Lora(targets=("q_proj", "v_proj")))
    assert {name.split(".")[-4] for name, one in model.named_parameters() if one.requires_grad} == {"q_proj", "v_proj"}


def test_without_peft_it_says_what_to_install(tiny: StudentSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"pip install 'mashbill\[lora\]'"):
        attach(load_student(tiny).model, Lora())


@pytest.mark.parametrize(("field", "value"), [("r", 0), ("alpha", 0), ("dropout", 1.0)])
def test_settings_of_lora_that_mean_nothing_are_refused(field: str, value: Any) -> None:
    with pytest.raises(BillError, match=f"lora: {field} is"):
        Lora(**{field: value})


def test_a_tiny_student_learns_to_answer_and_to_stop(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    """Eight questions by heart: an untrained student is at the log of the vocabulary, guessing at the log of eight."""
    things = ["salt", "rye", "oak", "tax", "cork", "mash", "fox", "gin"]
    rows = [QA.new(question=f"{number}?", answer=thing) for number, thing in enumerate(things)]
    plan({"qa": rows}, tokenizer, supervision(), tmp_path / "plan", tokens=100 * 4 * 64, sequence_length=64)
    student = StudentSpec(scratch=Scratch(layers=2, width=64, heads=4, mlp_width=128))
    result = train_student(
        plan_dir=tmp_path / "plan", student=student, hardware=Hardware(device="cpu"), out=tmp_path / "run",
        recipe=TrainRecipe(learning_rate=5e-3, weight_decay=0.0),
    )  # fmt: skip
    assert result.first_loss > 0.9 * math.log(len(tokenizer))
    # Whoever knows the answers' letters but not which belongs to which question pays log 8 once in five tokens.
    assert result.final_loss < 0.1 < math.log(8) / 5
    model = AutoModelForCausalLM.from_pretrained(result.model_dir).eval()
    spec = read_supervision(result.model_dir)
    assert spec is not None
    form = prompt_form(spec, load_tokenizer(result.model_dir))
    for row in rows:
        (ids,) = form.prompt_ids([form.prompt(asked(row.question))])
        written = model.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)[0, len(ids) :].tolist()
        assert written[-1] == tokenizer.end, "it stops by itself"
        assert tokenizer.decode(written).strip() == row.answer


def test_a_supervision_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert read_supervision(tmp_path) is None
    (tmp_path / "prompting.json").write_text(json.dumps({"target": "everything"}))
    with pytest.raises(StoreError, match="is not a supervision this version can read"):
        read_supervision(tmp_path)
