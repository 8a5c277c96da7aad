"""The loss of supervised tuning: what is learned of a row, and what each sequence weighs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from mashbill.records import QA
from tests.train.supervised_plans import plan, questions, supervision, worked
from train.batches import IGNORED, PlanReader
from train.hardware import Hardware
from train.loop import Loop
from train.losses import token_losses, weighted
from train.recipe import StudentSpec, TrainRecipe
from train.student import load_student
from train.supervision import Supervision
from train.tokenizer import StudentTokenizer


@pytest.fixture(scope="module", params=["answer_only", "multitask", "full_cot"])
def target(request: pytest.FixtureRequest) -> Supervision:
    return supervision(request.param)


def reader_of(tokenizer: StudentTokenizer, spec: Supervision, out: Path, each: int = 1) -> PlanReader:
    plan({"worked": worked(40, each=each)}, tokenizer, spec, out)
    return PlanReader(out)


def loop_of(tiny: StudentSpec, reader: PlanReader, micro_batch: int = 2) -> Loop:
    return Loop(load_student(tiny).model, reader, TrainRecipe(clip=0), Hardware(device="cpu", micro_batch=micro_batch))


def one_by_one(tiny: StudentSpec, reader: PlanReader, step: int) -> list[tuple[str, float, float]]:
    """View, weight and mean loss of each sequence of a step, each run alone with its own mask: the slow reference."""
    model = load_student(tiny).model.eval()
    found = []
    with torch.no_grad():
        for segment in range(*(int(reader._offsets[row]) for row in _ends(reader, step))):
            number = int(reader._record[segment])
            ids = torch.tensor(reader.store.tokens(number).astype("int64"))
            given = reader.store.prompt_lengths[number]
            logits = model(input_ids=ids[None]).logits[0]
            losses = [float(functional.cross_entropy(logits[at - 1], ids[at])) for at in range(given, len(ids))]
            assert reader._weight is not None
            found.append((reader.store.views[number], float(reader._weight[segment]), sum(losses) / len(losses)))
    return found


def _ends(reader: PlanReader, step: int) -> tuple[int, int]:
    rows = reader.rows_of(step)
    return rows.start, rows.stop


def test_what_is_learned_is_the_completion_with_its_end(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    manifest = plan({"qa": questions(20)}, tokenizer, supervision(), tmp_path)
    reader = PlanReader(tmp_path)
    batch = reader.batch(list(range(manifest.rows)))
    starts = batch.position_ids.eq(0)
    seen = 0
    for line in range(manifest.rows):
        heads = [*starts[line].nonzero().flatten().tolist(), batch.input_ids.shape[1]]
        for start, stop in itertools.pairwise(heads):
            ids, labels = batch.input_ids[line, start:stop], batch.labels[line, start:stop]
            learned = ids[labels != IGNORED].tolist()
            if not learned:
                continue
            assert learned == labels[labels != IGNORED].tolist()
            assert learned[-1] == tokenizer.end
            prompt, answer = tokenizer.decode(ids[labels == IGNORED].tolist()), tokenizer.decode(learned)
            assert prompt.startswith("Question: Where is ")
            assert prompt.endswith("\nAnswer:")
            assert answer[0] == " "
            assert "Question" not in answer
            seen += 1
    assert manifest.supervised is not None
    assert seen == manifest.supervised.examples


def test_packed_and_separate_losses_agree(
    tiny: StudentSpec, tokenizer: StudentTokenizer, target: Supervision, tmp_path: Path
) -> None:
    reader = reader_of(tokenizer, target, tmp_path)
    model = load_student(tiny).model.eval()
    for step in (0, reader.steps - 1):
        batch = reader.batch(list(reader.rows_of(step)))
        with torch.no_grad():
            logits = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits
        packed = float(weighted(token_losses(logits, batch.labels), batch.weights).sum()) / reader.divisor(step)
        alone = one_by_one(tiny, reader, step)
        assert len(alone) > len(reader.rows_of(step)), "rows hold several examples, or nothing is packed"
        expected = sum(weight * mean for _, weight, mean in alone) / sum(weight for _, weight, _ in alone)
        assert packed == pytest.approx(expected, abs=1e-4)
        assert loop_of(tiny, reader).step(step).loss == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("alpha", [0.5, 0.8])
def test_multitask_is_alpha_of_the_mean_over_answers_and_the_rest_of_the_mean_over_rationales(
    tiny: StudentSpec, tokenizer: StudentTokenizer, tmp_path: Path, alpha: float
) -> None:
    reader = reader_of(tokenizer, supervision("multitask", alpha=alpha), tmp_path)
    alone = one_by_one(tiny, reader, 0)
    means = {view: [mean for name, _, mean in alone if name == view] for view in ("predict", "explain")}
    predict, explain = (sum(means[view]) / len(means[view]) for view in ("predict", "explain"))
    assert len(means["predict"]) == len(means["explain"]) > 3
    measured = loop_of(tiny, reader).step(0)
    assert measured.loss == pytest.approx(alpha * predict + (1 - alpha) * explain, abs=1e-5)
    assert measured.views == pytest.approx({"predict": predict, "explain": explain}, abs=1e-5)
    # By tokens the rationales would count many times over: the means differ, or the test would show nothing.
    batch = reader.batch(list(reader.rows_of(0)))
    assert batch.view is not None
    tokens = [int(((batch.labels != IGNORED) & (batch.view == code)).sum()) for code in (0, 1)]
    assert tokens[1] > 3 * tokens[0]


def test_every_rationale_of_a_question_weighs_its_part_of_one(
    tiny: StudentSpec, tokenizer: StudentTokenizer, tmp_path: Path
) -> None:
    rows = [*worked(6, each=4), *worked(12)[6:]]
    for how, times in (("balanced", 0.25), ("natural", 1.0)):
        plan({"w": rows}, tokenizer, supervision("full_cot", per_question=how), tmp_path / how, max_repetitions=1,
             when_exhausted="stop", tokens=10**6)  # fmt: skip
        reader = PlanReader(tmp_path / how)
        assert reader._weight is not None
        weights = sorted(float(weight) for weight in reader._weight)
        assert weights == sorted([times] * 24 + [1.0] * 6)
        asked: dict[str, float] = {}
        for segment, weight in enumerate(reader._weight):
            question = tokenizer.decode(reader.store.tokens(int(reader._record[segment])).tolist()).split("?")[0]
            asked[question] = asked.get(question, 0.0) + float(weight)
        assert len(asked) == 12
        assert (set(asked.values()) == {1.0}) is (how == "balanced")


def weights_of(folder: Path) -> list[float]:
    weight = PlanReader(folder)._weight
    assert weight is not None
    return sorted(float(one) for one in weight)


def test_a_question_weighs_one_whatever_streams_it_stands_in(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    """Two teachers pooled as two streams are as one teacher that was asked more often."""
    pooled: dict[str, list[Any]] = {"one": worked(4, each=3), "two": worked(4, seed=5), "alone": questions(2)}
    plan(pooled, tokenizer, supervision("answer_only"), tmp_path, shares={"one": 3, "two": 1, "alone": 1},
         max_repetitions=1, when_exhausted="stop", tokens=10**6)  # fmt: skip
    held = weights_of(tmp_path)
    assert set(held) == {0.25, 1.0}


def test_a_question_with_other_options_is_another_question(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    offered = [("salt", "oak"), ("rye", "oak"), ("oak", "rye")]
    rows = [QA.new(question="Which of these is true?", options=one, answer=one[0]) for one in offered]
    plan({"q": rows}, tokenizer, supervision(), tmp_path, max_repetitions=1, when_exhausted="stop", tokens=10**6)
    assert weights_of(tmp_path) == [0.5, 0.5, 1.0]


def test_micro_batches_change_neither_loss_nor_gradients(
    tiny: StudentSpec, tokenizer: StudentTokenizer, target: Supervision, tmp_path: Path
) -> None:
    reader = reader_of(tokenizer, target, tmp_path, each=3)
    measured, gradients = [], []
    for micro_batch in (1, 3, 4):
        loop = loop_of(tiny, reader, micro_batch)
        measured.append(loop.step(0))
        gradients.append([weight.grad.clone() for weight in loop.model.parameters() if weight.grad is not None])
    for other in (1, 2):
        assert measured[other].loss == pytest.approx(measured[0].loss, rel=1e-6)
        for one, two in zip(gradients[0], gradients[other], strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_what_the_plan_says_of_a_step_is_what_its_tensors_hold(
    tokenizer: StudentTokenizer, target: Supervision, tmp_path: Path
) -> None:
    reader = reader_of(tokenizer, target, tmp_path, each=2)
    learned = 0
    for step in range(reader.steps):
        batch = reader.batch(list(reader.rows_of(step)))
        assert batch.weights is not None
        assert reader.valid_tokens(step) == int((batch.labels != IGNORED).sum()) == int((batch.weights > 0).sum())
        assert reader.divisor(step) == pytest.approx(float(batch.weights.double().sum()), rel=1e-6)
        assert not batch.labels[:, 0].ne(IGNORED).any(), "no label without a token before it"
        learned += reader.valid_tokens(step)
    assert reader.manifest.supervised is not None
    assert learned == reader.manifest.supervised.learned
    assert reader.manifest.tokens == learned + reader.manifest.supervised.masked
