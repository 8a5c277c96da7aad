"""A run's objective, made from what its bill says of a teacher: columns opened, or the teacher loaded, and checked."""

from __future__ import annotations

import torch

from mashbill.errors import BillError
from train.batches import PlanReader
from train.distill_spec import Teaching
from train.distillation import Distillation, LiveDistillation
from train.frozen_teacher import FrozenTeacher
from train.hardware import Hardware
from train.hidden_match import HiddenThen
from train.objective import NextToken
from train.student import Student, load_student
from train.teacher_reader import TeacherReader


def objective_of(
    taught: Teaching | None, reader: PlanReader, student: Student, hardware: Hardware, device: torch.device
) -> NextToken:
    """The objective; the reader is given the stored signals where there are any.

    Raises:
        BillError: when the teacher does not fit the student or the plan.
        StoreError: when columns do not fit the plan.
    """
    if taught is None:
        return NextToken()
    spec, tokenizer = taught.spec, student.tokenizer.identity
    if spec.stored:
        reader.teacher = TeacherReader(taught.columns, reader.store, spec, tokenizer=tokenizer)
        return Distillation(spec)
    teacher = frozen_teacher(taught, tokenizer, hardware, device, context=reader.manifest.sequence_length)
    if teacher.context is not None and teacher.context < reader.manifest.sequence_length:
        raise BillError(
            f"distill: the teacher {teacher.name} was made for {teacher.context} tokens and the plan's rows have "
            f"{reader.manifest.sequence_length}; lower train.sequence_length, or say encoding: top_k, which reads long "
            "texts in windows"
        )
    codes = [code for code, name in enumerate(reader.streams) if not spec.streams or name in spec.streams]
    streams = torch.tensor(codes) if spec.streams else None
    live = LiveDistillation(spec, teacher, streams)
    if spec.generic is None:
        return live
    until = round(spec.generic.share * reader.steps)
    return HiddenThen(spec.generic, teacher, live, until=until, streams=streams)


def frozen_teacher(
    taught: Teaching, tokenizer: str, hardware: Hardware, device: torch.device, *, context: int
) -> FrozenTeacher:
    """The teacher on its device; one of random weights is told of a `context`, as such a student is."""
    spec = taught.spec.teacher.spec(taught.student)
    loaded = load_student(spec, attention=hardware.attention, context=context)
    return FrozenTeacher(loaded, tokenizer=tokenizer, name=spec.name, dtype=taught.spec.teacher.dtype, device=device)
