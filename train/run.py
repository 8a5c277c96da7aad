"""Train one student on one plan: the entry that a flow calls.

>>> result = train_student(
...     plan_dir=Path("runs/x/plan"), student=StudentSpec(model="smollm2-135m-instruct"),
...     recipe=TrainRecipe(learning_rate=1e-4), hardware=Hardware(), out=Path("runs/x/student"),
... )  # doctest: +SKIP
>>> result.final_loss, result.model_dir  # doctest: +SKIP
(2.87, PosixPath('runs/x/student/model'))

`out` gets ``checkpoints/``, ``metrics.jsonl``, ``model/`` (a Hugging Face checkpoint with its card), with LoRA
``adapter/``, and, last, ``result.json``. A finished `out` is returned at once, without torch; an unfinished one goes
on from its checkpoint.
Under torchrun every process calls this with the same arguments, and all see the same `out`.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mashbill.disk import write_bytes
from mashbill.errors import BillError, StoreError
from mashbill.fingerprint import fingerprint
from train.distill_spec import Distill, Teaching
from train.hardware import Hardware
from train.identity import run_identity
from train.metrics import MetricsFile, read_metrics
from train.model_card import CARD, model_card
from train.plan_manifest import PlanManifest
from train.recipe import Lora, StudentSpec, TrainRecipe
from train.result import ADAPTER, CHECKPOINTS, METRICS, MODEL, StepTimes, TrainResult
from train.stopping import asked_to_stop
from train.supervision import Supervision, write_supervision
from train.world import World

if typing.TYPE_CHECKING:
    import torch

    from train.student import Student

SETTLED = 10
"""Steps averaged for the final loss."""


def train_student(
    *,
    plan_dir: Path,
    student: StudentSpec,
    recipe: TrainRecipe,
    hardware: Hardware,
    out: Path,
    progress: Callable[[dict[str, object]], None] | None = None,
    dataset: str = "",
    lora: Lora | None = None,
    start: TrainResult | None = None,
    stopping: Callable[[], bool] | None = None,
    distill: Distill | None = None,
    columns: Mapping[str, Path] | None = None,
) -> TrainResult:
    """Train a student on a plan, or go on where a killed run stopped.

    The plan says whether it is continued pretraining on texts or supervised tuning; `lora` trains low-rank updates in
    place of all weights. `distill` says what is learned from a teacher, and `columns` where the stored signals of each
    stream lie (`train.teacher_store`). `dataset` is the fingerprint of the data set that the plan was made from, for
    the model card. `progress` gets each line of the metrics with the number of `steps` in all. `start` is a finished
    run to go on from with its weights and its optimiser, on another plan. When `stopping` says so, or on SIGTERM, the
    step it is at is finished and stored.

    Raises:
        Interrupted: when it was asked to stop; called again it goes on from there.
        StoreError: when the plan is unfinished, or `out` holds another run.
        BillError: when the plan, or a teacher, was made with another tokenizer than the student's.
    """
    manifest = PlanManifest.read(plan_dir)
    run = run_identity(manifest, student, recipe, lora, start.fingerprint if start else "", distill)
    finished = TrainResult.read(out, run)
    if finished:
        return finished
    # Here and not above: a finished run is answered without the seconds that torch takes to load.
    from train.student import load_student

    loaded = load_student(student, attention=hardware.attention, context=manifest.sequence_length)
    _check_tokenizer(manifest, student, loaded)
    world = World.from_environment()
    parameters, trained, penalty = int(loaded.model.num_parameters()), None, None
    if lora is not None:
        from train.adapter import attach, penalty_of, trained_count

        penalty = penalty_of(attach(loaded.model, lora, plan_dir), lora)
        trained = trained_count(loaded.model)
    taught = None if distill is None else Teaching(distill, student, columns or {})
    with asked_to_stop(stopping) as stop:
        weights = _train(plan_dir, loaded, recipe, hardware, out, run, world, taught, progress, start, stop, penalty)
    if world.first:
        if lora is not None and weights is not None:
            loaded = _merged(student, manifest, hardware, lora, weights, out, plan_dir)
            weights = None
        _save_model(loaded, out, weights, manifest)
    result = _summary(out, manifest, run, student.name, parameters, trained)
    if world.first:
        card = model_card(result, manifest, student, recipe, dataset=dataset, lora=lora, distill=distill)
        write_bytes(result.model_dir / CARD, card.encode())
        result.write()
    return result


def _summary(
    out: Path, manifest: PlanManifest, run: dict[str, str], student: str, parameters: int, trained: int | None
) -> TrainResult:
    """The result, from the metrics of all its lives: a resumed run sums up to what one life would have."""
    lines = read_metrics(out / METRICS)
    losses = [typing.cast(float, line["loss"]) for line in lines]
    mfus = [typing.cast(float, line["mfu"]) for line in lines if line["mfu"] is not None]
    return TrainResult(
        run=run,
        fingerprint=fingerprint(run),
        student=student,
        parameters=parameters,
        trained=trained,
        steps=manifest.steps,
        tokens=manifest.tokens,
        first_loss=losses[0],
        final_loss=statistics.fmean(losses[-SETTLED:]),
        tokens_per_second=statistics.median(typing.cast(float, line["tokens_per_second"]) for line in lines),
        mfu=statistics.median(mfus) if mfus else None,
        step_seconds=StepTimes.of([typing.cast(float, line["seconds"]) for line in lines]),
        stream_loss=_by_stream(lines[-SETTLED:], "stream_loss"),
        stream_accuracy=_by_stream(lines[-SETTLED:], "stream_accuracy"),
        peak_memory_gb=max(typing.cast(float, line["peak_memory_gb"]) for line in lines),
        out=out,
    )


def _by_stream(lines: list[dict[str, object]], measure: str) -> dict[str, float]:
    """The mean of a measure for each stream over the steps that had rows of it."""
    found: dict[str, list[float]] = {}
    for line in lines:
        for stream, value in typing.cast("dict[str, float]", line[measure]).items():
            found.setdefault(stream, []).append(value)
    return {stream: statistics.fmean(found[stream]) for stream in sorted(found)}


def _check_tokenizer(manifest: PlanManifest, spec: StudentSpec, student: Student) -> None:
    if manifest.tokenizer and manifest.tokenizer != student.tokenizer.identity:
        raise BillError(
            f"the plan's tokens were made by tokenizer {manifest.tokenizer[:8]} and the student {spec.name} has "
            f"{student.tokenizer.identity[:8]}; plan again with this student's tokenizer"
        )


def _train(
    plan_dir: Path,
    student: Student,
    recipe: TrainRecipe,
    hardware: Hardware,
    out: Path,
    run: dict[str, str],
    world: World,
    taught: Teaching | None,
    progress: Callable[[dict[str, object]], None] | None,
    start: TrainResult | None,
    stopping: Callable[[], bool],
    penalty: Callable[[], torch.Tensor] | None,
) -> dict[str, torch.Tensor] | None:
    """Take the steps; what is to be saved, where that is not the model as it stands."""
    from train.batches import PlanReader
    from train.checkpoint import Checkpoints, frozen
    from train.loop import Loop, pick_device, run_loop
    from train.shard import gathered, joined
    from train.teaching import objective_of

    checkpoints = Checkpoints(out / CHECKPOINTS, run, keep=hardware.keep_checkpoints)
    with joined(world, pick_device(hardware, world)):
        reader = PlanReader(plan_dir)
        objective = objective_of(taught, reader, student, hardware, pick_device(hardware, world))
        loop = Loop(student.model, reader, recipe, hardware, world, objective)
        loop.penalty = penalty
        done = checkpoints.restore(loop.model, loop.optimiser, loop.average)
        if start is not None and not done:
            before = Checkpoints(start.out / CHECKPOINTS, start.run)
            if not before.restore(loop.model, loop.optimiser, loop.average):
                raise StoreError(f"{start.out}: has no checkpoint to go on from; remove that run to have it done again")
        first = MetricsFile(out / METRICS, steps_done=done) if world.first else contextlib.nullcontext()
        with first as metrics:
            run_loop(loop, checkpoints, metrics, first=done, progress=progress, stopping=stopping)
        if loop.average is not None:
            loop.average.put_in()
        objective.detach(student.model)
        if frozen(student.model):
            from train.adapter import trained_weights

            return trained_weights(student.model)
        return gathered(student.model, world)


def _merged(
    spec: StudentSpec,
    manifest: PlanManifest,
    hardware: Hardware,
    lora: Lora,
    weights: dict[str, torch.Tensor],
    out: Path,
    plan_dir: Path,
) -> Student:
    """The student with its updates added, over base weights loaded anew; the adapter is written on the way."""
    from train.adapter import merged
    from train.student import load_student

    student = load_student(spec, attention=hardware.attention, context=manifest.sequence_length)
    with _whole(out, ADAPTER) as aside:
        merged(student.model, lora, weights, aside, spec.name, plan_dir)
    return student


def _save_model(student: Student, out: Path, weights: dict[str, torch.Tensor] | None, manifest: PlanManifest) -> None:
    from train.student import save_student

    with _whole(out, MODEL) as aside:
        if manifest.supervised is not None:
            # Whoever generates with it: an answer is over where training ended it.
            student.model.generation_config.eos_token_id = student.tokenizer.ends
        save_student(student, aside, weights)
        if manifest.supervised is not None:
            write_supervision(aside, Supervision(**typing.cast(typing.Any, manifest.supervised.spec)))


@contextlib.contextmanager
def _whole(out: Path, name: str) -> Iterator[Path]:
    """A directory that appears whole: written aside, renamed."""
    aside, final = out / f".{name}.tmp", out / name
    for stale in (aside, final):
        shutil.rmtree(stale, ignore_errors=True)
    yield aside
    aside.rename(final)
