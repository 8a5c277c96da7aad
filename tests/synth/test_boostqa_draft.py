"""What is refused of a draft before anybody solves it: swaps, pointers outside, options that repeat."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.errors import BadReply
from mashbill.records import QA
from synth.boostqa_draft import Draft, answer_option, check_draft, draft_record, points_outside
from synth.boostqa_likeness import likeness, template_of

SEED = QA.new(
    question="Ora sells 3 bags of salt at four marks each. How many marks does Ora get?",
    answer="12 marks",
    domain="trade",
    license="CC0",
    source="sums.jsonl:1",
)


def draft(
    question: str = "A cart holds 20 sacks; a third is rye, the rest oat. How much more oat?", **fields: Any
) -> Draft:
    return Draft(**{"question": question, "answer": "7", **fields})


def refused(one: Draft, most_alike: float = 0.9) -> str:
    try:
        check_draft(one, [SEED], most_alike)
    except BadReply as bad:
        # Without a detail the writer could not be told what to mend.
        return bad.reason if bad.detail else f"{bad.reason} without a word"
    return ""


@pytest.mark.parametrize(
    "question",
    [
        SEED.question,
        "Ora sells 7 bags of salt at two marks each. How many marks does Ora get?",
        "Emmer Toll sells 3,000 bags of salt at 4.5 marks each. How many marks does Emmer Toll get?",
        "Ora's sells 3 bags of salt at four marks each! How many marks does Ora get",
        "Ora sells 3 bags of rice at four marks each. How many marks does Ora get?",
    ],
)
def test_a_seed_with_other_numbers_names_or_one_other_word_is_refused(question: str) -> None:
    assert refused(draft(question)) == "number_swap" or "Toll" in question
    # Two names for one make another template, and then it is the likeness that tells.
    assert likeness(question, SEED.question) > 0.9


def test_another_situation_and_another_operation_are_new() -> None:
    assert refused(draft()) == ""
    assert template_of("What is 3 + 4?") != template_of("What is 3 * 4?")
    assert refused(draft("Ora sells 3 bags of rice at four marks each. How many marks does Ora get?"), 1.0) == ""


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=2), st.sampled_from(["Ora", "Emmer", "Ümit", "Li"]))
def test_no_number_and_no_name_makes_a_question_new(numbers: list[int], name: str) -> None:
    swapped = f"{name} sells {numbers[0]} bags of salt at {numbers[1]} marks each. How many marks does {name} get?"
    assert likeness(swapped, SEED.question) == 1.0
    assert refused(draft(swapped), 1.0) == "number_swap"


@given(st.text(max_size=300), st.text(max_size=300))
def test_likeness_is_a_share_whatever_the_texts_hold(one: str, other: str) -> None:
    assert 0 <= likeness(one, other) <= 1
    assert likeness(one, one) == 1


@pytest.mark.parametrize(
    "question",
    [
        "What is the slope of the line in the figure?",
        "According to the passage, who founded the guild?",
        "As shown above, the market closes at noon. When does it open?",
        "Solve the previous problem for 7 carts instead of 3.",
        "In the table below, which good is dearest?",
        "Which line of Figure 2 is the steepest of all?",
        "How does your answer change from the original question?",
        "Consider the following diagram. What is the angle?",
        "如图所示,三角形的面积是多少?",
    ],
)
def test_a_question_that_points_outside_itself_is_refused(question: str) -> None:
    assert points_outside(question)
    assert refused(draft(question)) == "not_self_contained"


@pytest.mark.parametrize(
    "question",
    [
        "In the following table the prices are: tea 3, rye 4, oat 5 marks. Which two cost 8 together?",
        "A figure skater turns 3 times a second. How many turns are that in a minute?",
        "A farmer tables a motion. How many of 40 votes does a majority of three quarters take?",
        "Passage through the lock takes 12 minutes. How many boats pass in 2 hours?",
    ],
)
def test_a_question_that_stands_alone_is_not(question: str) -> None:
    assert points_outside(question) == ""
    assert refused(draft(question)) == ""


@pytest.mark.parametrize(
    ("options", "answer", "reason"),
    [
        (["salt"], "salt", "option_count"),
        (["salt", " "], "salt", "option_count"),
        (["salt guild", "the guild of salt"], "salt guild", "options_repeat"),
        (["salt", "rye"], "oat", "answer_not_option"),
        (["salt", "rye"], "", "no_answer"),
    ],
)
def test_options_must_differ_and_hold_the_answer(options: list[str], answer: str, reason: str) -> None:
    assert refused(draft(options=options, answer=answer)) == reason


def test_an_answer_may_name_its_option_by_letter_and_is_stored_as_its_text() -> None:
    one = draft(options=["salt", "rye  bread"], answer="B")
    assert answer_option(one) == "rye bread"
    row = draft_record(one, [SEED])
    assert (row.kind, row.options, row.answer) == ("choice", ("salt", "rye bread"), "rye bread")


def test_a_heading_is_no_question() -> None:
    assert refused(draft("Define osmosis")) == "question_too_short"
    assert refused(draft("什么是渗透作用?")) == ""


def test_what_is_made_of_a_seed_has_its_source_and_licence() -> None:
    row = draft_record(draft(), [SEED, SEED])
    assert (row.parents, row.source, row.domain, row.license) == ((SEED.id,), "sums.jsonl:1", "trade", "CC0")
    assert row.kind == "open"
