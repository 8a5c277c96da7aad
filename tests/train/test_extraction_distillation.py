"""Distilling extraction from a teacher that errs, with no gold label in training (after 2307.06439).

``"ash gave Ora fever"`` -> the teacher says ``fever`` seven times in ten and another word of the text otherwise; the
student learns what the teacher says, alone, and is asked about words it has not seen together. Gold answers are for the
test. A student that averages errors out beats its teacher.
"""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mashbill.records import Rationale
from tests.train.supervised_plans import plan, supervision
from train.batches import PlanReader
from train.fidelity import fidelity
from train.generate_eval import evaluate_written
from train.hardware import Hardware
from train.loop import Loop
from train.plan import TOKENS
from train.predictions import Prediction, of_written
from train.questions import Question
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.student import load_student
from train.supervision import Supervision
from train.token_store import TokenStore
from train.tokenizer import StudentTokenizer, load_tokenizer
from train.write_spec import WriteSpec
from train.written import judges_of

DRUGS = [f"drug{n}" for n in range(12)]
PEOPLE = [f"person{n}" for n in range(6)]
EFFECTS = [f"effect{n}" for n in range(12)]
ASKED = "Which effect?"
ERRS = 0.3
SPEC: Supervision = supervision("answer_only")


def word_tokenizer(place: Path) -> StudentTokenizer:
    words = ["<|endoftext|>", "<|unk|>", *DRUGS, *PEOPLE, *EFFECTS, "gave", "Question:", *ASKED.split(), "Answer:"]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<|unk|>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=words[0], unk_token=words[1]).save_pretrained(str(place))
    return load_tokenizer(place)


def labelled(count: int, seed: int) -> list[Rationale]:
    """Rows as the step `teacher_rationale` writes them with ``answer_only``: no reasons, and gold where it is known."""
    rng = random.Random(seed)
    rows: dict[str, Rationale] = {}
    while len(rows) < count:
        drug, person, effect = rng.choice(DRUGS), rng.choice(PEOPLE), rng.choice(EFFECTS)
        said = rng.choice([drug, person]) if rng.random() < ERRS else effect
        text = f"{drug} gave {person} {effect}"
        row = Rationale.new(task="extraction", question=ASKED, context=text, rationale="", answer=said, gold=effect)
        rows.setdefault(text, row)
    return list(rows.values())


def test_nothing_of_the_gold_label_is_learned(tmp_path: Path) -> None:
    tokenizer, rows = word_tokenizer(tmp_path / "words"), labelled(60, seed=1)
    first = plan({"said": rows}, tokenizer, SPEC, tmp_path / "first")
    other = [dataclasses.replace(row, gold="drug0") for row in rows]
    without = [dataclasses.replace(row, gold=None) for row in rows]
    assert plan({"said": other}, tokenizer, SPEC, tmp_path / "other").hash == first.hash
    assert plan({"said": without}, tokenizer, SPEC, tmp_path / "without").hash == first.hash
    store = TokenStore(tmp_path / "first" / TOKENS)
    learned = {store.ids[at]: tokenizer.decode(store.tokens(at).tolist()[-2:]).strip() for at in range(len(store))}
    assert learned == {row.id: row.answer for row in rows}
    # The labels are noisy, so a plan that had taken the gold ones would have differed.
    assert any(row.answer != row.gold for row in rows)


@pytest.mark.slow
def test_a_student_of_a_teacher_that_errs_beats_it(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    tokenizer, rows = word_tokenizer(tmp_path / "words"), labelled(700, seed=2)
    taught, held_out = rows[:550], rows[550:]
    plan({"said": taught}, tokenizer, SPEC, tmp_path / "plan", tokens=60_000, sequence_length=64, batch=4)
    small = StudentSpec(scratch=Scratch(layers=2, width=48, heads=4), tokenizer=tmp_path / "words")
    student = load_student(small, context=64)
    loop = Loop(student.model, PlanReader(tmp_path / "plan"), TrainRecipe(learning_rate=3e-3), Hardware(device="cpu"))
    for step in range(loop.reader.steps):
        loop.step(step)
    questions = [
        Question(id=row.id, kind="short", question=row.question, context=row.context, answer=str(row.gold))
        for row in held_out
    ]
    spec = WriteSpec(most_tokens=3)
    result = evaluate_written(student, questions, spec=spec, supervision=SPEC)
    teacher = {row.id: Prediction(answer=row.answer, right=row.answer == row.gold) for row in held_out}
    found = fidelity(of_written(result.rows), teacher, questions, judges_of(questions, spec, SPEC))
    assert found.student_accuracy.low > found.teacher_accuracy.value, "denoised"
    assert found.corrected is not None
    assert found.corrected.value > 0.8
    # It is the less faithful for it.
    assert found.agreement.value < found.student_accuracy.value
