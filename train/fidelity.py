"""Does a student answer as its teacher does? Not the same as: does it answer right?

Accuracy can rise while fidelity falls, and the other way round: a student that copies its teacher's mistakes is
faithful, one that averages them out is better than its teacher (Generalization vs fidelity, 2505.15442; denoising,
2307.06439). So both stand side by side, and agreement is split by whether the teacher is right.

Four questions, a teacher that is right on the first three::

    teacher   A B C D(wrong)        agreement 0.75, where the teacher is right 0.67, where it is wrong 1.0
    student   A B X D               the student copied the mistake
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mashbill.agreement import cohens_kappa
from mashbill.calibration import BINS, Calibration, calibration
from train.intervals import Interval, wilson
from train.predictions import Prediction, Predictions
from train.questions import Question
from train.written import Judge


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """A student beside its teacher on the questions that both were asked; every share with Wilson's 95 % interval."""

    questions: int
    missing: int
    """Questions for which there is no prediction of the teacher; they count nowhere."""
    student_accuracy: Interval
    teacher_accuracy: Interval
    agreement: Interval
    """Both give the same answer. Who gives none agrees with nobody."""
    agreement_where_right: Interval | None
    """Among the questions the teacher has right; None where there are none."""
    agreement_where_wrong: Interval | None
    """Among those it has wrong: mistakes that were learned with the rest."""
    corrected: Interval | None
    """The student is right where the teacher is wrong."""
    kappa: float | None
    """Cohen's kappa (1960) of the answers, (p_o - p_e) / (1 - p_e) with p_e = sum over answers of the product of both
    shares: agreement beyond what their frequencies alone would give. Options are told apart by their place, other
    answers by what they say. None where p_e is 1."""
    kappa_right: float | None
    """The same of right against wrong, known as error consistency (Geirhos et al., 2006.16736): do they fail on the
    same questions, beyond what two accuracies would give by chance? None where p_e is 1."""
    student_calibration: Calibration | None
    """None where the student's confidence is not known."""
    teacher_calibration: Calibration | None
    total_variation: float | None
    """Mean over questions of half the summed difference between both distributions over the options, from 0 (the same)
    to 1; None where one of them is not known."""


def fidelity(
    student: Predictions,
    teacher: Predictions,
    questions: Sequence[Question],
    judges: Mapping[str, Judge],
    *,
    bins: int = BINS,
) -> Fidelity:
    """Lay a student's answers beside its teacher's.

    Raises:
        ValueError: when they have no question in common.
    """
    asked = [one for one in questions if one.id in student and one.id in teacher]
    if not asked:
        raise ValueError("the student and the teacher have no question in common; give the teacher's answers to these")
    pairs = [(student[one.id], teacher[one.id]) for one in asked]
    agree = [_agree(one, *pair, judges[one.id]) for one, pair in zip(asked, pairs, strict=True)]
    return Fidelity(
        questions=len(asked),
        missing=sum(one.id in student and one.id not in teacher for one in questions),
        student_accuracy=_share([ours.right for ours, _ in pairs]),
        teacher_accuracy=_share([theirs.right for _, theirs in pairs]),
        agreement=_share(agree),
        agreement_where_right=_part(agree, [theirs.right for _, theirs in pairs]),
        agreement_where_wrong=_part(agree, [not theirs.right for _, theirs in pairs]),
        corrected=_part([ours.right for ours, _ in pairs], [not theirs.right for _, theirs in pairs]),
        kappa=cohens_kappa(_labels(asked, pairs, agree, judges), agree),
        kappa_right=cohens_kappa(
            [(str(ours.right), str(theirs.right)) for ours, theirs in pairs],
            [ours.right == theirs.right for ours, theirs in pairs],
        ),
        student_calibration=_calibrated([ours for ours, _ in pairs], bins),
        teacher_calibration=_calibrated([theirs for _, theirs in pairs], bins),
        total_variation=_variation(pairs),
    )


def _agree(question: Question, ours: Prediction, theirs: Prediction, judge: Judge) -> bool:
    if ours.answer is None or theirs.answer is None:
        return False
    return judge.same(theirs.answer, ours.answer, question)


def _labels(
    asked: Sequence[Question],
    pairs: Sequence[tuple[Prediction, Prediction]],
    agree: Sequence[bool],
    judges: Mapping[str, Judge],
) -> list[tuple[str, str]]:
    """Both answers of each question by names that are equal where the answers are."""
    labels = []
    for question, (ours, theirs), same in zip(asked, pairs, agree, strict=True):
        second = _label(question, theirs.answer, "teacher", judges[question.id])
        labels.append((second if same else _label(question, ours.answer, "student", judges[question.id]), second))
    return labels


def _label(question: Question, answer: str | None, who: str, judge: Judge) -> str:
    if answer is None:
        return f"none:{who}"  # two who say nothing do not agree, so it is no common label
    # By its text first: it may be the letter of another option.
    if answer in question.options:
        return f"option:{question.options.index(answer)}"
    places = (at for at, option in enumerate(question.options) if judge.same(option, answer, question))
    return next((f"option:{at}" for at in places), f"answer:{answer}")


def _share(marks: Sequence[bool]) -> Interval:
    return wilson(sum(marks), len(marks))


def _part(marks: Sequence[bool], where: Sequence[bool]) -> Interval | None:
    own = [mark for mark, counted in zip(marks, where, strict=True) if counted]
    return _share(own) if own else None


def _calibrated(predictions: Sequence[Prediction], bins: int) -> Calibration | None:
    sure = [(one.confidence, one.right) for one in predictions if one.confidence is not None and one.answer is not None]
    return calibration([value for value, _ in sure], [right for _, right in sure], bins=bins) if sure else None


def _variation(pairs: Sequence[tuple[Prediction, Prediction]]) -> float | None:
    both = [(ours.shares, theirs.shares) for ours, theirs in pairs if ours.shares and theirs.shares]
    if not both:
        return None
    gaps = [sum(abs(one - two) for one, two in zip(ours, theirs, strict=True)) / 2 for ours, theirs in both]
    return sum(gaps) / len(gaps)
