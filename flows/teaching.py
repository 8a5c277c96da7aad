"""The teacher columns of a bill's arms, made once for all arms that read a stream; and how near each arm came.

teachers/made/71bc…/          signals of the rows that are learned
teachers/made-held-out/…/     of rows of held-out documents: what fidelity is measured on
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.kitchen import Kitchen, Outcome
from flows.training_section import Training, read_hardware, read_training
from mashbill.errors import BillError, Interrupted
from mashbill.settings import Settings
from mashbill.store import Stored
from train.distill_spec import Distill, TeacherSpec, Teaching
from train.earlier_columns import with_earlier
from train.recipe import StudentSpec
from train.render import columns_of, token_tables
from train.teacher_store import (
    Scores,
    TeacherManifest,
    Text,
    columns_dir,
    described,
    texts_of,
    write_columns,
)
from train.teacher_table import Signal

if TYPE_CHECKING:
    from train.signal_fidelity import SignalFidelity

BATCH_TOKENS = 8192
"""Tokens that a teacher reads at once."""
MEASURED = 10_000
"""Tokens that fidelity is measured on, of the first texts by their tokens' digest: a share is then known to 0.01."""
_WITNESS = 64
"""Entries that fidelity is measured with, whatever the arm learned from."""


def scorer_of(spec: Distill, student: StudentSpec, settings: Settings, context: int) -> Callable[[], Scores]:
    """What loads the teacher, or speaks to the server, when something is to be scored.

    `context` is the longest position a teacher from scratch is told of.
    """

    def make() -> Scores:
        from train.student import student_tokenizer

        tokenizer = student_tokenizer(student)
        if spec.teacher.endpoint:
            from train.served_teacher import ServedTeacher

            return ServedTeacher(spec, vocabulary=len(tokenizer))
        import torch

        from train.loop import pick_device
        from train.score_texts import TextScorer
        from train.teaching import frozen_teacher
        from train.world import World

        hardware = read_hardware(settings)
        device = pick_device(hardware, World())
        taught = Teaching(spec, student, {})
        teacher = frozen_teacher(taught, tokenizer.identity, hardware, torch.device(device), context=context)
        return TextScorer(teacher, spec, batch_tokens=BATCH_TOKENS, device=device)

    return make


async def teach_arm(kitchen: Kitchen, training: Training, name: str, plan_dir: Path) -> dict[str, Path]:
    """The teacher columns of one arm, by stream; scored where they are not there yet, or not finished."""
    spec = training.distills.get(name)
    if spec is None or not spec.stored:
        return {}
    return await asyncio.to_thread(_teach, kitchen, training, spec, plan_dir)


def _teach(kitchen: Kitchen, training: Training, spec: Distill, plan_dir: Path) -> dict[str, Path]:
    from train.batches import PlanReader  # torch: a finished arm is opened without it

    reader = PlanReader(plan_dir)
    make, folders = _scorer(spec, training, kitchen), {}
    loaded: list[Scores] = []

    def once() -> Scores:
        if not loaded:
            loaded.append(make())
        return loaded[0]

    for stream in [one for one in reader.streams if one in (spec.streams or reader.streams)]:
        planned = reader.manifest.streams[stream]
        wanted = described(spec, training.student, stream=planned.digest, tokenizer=reader.manifest.tokenizer)

        def told(done: int, stream: str = stream, whole: int = planned.tokens) -> None:
            line = {"name": f"teach {stream}", "step": done, "steps": whole, "tokens": done}
            kitchen.progress.training(line)
            if kitchen.stopping:
                raise Interrupted(f"stopped while scoring {stream}; it goes on with the next part")

        folders[stream] = columns_dir(kitchen.root, stream, wanted)
        scores = with_earlier(kitchen.root, wanted, once)
        write_columns(folders[stream], texts_of(reader.store, stream), wanted, scores, progress=told)
    return folders


def _scorer(spec: Distill, training: Training, kitchen: Kitchen) -> Callable[[], Scores]:
    context = next(iter(training.plans.values())).sequence_length
    return scorer_of(spec, training.student, kitchen.settings, context)


def witness_of(spec: Distill) -> Distill:
    """What fidelity is measured against: the same teacher's top entries, as they are."""
    return Distill(teacher=spec.teacher, k=_WITNESS, streams=spec.streams)


async def signals_of(
    kitchen: Kitchen, release: Path, training: Training, models: Mapping[str, Path]
) -> dict[str, dict[str, SignalFidelity]]:
    """Teacher -> arm -> how near its probabilities are to the teacher's."""
    from flows.arms import arm_streams, held_out_sources

    if not training.distills:
        return {}
    stored = await arm_streams(kitchen, training)
    held_out = await asyncio.to_thread(held_out_sources, release)
    return await asyncio.to_thread(fidelity_of, kitchen, training, stored, held_out, models)


def fidelity_of(
    kitchen: Kitchen,
    training: Training,
    stored: Mapping[str, Stored],
    held_out: frozenset[str],
    models: Mapping[str, Path],
) -> dict[str, dict[str, SignalFidelity]]:
    """Teacher -> arm -> how near its probabilities are to the teacher's, on rows of held-out documents.

    Nothing where no row of a taught stream is held out, or where rows are questions and answers: those are compared by
    their answers.
    """
    if training.supervision is not None:
        return {}
    found: dict[str, dict[str, SignalFidelity]] = {}
    for name, spec in training.distills.items():
        witness = witness_of(spec)
        key = witness.teacher.served or witness.teacher.spec(training.student).name
        if key in found:
            continue
        texts = _held_out_texts(
            training, {one: stored[one] for one in witness.streams or training.plans[name].shares}, held_out
        )
        if texts:
            signals = _witnessed(kitchen, training, witness, name, texts)
            found[key] = {
                arm: _measured(kitchen, training, path, [tokens for _, tokens in texts], signals)
                for arm, path in models.items()
            }
    return found


def _held_out_texts(training: Training, stored: Mapping[str, Stored], held_out: frozenset[str]) -> list[Text]:
    from train.student import student_tokenizer
    from train.teacher_table import tokens_hash

    tokenizer, found = student_tokenizer(training.student), []
    for name, one in stored.items():
        tables = (one.table(index, list(columns_of(training.kinds[name]))) for index in range(len(one)))
        wanted = pa.array(sorted(held_out), pa.string())
        kept = (table.filter(pc.is_in(table.column("source_id"), wanted)) for table in tables)
        for table in token_tables((part for part in kept if part.num_rows), tokenizer, training.render):
            for row in table.select(["record_id", "tokens"]).to_pylist():
                found.append((row["record_id"], np.array(row["tokens"], np.int32)))
    found.sort(key=lambda text: tokens_hash(text[1]))
    ends = np.cumsum([len(tokens) for _, tokens in found])
    return found[: 1 + int(np.searchsorted(ends, MEASURED))]


def _witnessed(kitchen: Kitchen, training: Training, witness: Distill, arm: str, texts: Sequence[Text]) -> list[Signal]:
    from mashbill.fingerprint import fingerprint
    from train.student import student_tokenizer
    from train.teacher_table import read_signals, tokens_hash

    tokenizer = student_tokenizer(training.student).identity
    digest = fingerprint([tokens_hash(tokens).hex() for _, tokens in texts])
    wanted = described(witness, training.student, stream=digest, tokenizer=tokenizer)
    folder = columns_dir(kitchen.root, "held-out", wanted)
    write_columns(folder, texts, wanted, _scorer(witness, training, kitchen))
    signals: dict[bytes, Signal] = {}
    for part in sorted(folder.glob("part-*.parquet")):
        signals |= read_signals(pq.read_table(part))
    return [signals[tokens_hash(tokens)] for _, tokens in texts]


def _measured(
    kitchen: Kitchen, training: Training, path: Path, texts: Sequence[npt.NDArray[np.int32]], signals: Sequence[Signal]
) -> SignalFidelity:
    from train.loop import pick_device
    from train.signal_fidelity import signal_fidelity
    from train.student import student_tokenizer
    from train.teaching import frozen_teacher
    from train.world import World

    hardware = read_hardware(kitchen.settings)
    spec = Distill(teacher=TeacherSpec(path=path))
    identity = student_tokenizer(training.student).identity
    student = frozen_teacher(
        Teaching(spec, training.student, {}), identity, hardware, pick_device(hardware, World()), context=0
    )
    return signal_fidelity(student, texts, signals)


async def teach_bill(kitchen: Kitchen) -> Outcome:
    """Score the texts of all arms that learn from stored signals; the outcome has a line for each stream.

    Raises:
        BillError: when no arm does.
    """
    from flows.arms import plan_arm

    training = read_training(kitchen.bill)
    stored = {} if training is None else {name: one for name, one in training.distills.items() if one.stored}
    if training is None or not stored:
        raise BillError(
            "no arm learns from stored signals; say train.distill with encoding top_k or sampled",
            path=kitchen.bill.path,
        )
    release = await kitchen.release()
    await kitchen.engines.release()
    lines: dict[Path, str] = {}
    for name in stored:
        plan = await plan_arm(kitchen, release, training, name)
        for stream, folder in (await teach_arm(kitchen, training, name, plan)).items():
            lines[folder] = f"{stream}: {said_of(TeacherManifest.read(folder))}, in {folder}"
    return Outcome(release, None, "\n".join(lines.values()))


def said_of(found: TeacherManifest) -> str:
    """Finished columns in a line."""
    what = f"top {found.k}" if found.k else f"{found.draws} draws"
    windows = f", {found.long_texts:,} texts in windows" if found.long_texts else ""
    return (
        f"{found.tokens:,} tokens of {what} by {found.teacher_name}, {found.bytes_per_token:.1f} bytes a token{windows}"
    )
