from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.agreement import cohens_kappa
from mashbill.errors import InputError
from mashbill.matching import matcher
from mashbill.records import QA, Rationale, to_row
from train.fidelity import Fidelity, fidelity
from train.marking import mark_choice
from train.predictions import Prediction, of_marked, of_rationales, of_written, read_predictions
from train.questions import Question, question_of
from train.scoring import Score
from train.written import Judge, Outcome, Written

OPTIONS = ("A", "B", "C", "D")


def asked(count: int) -> list[Question]:
    return [Question(id=f"q{n}", kind="choice", question="?", options=OPTIONS, answer="A") for n in range(count)]


def judges(questions: list[Question], name: str = "exact") -> dict[str, Judge]:
    return {question.id: Judge(matcher(name), whole=True) for question in questions}


def said(answers: str, confidence: float | None = None) -> dict[str, Prediction]:
    """One letter a question; A is right, and - is no answer."""
    return {
        f"q{n}": Prediction(answer=None if one == "-" else one, right=one == "A", confidence=confidence)
        for n, one in enumerate(answers)
    }


def laid(student: str, teacher: str) -> Fidelity:
    questions = asked(max(len(student), len(teacher)))
    return fidelity(said(student), said(teacher), questions, judges(questions))


def test_accuracy_can_rise_while_fidelity_falls() -> None:
    copied = laid("AAABBB", "AAABBB")
    averaged = laid("AAAAAC", "AAABBB")
    assert averaged.student_accuracy.value > copied.student_accuracy.value
    assert averaged.agreement.value < copied.agreement.value
    assert (copied.agreement.value, copied.kappa, copied.kappa_right) == (1.0, 1.0, 1.0)
    assert copied.corrected is not None
    assert averaged.corrected is not None
    assert copied.corrected.value == 0.0
    assert averaged.corrected.value == pytest.approx(2 / 3)
    assert averaged.agreement_where_wrong is not None
    assert averaged.agreement_where_wrong.value == 0.0


def test_agreement_is_split_by_whether_the_teacher_is_right() -> None:
    found = laid("AABD", "AAAD")
    assert found.agreement.value == 0.75
    assert found.agreement_where_right is not None
    assert found.agreement_where_right.value == pytest.approx(2 / 3)
    assert found.agreement_where_wrong is not None
    assert found.agreement_where_wrong.value == 1.0
    assert laid("AAB", "AAA").agreement_where_wrong is None


def test_who_gives_no_answer_agrees_with_nobody() -> None:
    found = laid("A---", "A--B")
    assert found.agreement.value == 0.25
    assert found.kappa is not None
    assert found.kappa < 1


def test_questions_without_a_teacher_count_nowhere() -> None:
    questions = asked(5)
    found = fidelity(said("AAAAB"), said("AAB"), questions, judges(questions))
    assert (found.questions, found.missing) == (3, 2)
    assert found.student_accuracy.value == 1.0
    with pytest.raises(ValueError, match="no question in common"):
        fidelity(said("A"), {}, questions, judges(questions))


def test_kappa_against_a_published_table() -> None:
    # The 2 x 2 table of Cohen (1960) as textbooks give it: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: kappa 0.4.
    labels = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohens_kappa(labels, [one == two for one, two in labels]) == pytest.approx(0.4)
    assert cohens_kappa([("a", "a")] * 3, [True] * 3) is None


@given(st.text("ABCD-", min_size=1, max_size=30), st.randoms())
def test_shares_are_consistent_with_each_other(teacher: str, rng: object) -> None:
    student = "".join(rng.choice("ABCD-") for _ in teacher)  # type: ignore[attr-defined]
    found = laid(student, teacher)
    right = sum(one == "A" for one in teacher)
    parts = [
        (found.agreement_where_right, right),
        (found.agreement_where_wrong, len(teacher) - right),
    ]
    whole = sum(part.value * count for part, count in parts if part is not None)
    assert whole == pytest.approx(found.agreement.value * len(teacher))
    assert found.kappa is None or found.kappa <= 1 + 1e-9
    again = laid(teacher, student)
    assert again.agreement == found.agreement
    assert again.kappa == pytest.approx(found.kappa)
    assert again.kappa_right == pytest.approx(found.kappa_right)


def test_an_option_is_the_same_answer_by_its_letter_and_by_its_text() -> None:
    """Chance agreement is of what was chosen, not of how it was put."""
    offered = ("salt", "oak")
    asked = [Question(id=f"q{at}", kind="choice", question="?", options=offered, answer="salt") for at in range(4)]
    by_choice = judges(asked, "choice")
    teacher = {one.id: Prediction(answer="salt" if at < 2 else "oak", right=at < 2) for at, one in enumerate(asked)}
    said = ("A", "B", "B", "A")
    by_text = {"A": "salt", "B": "oak"}
    letters = {one.id: Prediction(answer=two, right=two == "A") for one, two in zip(asked, said, strict=True)}
    texts = {one.id: Prediction(answer=by_text[two], right=two == "A") for one, two in zip(asked, said, strict=True)}
    assert fidelity(letters, teacher, asked, by_choice).kappa == fidelity(texts, teacher, asked, by_choice).kappa == 0.0


def test_other_words_for_the_same_number_agree() -> None:
    questions = [Question(id=f"q{n}", kind="short", question="?", answer="12") for n in range(2)]
    ours = {"q0": Prediction(answer="12.0", right=True), "q1": Prediction(answer="8", right=False)}
    theirs = {"q0": Prediction(answer="twelve", right=True), "q1": Prediction(answer="7", right=False)}
    found = fidelity(ours, theirs, questions, judges(questions, "numeric"))
    assert found.agreement.value == 0.5


def test_likelihoods_of_options_are_predictions_with_shares() -> None:
    question = Question(id="q0", kind="choice", question="?", options=("ab", "abcdefgh"), answer="ab")
    row = mark_choice(question, [Score(-2.0, 1), Score(-4.0, 2)], [Score(-1.0, 1)] * 2, "per_character")
    assert row.given == "abcdefgh"  # by characters; the probability itself is higher for the other
    prediction = of_marked([row], [question])["q0"]
    assert (prediction.answer, prediction.right) == ("ab", True)
    assert prediction.confidence is not None
    assert prediction.confidence == pytest.approx(1 / (1 + math.exp(-2)))
    other = Prediction(answer="ab", right=True, confidence=0.5, shares=(0.5, 0.5))
    found = fidelity({"q0": prediction}, {"q0": other}, [question], judges([question]))
    assert found.total_variation == pytest.approx(prediction.confidence - 0.5)
    assert found.teacher_calibration is not None
    assert found.teacher_calibration.ece == 0.5


def row(draw: int, answer: str | None, outcome: Outcome) -> Written:
    return Written(
        id="q0", document="", kind="short", hops=1, question="?", gold="A", draw=draw, text="", answer=answer,
        vote=answer, outcome=outcome, finish="stop", tokens=1,
    )  # fmt: skip


def test_votes_are_predictions_with_their_share() -> None:
    rows = [
        row(-1, "B", "wrong"),
        row(0, "A", "right"),
        row(1, "B", "wrong"),
        row(2, "A", "right"),
        row(3, None, "truncated"),
    ]
    assert of_written(rows)["q0"] == Prediction(answer="A", right=True, confidence=0.5)
    assert of_written(rows[:1])["q0"] == Prediction(answer="B", right=False)
    assert of_written([row(0, None, "truncated")])["q0"] == Prediction(answer=None, right=False, confidence=0.0)


def test_a_teachers_draws_are_its_votes() -> None:
    qa = QA.new(question="How many?", answer="12")
    other = QA.new(question="And then?", answer="3")
    questions = [question_of(to_row(qa)), question_of(to_row(other))]
    draws = [
        qa.child(Rationale, question=qa.question, rationale=f"r{n}", answer=answer, draw=n, draws=5)
        for n, answer in enumerate(["13", "12", "twelve", "12.0"])
    ]
    loose = Rationale.new(question=other.question, rationale="r", answer="4", draws=2)
    strange = Rationale.new(question="Who?", rationale="r", answer="4")
    rows = [to_row(one) for one in [*reversed(draws), loose, strange]]
    found = of_rationales(rows, questions, judges(questions, "numeric"))
    assert found[qa.id] == Prediction(answer="12", right=True, confidence=0.6)
    assert found[other.id] == Prediction(answer="4", right=False, confidence=0.5)
    assert len(found) == 2


def test_predictions_from_a_file(tmp_path: Path) -> None:
    questions, path = asked(2), tmp_path / "teacher.jsonl"
    path.write_text(
        '{"id": "q0", "answer": "a", "confidence": 0.9}\n\n{"id": "q1", "answer": null}\n{"id": "z", "answer": "B"}'
    )
    assert read_predictions(path, questions, judges(questions)) == {
        "q0": Prediction(answer="a", right=True, confidence=0.9),
        "q1": Prediction(answer=None, right=False),
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], r"t\.jsonl:1: .*Invalid JSON"),
        ([{"id": "q0", "answer": "A", "confidence": 2}], r"t\.jsonl:1: confidence: .*less than or equal to 1"),
        ([{"id": "q0"}], r"t\.jsonl:1: answer: Field required"),
        ([{"id": "q0", "answer": "A"}] * 2, r"t\.jsonl:2: id 'q0' comes twice"),
        ([{"id": "z", "answer": "A"}], "answers none of the questions"),
    ],
)
def test_a_broken_prediction_is_named(tmp_path: Path, lines: list[object], message: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines))
    questions = asked(1)
    with pytest.raises(InputError, match=message):
        read_predictions(path, questions, judges(questions))
    with pytest.raises(InputError, match="cannot be read"):
        read_predictions(tmp_path / "none", questions, judges(questions))
