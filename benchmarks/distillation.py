"""What a teacher is good for: one plan, students with and without it, on several seeds.

    MASHBILL_DATA=… python -m benchmarks.distillation --out distillation.json --seeds 3

Text is GSM8K's, as bytes. A teacher of 0.8M weights reads 380 texts several times; a student of 0.1M weights reads 100
of them. All arms of a seed start from the same weights and see the same rows in the same order; they differ in what is
learned there. Measured on 60 texts that neither has seen: next byte right, loss, and nearness to the teacher.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from benchmarks.benefit_report import Interval
from train.batches import PlanReader
from train.distill_spec import Distill, TeacherSpec, Teaching
from train.hardware import Hardware
from train.plan import PlanSpec, build_plan
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.render import RenderSpec, token_tables
from train.run import train_student
from train.score_texts import TextScorer
from train.signal_fidelity import signal_fidelity
from train.student import student_tokenizer
from train.teacher_store import columns_dir, described, texts_of, write_columns
from train.teaching import frozen_teacher
from train.tokenizer import StudentTokenizer, byte_tokenizer

LENGTH, BATCH = 256, 8
TEACHER = Scratch(layers=4, width=128, heads=4, mlp_width=384)
CPU = torch.device("cpu")
HARDWARE = Hardware(device="cpu", checkpoint_every=10_000)


def arms(teacher: Path) -> dict[str, Distill | None]:
    """What is learned: the text alone, and with the teacher in each form."""
    spec = TeacherSpec(path=teacher)
    return {
        "ce": None,
        "top_k 16": Distill(teacher=spec, k=16, weight=0.7),
        "top_k 16, swapped": Distill(teacher=spec, k=16, weight=0.7, swap=True),
        "sampled 50": Distill(teacher=spec, encoding="sampled", draws=50, weight=0.7),
        "live": Distill(teacher=spec, encoding="live", weight=0.7),
        "live, reverse": Distill(teacher=spec, encoding="live", weight=0.7, divergence="reverse_kl"),
    }


def texts() -> list[str]:
    lines = (Path(os.environ["MASHBILL_DATA"]) / "gsm8k_train_500.jsonl").read_text().splitlines()
    read = [json.loads(line) for line in lines]
    made = [f"{one['question']}\n{one['answer']}" for one in read]
    random.Random(0).shuffle(made)
    return made


def plan(out: Path, rows: list[str], tokens: int, seed: int, tokenizer: StudentTokenizer) -> None:
    ids = [f"t{number}" for number in range(len(rows))]
    empty = [""] * len(rows)
    table = pa.table({"id": ids, "source_id": ids, "domain": empty, "title": empty, "text": rows})
    streams = {"text": token_tables([table], tokenizer, RenderSpec())}
    spec = PlanSpec(tokens=tokens, sequence_length=LENGTH, batch=BATCH, seed=seed)
    build_plan(streams, spec=spec, out=out, tokenizer=tokenizer.identity)


def columns(root: Path, plan_dir: Path, spec: Distill, student: StudentSpec) -> dict[str, Path]:
    reader = PlanReader(plan_dir)
    tokenizer = reader.manifest.tokenizer
    wanted = described(spec, student, stream=reader.manifest.streams["text"].digest, tokenizer=tokenizer)
    folder = columns_dir(root, "text", wanted)
    made = write_columns(folder, texts_of(reader.store, "text"), wanted, lambda: scorer(spec, student, tokenizer))
    print(f"  {spec.encoding}: {made.bytes_per_token:.1f} bytes a token", flush=True)
    return {"text": folder}


def scorer(spec: Distill, student: StudentSpec, tokenizer: str) -> TextScorer:
    teacher = frozen_teacher(Teaching(spec, student, {}), tokenizer, HARDWARE, CPU, context=LENGTH)
    return TextScorer(teacher, spec, batch_tokens=4096, device=CPU)


def measured(model: Path, teacher: Path, tokenizer: StudentTokenizer, held_out: list[Any]) -> dict[str, float]:
    student = StudentSpec(path=model)
    witness = Distill(teacher=TeacherSpec(path=teacher), k=64)
    signals = scorer(witness, student, tokenizer.identity).signals(held_out, ["held out"] * len(held_out))
    judged = Distill(teacher=TeacherSpec(path=model))
    frozen = frozen_teacher(Teaching(judged, student, {}), tokenizer.identity, HARDWARE, CPU, context=LENGTH)
    found = signal_fidelity(frozen, held_out, signals)
    where = {"where right": found.agreement_where_right, "where wrong": found.agreement_where_wrong}
    return {
        "accuracy": found.accuracy.value,
        "loss": found.loss,
        "agreement": found.agreement.value,
        **{name: one.value for name, one in where.items() if one is not None},
        "kl": found.divergence,
        "ece": found.ece,
        "teacher accuracy": found.teacher_accuracy.value,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("distillation.json"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--root", type=Path, help="keep what is trained here, to go on after a stop")
    parser.add_argument("--teacher-tokens", type=int, default=400_000)
    parser.add_argument("--tokens", type=int, default=80_000)
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with tempfile.TemporaryDirectory() as folder:
        root = given.root or Path(folder)
        found = experiment(root, given.seeds, given.teacher_tokens, given.tokens)
    given.out.write_text(json.dumps(found, indent=2) + "\n")


def experiment(root: Path, seeds: int, teacher_tokens: int, tokens: int) -> dict[str, Any]:
    import numpy as np

    tokenizer, rows = StudentTokenizer(byte_tokenizer()), texts()
    held_out = [np.array(ids[:LENGTH], np.int32) for ids in tokenizer.documents(rows[440:500])]
    plan(root / "teacher-plan", rows[:380], teacher_tokens, 0, tokenizer)
    began = time.process_time()
    taught = train_student(
        plan_dir=root / "teacher-plan", student=StudentSpec(scratch=TEACHER), recipe=TrainRecipe(learning_rate=2e-3),
        hardware=HARDWARE, out=root / "teacher",
    )  # fmt: skip
    teacher = taught.model_dir
    print(f"teacher: {taught.parameters:,} weights, {time.process_time() - began:.0f} s of CPU", flush=True)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(seeds):
        student = StudentSpec(scratch=Scratch(layers=2, width=64, heads=4, mlp_width=192, seed=seed))
        assert student_tokenizer(student).identity == tokenizer.identity
        plan_dir = root / f"plan-{seed}"
        plan(plan_dir, rows[:100], tokens, seed, tokenizer)
        for name, spec in arms(teacher).items():
            began = time.process_time()
            stored = spec is not None and spec.stored
            result = train_student(
                plan_dir=plan_dir, student=student, recipe=TrainRecipe(learning_rate=3e-3), hardware=HARDWARE,
                out=root / f"{name}-{seed}", distill=spec,
                columns=columns(root, plan_dir, spec, student) if spec is not None and stored else None,
            )  # fmt: skip
            one = measured(result.model_dir, teacher, tokenizer, held_out)
            found.setdefault(name, []).append({**one, "cpu seconds": time.process_time() - began})
            print(f"seed {seed} {name}: " + ", ".join(f"{key} {value:.4f}" for key, value in one.items()), flush=True)
    return {"seeds": seeds, "tokens": tokens, "teacher tokens": teacher_tokens, "arms": found, "table": table(found)}


def table(found: dict[str, list[dict[str, float]]]) -> list[str]:
    """Mean over seeds, and what an arm has over `ce` at the same seed, with its 95 % interval over seeds."""
    keys = ["accuracy", "loss", "agreement", "where right", "where wrong", "kl", "ece"]
    lines = ["| arm | " + " | ".join(keys) + " | accuracy over ce | loss over ce |", "|---" * (len(keys) + 3) + "|"]
    for name, runs in found.items():
        means = [f"{statistics.fmean(one[key] for one in runs):.3f}" for key in keys]
        gains = [over(runs, found["ce"], key) for key in ("accuracy", "loss")]
        lines.append(f"| {name} | " + " | ".join([*means, *gains]) + " |")
    print("\n".join(lines), flush=True)
    return lines


def over(runs: list[dict[str, float]], base: list[dict[str, float]], key: str) -> str:
    """The difference between two arms, seed by seed."""
    gain = Interval.of([one[key] - other[key] for one, other in zip(runs, base, strict=True)])
    return f"{gain.mean:+.4f} ± {gain.half:.4f}"


if __name__ == "__main__":
    main()
