"""Profiles: which rules hold for which kind of row, in code and in a bill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from filters.document_profile import DocumentProfile
from filters.instruction_profile import InstructionProfile
from filters.length import Length
from filters.qa_profile import QaProfile
from filters.rationale_profile import RationaleProfile
from filters.rule_sets import RuleSet
from filters.tabular_profile import TabularProfile
from mashbill.chain import chain
from mashbill.errors import BillError, ChainError
from mashbill.filter_stack import apply_filters
from mashbill.fingerprint import fingerprint, step_identity
from mashbill.read_bill import read_bill
from mashbill.records import QA, Document, Instruction, Made, Rationale, Record, to_table
from tests.filters.test_gopher import PROSE

LOOP = "3 * 4 = 12 and so " * 40


def why(step: RuleSet, row: Record) -> list[str]:
    return list(apply_filters([step], to_table([row], type(row)), type(row)).rejects["reason"].to_pylist())


@pytest.mark.parametrize(
    ("step", "row", "reasons"),
    [
        (DocumentProfile(), Document.new(text=PROSE), []),
        (DocumentProfile(), Document.new(text="Home | Shop | Login"), ["length_too_few_words"]),
        (DocumentProfile(), Document.new(text=PROSE, made=Made(finish_reason="length")), ["truncated_reply"]),
        (QaProfile(), QA.new(question="2 + 2?", answer="4"), []),
        (QaProfile(), QA.new(question="Which {a} is it in $\\frac{1}{2}$?", answer="1702"), []),
        (QaProfile(), QA.new(question="According to the given passage, when?", answer="1702"), []),
        (QaProfile(), QA.new(question="When?", answer="As stated in the passage, 1702."), ["answer_context_leftover"]),
        (QaProfile(), QA.new(question="What is [NAME]?", answer="Salt"), ["question_template_leftover"]),
        (QaProfile(), QA.new(question="When?", answer=""), ["answer_length_too_few_chars"]),
        (
            InstructionProfile(),
            Instruction.new(text="Write a poem.", response="I'm sorry, but I can't help with that."),
            ["response_refusal"],
        ),
        (InstructionProfile(), Instruction.new(text="Say a number.", response="7"), []),
        (RationaleProfile(), Rationale.new(question="3*4?", rationale="3 * 4 = 12.", answer="12"), []),
        (
            RationaleProfile(),
            Rationale.new(question="3*4?", rationale=LOOP, answer="12"),
            ["rationale_gopher_top_4_gram_chars"],
        ),
        (TabularProfile(), Document.new(text="| year | pans |\n|---|---|\n| 1702 | 19 |\n| 1702 | 19 |"), []),
        (TabularProfile(), Document.new(text="{text}"), ["template_leftover"]),
    ],
)
def test_each_profile_keeps_what_is_whole_and_says_why_a_row_goes(
    step: RuleSet, row: Record, reasons: list[str]
) -> None:
    assert why(step, row) == reasons


@pytest.mark.parametrize(
    ("profile", "kind"),
    [
        (DocumentProfile, Document),
        (QaProfile, QA),
        (InstructionProfile, Instruction),
        (RationaleProfile, Rationale),
        (TabularProfile, Document),
    ],
)
def test_the_columns_of_a_profile_are_there_and_no_two_rules_share_a_name(
    profile: type[RuleSet], kind: type[Record]
) -> None:
    step = profile()
    chain([step], kind)
    reasons = [reason for one in step.rules().values() for reason in one.reasons()]
    scores = [score for one in step.rules().values() for score in one.scores()]
    assert len(set(reasons)) == len(reasons) == len(step.reasons())
    assert len(set(scores)) == len(scores) == len(step.scores())


def test_rules_are_left_out_and_set_anew() -> None:
    assert why(QaProfile(without=("answer",)), QA.new(question="When?", answer="")) == []
    strict = QaProfile(answer=Length(column="answer", max_words=1))
    assert why(strict, QA.new(question="When?", answer="In 1702")) == ["answer_length_too_many_words"]
    with pytest.raises(BillError, match=r"qa_profile has no rules 'answr' \(did you mean answer"):
        QaProfile(without=("answr",))
    with pytest.raises(BillError, match="without any rule"):
        TabularProfile(without=("length", "refusals", "leftovers", "truncated"))


def test_what_a_rule_of_a_profile_is_set_to_is_its_identity() -> None:
    def identity(step: Any) -> str:
        return fingerprint(step_identity(step))

    assert identity(QaProfile()) == identity(QaProfile())
    assert identity(QaProfile()) != identity(QaProfile(answer=Length(column="answer", max_words=1)))


def test_a_profile_in_a_bill_keeps_the_fields_that_are_not_given(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "bill.yaml").write_text(
        "name: profiled\nsources:\n  pages: {read_documents: {path: corpus}}\nstreams:\n  raw: {from: pages}\n"
        "curate:\n  - document_profile: {quality: {min_words: 20}, without: [lines]}\n",
        encoding="utf-8",
    )
    bill = read_bill(tmp_path / "bill.yaml")
    (step,) = bill.streams["raw"].steps
    (profile,) = step.filters  # type: ignore[attr-defined]
    assert (profile.quality.min_words, profile.quality.min_stop_words, profile.length.min_words) == (20, 2, 50)
    assert list(profile.rules())[-1] == "repetition"


def test_a_rule_for_a_column_that_the_rows_have_not_is_refused_before_any_work() -> None:
    with pytest.raises(ChainError, match=r"length reads the column 'answer', but the source gives Document.*text"):
        chain([Length(column="answer", min_words=1)], Document)
