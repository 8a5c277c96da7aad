"""How near a student's probabilities are to its teacher's, token by token, and how right both are.

Beside accuracy, since the two need not rise together (2505.15442): a student may come close to a teacher that is wrong.
Four tokens of a text, a teacher that is right on the first three::

    next token   A B C D        accuracy of the teacher 0.75, of the student 0.5
    teacher      A B C X        agreement 0.75; where the teacher is right 0.67, where it is wrong 1.0
    student      A B Q X
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch

from mashbill.calibration import BINS, calibration
from train.chunked_head import CHUNK
from train.frozen_teacher import FrozenTeacher
from train.intervals import Interval, wilson
from train.soft_loss import SparseTarget, soft_loss
from train.teacher_table import Signal

Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class SignalFidelity:
    """Over the tokens of some texts."""

    tokens: int
    accuracy: Interval
    """The student's first choice is the text's next token."""
    teacher_accuracy: Interval
    agreement: Interval
    """Both have the same first choice."""
    agreement_where_right: Interval | None
    """None where the teacher is never right."""
    agreement_where_wrong: Interval | None
    divergence: float
    """Mean KL(teacher | student) in nats, over the teacher's top entries and one bin for all others."""
    divergence_by_entropy: tuple[float, float, float]
    """The same for the third of the tokens on which the teacher is surest, for the next third, and for the last."""
    ece: float
    """Expected calibration error of the student's first choice."""
    teacher_ece: float
    loss: float
    """The student's cross-entropy of the text, nats a token."""

    def as_json(self) -> dict[str, object]:
        """For a report."""
        return asdict(self)


def signal_fidelity(student: FrozenTeacher, texts: Sequence[Tokens], signals: Sequence[Signal]) -> SignalFidelity:
    """Lay a student beside stored top entries; of a text longer than its context the beginning.

    Raises:
        ValueError: when no text has a second token.
    """
    rows = [_text(student, tokens, signal) for tokens, signal in zip(texts, signals, strict=True) if len(tokens) > 1]
    if not rows:
        raise ValueError("no text has two tokens; give longer texts")
    whole = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    right, theirs, agree = (whole[name].astype(bool) for name in ("right", "teacher_right", "agree"))
    thirds = np.array_split(whole["divergence"][np.argsort(whole["entropy"], kind="stable")], 3)
    return SignalFidelity(
        tokens=len(right),
        accuracy=_share(right),
        teacher_accuracy=_share(theirs),
        agreement=_share(agree),
        agreement_where_right=_share(agree[theirs]) if theirs.any() else None,
        agreement_where_wrong=_share(agree[~theirs]) if not theirs.all() else None,
        divergence=float(whole["divergence"].mean()),
        divergence_by_entropy=tuple(float(third.mean()) if len(third) else 0.0 for third in thirds),  # type: ignore[arg-type]
        ece=calibration(whole["sure"].tolist(), right.tolist(), bins=BINS).ece,
        teacher_ece=calibration(whole["teacher_sure"].tolist(), theirs.tolist(), bins=BINS).ece,
        loss=float(whole["loss"].mean()),
    )


def _text(student: FrozenTeacher, tokens: Tokens, signal: Signal) -> Mapping[str, npt.NDArray[np.float64]]:
    length = min(len(tokens), student.context or len(tokens))
    device = student.head.weight.device
    ids = torch.from_numpy(tokens[:length].astype(np.int64))[None].to(device)
    hidden = student.hidden(ids, torch.arange(length, device=device)[None])[0, :-1]
    target, labels, pieces = _target(signal, length - 1, device), ids[0, 1:], []
    for start in range(0, length - 1, CHUNK):
        rows = slice(start, min(start + CHUNK, length - 1))
        log_q = student.log_probs(hidden[rows])
        pieces.append(_judged(log_q, target[rows], labels[rows]))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _judged(log_q: torch.Tensor, target: SparseTarget, labels: torch.Tensor) -> dict[str, npt.NDArray[np.float64]]:
    assert target.tail is not None
    sure, first = log_q.max(1)
    theirs = target.ids[:, 0]
    bins = torch.cat([target.shares, target.tail[:, None]], dim=1)
    found = {
        "right": first == labels,
        "teacher_right": theirs == labels,
        "agree": first == theirs,
        "sure": sure.exp(),
        "teacher_sure": target.shares[:, 0],
        "entropy": -torch.xlogy(bins, bins).sum(1),
        "loss": -log_q.gather(1, labels[:, None])[:, 0],
        "divergence": soft_loss(log_q.clone(), target).losses,
    }
    return {name: one.double().cpu().numpy() for name, one in found.items()}


def _target(signal: Signal, count: int, device: torch.device) -> SparseTarget:
    k = len(signal.columns["ids"]) // max(signal.positions, 1)
    ids = signal.columns["ids"].astype(np.int64).reshape(-1, k)[:count]
    logs = np.concatenate(
        [
            signal.columns["log_probs"].astype(np.float32).reshape(-1, k)[:count],
            signal.columns["log_tail"].astype(np.float32)[:count, None],
        ],
        axis=1,
    )
    shares = torch.from_numpy(np.exp(logs)).to(device)
    shares /= shares.sum(1, keepdim=True)
    return SparseTarget(torch.from_numpy(ids).to(device), shares[:, :k], shares[:, k])


def _share(marks: npt.NDArray[np.bool_]) -> Interval:
    return wilson(int(marks.sum()), len(marks))
