"""Likelihoods of a tuned student are taken in the tokens of its training."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from mashbill.errors import BillError
from mashbill.records import QA
from tests.train.supervised_plans import plan, supervision
from tests.train.test_supervision import CHATML, chat, chatty
from train.asking import ByForm, ByText
from train.eval_spec import EvalSpec
from train.evaluate import evaluate
from train.examples import asked
from train.hardware import Hardware
from train.prompt_form import prompt_form
from train.questions import Question
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.run import train_student
from train.student import Student, load_student
from train.tokenizer import StudentTokenizer

THINKS = CHATML.replace(
    "message['content'] + '<|im_end|>'",
    "('<think>\n\n</think>\n\n' if message['role'] == 'assistant' else '') + message['content'] + '<|im_end|>'",
)
WHICH = Question(id="q", kind="choice", question="Which?", options=("salt", "oak"), answer="oak", context="Oak it is.")


@pytest.mark.parametrize("template", [CHATML, THINKS])
def test_a_tuned_student_is_asked_in_the_tokens_of_its_training(template: str) -> None:
    tokenizer = chatty(template)
    form = prompt_form(chat(), tokenizer)
    asking = ByForm(form, tokenizer)
    (given,) = form.prompt_ids([form.prompt(asked(WHICH.question, WHICH.options, WHICH.context))])
    for option, (ids, start) in zip(
        WHICH.options, asking.answered([(WHICH, option) for option in WHICH.options]), strict=True
    ):
        assert ids[: len(given)] == tuple(given)
        assert tokenizer.decode(list(ids[start:])) == option, "neither the end nor what the template writes before it"
        (learned,) = form.completion_ids([form.completion(asked("Which?"), "", option)])
        assert [*ids[len(given) :], *learned[len(ids) - len(given) :]] == learned
    assert asking.prompts([WHICH]) == [given]
    assert asking.answer("<think>\n\n</think>\n\nsalt\nand" if template == THINKS else " salt\nand") == "salt"
    ((ids, start),) = asking.unasked(["oak"])
    assert "Which" not in tokenizer.decode(list(ids))


def test_letters_are_scored_where_letters_were_taught() -> None:
    tokenizer = chatty()
    asking = ByForm(prompt_form(chat(choices="letter"), tokenizer), tokenizer)
    assert asking.said(WHICH) == ("A", "B")
    assert ByForm(prompt_form(chat(), tokenizer), tokenizer).said(WHICH) == ("salt", "oak")


def test_a_student_tuned_by_letter_is_right_by_likelihood(tokenizer: StudentTokenizer, tmp_path: Path) -> None:
    things = [("salt", "oak"), ("rye", "cork"), ("gin", "fox"), ("tax", "mash")]
    rows = [QA.new(question=f"{at}?", options=one, answer=one[at % 2]) for at, one in enumerate(things)]
    spec = supervision(choices="letter", system="Be brief.")
    plan({"qa": rows}, tokenizer, spec, tmp_path / "plan", tokens=150 * 4 * 64, sequence_length=64)
    result = train_student(
        plan_dir=tmp_path / "plan", out=tmp_path / "run", hardware=Hardware(device="cpu"),
        student=StudentSpec(scratch=Scratch(layers=2, width=64, heads=4, mlp_width=128)),
        recipe=TrainRecipe(learning_rate=5e-3, weight_decay=0.0),
    )  # fmt: skip
    path = tmp_path / "questions.jsonl"
    lines = [{"id": row.id, "question": row.question, "options": row.options, "answer": row.answer} for row in rows]
    path.write_text("\n".join(map(json.dumps, lines)))
    tuned = evaluate(result.model_dir, path)
    assert tuned.overall.choice_accuracy is not None
    assert tuned.overall.choice_accuracy.value == 1.0
    assert all(row.gold_logprob > math.log(0.5) for row in tuned.rows)
    # A prompt of the bill's own goes before the student's: then options and system prompt are not shown.
    asked_otherwise = evaluate(result.model_dir, path, spec=EvalSpec(prompt="{question}"))
    assert all(row.gold_logprob < math.log(0.5) for row in asked_otherwise.rows)
    assert asked_otherwise.identity != tuned.identity
    ends = json.loads((result.model_dir / "generation_config.json").read_text())["eos_token_id"]
    assert ends == tokenizer.ends


def test_a_student_in_memory_is_asked_as_it_is_said_to_be_tuned(tiny: StudentSpec, tmp_path: Path) -> None:
    student: Student = load_student(tiny)
    path = tmp_path / "questions.jsonl"
    path.write_text(WHICH.model_dump_json())
    plain = evaluate(student, path).rows[0]
    tuned = evaluate(student, path, supervision=supervision()).rows[0]
    ids = ByForm(prompt_form(supervision(), student.tokenizer), student.tokenizer).answered([(WHICH, "oak")])[0]
    with torch.no_grad():
        logprobs = student.model(torch.tensor([ids[0]])).logits.log_softmax(-1)[0]
    by_hand = sum(float(logprobs[at - 1, ids[0][at]]) for at in range(ids[1], len(ids[0])))
    assert tuned.option_logprobs[1] == pytest.approx(by_hand, abs=1e-4)
    assert plain.option_logprobs != tuned.option_logprobs


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": "Answer:"}, "has no {question} in it"),
        ({"prompt": "{question} {context}"}, "cannot be filled in"),
        ({"prompt": "{question} {"}, "cannot be filled in"),
        ({"most_tokens": 0}, "at least 1"),
    ],
)
def test_a_prompt_that_asks_nothing_is_refused_before_any_work(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BillError, match=message):
        EvalSpec(**fields)


def test_a_prompt_of_ones_own_is_taken_as_it_is(tokenizer: StudentTokenizer) -> None:
    asking = ByText(EvalSpec(prompt="{{}} {question} ->"), tokenizer)
    assert tokenizer.decode(asking.prompts([WHICH])[0]) == "{} Which? ->"
