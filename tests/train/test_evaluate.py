from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import torch
import yaml

from mashbill.errors import InputError, StoreError
from train.asking import ByText
from train.compare import compare
from train.eval_spec import EvalSpec
from train.evaluate import EvalResult, evaluate
from train.hardware import Hardware
from train.intervals import bootstrap, sign_test, wilson
from train.marking import mark_choice, mark_short, normalise
from train.model_card import model_card
from train.plan import PlanSpec, build_plan
from train.questions import Question, read_questions
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.render import token_tables
from train.result import TrainResult
from train.run import train_student
from train.scoring import Score, Scorer
from train.student import Student, load_student, save_student
from train.tokenizer import StudentTokenizer

FACTS = {"Who led?": "Ora", "What was taxed?": "salt", "It floats?": "cork", "Where is it?": "Veylund"}
OPTIONS = list(FACTS.values())


def questions() -> list[dict[str, object]]:
    choices: list[dict[str, object]] = [
        {
            "id": f"c{n}",
            "document": f"d{n % 2}",
            "kind": "choice",
            "question": q,
            "options": OPTIONS,
            "answer": a,
            "hops": 1 + n % 2,
        }
        for n, (q, a) in enumerate(FACTS.items())
    ]
    shorts: list[dict[str, object]] = [
        {"id": f"s{n}", "document": f"d{n % 2}", "kind": "short", "question": q, "answer": a.upper(), "aliases": [a]}
        for n, (q, a) in enumerate(FACTS.items())
    ]
    return [*choices, *shorts]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    path.write_text("\n".join(json.dumps(question) for question in questions()) + "\n")
    return path


@pytest.fixture(scope="module")
def student(tiny: StudentSpec) -> Student:
    return load_student(tiny)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, tokenizer: StudentTokenizer) -> TrainResult:
    """A student that has learned the facts by heart: the whole way from text to a checkpoint."""
    out = tmp_path_factory.mktemp("taught")
    texts = [f"Question: {question}\nAnswer: {answer}" for question, answer in FACTS.items()]
    table = pa.table({"id": [str(n) for n in range(len(texts))], "text": texts})
    spec = PlanSpec(tokens=50_000, sequence_length=128, batch=2)
    build_plan({"facts": token_tables([table], tokenizer)}, spec=spec, out=out / "plan", tokenizer=tokenizer.identity)
    recipe = TrainRecipe(learning_rate=5e-3, weight_decay=0.0)
    small = StudentSpec(scratch=Scratch(layers=2, width=64, heads=4, mlp_width=128))
    return train_student(plan_dir=out / "plan", student=small, recipe=recipe, hardware=Hardware(), out=out / "run")


def test_a_taught_student_knows_and_the_comparison_says_so(
    student: Student, taught: TrainResult, asked: Path, tmp_path: Path
) -> None:
    before = evaluate(student, asked)
    after = evaluate(taught.model_dir, asked, out=tmp_path)
    assert after.chance == 0.25
    assert after.overall.choice_accuracy is not None
    assert after.overall.choice_accuracy.value == 1.0
    assert after.overall.short_exact is not None
    assert after.overall.short_exact.value == 1.0
    assert {row.given for row in after.rows if row.kind == "short"} == set(OPTIONS)
    comparison = compare(before, after)
    shorts = next(one for one in comparison.differences if one.measure == "short_exact")
    assert (shorts.before, shorts.after, shorts.won, shorts.lost, shorts.p) == (0.0, 1.0, 4, 0, 0.125)
    assert {"s0", "s1", "s2", "s3"} <= set(comparison.won)
    assert comparison.lost == ()
    likelier = next(one for one in comparison.differences if one.measure == "gold_logprob")
    assert likelier.difference.low > 1


def test_the_comparison_stands_in_the_card(student: Student, taught: TrainResult, asked: Path, plan_dir: Path) -> None:
    from train.plan_manifest import PlanManifest

    table = compare(evaluate(student, asked), evaluate(taught.model_dir, asked)).table()
    card = model_card(
        taught, PlanManifest.read(plan_dir), StudentSpec(path=taught.model_dir), TrainRecipe(), evaluation=table,
        base_repo="org/base", license="apache-2.0",
    )  # fmt: skip
    assert "| short_exact (4 questions) | 0.000 | 1.000 | +1.000 (won 4, lost 0, p = 0.12) |" in card
    header = yaml.safe_load(card.split("---\n")[1])
    assert (header["base_model"], header["license"]) == ("org/base", "apache-2.0")


def test_an_evaluation_is_kept_and_read_back(taught: TrainResult, asked: Path, tmp_path: Path) -> None:
    first = evaluate(taught.model_dir, asked, out=tmp_path)
    stamp = (tmp_path / "evaluation.json").stat().st_mtime_ns
    assert evaluate(taught.model_dir, asked, out=tmp_path) == first
    assert (tmp_path / "evaluation.json").stat().st_mtime_ns == stamp
    assert EvalResult.read(tmp_path) == first
    with pytest.raises(StoreError, match="another spec"):
        evaluate(taught.model_dir, asked, spec=EvalSpec(primary="pmi"), out=tmp_path)
    with pytest.raises(StoreError, match="has no finished evaluation"):
        EvalResult.read(tmp_path / "nothing")


def test_slices_add_up(student: Student, asked: Path) -> None:
    result = evaluate(student, asked)
    for by in ("document", "hops", "kind"):
        assert sum(part.measures.questions for part in result.slices if part.by == by) == 8
    by_hops = {part.value: part.measures for part in result.slices if part.by == "hops"}
    assert (by_hops["1"].choices, by_hops["1"].shorts, by_hops["2"].shorts) == (2, 4, 0)
    assert by_hops["2"].short_exact is None


def test_scores_do_not_depend_on_the_batch(student: Student) -> None:
    requests = [("Question: who?\nAnswer:", f" {'x' * length}") for length in (1, 30, 7, 1)]
    alone = [Scorer(student.model.eval(), student.tokenizer, 1).scores([request])[0] for request in requests]
    together = Scorer(student.model, student.tokenizer, 4096).scores(requests)
    for one, two in zip(alone, together, strict=True):
        assert one.tokens == two.tokens
        assert two.logprob == pytest.approx(one.logprob, abs=1e-4)


def test_a_score_is_the_log_probability(student: Student) -> None:
    score = Scorer(student.model.eval(), student.tokenizer).scores([("ab", " cd")])[0]
    ids = torch.tensor(student.tokenizer.ids(["ab cd"]))
    with torch.no_grad():
        logprobs = student.model(ids).logits.log_softmax(-1)
    expected = sum(float(logprobs[0, at - 1, ids[0, at]]) for at in range(2, 5))
    assert score.tokens == 3
    assert score.logprob == pytest.approx(expected, abs=1e-5)


def test_greedy_answers_do_not_depend_on_the_batch(taught: TrainResult, tokenizer: StudentTokenizer) -> None:
    from train.student import load_model

    scorer = Scorer(load_model(taught.model_dir).eval(), tokenizer)
    ids = ByText(EvalSpec(), tokenizer).prompts(
        [Question(id=one, kind="short", question=one, answer="?") for one in FACTS]
    )
    together, alone = scorer.greedy(ids), [scorer.greedy([one])[0] for one in ids]
    assert together == alone
    assert [text.split("\n")[0].strip() for text in together] == OPTIONS


def test_the_three_ways_to_choose_differ_where_they_should() -> None:
    question = Question(id="q", kind="choice", question="?", options=("ab", "abcdefgh", "xy"), answer="abcdefgh")
    scores = [Score(-4.0, 1), Score(-6.0, 2), Score(-5.0, 1)]
    priors = [Score(-1.0, 1), Score(-4.0, 2), Score(-9.0, 1)]
    marked = mark_choice(question, scores, priors, "per_character")
    assert (marked.correct_per_character, marked.correct_sum, marked.correct_pmi) == (True, False, False)
    assert (marked.correct, marked.given, marked.gold_logprob) == (True, "abcdefgh", -3.0)
    assert mark_choice(question, scores, priors, "pmi").given == "xy"


def test_short_answers_are_normalised() -> None:
    question = Question(id="q", kind="short", question="?", answer="The Salt Guild", aliases=("Guild of Salt",))
    assert mark_short(question, [Score(-4, 2), Score(-3, 3)], "salt guild!").correct
    marked = mark_short(question, [Score(-4, 2), Score(-3, 3)], "It was the Guild of Salt, I think")
    assert (marked.correct, marked.contained, marked.gold_logprob) == (False, True, -1.0)
    assert normalise("A  man, the plan") == "man plan"


def test_wilson_against_known_values() -> None:
    # Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert (wilson(81, 263).low, wilson(81, 263).high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert (wilson(0, 20).low, wilson(0, 20).high) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert math.isnan(wilson(0, 0).value)


def test_the_bootstrap_is_seeded_and_covers() -> None:
    values = [0.0, 1.0] * 50
    first = bootstrap(values, seed=1)
    assert first == bootstrap(values, seed=1)
    # The normal approximation: 0.5 +- 1.96 * 0.5 / 10.
    assert (first.low, first.high) == pytest.approx((0.402, 0.598), abs=0.02)
    by_two = bootstrap(values, seed=1, groups=[n // 2 for n in range(100)])
    assert (by_two.low, by_two.high) == (0.5, 0.5)
    tens = bootstrap([float(n // 10 % 2) for n in range(100)], seed=1, groups=[n // 10 for n in range(100)])
    assert tens.high - tens.low > 2 * (first.high - first.low)
    assert math.isnan(bootstrap([], seed=0).value)


def test_the_sign_test_against_known_values() -> None:
    assert sign_test(won=9, lost=1) == pytest.approx(22 / 1024)
    assert sign_test(won=3, lost=3) == 1.0
    assert sign_test(won=0, lost=0) == 1.0


GOOD = {"id": "a", "kind": "choice", "question": "?", "options": ["x", "y"], "answer": "x"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"q\.jsonl:2: Invalid JSON"),
        (json.dumps({**GOOD, "id": "b", "answer": "z"}), r"q\.jsonl:2: .*'z' is not among the options"),
        (json.dumps({**GOOD, "id": "b", "options": ["x"]}), r"q\.jsonl:2: .*two or more different"),
        (json.dumps({**GOOD, "id": "b", "kind": "essay"}), r"q\.jsonl:2: kind: Input should be"),
        (json.dumps({"kind": "short", "question": "?", "answer": "x"}), r"q\.jsonl:2: id: Field required"),
        (json.dumps(GOOD), r"q\.jsonl:2: id 'a' is on line 1 already"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + line + "\n")
    with pytest.raises(InputError, match=message):
        read_questions(path)


def test_no_questions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="has no questions"):
        read_questions(tmp_path / "empty.jsonl")


def test_other_questions_do_not_compare(student: Student, asked: Path, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text("\n".join(asked.read_text().splitlines()[:3]))
    with pytest.raises(StoreError, match="evaluate both students on one file"):
        compare(evaluate(student, asked), evaluate(student, fewer))


def test_a_tokenizer_with_a_bos_is_asked_with_it(make_documents: Callable[..., pa.Table], tmp_path: Path) -> None:
    from tokenizers import processors

    spec = StudentSpec(scratch=Scratch(layers=1, width=16, heads=2))
    student = load_student(spec)
    inner = student.tokenizer.inner
    inner.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|pad|> $A", special_tokens=[("<|pad|>", 1)]
    )
    save_student(Student(student.model, StudentTokenizer(inner)), tmp_path)
    from train.tokenizer import load_tokenizer

    again = load_tokenizer(tmp_path)
    assert again.begin == [1]
    assert again.documents(["a"])[0][0] == 1
    table = next(token_tables([make_documents("d", 2)], again))
    assert all(tokens[0] == 1 and tokens[-1] == 0 for tokens in table.column("tokens").to_pylist())
    assert Scorer(student.model.eval(), again).scores([("", "ab")])[0].tokens == 2
