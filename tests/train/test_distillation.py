"""Distillation in the loop: against dense autograd, over micro-batches, through a kill, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from mashbill.errors import BillError, StoreError
from tests.train.taught_plans import CPU, distill, taught_columns, teacher_at
from train.batches import IGNORED, PlanReader
from train.distill_spec import Distill, Generic, TeacherSpec, Teaching
from train.divergence import DIVERGENCES, MIXES
from train.hardware import Hardware
from train.hidden_match import PROJECTOR
from train.loop import Loop
from train.model_card import CARD
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.run import train_student
from train.student import load_model, load_student
from train.teaching import objective_of
from train.tokenizer import StudentTokenizer

RECIPE = TrainRecipe(learning_rate=3e-3, clip=0)
ALL = 258


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return teacher_at(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def columns(
    teacher: Path, plan_dir: Path, tokenizer: StudentTokenizer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """All of the teacher's distribution, as top entries: what is left to differ is float16."""
    root = tmp_path_factory.mktemp("columns")
    return dict(taught_columns(root, plan_dir, distill(teacher, k=ALL), tokenizer)[0])


def loop_of(
    spec: Distill | None, student: StudentSpec, plan_dir: Path, columns: dict[str, Path], micro_batch: int = 3
) -> Loop:
    loaded, reader = load_student(student), PlanReader(plan_dir)
    hardware = Hardware(device="cpu", micro_batch=micro_batch)
    taught = None if spec is None else Teaching(spec, student, columns)
    objective = objective_of(taught, reader, loaded, hardware, CPU)
    return Loop(loaded.model, reader, RECIPE, hardware, objective=objective)


def gradients(loop: Loop) -> dict[str, torch.Tensor]:
    return {name: one.grad.clone() for name, one in loop.model.named_parameters() if one.grad is not None}


def segments(reader: PlanReader, step: int) -> range:
    rows = reader.rows_of(step)
    return range(int(reader._offsets[rows.start]), int(reader._offsets[rows.stop]))


def of_text(judge: PreTrainedModel, reader: PlanReader, segment: int) -> torch.Tensor:
    """Stored signals are of whole texts, also where a row begins in the middle of one."""
    number, start, length = (int(one[segment]) for one in (reader._record, reader._start, reader._length))
    ids = torch.tensor(reader.store.tokens(number).astype("int64"))[None]
    found: torch.Tensor = judge(input_ids=ids).logits[0, start : start + length - 1]
    return found


def dense(spec: Distill, teacher: Path, student: StudentSpec, plan_dir: Path, step: int) -> tuple[float, Any]:
    """The whole step at once with whole distributions, by autograd: the slow reference."""
    reader, model = PlanReader(plan_dir), load_student(student).model
    batch = reader.batch(list(reader.rows_of(step)))
    given = {"input_ids": batch.input_ids, "position_ids": batch.position_ids, "use_cache": False}
    logits = model(**given).logits[:, :-1]
    places = batch.labels[:, 1:] != IGNORED
    with torch.no_grad():
        judge = load_model(teacher).eval()
        if spec.stored:
            theirs = torch.cat([of_text(judge, reader, segment) for segment in segments(reader, step)])
        else:
            theirs = judge(**given).logits[:, :-1][places]
    t = spec.temperature
    ours, labels = logits[places], batch.labels[:, 1:][places]
    mix = MIXES.get(spec.divergence, 0.0) if spec.mix is None else spec.mix
    soft = DIVERGENCES[spec.divergence]((theirs / t).log_softmax(1), (ours / t).log_softmax(1), mix) * t * t
    loss = (1 - spec.weight) * functional.cross_entropy(ours, labels) + spec.weight * soft.mean()
    weights = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
    found = torch.autograd.grad(loss, [one for _, one in weights])
    return float(loss.detach()), dict(zip([name for name, _ in weights], found, strict=True))


@pytest.mark.parametrize("fields", [
    {"divergence": "forward_kl", "temperature": 2.0},
    {"divergence": "reverse_kl"},
    {"divergence": "jsd", "mix": 0.3},
    {"divergence": "skew_kl"},
    {"divergence": "tvd", "weight": 1.0},
])  # fmt: skip
def test_a_live_teacher_gives_the_dense_loss_and_gradient(
    fields: dict[str, Any], teacher: Path, tiny: StudentSpec, plan_dir: Path
) -> None:
    spec = dataclasses.replace(distill(teacher, encoding="live", weight=0.3), **fields)
    loss, expected = dense(spec, teacher, tiny, plan_dir, 2)
    loop = loop_of(spec, tiny, plan_dir, {})
    measured = loop.step(2)
    assert measured.loss == pytest.approx(loss, rel=1e-5)
    for name, one in gradients(loop).items():
        torch.testing.assert_close(one, expected[name], rtol=1e-3, atol=2e-6)


def test_stored_columns_of_the_whole_vocabulary_give_the_dense_loss_and_gradient(
    teacher: Path, columns: dict[str, Path], tiny: StudentSpec, plan_dir: Path
) -> None:
    spec = distill(teacher, k=ALL, weight=0.7)
    loss, expected = dense(spec, teacher, tiny, plan_dir, 2)
    loop = loop_of(spec, tiny, plan_dir, columns)
    measured = loop.step(2)
    assert measured.loss == pytest.approx(loss, rel=1e-3)
    assert measured.loss == pytest.approx(0.3 * measured.parts["ce"] + 0.7 * measured.parts["kd"], rel=1e-5)
    for name, one in gradients(loop).items():
        torch.testing.assert_close(one, expected[name], rtol=5e-3, atol=2e-5)


@pytest.mark.parametrize("encoding", ["top_k", "live"])
def test_micro_batches_change_neither_loss_nor_gradient(
    encoding: str, teacher: Path, columns: dict[str, Path], tiny: StudentSpec, plan_dir: Path
) -> None:
    spec = distill(teacher, encoding=encoding, k=ALL)
    loops = [loop_of(spec, tiny, plan_dir, columns, size) for size in (1, 6)]
    one, six = (loop.step(0) for loop in loops)
    assert one.loss == pytest.approx(six.loss, rel=1e-5)
    assert one.parts == pytest.approx(six.parts, rel=1e-5)
    for name, gradient in gradients(loops[0]).items():
        torch.testing.assert_close(gradient, gradients(loops[1])[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("encoding", ["top_k", "live"])
def test_streams_that_are_not_taught_learn_from_their_text(
    encoding: str, teacher: Path, columns: dict[str, Path], tiny: StudentSpec, plan_dir: Path
) -> None:
    spec = distill(teacher, encoding=encoding, k=ALL, streams=("made",), weight=1.0)
    ours = loop_of(spec, tiny, plan_dir, {"made": columns["made"]}).step(1)
    plain = loop_of(None, tiny, plan_dir, {}).step(1)
    assert ours.streams["web"] == pytest.approx(plain.streams["web"], rel=1e-5)
    assert ours.streams["made"] == pytest.approx(ours.parts["kd"], rel=1e-5)
    assert ours.streams["made"] != pytest.approx(plain.streams["made"], rel=1e-2)
    assert ours.parts["ce"] == pytest.approx(plain.loss, rel=1e-5)


def test_a_student_that_is_its_own_teacher_begins_with_no_divergence(tiny: StudentSpec, plan_dir: Path) -> None:
    spec = Distill(teacher=TeacherSpec(base=True), encoding="live", weight=1.0, divergence="jsd")
    loop = loop_of(spec, tiny, plan_dir, {})
    measured = loop.step(0)
    assert measured.loss == pytest.approx(0, abs=1e-6)
    assert measured.grad_norm == pytest.approx(0, abs=1e-4)


def test_a_teacher_brings_the_student_closer_to_itself(
    teacher: Path, columns: dict[str, Path], tiny: StudentSpec, plan_dir: Path
) -> None:
    """On the same plan: the divergence falls further with it than without."""
    spec = distill(teacher, k=ALL, weight=1.0)
    taught, plain = loop_of(spec, tiny, plan_dir, columns), loop_of(None, tiny, plan_dir, {})
    for step in range(11):
        taught.step(step)
        plain.step(step)
    judge = loop_of(spec, tiny, plan_dir, columns)
    judge.model.load_state_dict(plain.model.state_dict())
    assert taught.step(11).parts["kd"] < 0.6 * judge.step(11).parts["kd"]


def train(tiny: StudentSpec, plan_dir: Path, out: Path, **how: Any) -> Any:
    hardware = Hardware(device="cpu", micro_batch=3, checkpoint_every=2)
    return train_student(plan_dir=plan_dir, student=tiny, recipe=RECIPE, hardware=hardware, out=out, **how)


def test_hidden_states_come_first_and_nothing_of_them_stays(
    teacher: Path, tiny: StudentSpec, plan_dir: Path, tmp_path: Path
) -> None:
    """A run killed in the first stage ends, through both, with the bytes of one that was not."""
    spec = distill(teacher, encoding="live", generic=Generic(share=0.5))
    lines: list[dict[str, Any]] = []

    def kill(line: dict[str, Any]) -> None:
        lines.append(line)
        if line["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny, plan_dir, tmp_path / "two", distill=spec, progress=kill)
    again = train(tiny, plan_dir, tmp_path / "two", distill=spec, progress=lines.append)
    whole = train(tiny, plan_dir, tmp_path / "one", distill=spec)
    files = [run.model_dir / "model.safetensors" for run in (whole, again)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert PROJECTOR not in files[0].read_bytes()[:20_000].decode(errors="replace")
    parts = {line["step"]: line["part_loss"] for line in lines}
    assert set(parts[1]) == {"hidden"}
    assert parts[6]["hidden"] < parts[1]["hidden"]
    assert set(parts[7]) == {"ce", "kd"}


def test_a_run_says_who_taught_it_and_another_teacher_is_another_run(
    teacher: Path, columns: dict[str, Path], tiny: StudentSpec, plan_dir: Path, tmp_path: Path
) -> None:
    spec = distill(teacher, k=ALL)
    found = train(tiny, plan_dir, tmp_path, distill=spec, columns=columns)
    card = (found.model_dir / CARD).read_text()
    assert "## Its teacher" in card
    assert f"its {ALL} likeliest tokens and the mass of all others, stored" in card
    with pytest.raises(StoreError, match="whose distill differ"):
        train(tiny, plan_dir, tmp_path, distill=dataclasses.replace(spec, weight=0.2), columns=columns)
    # Whether a control is trained beside it changes nothing of it.
    assert train(tiny, plan_dir, tmp_path, distill=dataclasses.replace(spec, control=False), columns=columns) == found


def test_a_live_teacher_with_less_context_than_a_row_is_refused(
    tiny: StudentSpec, plan_dir: Path, tmp_path: Path
) -> None:
    short = teacher_at(tmp_path / "short", context=32)
    with pytest.raises(BillError, match="made for 32 tokens and the plan's rows have 64"):
        loop_of(distill(short, encoding="live"), tiny, plan_dir, {})


@pytest.mark.parametrize(("fields", "why"), [
    ({"weight": 0}, r"weight is 0; a share in \(0, 1\]"),
    ({"draws": 300, "encoding": "sampled"}, "from 1 to 255"),
    ({"divergence": "tvd"}, "needs all of the teacher's distribution; say encoding: live"),
    ({"mix": 0.5}, "belongs to jsd and skew_kl"),
    ({"swap": True, "encoding": "sampled"}, "exchanges top entries"),
    ({"generic": Generic()}, "reads hidden states, which are not stored"),
    ({"temperature": 0.0}, "temperature is 0.0; above 0"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(BillError, match=why):
        Distill(teacher=TeacherSpec(base=True), **fields)


@pytest.mark.parametrize(("fields", "why"), [
    ({}, "exactly one of model, path, base and endpoint is wanted, found none"),
    ({"base": True, "model": "x"}, "found model and base"),
    ({"model": "gpt"}, "no embedded model is named 'gpt'"),
    ({"endpoint": "http://h/v1"}, "needs `served`"),
])  # fmt: skip
def test_a_teacher_is_named_once(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(BillError, match=why):
        TeacherSpec(**fields)


def test_a_share_of_a_first_stage_lies_between() -> None:
    with pytest.raises(BillError, match="share 1 lies in"):
        Generic(share=1)
    assert Scratch().layers == 4
