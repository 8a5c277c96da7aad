from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mashbill.records import QA, from_table, to_table
from train.pass_rate import ROLLOUTS, with_pass_rates
from train.recipe import StudentSpec
from train.sampler import Asked, Text
from train.student import load_student
from train.write_spec import WriteSpec

RIGHT = (2, 0, 8)
"""How many of eight samples of each question are right."""


class Answers:
    """Stands in for the sampler: the first samples of each question are right, as many as `RIGHT` says."""

    def __init__(self, **fields: Any) -> None:
        self.temperature = fields["temperature"]

    def write(self, asked: Sequence[Asked]) -> list[Text]:
        if not self.temperature:
            return [Text("12", "stop", 2)] * len(asked)
        return [Text("12" if at % 8 < RIGHT[at // 8] else "13", "stop", 2) for at in range(len(asked))]


@pytest.fixture
def rows() -> list[QA]:
    return [QA.new(question=f"How many {one}?", answer="12", difficulty=3) for one in ("bags", "oaks", "stills")]


def test_the_share_of_right_samples_stands_in_the_row_and_nothing_else_changes(
    tiny: StudentSpec, rows: list[QA], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ROLLOUTS.samples == 8
    monkeypatch.setattr("train.generate_eval.Sampler", Answers)
    before = to_table(rows, QA)
    measured = with_pass_rates(load_student(tiny), before)
    assert measured.column("pass_rate").to_pylist() == [0.25, 0.0, 1.0]
    assert measured.drop_columns(["pass_rate"]).equals(before.drop_columns(["pass_rate"]))
    # The greedy answers, all of them right, do not count.
    assert with_pass_rates(load_student(tiny), before, spec=WriteSpec(samples=8)).equals(measured)
    # What was measured of a question is not the question: its id holds.
    assert [one.identified().id for one in from_table(measured, QA)] == [one.id for one in rows]


def test_a_real_student_gives_shares_of_its_samples(tiny: StudentSpec, rows: list[QA]) -> None:
    spec = WriteSpec(greedy=False, samples=3, most_tokens=3)
    rates = with_pass_rates(load_student(tiny), to_table(rows, QA), spec=spec).column("pass_rate").to_pylist()
    assert rates == [0.0, 0.0, 0.0]


def test_a_spec_without_samples_is_refused(tiny: StudentSpec, rows: list[QA]) -> None:
    with pytest.raises(ValueError, match="draws none"):
        with_pass_rates(load_student(tiny), to_table(rows, QA), spec=WriteSpec())
