from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.errors import BillError, InputError, StoreError
from mashbill.matching import matcher
from train.generate_eval import ANSWERS, SUMS, WriteResult, evaluate_written
from train.hardware import Hardware
from train.plan import PlanSpec, build_plan
from train.questions import Question, question_of, read_questions
from train.recipe import Scratch, StudentSpec, TrainRecipe
from train.render import token_tables
from train.result import TrainResult
from train.run import train_student
from train.sampler import Text
from train.student import Student, load_student
from train.supervision import Supervision
from train.tokenizer import StudentTokenizer
from train.write_measures import chosen, measure_written
from train.write_spec import WriteSpec
from train.written import GREEDY, Judge, Outcome, Written

FACTS = {"Who led?": "Ora", "What was taxed?": "salt", "It floats?": "cork", "How many?": "12"}
QUESTIONS = [
    Question(id=f"q{n}", document=f"d{n % 2}", kind="short", question=q, answer=a, hops=1 + n % 2)
    for n, (q, a) in enumerate(FACTS.items())
]
WRITE = WriteSpec(samples=4, k=(1, 2, 4), temperature=1.0, most_tokens=8)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, tokenizer: StudentTokenizer) -> TrainResult:
    """A student that has learned three of the facts by heart, and the fourth wrong."""
    out = tmp_path_factory.mktemp("taught")
    learned = {**FACTS, "It floats?": "gold"}
    texts = [f"Question: {question}\nAnswer: {answer}" for question, answer in learned.items()]
    table = pa.table({"id": [str(n) for n in range(len(texts))], "text": texts})
    spec = PlanSpec(tokens=40_000, sequence_length=128, batch=2)
    build_plan({"facts": token_tables([table], tokenizer)}, spec=spec, out=out / "plan", tokenizer=tokenizer.identity)
    recipe = TrainRecipe(learning_rate=5e-3, weight_decay=0.0)
    small = StudentSpec(scratch=Scratch(layers=2, width=48, heads=4, mlp_width=96))
    return train_student(plan_dir=out / "plan", student=small, recipe=recipe, hardware=Hardware(), out=out / "run")


def test_what_a_taught_student_writes_is_judged(taught: TrainResult, tmp_path: Path) -> None:
    result = evaluate_written(taught.model_dir, QUESTIONS, spec=WRITE, out=tmp_path)
    greedy = {row.id: row for row in result.rows if row.draw == GREEDY}
    assert {name: (row.answer, row.outcome) for name, row in greedy.items()} == {
        "q0": ("Ora", "right"),
        "q1": ("salt", "right"),
        "q2": ("gold", "wrong"),
        "q3": ("12", "right"),
    }
    overall = result.overall
    assert overall.accuracy is not None
    assert overall.accuracy.value == 0.75
    assert overall.outcomes == {"right": 0.75, "wrong": 0.25}
    assert list(overall.pass_at) == ["1", "2", "4"]
    assert list(overall.majority_at) == ["2", "4"]
    # A space, the answer and its end: 5, 6, 6 and 4 bytes.
    assert overall.tokens is not None
    assert overall.tokens.value == pytest.approx((5 + 6 + 6 + 4) / 4)
    by_hops = {one.value: one.measures.questions for one in result.slices if one.by == "hops"}
    assert by_hops == {"1": 2, "2": 2}


def test_it_is_kept_read_back_and_not_asked_again(taught: TrainResult, tmp_path: Path) -> None:
    first = evaluate_written(taught.model_dir, QUESTIONS, spec=WRITE, out=tmp_path)
    stamp = (tmp_path / SUMS).stat().st_mtime_ns
    assert evaluate_written(taught.model_dir, QUESTIONS, spec=WRITE, out=tmp_path) == first
    assert (tmp_path / SUMS).stat().st_mtime_ns == stamp
    assert WriteResult.read(tmp_path) == first
    assert len(pq.read_table(tmp_path / ANSWERS)) == len(QUESTIONS) * 5
    assert json.loads((tmp_path / SUMS).read_bytes())["overall"]["accuracy"]["value"] == 0.75
    with pytest.raises(StoreError, match="other questions or another spec"):
        evaluate_written(taught.model_dir, QUESTIONS[:2], spec=WRITE, out=tmp_path)
    with pytest.raises(StoreError, match="no finished evaluation by writing"):
        WriteResult.read(tmp_path / "nothing")


def test_answers_do_not_depend_on_batches_or_on_the_other_questions(taught: TrainResult) -> None:
    whole = evaluate_written(taught.model_dir, QUESTIONS, spec=WRITE)
    narrow = evaluate_written(taught.model_dir, QUESTIONS[::-1], spec=WRITE, batch_tokens=64)
    assert sorted(whole.rows, key=lambda row: (row.id, row.draw)) == sorted(
        narrow.rows, key=lambda row: (row.id, row.draw)
    )


def test_a_multitask_student_is_asked_with_the_prefix_of_use(
    tiny: StudentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = load_student(tiny)
    asked: list[str] = []
    ids = StudentTokenizer.ids

    def spied(self: StudentTokenizer, texts: list[str]) -> list[list[int]]:
        asked.extend(texts)
        return ids(self, texts)

    monkeypatch.setattr(StudentTokenizer, "ids", spied)
    multitask = Supervision(target="multitask", template="plain")
    evaluate_written(student, QUESTIONS, spec=WriteSpec(most_tokens=2), supervision=multitask)
    assert asked == [f"predict: Question: {question}\nAnswer:" for question in FACTS]


def test_the_line_ends_the_answer_of_a_student_that_was_not_tuned(taught: TrainResult) -> None:
    question = Question(id="q", kind="short", question="x", context="Question: Who led?\nAnswer: Ora\n", answer="Ora")
    row = evaluate_written(taught.model_dir, [question], spec=WriteSpec(most_tokens=12)).rows[0]
    assert "\n" not in row.text


def judged(
    text: str, gold: str = "12", *, target: str = "full_cot", finish: str = "stop"
) -> tuple[str | None, Outcome]:
    supervision = Supervision(target=target, template="plain")  # type: ignore[arg-type]
    question = Question(id="q", kind="short", question="?", answer=gold)
    return Judge.of(matcher("numeric"), supervision).judge(question, Text(text, finish, 3))  # type: ignore[arg-type]


def test_an_answer_is_found_where_training_put_it() -> None:
    assert judged(" 3 * 4 = 12.\nAnswer: 12") == ("12", "right")
    assert judged(" 3 * 4 = 13.\nAnswer: 13") == ("13", "wrong")
    assert judged(" 3 * 4 = 12.") == (None, "no_final_answer")
    assert judged(" Answer: 12\nAnswer: 14") == (None, "two_final_answers")
    assert judged(" 12.0", target="answer_only") == ("12.0", "right")
    assert judged("  ", target="answer_only") == (None, "no_final_answer")
    assert judged("salt", target="multitask") == ("salt", "unreadable")


def test_another_lead_is_found_too() -> None:
    supervision = Supervision(target="full_cot", template="plain", answer_lead="\n=> ")
    question = Question(id="q", kind="short", question="?", answer="12")
    judge = Judge.of(matcher("exact"), supervision)
    assert judge.judge(question, Text("3 * 4\n=> 12", "stop", 9)) == ("12", "right")


@pytest.mark.parametrize(("finish", "outcome"), [("length", "truncated"), ("no_room", "no_room")])
def test_a_cut_answer_is_never_right(finish: str, outcome: str) -> None:
    assert judged("Answer: 12", finish=finish) == (None, outcome)


def test_a_right_answer_that_cannot_be_read_stops_the_evaluation(tiny: StudentSpec) -> None:
    broken = [Question(id="bad", kind="short", question="?", answer="salt", matcher="numeric")]
    with pytest.raises(InputError, match="question 'bad': the matcher numeric does not hold the answer 'salt'"):
        evaluate_written(load_student(tiny), broken, spec=WriteSpec())


def rows(outcomes: list[Outcome], answers: list[str | None], *, name: str = "q", greedy: bool = False) -> list[Written]:
    return [
        Written(
            id=name, document="", kind="short", hops=1, question="?", gold="12", draw=draw - greedy, text="",
            finish="stop", answer=answer, vote=answer, outcome=outcome, tokens=3 + draw,
        )
        for draw, (outcome, answer) in enumerate(zip(outcomes, answers, strict=True))
    ]  # fmt: skip


def test_sums_of_samples() -> None:
    one = rows(["right", "wrong", "right", "truncated"], ["12", "13", "12", None], name="a")
    two = rows(["wrong", "wrong", "right", "wrong"], ["7", "8", "12", "8"], name="b")
    found = measure_written([*one, *two], (1, 2, 4), seed=0)
    assert found.accuracy is None
    assert found.pass_at["1"].value == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert found.pass_at["2"].value == pytest.approx(((1 - 1 / 6) + (1 - 3 / 6)) / 2)
    assert found.pass_at["4"].value == 1.0
    assert found.majority_at["4"].value == 0.5
    assert found.sample_outcomes == {"right": 3 / 8, "wrong": 4 / 8, "truncated": 1 / 8}
    assert found.outcomes == {}
    best, share = chosen(one)
    assert best is not None
    assert (best.answer, share) == ("12", 0.5)
    assert chosen(rows(["truncated"], [None], greedy=True)) == (None, None)


def test_equal_answers_in_other_words_share_a_vote() -> None:
    judge = Judge(matcher("numeric"), whole=True)
    question = Question(id="q", kind="short", question="?", answer="12")
    assert judge.votes(question, ["12.0", None, "twelve", "13", "$12"]) == ["12.0", None, "12.0", "13", "12.0"]


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=8))
def test_votes_are_among_the_answers_and_their_own(answers: list[str | None]) -> None:
    votes = Judge(matcher("exact"), whole=True).votes(QUESTIONS[0], answers)
    assert votes == answers


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"samples": -1}, "samples cannot be -1"),
        ({"samples": 2, "k": (4,)}, "k cannot be"),
        ({"temperature": 0.0}, "the greedy answer is asked for by `greedy`"),
        ({"greedy": False}, "neither a greedy answer nor samples"),
        ({"matcher": "numerc"}, r"did you mean numeric\?"),
        ({"stop": ("",)}, "no empty text"),
        ({"most_tokens": 0}, "most_tokens"),
        ({"top_p": 0.0}, "top_p"),
    ],
)
def test_a_spec_that_means_nothing_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(BillError, match=message):
        WriteSpec(**fields)  # type: ignore[arg-type]


def test_questions_of_other_forms(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    lines: list[dict[str, object]] = [
        {"id": "a", "question": "?", "answers": ["12", "twelve"], "matcher": {"numeric": {"tolerance": 0}}},
        {"id": "b", "question": "?", "options": ["x", "y"], "answer": "y"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    one, two = read_questions(path)
    assert (one.kind, one.golds, one.matcher) == ("short", ("12", "twelve"), {"numeric": {"tolerance": 0}})
    assert two.kind == "choice"
    path.write_text(json.dumps({**lines[0], "answer": "12"}))
    with pytest.raises(InputError, match=r"q\.jsonl:1: .*`answers` is a list"):
        read_questions(path)


def test_a_row_of_a_question_stream_is_a_question() -> None:
    from mashbill.records import QA, Edge, to_row

    qa = QA.new(
        question="Who?",
        options=("Ora", "oak"),
        answer="Ora",
        context="A passage.",
        path=(Edge(head="a", relation="b", tail="c"),) * 2,
    )
    question = question_of(to_row(qa))
    assert (question.id, question.document, question.kind, question.hops) == (qa.id, qa.source_id, "choice", 2)
    assert question.context == "A passage."


def test_a_student_in_memory_has_no_identity(tiny: StudentSpec) -> None:
    student: Student = load_student(tiny)
    assert evaluate_written(student, QUESTIONS[:1], spec=WriteSpec(most_tokens=2)).identity == ""
