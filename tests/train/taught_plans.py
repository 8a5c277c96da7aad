"""Plans with teacher columns, and a slow reference that scores each text by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from train.batches import PlanReader
from train.distill_spec import Distill, TeacherSpec, Teaching
from train.hardware import Hardware
from train.recipe import Scratch, StudentSpec
from train.score_texts import TextScorer
from train.student import load_student, save_student
from train.teacher_store import TeacherManifest, columns_dir, described, texts_of, write_columns
from train.teaching import frozen_teacher
from train.tokenizer import StudentTokenizer

CPU = torch.device("cpu")


def teacher_at(folder: Path, *, context: int = 256, padded: int = 0, seed: int = 7) -> Path:
    """A small teacher with its own weights on disk; `padded` entries of its table are no tokens."""
    made = load_student(
        StudentSpec(scratch=Scratch(layers=2, width=48, heads=4, mlp_width=64, seed=seed)), context=context
    )
    with torch.no_grad():
        for weight in made.model.parameters():
            weight.mul_(3.0 if weight.ndim > 1 else 1.0)  # sharper than random weights are
    if padded:
        made.model.resize_token_embeddings(258 + padded, mean_resizing=False)
        with torch.no_grad():
            made.model.get_output_embeddings().weight[258:] *= 10
    save_student(made, folder)
    return folder


def distill(path: Path, **fields: Any) -> Distill:
    return Distill(teacher=TeacherSpec(path=path), **fields)


def scorer(spec: Distill, tokenizer: str, *, batch_tokens: int = 512) -> TextScorer:
    student = StudentSpec(scratch=Scratch())
    teacher = frozen_teacher(Teaching(spec, student, {}), tokenizer, Hardware(device="cpu"), CPU, context=256)
    return TextScorer(teacher, spec, batch_tokens=batch_tokens, device=CPU)


def taught_columns(
    root: Path, plan_dir: Path, spec: Distill, tokenizer: StudentTokenizer, **how: Any
) -> tuple[Mapping[str, Path], dict[str, TeacherManifest]]:
    """Columns of every stream of a plan that the spec names, or of all."""
    reader, student = PlanReader(plan_dir), StudentSpec(scratch=Scratch())
    folders, manifests = {}, {}
    for stream in spec.streams or reader.streams:
        wanted = described(spec, student, stream=reader.manifest.streams[stream].digest, tokenizer=tokenizer.identity)
        folders[stream] = columns_dir(root, stream, wanted)
        texts = texts_of(reader.store, stream)
        manifests[stream] = write_columns(
            folders[stream], texts, wanted, lambda: scorer(spec, tokenizer.identity), **how
        )
    return folders, manifests
