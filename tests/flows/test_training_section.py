"""The `student`, `train` and `evaluate` sections: what they become, and every wrong field named with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.training_section import read_evaluation, read_student, read_training
from mashbill.errors import BillError, UserError
from mashbill.read_bill import read_bill
from tests.flows.fake_kitchen import project

HEAD = """\
name: a
seed: 9
sources:
  almanac: {read_documents: {path: corpus}}
  general: {read_documents: {path: replay}}
streams:
  raw: {from: almanac}
  plain: {from: general}
"""
STUDENT = "student: {scratch: {layers: 1, width: 16, heads: 2}}\n"
TRAIN = "train:\n  tokens: 4096\n  arms: {raw: {raw: 1}, both: {raw: 1, plain: 2}}\n"


def bill_of(folder: Path, text: str) -> Path:
    project(folder)
    path = folder / "a.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def read_all(path: Path) -> None:
    bill = read_bill(path)
    read_training(bill)
    read_evaluation(bill)


def test_a_bill_without_the_sections_trains_and_evaluates_nothing(tmp_path: Path) -> None:
    bill = read_bill(bill_of(tmp_path, ""))
    assert read_training(bill) is None
    assert read_evaluation(bill) is None


def test_plan_and_recipe_stand_side_by_side(tmp_path: Path) -> None:
    more = "  batch: 2\n  learning_rate: 0.003\n  sequence_length: 32\n  render: {domain: false}\n"
    replay = "  replay: {from: general, share: 0.1}\n"
    training = read_training(read_bill(bill_of(tmp_path, STUDENT + TRAIN + more + replay)))
    assert training is not None
    assert list(training.plans) == ["raw", "both"]
    for plan in training.plans.values():
        assert (plan.tokens, plan.batch, plan.sequence_length) == (4096, 2, 32)
        assert (plan.replay, plan.replay_share) == ("general", 0.1)
    assert dict(training.plans["both"].shares) == {"raw": 1, "plain": 2}
    assert training.recipe.learning_rate == 0.003
    assert training.render.domain is False


@pytest.mark.parametrize(("own", "seed"), [("", 9), ("  seed: 4\n", 4)])
def test_the_seed_is_the_bills_unless_the_section_has_one(own: str, seed: int, tmp_path: Path) -> None:
    training = read_training(read_bill(bill_of(tmp_path, STUDENT + TRAIN + own)))
    assert training is not None
    assert training.recipe.seed == seed
    assert {plan.seed for plan in training.plans.values()} == {seed}


def test_replay_may_come_from_a_stream_or_a_source(tmp_path: Path) -> None:
    for name in ("plain", "general"):
        path = bill_of(tmp_path / name, f"{STUDENT}{TRAIN}  replay: {{from: {name}, share: 0.2}}\n")
        training = read_training(read_bill(path))
        assert training is not None
        assert training.replay is not None
        assert training.replay.source == name


def test_paths_are_taken_from_the_folder_of_the_bill(tmp_path: Path) -> None:
    text = "student: {path: models/mine}\nevaluate: {questions: questions.jsonl, most_tokens: 7}\n"
    bill = read_bill(bill_of(tmp_path, text))
    assert read_student(bill).path == tmp_path / "models" / "mine"
    evaluation = read_evaluation(bill)
    assert evaluation is not None
    assert evaluation.questions == tmp_path / "questions.jsonl"
    assert evaluation.spec.most_tokens == 7


EVALUATE = "evaluate: {questions: questions.jsonl}\n"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (f"{STUDENT}{TRAIN}  learning_rat: 1\n", 13, "did you mean learning_rate"),
        (f"{STUDENT}{TRAIN}  learning_rate: fast\n", 13, "train.learning_rate"),
        (f"{STUDENT}{TRAIN}  learning_rate: -1\n", 10, "learning_rate cannot be -1"),
        (f"{STUDENT}{TRAIN}  batch: 0\n", 10, "batch is 0"),
        (f"{STUDENT}{TRAIN}  render: {{colour: red}}\n", 13, "unknown field"),
        (f"{STUDENT}train:\n  arms: {{raw: {{raw: 1}}}}\n", 10, "needs the field 'tokens'"),
        (f"{STUDENT}train:\n  tokens: 64\n", 10, "needs the field 'arms'"),
        (f"{STUDENT}train:\n  tokens: 64\n  arms: {{}}\n", 12, "names no arm"),
        (f"{STUDENT}train:\n  tokens: 64\n  arms: [raw]\n", 12, "must be a mapping"),
        (f"{STUDENT}train:\n  tokens: 64\n  arms:\n    raw:\n      rwa: 1\n", 14, "did you mean raw"),
        (f"{STUDENT}train:\n  tokens: 64\n  arms:\n    raw: {{raw: 0}}\n", 13, "shares above 0"),
        (f"{STUDENT}train:\n  tokens: 64\n  arms:\n    raw: {{}}\n", 13, "shares above 0"),
        (f"{STUDENT}train:\n  tokens: 64\n  arms:\n    raw: {{raw: much}}\n", 13, "found 'much'"),
        (
            f"{STUDENT}train:\n  tokens: 64\n  arms:\n    base: {{raw: 1}}\n",
            13,
            "'base' is the student before training",
        ),
        (f"{STUDENT}train:\n  tokens: 64\n  arms:\n    a/b: {{raw: 1}}\n", 13, "name of a folder"),
        (f"{STUDENT}train:\n  tokens: 64\n  arms:\n    1: {{raw: 1}}\n", 13, "the key 1 is not text"),
        (f"{STUDENT}train:\n  tokens: 64\n  arms:\n    general: {{general: 1}}\n", 13, "no stream is called 'general'"),
        (f"{STUDENT}{TRAIN}  replay: {{from: generl, share: 0.1}}\n", 13, "did you mean general"),
        (f"{STUDENT}{TRAIN}  replay:\n    from: general\n    share: 1\n", 15, "between 0 and 1"),
        (f"{STUDENT}{TRAIN}  replay: {{from: general}}\n", 13, "needs the field 'share'"),
        (f"student: {{model: gpt-9}}\n{TRAIN}", 9, "no embedded model is named"),
        (f"student: {{}}\n{TRAIN}", 9, "exactly one of model, path and scratch"),
        (f"student: {{scratch: {{width: 15, heads: 2}}}}\n{TRAIN}", 9, "does not divide"),
        (f"{STUDENT}{TRAIN}evaluate: {{}}\n", 13, "needs `questions`"),
        (f"{STUDENT}{TRAIN}evaluate: {{questions: q.jsonl}}\n", 13, "no such file"),
        (f"{STUDENT}{TRAIN}evaluate: {{questions: questions.jsonl, prompts: a}}\n", 13, "did you mean prompt"),
        (f"{STUDENT}{TRAIN}evaluate: {{questions: questions.jsonl, primary: best}}\n", 13, "per_character"),
        (f"{STUDENT}train:\n  tokens: 64\n  arms:\n    ..: {{raw: 1}}\n", 13, "name of a folder"),
        ("student: {model: gpt-9}\n", 9, "no embedded model is named"),
        ("student: {modle: gpt-9}\n", 9, "did you mean model"),
        (TRAIN, 9, "needs a `student`"),
        (EVALUATE, None, "needs a `student`"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(text: str, line: int | None, said: str, tmp_path: Path) -> None:
    path = bill_of(tmp_path, text)
    with pytest.raises(BillError) as caught:
        read_all(path)
    assert said in str(caught.value)
    assert caught.value.path == path
    assert line is None or caught.value.line == line


def test_a_broken_question_is_found_before_any_work(tmp_path: Path) -> None:
    path = bill_of(tmp_path, STUDENT + TRAIN + EVALUATE)
    (tmp_path / "questions.jsonl").write_text('{"id": "q1", "kind": "short", "question": "Who?"}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"questions\.jsonl:1: answer: "):
        read_all(path)


def test_rows_without_text_are_no_reading_for_a_student(tmp_path: Path) -> None:
    text = STUDENT + TRAIN + "steps: [steps]\nengine: {scripted_teacher: {}}\n"
    path = bill_of(tmp_path, text.replace("arms: {", "arms: {asked: {asked: 1}, "))
    (tmp_path / "steps" / "into_pairs.py").write_text(
        "from dataclasses import dataclass\n"
        "from mashbill.records import Document, Triple\n"
        "from mashbill.step import Generator\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class IntoPairs(Generator[Document, Triple]):\n"
        '    """Pairs."""\n'
        "    async def make(self, record, ask): return []\n",
        encoding="utf-8",
    )
    asked = "  asked: {from: almanac, generate: [into_pairs]}\n"
    path.write_text(path.read_text().replace("  plain:", f"{asked}  plain:"), encoding="utf-8")
    with pytest.raises(BillError, match="rows are Triple and have no text"):
        read_all(path)
