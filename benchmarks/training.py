"""Training and distillation: speed, memory and bytes as ratios of one run, against TRL where its Python is given.

    python -m venv trl && trl/bin/pip install trl==1.16.0
    MASHBILL_DATA=… python -m benchmarks.training --trl trl/bin/python --out training.json

On a CPU the model is small but has the embedded student's 49,152 entries, since what is compared is what a vocabulary
costs; both sides run in turn, one thread each, and CPU seconds are compared. On a GPU the same command trains the model
at ``--model`` (by default the embedded one) and prints tokens/s, MFU with its formula, and the share of the bound.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from mashbill.embedded import embedded_model_dir
from train.batches import PlanReader
from train.distill_spec import Distill, TeacherSpec, Teaching
from train.hardware import Hardware
from train.loop import Loop
from train.objective import NextToken
from train.plan import PlanSpec, build_plan
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.render import RenderSpec, token_tables
from train.score_texts import TextScorer
from train.student import load_student, save_student
from train.teacher_reader import TeacherReader
from train.teacher_store import TeacherManifest, columns_dir, described, texts_of, write_columns
from train.teaching import frozen_teacher, objective_of

LENGTH, MICRO, BATCH = 256, 4, 4
CPU = torch.device("cpu")
PEER = Path(__file__).with_name("peer_trl.py")
MARKS = {135: 0.35, 1000: 0.45, 3000: 0.50}
"""MFU to beat on one H100, by millions of weights (and up to 8B)."""


def small(root: Path, name: str, width: int, layers: int, seed: int) -> Path:
    """A model with random weights and the embedded student's tokenizer."""
    scratch = Scratch(layers=layers, width=width, heads=4, mlp_width=3 * width, seed=seed)
    save_student(load_student(StudentSpec(scratch=scratch, tokenizer=embedded_model_dir()), context=2048), root / name)
    return root / name


def texts(count: int) -> list[str]:
    lines = (Path(os.environ["MASHBILL_DATA"]) / "gsm8k_train_500.jsonl").read_text().splitlines()
    read = [json.loads(line) for line in lines]
    return [f"{one['question']}\n{one['answer']}" for one in read][:count]


def plan(out: Path, student: StudentSpec, rows: list[str], steps: int) -> PlanReader:
    tokenizer = load_student(student).tokenizer
    ids, empty = [f"t{number}" for number in range(len(rows))], [""] * len(rows)
    table = pa.table({"id": ids, "source_id": ids, "domain": empty, "title": empty, "text": rows})
    spec = PlanSpec(tokens=steps * BATCH * LENGTH, sequence_length=LENGTH, batch=BATCH)
    streams = {"text": token_tables([table], tokenizer, RenderSpec())}
    build_plan(streams, spec=spec, out=out, tokenizer=tokenizer.identity)
    return PlanReader(out)


def columns(root: Path, reader: PlanReader, spec: Distill, student: StudentSpec) -> Path:
    manifest = reader.manifest
    wanted = described(spec, student, stream=manifest.streams["text"].digest, tokenizer=manifest.tokenizer)
    folder = columns_dir(root, "text", wanted)

    def scorer() -> TextScorer:
        hardware = Hardware(device="cpu")
        teacher = frozen_teacher(Teaching(spec, student, {}), manifest.tokenizer, hardware, CPU, context=LENGTH)
        return TextScorer(teacher, spec, batch_tokens=4096, device=CPU)

    write_columns(folder, texts_of(reader.store, "text"), wanted, scorer)
    return folder


def loop_for(student: StudentSpec, plan_dir: Path, distill: Distill | None, folder: Path | None, micro: int) -> Loop:
    loaded, reader = load_student(student), PlanReader(plan_dir)
    hardware = Hardware(device="cpu", micro_batch=micro)
    taught = None if distill is None else Teaching(distill, student, {"text": folder} if folder else {})
    objective: NextToken = objective_of(taught, reader, loaded, hardware, CPU)
    return Loop(loaded.model, reader, TrainRecipe(), hardware, objective=objective)


def in_turn(loops: dict[str, Loop], rounds: int) -> dict[str, float]:
    """The median CPU seconds of a step of each, taken in turn; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for step in range(rounds + 1):
        for name, loop in loops.items():
            began = time.process_time()
            loop.step(step)
            seconds[name].append(time.process_time() - began)
    return {name: statistics.median(some[1:]) for name, some in seconds.items()}


def peak() -> float:
    # Not ru_maxrss: that of a process begins with the size of whoever started it.
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _memory(student: Path, plan_dir: Path, distill: Distill | None, folder: Path | None, answer: Any) -> None:
    torch.set_num_threads(1)
    loop = loop_for(StudentSpec(path=student), plan_dir, distill, folder, MICRO)
    ready = peak()
    loop.step(0)
    answer.put((ready, peak()))


def memory(*given: Any) -> dict[str, float]:
    """Peak memory of a process that loads everything and takes a step."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_memory, args=(*given, answer))
    process.start()
    ready, most = answer.get(timeout=600)
    process.join()
    return {"ready_mb": ready, "peak_mb": most, "step_mb": most - ready}


def trl(
    python: Path, what: str, texts_file: Path, model: Path, teacher: Path, batch: int, steps: int
) -> dict[str, Any]:
    command = [
        str(python), str(PEER), what, "--model", str(model), "--teacher", str(teacher), "--texts", str(texts_file),
        "--length", str(LENGTH), "--micro", str(MICRO), "--batch", str(batch), "--steps", str(steps),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"TRL failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def speed_beside_trl(root: Path, python: Path, student: Path, rounds: int) -> dict[str, Any]:
    """Tokens a CPU second of packed continued pretraining, ours and TRL's, in turn."""
    rows = root / "texts.json"
    rows.write_text(json.dumps(texts(100)))
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(2):
        seconds = in_turn({"ours": loop_for(StudentSpec(path=student), root / "plan", None, None, MICRO)}, rounds)[
            "ours"
        ]
        ours.append(BATCH * LENGTH / seconds)
        found = trl(python, "sft", rows, student, student, BATCH, rounds + 1)
        # Tokens of its rows, padding apart, which it counts itself; its first step warms up, as ours does.
        each = [after - before for before, after in itertools.pairwise(found["num_tokens"])]
        theirs.append(statistics.median(count / one for count, one in zip(each, found["seconds"][1:], strict=True)))
    return {"ours": ours, "trl": theirs, "ratio": statistics.median(ours) / statistics.median(theirs)}


def memory_beside_trl(root: Path, python: Path, student: Path, teacher: Path, reader: PlanReader) -> dict[str, Any]:
    """Peak memory of one step of distillation with the same micro-batch, above what the loaded models take."""
    rows, spec = root / "texts.json", StudentSpec(path=student)
    # All about as long as a row, so that it pads little, and short of it, so that its prompt stays.
    rows.write_text(json.dumps([" ".join(texts(100)[at : at + 8])[:600] for at in range(0, 100, 8)]))
    stored = Distill(teacher=TeacherSpec(path=teacher), k=64)
    live = Distill(teacher=TeacherSpec(path=teacher), encoding="live")
    ours = {
        "live": memory(student, root / "plan", live, None),
        "top 64": memory(student, root / "plan", stored, columns(root, reader, stored, spec)),
    }
    gkd = trl(python, "gkd", rows, student, teacher, MICRO, 1)
    theirs = gkd["peak_mb"] - gkd["ready_mb"]
    return {
        "trl gkd": gkd, **ours,
        "step over trl's": {name: one["step_mb"] / theirs for name, one in ours.items()},
        "whole process over trl's": {name: one["peak_mb"] / gkd["peak_mb"] for name, one in ours.items()},
    }  # fmt: skip


def loader(reader: PlanReader, folder: Path, spec: Distill) -> float:
    """Tokens a CPU second that are read with their teacher's columns."""
    reader.teacher = TeacherReader({"text": folder}, reader.store, spec, tokenizer=reader.manifest.tokenizer)
    began, tokens = time.process_time(), 0
    for step in range(reader.steps):
        for row in reader.rows_of(step):
            reader.batch([row])
            tokens += LENGTH
    return tokens / (time.process_time() - began)


def on_gpu(given: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Tokens/s and MFU of a model on this GPU, with the bound and the share of it."""
    student = StudentSpec(path=given.model) if given.model else StudentSpec(model="smollm2-135m-instruct")
    reader = plan(root / "gpu-plan", student, texts(500), 20)
    loaded = load_student(student)
    hardware = Hardware(device="cuda", micro_batch=BATCH, compile=given.compile)
    loop = Loop(loaded.model, reader, TrainRecipe(), hardware)
    seconds = []
    for step in range(reader.steps):
        torch.cuda.synchronize()
        began = time.perf_counter()
        loop.step(step)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    name = torch.cuda.get_device_name()
    flops = loop.flops.per_token(float(LENGTH) / 2)
    rate = BATCH * LENGTH / statistics.median(seconds[5:])
    bound = (hardware.peak(name) or float("nan")) / flops
    millions = loaded.model.num_parameters() / 1e6
    mark = next(share for size, share in reversed(MARKS.items()) if millions >= size * 0.9 or size == 135)
    return {
        "device": name, "tokens_per_second": rate, "bound_tokens_per_second": bound, "mfu": rate / bound,
        "mark": mark, "share_of_mark": rate / bound / mark, "formula": loop.flops.formula,
        "peak_memory_gb": torch.cuda.max_memory_allocated() / 1e9,
    }  # fmt: skip


def bound_of_h100(student: Path) -> dict[str, float]:
    """What one H100 could do at most with this model and these rows, and at the marks."""
    from train.flops import FlopCount

    flops = FlopCount.of(load_student(StudentSpec(path=student)).model).per_token(LENGTH / 2)
    return {"flops_per_token": flops, "tokens_per_second": 989e12 / flops}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("training.json"))
    parser.add_argument("--trl", type=Path, help="the Python of an environment with TRL")
    parser.add_argument("--model", type=Path, help="on a GPU: a checkpoint to train in place of the embedded one")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PIECES, default=list(PIECES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=6)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), given)
    given.out.write_text(json.dumps(found, indent=2) + "\n")


def show(found: dict[str, Any], **more: Any) -> None:
    found |= more
    print(json.dumps(more, indent=2), flush=True)


PIECES = ("gpu", "steps", "bytes", "speed", "memory")


def measured(root: Path, given: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"torch": torch.__version__, "length": LENGTH, "micro_batch": MICRO, "batch": BATCH}
    show(found, one_h100_at_most=bound_of_h100(embedded_model_dir()))
    if "gpu" in given.only and torch.cuda.is_available():
        show(found, gpu=on_gpu(given, root))
    student = small(root, "student", given.width, given.layers, 0)
    teacher = small(root, "teacher", given.width, given.layers, 1)
    spec = StudentSpec(path=student)
    reader = plan(root / "plan", spec, texts(100), max(given.rounds + 1, 4))
    if "steps" in given.only:
        show(found, **steps(root, reader, spec, TeacherSpec(path=teacher), given.rounds))
    if "bytes" in given.only:
        show(found, bytes_per_token=stored_bytes(root))
    if given.trl and "speed" in given.only:
        show(found, continued_pretraining=speed_beside_trl(root, given.trl, student, given.rounds))
    if given.trl and "memory" in given.only:
        show(found, memory=memory_beside_trl(root, given.trl, student, teacher, reader))
    return found


def steps(root: Path, reader: PlanReader, spec: StudentSpec, by: TeacherSpec, rounds: int) -> dict[str, Any]:
    """What a step with a stored teacher costs over one without, and how fast its columns are read."""
    kinds = {"top 64": Distill(teacher=by, k=64), "sampled 50": Distill(teacher=by, encoding="sampled")}
    folders = {name: columns(root, reader, kind, spec) for name, kind in kinds.items()}
    loops = {"ce": loop_for(spec, root / "plan", None, None, MICRO)}
    loops |= {name: loop_for(spec, root / "plan", kind, folders[name], MICRO) for name, kind in kinds.items()}
    seconds = in_turn(loops, rounds)
    reading = {name: loader(PlanReader(root / "plan"), folders[name], kind) for name, kind in kinds.items()}
    return {
        "cpu_seconds_a_step": seconds,
        "step_over_ce": {name: one / seconds["ce"] for name, one in seconds.items()},
        "tokens_a_cpu_second": {
            "trained": BATCH * LENGTH / seconds["ce"],
            **{f"read, {n}": r for n, r in reading.items()},
        },
    }


def stored_bytes(root: Path) -> dict[str, float]:
    """Bytes a token of columns by the embedded model, a real teacher, over real text."""
    student = StudentSpec(model="smollm2-135m-instruct")
    reader = plan(root / "real-plan", student, texts(8), 1)
    by = TeacherSpec(base=True)
    kinds = {"top 64": Distill(teacher=by, k=64), "sampled 50": Distill(teacher=by, encoding="sampled")}
    return {
        name: TeacherManifest.read(columns(root / "real", reader, kind, student)).bytes_per_token
        for name, kind in kinds.items()
    }


if __name__ == "__main__":
    main()
