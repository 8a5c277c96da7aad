"""Sparse and dense losses against autograd over the whole vocabulary, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from train.chunked_head import ChunkLoss, head_loss, logit_loss
from train.divergence import DIVERGENCES, MIXES, forward_kl, jsd, reverse_kl, skew_kl, tvd
from train.soft_loss import SparseTarget, hard_loss, mixed_loss, soft_loss

VOCABULARY = 23


def logits_of(seed: int, rows: int = 7, scale: float = 3.0) -> torch.Tensor:
    made = torch.Generator().manual_seed(seed)
    return torch.randn(rows, VOCABULARY, generator=made, dtype=torch.float64) * scale


def top(teacher: torch.Tensor, k: int) -> SparseTarget:
    shares, ids = teacher.softmax(1).topk(k, dim=1)
    return SparseTarget(ids, shares, (1 - shares.sum(1)).clamp_min(0) if k < VOCABULARY else torch.zeros(len(ids)))


def dense_top(logits: torch.Tensor, target: SparseTarget) -> torch.Tensor:
    """The divergence over k + 1 bins, written out over the whole vocabulary."""
    assert target.tail is not None
    q = logits.softmax(1)
    picked = q.gather(1, target.ids)
    outside = q.sum(1) - picked.sum(1)
    bins = torch.cat([picked, outside[:, None]], 1)
    p = torch.cat([target.shares, target.tail[:, None].to(q)], 1)
    return (torch.xlogy(p, p) - torch.where(p > 0, p * bins.clamp_min(1e-300).log(), 0.0)).sum(1)


def gradient_of(loss: Callable[[torch.Tensor], torch.Tensor], logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
    at = logits.clone().requires_grad_()
    losses = loss(at)
    return losses.detach(), torch.autograd.grad(losses.sum(), at)[0]


@given(st.integers(0, 10**6), st.integers(1, VOCABULARY), st.floats(0.1, 8))
@settings(max_examples=60, deadline=None)
def test_top_entries_with_a_tail_are_exact(seed: int, k: int, scale: float) -> None:
    logits, target = logits_of(seed, scale=scale), top(logits_of(seed + 1, scale=scale), k)
    losses, gradient = gradient_of(lambda at: dense_top(at, target), logits)
    found = soft_loss(logits.clone(), target)
    torch.testing.assert_close(found.losses, losses, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(found.gradient, gradient, rtol=1e-8, atol=1e-11)


@given(st.integers(0, 10**6), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_shares_without_a_tail_are_exact(seed: int, k: int) -> None:
    logits = logits_of(seed)
    made = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randperm(VOCABULARY, generator=made)[:k] for _ in range(len(logits))])
    shares = torch.rand(len(logits), k, generator=made, dtype=torch.float64)

    def dense(at: torch.Tensor) -> torch.Tensor:
        return (torch.xlogy(shares, shares) - shares * at.log_softmax(1).gather(1, ids)).sum(1)

    losses, gradient = gradient_of(dense, logits)
    found = soft_loss(logits.clone(), SparseTarget(ids, shares, None))
    torch.testing.assert_close(found.losses, losses)
    torch.testing.assert_close(found.gradient, gradient, rtol=1e-9, atol=1e-12)


def test_a_hard_label_is_cross_entropy() -> None:
    logits, labels = logits_of(3), torch.arange(7)
    losses, gradient = gradient_of(lambda at: functional.cross_entropy(at, labels, reduction="none"), logits)
    one = SparseTarget(labels[:, None], torch.ones(7, 1, dtype=torch.float64), None)
    for found in (hard_loss(logits.clone(), labels), soft_loss(logits.clone(), one)):
        torch.testing.assert_close(found.losses, losses)
        torch.testing.assert_close(found.gradient, gradient)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("k", [0, 4])
def test_label_and_teacher_are_mixed_row_by_row(temperature: float, k: int) -> None:
    logits, labels = logits_of(5), torch.tensor([0, 3, 9, 22, 1, 1, 7])
    share = torch.tensor([0.0, 1.0, 0.5, 0.3, 0.9, 0.0, 1.0], dtype=torch.float64)
    teacher = logits_of(6)
    target = top(teacher / temperature, 4) if k else SparseTarget(labels[:, None], torch.ones(7, 1).double() / 2, None)

    def dense(at: torch.Tensor) -> torch.Tensor:
        soft = at / temperature
        own = soft.log_softmax(1).gather(1, target.ids)
        without = (torch.xlogy(target.shares, target.shares) - target.shares * own).sum(1)
        divergence = dense_top(soft, target) if k else without
        hard = functional.cross_entropy(at, labels, reduction="none")
        return (1 - share) * hard + share * temperature**2 * divergence

    losses, gradient = gradient_of(dense, logits)
    found, hard, soft = mixed_loss(logits.clone(), labels, target, share, temperature)
    torch.testing.assert_close(found.losses, losses)
    torch.testing.assert_close(found.gradient, gradient)
    torch.testing.assert_close(hard, functional.cross_entropy(logits, labels, reduction="none"))
    torch.testing.assert_close((1 - share) * hard + share * soft, losses)


def test_the_divergence_of_a_twin_is_nothing() -> None:
    logits = logits_of(9)
    for k in (1, 5, VOCABULARY):
        found = soft_loss(logits.clone(), top(logits, k))
        torch.testing.assert_close(found.losses, torch.zeros(7, dtype=torch.float64), atol=1e-12, rtol=0)
        torch.testing.assert_close(found.gradient, torch.zeros_like(logits), atol=1e-12, rtol=0)


@given(st.integers(0, 10**6), st.integers(1, VOCABULARY))
@settings(max_examples=40, deadline=None)
def test_top_entries_with_a_tail_never_say_more_than_the_whole(seed: int, k: int) -> None:
    student, teacher = logits_of(seed), logits_of(seed + 1)
    whole = forward_kl(teacher.log_softmax(1), student.log_softmax(1))
    assert torch.all(soft_loss(student.clone(), top(teacher, k)).losses <= whole + 1e-9)


def test_a_sure_student_has_finite_losses_and_gradients_in_single_precision() -> None:
    logits = torch.zeros(2, VOCABULARY)
    logits[0, 1], logits[1, 2] = 80.0, -80.0
    target = SparseTarget(torch.tensor([[1, 2], [1, 2]]), torch.tensor([[0.9, 0.05]] * 2), torch.tensor([0.05] * 2))
    found = soft_loss(logits.clone(), target)
    assert torch.isfinite(found.losses).all()
    assert torch.isfinite(found.gradient).all()
    # log q of token 1 is 0, of token 2 is -80, and of the 21 others together log 21 - 80.
    entropy = 0.9 * math.log(0.9) + 2 * 0.05 * math.log(0.05)
    assert float(found.losses[0]) == pytest.approx(entropy + 0.05 * 80 + 0.05 * (80 - math.log(21)), rel=1e-5)


def test_drawn_counts_are_unbiased_and_renormalised_tops_are_not() -> None:
    """The mean gradient over many draws is the dense one; that of the top renormalised stays away from it."""
    student, teacher = logits_of(1, rows=3, scale=1.0), logits_of(2, rows=3, scale=1.0)
    p = teacher.softmax(1)
    _, exact = gradient_of(lambda at: forward_kl(teacher.log_softmax(1), at.log_softmax(1)), student)
    made = torch.Generator().manual_seed(0)
    mean, times = torch.zeros_like(student), 400
    for _ in range(times):
        drawn = torch.multinomial(p, 50, replacement=True, generator=made)
        counts = torch.zeros_like(p).scatter_add_(1, drawn, torch.ones_like(drawn, dtype=p.dtype))
        shares, ids = counts.div(50).topk(20, dim=1)
        mean += soft_loss(student.clone(), SparseTarget(ids, shares, None)).gradient / times
    shares, ids = p.topk(5, dim=1)
    renormalised = soft_loss(student.clone(), SparseTarget(ids, shares / shares.sum(1, keepdim=True), None)).gradient
    # 20,000 draws: a standard error of at most 0.5 / sqrt(20,000) = 0.0035 each, over five of them.
    assert float((mean - exact).abs().max()) < 0.018
    assert float((renormalised - exact).abs().max()) > 0.05


# Every divergence at p = (0.7, 0.2, 0.1), q = (0.4, 0.4, 0.2), worked out by hand.
BY_HAND = {
    "forward_kl": 0.7 * math.log(0.7 / 0.4) + 0.2 * math.log(0.5) + 0.1 * math.log(0.5),
    "reverse_kl": 0.4 * math.log(0.4 / 0.7) + 0.4 * math.log(2) + 0.2 * math.log(2),
    "jsd": 0.5 * (0.7 * math.log(0.7 / 0.55) + 0.2 * math.log(0.2 / 0.3) + 0.1 * math.log(0.1 / 0.15))
    + 0.5 * (0.4 * math.log(0.4 / 0.55) + 0.4 * math.log(0.4 / 0.3) + 0.2 * math.log(0.2 / 0.15)),
    "skew_kl": 0.7 * math.log(0.7 / 0.43) + 0.2 * math.log(0.2 / 0.38) + 0.1 * math.log(0.1 / 0.19),
    "tvd": 0.3,
}


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_divergence_is_what_its_formula_says(name: str) -> None:
    p, q = (torch.tensor([row], dtype=torch.float64).log() for row in ([0.7, 0.2, 0.1], [0.4, 0.4, 0.2]))
    mix = MIXES.get(name, 0.0)
    assert float(DIVERGENCES[name](p, q, mix)) == pytest.approx(BY_HAND[name], rel=1e-12)
    assert float(DIVERGENCES[name](p, p, mix)) == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 10**6), st.floats(0.05, 0.95))
@settings(max_examples=30, deadline=None)
def test_divergences_bound_each_other(seed: int, mix: float) -> None:
    p, q = logits_of(seed).log_softmax(1), logits_of(seed + 1).log_softmax(1)
    assert torch.all(tvd(p, q) ** 2 <= forward_kl(p, q) / 2 + 1e-9)  # Pinsker
    assert torch.all(jsd(p, q, 0.5) <= math.log(2) + 1e-9)
    assert torch.all(skew_kl(p, q, mix) <= (1 - mix) * forward_kl(p, q) + 1e-9)  # convexity
    assert torch.all(reverse_kl(p, q) >= -1e-12)


@pytest.mark.parametrize("chunk", [1, 3, 64])
@pytest.mark.parametrize("bias", [False, True])
def test_the_chunked_head_is_the_dense_one(chunk: int, bias: bool) -> None:
    made = torch.Generator().manual_seed(0)
    hidden = torch.randn(7, 5, generator=made, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(VOCABULARY, 5, generator=made, dtype=torch.float64, requires_grad=True)
    offset = torch.randn(VOCABULARY, generator=made, dtype=torch.float64, requires_grad=True) if bias else None
    labels = torch.tensor([0, 3, 9, 22, 1, 1, 7])
    weights = torch.rand(7, generator=made, dtype=torch.float64)
    inputs = [hidden, weight, *([offset] if offset is not None else [])]
    dense = functional.cross_entropy(functional.linear(hidden, weight, offset), labels, reduction="none") * weights
    expected = torch.autograd.grad(dense.sum() * 0.25, inputs)

    def kernel(logits: torch.Tensor, rows: slice) -> ChunkLoss:
        found = hard_loss(logits, labels[rows])
        return ChunkLoss(found.losses, found.gradient, found.losses.clone()[None])

    found = head_loss(hidden, weight, kernel, bias=offset, weights=weights, chunk=chunk)
    torch.testing.assert_close(found.losses, dense)
    assert found.parts is not None
    torch.testing.assert_close(found.parts[0] * weights, dense)
    for one, two in zip(torch.autograd.grad(found.total * 0.25, inputs), expected, strict=True):
        torch.testing.assert_close(one, two)
    logits = functional.linear(hidden, weight, offset)
    there = logit_loss(logits, kernel, weights=weights, chunk=chunk)
    for one, two in zip(torch.autograd.grad(there.total * 0.25, inputs), expected, strict=True):
        torch.testing.assert_close(one, two)


def test_a_head_that_is_not_trained_gets_no_gradient() -> None:
    hidden = torch.randn(3, 4, requires_grad=True)
    weight = torch.randn(VOCABULARY, 4)
    labels = torch.tensor([1, 2, 3])

    def kernel(logits: torch.Tensor, rows: slice) -> ChunkLoss:
        found = hard_loss(logits, labels[rows])
        return ChunkLoss(found.losses, found.gradient)

    found = head_loss(hidden, weight, kernel)
    torch.autograd.backward(found.total)
    assert hidden.grad is not None
    assert weight.grad is None
    with pytest.raises((RuntimeError, TypeError)):
        torch.autograd.backward(found.total)
