"""The loop with a loss of somebody's own: what it is given is what it learns from and reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, PreTrainedModel

from train.batches import IGNORED, Batch, PlanReader
from train.chunked_head import head_of
from train.hardware import Hardware
from train.loop import Loop
from train.losses import token_losses
from train.objective import BatchLoss, NextToken
from train.recipe import StudentSpec, TrainRecipe
from train.student import load_student

RECIPE = TrainRecipe(learning_rate=3e-3, clip=0)


class Halved(NextToken):
    """Half of the cross-entropy, and the other half from a table of its own that is trained with the model."""

    parts: Sequence[str] = ("text", "bias")

    def attach(self, model: PreTrainedModel) -> None:
        model.add_module("shift", torch.nn.Linear(1, 1, bias=False))

    def detach(self, model: PreTrainedModel) -> None:
        del model.shift

    def __call__(self, model: PreTrainedModel, batch: Batch, step: int) -> BatchLoss:
        plain = super().__call__(model, batch, step)
        valid = (batch.labels[:, 1:] != IGNORED).sum()
        own = (model.shift.weight**2).sum() * valid
        total = plain.total / 2 + own
        parts = torch.stack([plain.losses.sum() / 2, own.detach()])
        return BatchLoss(total, plain.losses / 2, torch.stack([parts, valid.expand(2).float()]))


def loop_of(tiny: StudentSpec, plan_dir: Path, objective: NextToken | None, micro_batch: int = 6) -> Loop:
    hardware = Hardware(device="cpu", micro_batch=micro_batch)
    return Loop(load_student(tiny).model, PlanReader(plan_dir), RECIPE, hardware, objective=objective)


def test_the_loop_learns_from_the_objective_it_is_given(tiny: StudentSpec, plan_dir: Path) -> None:
    plain, halved = loop_of(tiny, plan_dir, None), loop_of(tiny, plan_dir, Halved())
    whole, half = plain.step(0), halved.step(0)
    assert half.loss == pytest.approx(whole.loss / 2, rel=1e-6)
    assert half.streams == pytest.approx({name: value / 2 for name, value in whole.streams.items()}, rel=1e-6)
    theirs = dict(plain.model.named_parameters())
    for name, weight in halved.model.named_parameters():
        if name != "shift.weight":
            assert weight.grad is not None
            torch.testing.assert_close(weight.grad * 2, theirs[name].grad, rtol=1e-4, atol=1e-7)


def test_parts_are_means_over_what_they_are_about_whatever_the_micro_batch(tiny: StudentSpec, plan_dir: Path) -> None:
    measured = [loop_of(tiny, plan_dir, Halved(), size) for size in (1, 6)]
    for loop in measured:
        torch.nn.init.constant_(loop.model.shift.weight, 0.5)
    one, six = (loop.step(0) for loop in measured)
    assert one.parts == pytest.approx(six.parts, rel=1e-5)
    assert one.parts["bias"] == pytest.approx(0.25)
    assert one.parts["text"] == pytest.approx(one.loss, rel=1e-5)
    assert loop_of(tiny, plan_dir, None).step(0).parts == {}


def test_what_an_objective_attaches_is_trained_and_can_be_taken_away(tiny: StudentSpec, plan_dir: Path) -> None:
    objective = Halved()
    loop = loop_of(tiny, plan_dir, objective)
    before = loop.model.shift.weight.detach().clone()
    loop.step(1)
    assert not torch.equal(before, loop.model.shift.weight)
    objective.detach(loop.model)
    assert set(loop.model.state_dict()) == set(load_student(tiny).model.state_dict())


def capped(context: int = 64) -> PreTrainedModel:
    """A Gemma 2 of a few weights: its logits are capped, so they are no plain product."""
    config = Gemma2Config(
        vocab_size=258, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8, final_logit_softcapping=0.05, max_position_embeddings=context,
    )  # fmt: skip
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager")


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_the_loss_of_any_head_is_that_of_its_logits(kind: str, tiny: StudentSpec, plan_dir: Path) -> None:
    model = load_student(tiny).model if kind == "llama" else capped()
    assert (head_of(model) is None) == (kind == "gemma2")
    batch = PlanReader(plan_dir).batch([0, 1, 2])
    objective = NextToken()
    objective.attach(model)
    found = objective(model, batch, 0)
    logits = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits
    expected = token_losses(logits, batch.labels)
    torch.testing.assert_close(found.losses, expected.detach(), rtol=1e-5, atol=1e-6)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    ours, theirs = (torch.autograd.grad(total, weights) for total in (found.total, expected.sum()))
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
