"""The work behind ``mashbill student``: checkpoints in, checkpoints and deltas out, with lines to print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mashbill.errors import UserError
from train.identity import student_identity
from train.recipe import EMBEDDED, StudentSpec
from train.student import load_student, save_student


def spec_of(student: str) -> StudentSpec:
    """A student by the embedded model's name, or by its folder."""
    return StudentSpec(model=student) if student == EMBEDDED else StudentSpec(path=Path(student))


def _absent(path: Path) -> None:
    if path.exists():
        raise UserError(f"{path}: is there already; give another place, or remove it")


def prune_to(student: str, plan: Path, sizes: Mapping[str, int | None], rows: int, to: Path) -> str:
    """Cut a student and write it; what became of it."""
    from train.prune import REPORT, PruneSpec, prune_student

    _absent(to)
    prune_student(load_student(spec_of(student)), plan, PruneSpec(**sizes, calibration_rows=rows), to)
    report = json.loads((to / REPORT).read_bytes())
    weights, loss = report["parameters"], report["loss"]
    return (
        f"{to}: {weights['before']:,} → {weights['after']:,} weights; loss on {report['rows']} rows "
        f"{loss['before']:.3f} → {loss['after']:.3f}\n"
        f"train it as the student of a bill (path: {to}) by distillation from {student}"
    )


def delta_to(
    base: str, tuned: str, to: Path, *, rank: int, fine: int, embeddings: bool, curve: Path | None, rows: int
) -> str:
    """Write a delta; its size, and with `curve` the loss at ranks up to its own."""
    from train.delta import DeltaSpec, delta_of, write_delta

    _absent(to)
    spec = DeltaSpec(rank=rank, fine=fine, embeddings=embeddings)
    model = load_student(spec_of(base)).model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = load_student(spec_of(tuned)).model.state_dict()
    write_delta(to, delta_of(before, after, spec), base=student_identity(spec_of(base)), spec=spec)
    whole = sum(value.numel() * value.element_size() for value in before.values())
    lines = [f"{to}: {to.stat().st_size:,} bytes, {to.stat().st_size / whole:.1%} of the student's"]
    if curve is not None:
        from train.batches import PlanReader
        from train.delta import rank_curve
        from train.importance import importance

        reader = PlanReader(curve)
        taken = range(min(rows, reader.manifest.rows))
        ranks = sorted({max(1, rank // 16), max(1, rank // 4), max(1, rank // 2), rank})
        old, new, points = rank_curve(
            model, before, after, ranks, lambda one: importance(one, (reader.batch([row]) for row in taken)).loss, spec
        )
        lines.append(f"loss on {len(taken)} rows: base {old:.4f}, tuned {new:.4f}")
        lines += [f"rank {one.rank:>5}  {one.bytes:>12,} bytes  {one.score:.4f}  {one.share:.0%}" for one in points]
    return "\n".join(lines)


def apply_to(base: str, file: Path, to: Path) -> str:
    """Write the base with a delta added."""
    from train.delta import read_delta, with_delta

    _absent(to)
    student = load_student(spec_of(base))
    delta = read_delta(file, base=student_identity(spec_of(base)))
    student.model.load_state_dict(with_delta(student.model.state_dict(), delta))
    save_student(student, to)
    return f"{to}: {base} with {file}"
