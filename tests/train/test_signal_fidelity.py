"""A student beside stored signals: by hand, and against itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.train.taught_plans import CPU, distill, scorer, teacher_at
from train.distill_spec import Teaching
from train.hardware import Hardware
from train.recipe import Scratch, StudentSpec
from train.signal_fidelity import signal_fidelity
from train.student import load_model
from train.teacher_table import Signal
from train.teaching import frozen_teacher
from train.tokenizer import StudentTokenizer


def test_a_student_that_is_its_teacher_agrees_with_it_everywhere(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    spec = distill(teacher_at(tmp_path), k=20)
    scores = scorer(spec, tokenizer.identity)
    texts = [np.array(ids, np.int32) for ids in tokenizer.documents(["salt and rye", "oak", "copper still, the guild"])]
    found = signal_fidelity(scores.teacher, texts, scores.signals(texts, ["a", "b", "c"]))
    assert found.tokens == sum(len(tokens) - 1 for tokens in texts)
    assert found.agreement.value == 1
    assert found.accuracy == found.teacher_accuracy
    assert found.divergence == pytest.approx(0, abs=1e-5)
    assert found.ece == pytest.approx(found.teacher_ece, abs=1e-3)


def test_rates_are_counted_against_the_text_and_the_teacher(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    path = teacher_at(tmp_path, seed=3)
    spec = StudentSpec(scratch=Scratch())
    student = frozen_teacher(
        Teaching(distill(path), spec, {}), tokenizer.identity, Hardware(device="cpu"), CPU, context=64
    )
    tokens = np.array(tokenizer.documents(["mash and barrel"])[0], np.int32)
    with torch.no_grad():
        q = load_model(path).eval()(input_ids=torch.from_numpy(tokens.astype(np.int64))[None]).logits[0, :-1]
    ours = q.argmax(1).numpy()
    labels = tokens[1:]
    # A teacher that says the student's choice at even places and the text's token, with 0.9, at odd ones.
    first = np.where(np.arange(len(labels)) % 2 == 0, ours, labels).astype(np.int32)
    second = (first + 1) % 258
    count = len(labels)
    logs = np.tile(np.log([0.9, 0.05]), (count, 1)).astype(np.float16)
    signal = Signal(
        {"ids": np.stack([first, second], 1).ravel(), "log_probs": logs.ravel(),
         "log_tail": np.full(count, np.log(0.05), np.float16)}, count,
    )  # fmt: skip
    found = signal_fidelity(student, [tokens], [signal])
    assert found.accuracy.value == pytest.approx(float((ours == labels).mean()))
    assert found.teacher_accuracy.value == pytest.approx(float((first == labels).mean()))
    assert found.agreement.value == pytest.approx(float((first == ours).mean()))
    wrong = first != labels
    assert found.agreement_where_wrong is not None
    assert found.agreement_where_wrong.value == pytest.approx(float((first == ours)[wrong].mean()))
    log_q = q.log_softmax(1)
    rows = torch.arange(count)
    one, two = (log_q[rows, torch.from_numpy(ids.astype(np.int64))].exp() for ids in (first, second))
    p = np.array([0.9, 0.05, 0.05])
    by_hand = sum(
        float((share * (np.log(share) - bin_.log())).mean())
        for share, bin_ in zip(p, (one, two, 1 - one - two), strict=True)
    )
    assert found.divergence == pytest.approx(by_hand, rel=2e-3)
    assert found.loss == pytest.approx(float(-log_q[rows, torch.from_numpy(labels.astype(np.int64))].mean()), rel=1e-5)


def test_a_text_of_one_token_cannot_be_measured(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    scores = scorer(distill(teacher_at(tmp_path)), tokenizer.identity)
    with pytest.raises(ValueError, match="no text has two tokens"):
        signal_fidelity(scores.teacher, [np.array([4], np.int32)], [Signal({}, 0)])
