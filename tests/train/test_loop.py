from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel

from mashbill.errors import BillError, UserError
from train.batches import IGNORED, PlanReader
from train.checkpoint import Checkpoints
from train.flops import FlopCount
from train.hardware import Hardware
from train.loop import Loop, run_loop
from train.losses import token_losses
from train.plan import PlanSpec, build_plan
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.render import token_tables
from train.student import load_student
from train.tokenizer import StudentTokenizer
from train.world import World, slice_rows

RECIPE = TrainRecipe(learning_rate=3e-3)


def model_of(spec: StudentSpec, attention: str = "sdpa") -> PreTrainedModel:
    return load_student(spec, attention=attention).model


def loop_of(spec: StudentSpec, plan_dir: Path, hardware: Hardware, recipe: TrainRecipe = RECIPE) -> Loop:
    return Loop(model_of(spec), PlanReader(plan_dir), recipe, hardware)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_documents_do_not_see_each_other(tiny: StudentSpec, plan_dir: Path, attention: str) -> None:
    reader = PlanReader(plan_dir)
    rows = [row for row in range(24) if reader.batch([row]).position_ids.eq(0).sum() > 1][:4]
    batch = reader.batch(rows)
    model = model_of(tiny, attention).eval()
    with torch.no_grad():
        packed = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits
        blind = model(input_ids=batch.input_ids, use_cache=False).logits
        worst = worst_blind = 0.0
        for line in range(len(rows)):
            starts = [*batch.position_ids[line].eq(0).nonzero().flatten().tolist(), batch.input_ids.shape[1]]
            for start, stop in itertools.pairwise(starts):
                alone = model(input_ids=batch.input_ids[line : line + 1, start:stop], use_cache=False).logits[0]
                worst = max(worst, float((packed[line, start:stop] - alone).abs().max()))
                worst_blind = max(worst_blind, float((blind[line, start:stop] - alone).abs().max()))
    assert worst < 1e-4
    # Without position_ids the same rows are wrong: the test above does test something.
    assert worst_blind > 1e-2


def test_micro_batches_change_neither_loss_nor_gradients(tiny: StudentSpec, plan_dir: Path) -> None:
    measured, gradients = [], []
    for micro_batch in (1, 4, 6):
        loop = loop_of(tiny, plan_dir, Hardware(micro_batch=micro_batch), TrainRecipe(clip=0))
        measured.append(loop.step(0))
        gradients.append([weight.grad.clone() for weight in loop.model.parameters() if weight.grad is not None])
    for other in (1, 2):
        assert measured[other].loss == pytest.approx(measured[0].loss, rel=1e-6)
        assert measured[other].streams == pytest.approx(measured[0].streams, rel=1e-6)
        for one, two in zip(gradients[0], gradients[other], strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_the_loss_is_the_mean_over_valid_tokens(tiny: StudentSpec, plan_dir: Path) -> None:
    reader = PlanReader(plan_dir)
    batch = reader.batch(list(reader.rows_of(0)))
    model = model_of(tiny)
    logits = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), batch.labels[:, 1:]).item()
    losses = token_losses(logits, batch.labels).detach()
    assert float(losses.sum()) / reader.valid_tokens(0) == pytest.approx(float(expected), rel=1e-5)
    measured = loop_of(tiny, plan_dir, Hardware()).step(0)
    assert measured.loss == pytest.approx(float(expected), rel=1e-5)


def test_the_loss_goes_down(tiny: StudentSpec, plan_dir: Path) -> None:
    loop = loop_of(tiny, plan_dir, Hardware())
    losses = [loop.step(step).loss for step in range(loop.reader.steps)]
    assert losses[-1] < losses[0] - 0.5


def test_gradient_checkpointing_changes_nothing(tiny: StudentSpec, plan_dir: Path) -> None:
    plain = loop_of(tiny, plan_dir, Hardware()).step(0)
    saving = loop_of(tiny, plan_dir, Hardware(gradient_checkpointing=True)).step(0)
    assert saving.grad_norm == pytest.approx(plain.grad_norm, rel=1e-5)


def test_norms_are_not_decayed(tiny: StudentSpec, plan_dir: Path) -> None:
    groups = loop_of(tiny, plan_dir, Hardware()).optimiser.param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all(weight.ndim == 1 for weight in groups[1]["params"])


def test_a_short_last_batch_and_a_padded_row_train(
    tiny: StudentSpec, tokenizer: StudentTokenizer, make_documents: Callable[..., pa.Table], tmp_path: Path
) -> None:
    spec = PlanSpec(tokens=10**6, sequence_length=64, batch=4, max_repetitions=1, when_exhausted="stop")
    streams = {"d": token_tables([make_documents("d", 7)], tokenizer)}
    manifest = build_plan(streams, spec=spec, out=tmp_path, tokenizer=tokenizer.identity)
    assert manifest.rows % 4 != 0
    assert manifest.padding > 0
    measured = [loop_of(tiny, tmp_path, Hardware(micro_batch=size)).step(manifest.steps - 1) for size in (1, 4)]
    assert measured[0].loss == pytest.approx(measured[1].loss, rel=1e-6)


@pytest.mark.gpu
def test_bf16_on_a_gpu_agrees_with_the_cpu(tiny: StudentSpec, plan_dir: Path) -> None:
    here = loop_of(tiny, plan_dir, Hardware(device="cpu"))
    there = loop_of(tiny, plan_dir, Hardware(device="cuda"))
    for step in range(3):
        assert there.step(step).loss == pytest.approx(here.step(step).loss, rel=0.02)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_any_world_slices_the_same_batch(rows: int, size: int, micro_batch: int) -> None:
    sliced = [slice_rows(range(rows), World(rank, size), micro_batch) for rank in range(size)]
    assert sorted(row for mine in sliced for part in mine for row in part if row is not None) == list(range(rows))
    # Same number and shape everywhere: a collective meets its peers.
    assert len({tuple(len(part) for part in mine) for mine in sliced}) == 1
    assert all(len(part) <= micro_batch for part in sliced[0])


def test_a_student_with_fewer_tokens_is_refused(plan_dir: Path) -> None:
    reader = PlanReader(plan_dir)
    model = model_of(StudentSpec(scratch=Scratch(layers=1, width=8, heads=1)))
    model.resize_token_embeddings(100)
    with pytest.raises(BillError, match="vocabulary ends at 99"):
        Loop(model, reader, RECIPE, Hardware())


def test_a_loss_that_is_not_a_number_stops_the_run(tiny: StudentSpec, plan_dir: Path, tmp_path: Path) -> None:
    loop = loop_of(tiny, plan_dir, Hardware())
    with torch.no_grad():
        loop.model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(
        UserError, match=r"is nan .* at step 1 of 12, from 6 rows .*: row 0 \(made: made-19\), .* and 3 more"
    ):
        run_loop(loop, Checkpoints(tmp_path, {}), None, first=0)


def test_flops_of_a_known_model(tiny: StudentSpec) -> None:
    count = FlopCount.of(model_of(tiny))
    # Two layers of q 32x32, k and v 32x16, o 32x32, three of 32x64, two norms of 32; one norm at the end.
    assert count == FlopCount(
        body=2 * (2 * 1024 + 2 * 512 + 3 * 2048 + 64) + 32, head=258 * 32, layers=2, attention_width=32
    )
    assert count.per_token(100) == 6 * (count.body + count.head) + 6 * 2 * 32 * 100


def test_plans_are_arrow(plan_dir: Path) -> None:
    with pa.memory_map(str(plan_dir / "tokens.arrow")) as source:
        assert pa.ipc.open_file(source).schema.names == [
            *("stream", "record_id", "source_id", "domain", "prompt_length", "tokens")
        ]


def test_layers_compiled_one_by_one_change_nothing(
    tiny: StudentSpec, plan_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The graphs are taken and differentiated as ever; to write C++ for them takes a minute and is torch's business.
    with_backend = functools.partialmethod(torch.nn.Module.compile, backend="aot_eager")
    monkeypatch.setattr(torch.nn.Module, "compile", with_backend)
    plain = loop_of(tiny, plan_dir, Hardware(device="cpu", micro_batch=6)).step(0)
    with warnings.catch_warnings():
        # torch's compiler imports modules that warn of their own futures.
        warnings.simplefilter("ignore")
        compiled = loop_of(tiny, plan_dir, Hardware(device="cpu", micro_batch=6, compile=True)).step(0)
    assert compiled.loss == pytest.approx(plain.loss, rel=1e-5)
    assert compiled.grad_norm == pytest.approx(plain.grad_norm, rel=1e-4)


def test_accuracy_by_stream_is_that_of_the_likeliest_next_tokens(tiny: StudentSpec, plan_dir: Path) -> None:
    loop = loop_of(tiny, plan_dir, Hardware(device="cpu", micro_batch=2))
    batch = loop.reader.batch(list(loop.reader.rows_of(0)))
    with torch.no_grad():
        logits = loop.model(input_ids=batch.input_ids, position_ids=batch.position_ids).logits[:, :-1]
    labels, codes = batch.labels[:, 1:], batch.stream[:, 1:]
    right = (logits.argmax(-1) == labels)[labels != IGNORED].double()
    own = codes[labels != IGNORED]
    wanted = {name: float(right[own == code].mean()) for code, name in enumerate(loop.reader.streams)}
    assert loop.step(0).accuracies == pytest.approx(wanted, abs=1e-6)
    later = [loop.step(step) for step in range(1, 12)]
    assert later[-1].accuracies["made"] > wanted["made"], "it learns"
