"""Final answers, leaks, and the verdicts that a worked answer gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.errors import BadReply
from mashbill.matching import final_answer, matcher
from mashbill.matching.checks import ANSWER_REASONS, check_answer, check_leaks, reason_of
from mashbill.matching.final_answer import MOST_FOUND, marked, tidy
from mashbill.matching.leaks import checked_patterns

NUMERIC = matcher("numeric")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("48 + 24 = 72\n#### 72", "72"),
        ("####72", "72"),
        ("So the answer is 72.", "72"),
        ("so THE  ANSWER\nIS: **72** clips.", "72** clips"),
        ("The final answer is 3.5 m. I hope this helps!", "3.5 m"),
        ("Final Answer: -5", "-5"),
        ("## Final Answer\n\n-5", "-5"),
        ("Answer: 72!", "72!"),
        ("The answer is \\boxed{72}.", "72"),
        ("Thus $\\boxed{\\frac{1}{2}}$ it is.", "\\frac{1}{2}"),
        ("The final answer is $\\boxed{72}$.", "72"),
        ('{"reason": "48 + 24", "answer": 72}', "72"),
        ('{"answer": "Ora \\"Salt\\" Venn", "sure": true}', 'Ora "Salt" Venn'),
        ('{"answer":"72"}', "72"),
        ("The answer is Dr. J. Venn. She led it.", "Dr. J. Venn"),
        ("The answer is B. Rome", "B"),
        ("The answer is 72 clips.\n#### 72", "72"),
        ("The answer is found by adding. The answer is 72.", "72"),
        ("The answer is forty-two.", "forty-two"),
        ("#### - 5", "- 5"),
        ("The answer is - 5", "- 5"),
        ("Final answer - 5", "5"),
        ("So $-\\boxed{5}$.", "-5"),
        ("so it is x-\\boxed{5}", "5"),
        ("**Answer**: 72", "72"),
        ('"answer" : 72', "72"),
    ],
)
def test_the_final_answer_of_a_text(text: str, answer: str) -> None:
    assert NUMERIC.final(text) == answer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("She sold 72 clips.", "no_final_answer"),
        ("", "no_final_answer"),
        ("####", "no_final_answer"),
        ("\\boxed{}", "no_final_answer"),
        ("\\boxed{72", "no_final_answer"),
        ("\\boxed 72", "no_final_answer"),
        ('"answer": ', "no_final_answer"),
        ("the answer isn't 5", "no_final_answer"),
        ("the nonanswer: 5", "no_final_answer"),
        ("Die Antwort ist 72.", "no_final_answer"),
        ("The answer is 71. No: the answer is 72.", "two_final_answers"),
        ("The answer is 71.\n#### 72", "two_final_answers"),
        ("\\boxed{1} or \\boxed{2}", "two_final_answers"),
        ("The answer is 71. Wait, that's wrong. The correct answer is 72.", "two_final_answers"),
    ],
)
def test_a_text_that_has_no_final_answer_or_two_says_so(text: str, reason: str) -> None:
    found = NUMERIC.final(text)
    assert isinstance(found, BadReply)
    assert (found.reason, found.text) == (reason, text)


def test_markers_are_plain_text_of_ones_own() -> None:
    german = matcher("numeric", markers=("die antwort ist", "(a+)+$"))
    assert german.final("Die Antwort ist 72.") == "72"
    assert isinstance(german.final("a" * 50_000 + "!"), BadReply)
    assert isinstance(matcher("numeric", markers=()).final("#### 72"), BadReply)


def test_without_a_matcher_answers_agree_when_their_texts_do() -> None:
    assert final_answer("The answer is Salt. The answer is **salt**") == "salt"
    found = final_answer("The answer is salt. The answer is oak.")
    assert isinstance(found, BadReply)


def test_a_json_value_that_is_no_json_is_taken_as_text() -> None:
    assert marked('"answer": 07}') == ["07"]
    assert marked('"answer": "\\x"}') == ["\\x"]


def test_marks_around_an_answer_are_taken_off_and_signs_in_it_are_not() -> None:
    assert tidy("**\\(72\\)**") == "72"
    assert tidy("$72$") == "72"
    assert tidy("$12.50") == "$12.50"
    assert tidy("“salt”") == "salt"


@pytest.mark.parametrize(
    "text",
    ["the answer is " * 9_000, "\\boxed{" * 16_000, '"answer": "' * 30_000, "#### " * 50_000, "answer:" + "." * 200_000,
     "the answer is" + " " * 200_000, "the answer is " + "a " * 100_000, "final answer" + "-" * 200_000],
    ids=range(8),
)  # fmt: skip
def test_an_endless_text_is_searched_once(text: str) -> None:
    assert len(marked(text)) <= MOST_FOUND
    found = NUMERIC.final(text)
    assert isinstance(found, str | BadReply)


# --- the verdict on an answer


def reason(answer: str, gold: str | None, **fields: object) -> str:
    verdict = check_answer(answer, gold, NUMERIC, **fields)  # type: ignore[arg-type]
    assert verdict.passed == (verdict.detail == "")
    assert verdict.name == "numeric"
    return reason_of(verdict)


def test_each_way_an_answer_can_fail_is_a_reason_of_its_own() -> None:
    trace = "48 + 24 = 72. The answer is 72."
    assert reason("72", "72") == reason("", "72", trace=trace) == reason("72", "72", trace=trace) == ""
    found = [
        reason("", "72", trace="She sold many."),
        reason("72", "72", trace="The answer is 71. The answer is 72."),
        reason("5", "5", allowed=("1", "2")),
        reason("71", "71", trace=trace),
        reason("72", None),
        reason("72", "some"),
        reason("some", "72"),
        reason("72 minutes", "72 hours"),
        reason("71", "72"),
    ]
    assert found == [
        "no_final_answer",
        "two_final_answers",
        "answer_not_allowed",
        "answer_not_of_trace",
        "no_gold",
        "gold_unreadable",
        "answer_unreadable",
        "unit_mismatch",
        "wrong_answer",
    ]
    assert set(found) | {"answer_check_error"} == set(ANSWER_REASONS)


def test_what_could_not_be_checked_is_an_error_and_no_pass() -> None:
    for gold in (None, "some"):
        assert check_answer("72", gold, NUMERIC).outcome == "error"
    assert check_answer("71", "72", NUMERIC).outcome == "fail"


def test_a_trace_that_marks_nothing_speaks_against_no_answer() -> None:
    assert reason("72", "72", trace="She sold 48 and 24.") == ""
    assert reason("72", "72", trace="The answer is found by adding.") == ""
    assert reason("2", "2", allowed=("1", "2.0")) == ""


def test_an_answer_by_letter_is_compared_with_the_options() -> None:
    verdict = check_answer(
        "B", "Rome", matcher("choice"), options=("Paris", "Rome"), trace="So the answer is (B) Rome."
    )
    assert verdict.passed


# --- leaks


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("As given in the context, the guild sold salt.", "mentions_path"),
        ("This is stated in the provided knowledge graph path.", "mentions_path"),
        ("According to the knowledge graph, it was salt.", "mentions_path"),
        ("Based on the given path, Ora led it.", "mentions_path"),
        ("The provided path links them.", "mentions_path"),
        ("The path shown leads to salt.", "mentions_path"),
        ("The correct answer is marked as B.", "mentions_given_answer"),
        ("The answer is given, so we work back.", "mentions_given_answer"),
        ("This agrees with the given answer.", "mentions_given_answer"),
        ("the reference answer is 72", "mentions_given_answer"),
        ("Since the correct answer is 72, she sold 24.", "mentions_given_answer"),
        ("We know that the final answer must be 72.", "mentions_given_answer"),
        ("as the answer key says", "mentions_given_answer"),
        ("(A) salt (CORRECT)", "mentions_given_answer"),
        ("The hint says it is salt.", "mentions_given_answer"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("As an AI language model, I cannot compute.", "refusal"),
    ],
)
def test_a_trace_that_shows_its_writer_knew_is_caught(text: str, reason: str) -> None:
    verdict = check_leaks(text)
    assert (verdict.outcome, reason_of(verdict)) == ("fail", reason)


@pytest.mark.parametrize(
    "text",
    [
        "She walked the path along the shore for 3 miles.",
        "Of the given answer choices only B fits.",
        "The correct answer is B, since salt dissolves.",
        "The answer is 72.",
        "We are given that she sold 48 clips.",
        "The graph of the function is a line.",
        "In this context, the word means salt.",
        "The number of correct answers is 18.",
        "The total given in the first line is 48.",
        "I can't add these, so I multiply.",
        "",
    ],
)
def test_a_trace_that_reasons_in_plain_words_is_not(text: str) -> None:
    assert check_leaks(text).passed


def test_names_and_patterns_of_ones_own() -> None:
    assert reason_of(check_leaks("I, Qwen, think so.", names=("qwen", "gpt-4"))) == "mentions_teacher"
    assert check_leaks("The Qwenish way.", names=("qwen",)).passed
    assert check_leaks("A pattern (a.b).", names=("a.b",)).outcome == "fail"
    assert check_leaks("A pattern (axb).", names=("a.b",)).passed
    assert reason_of(check_leaks("My salt.", patterns={"mentions_salt": ("salt",)})) == "mentions_salt"
    assert check_leaks("as given in the context", patterns={}).passed


def test_patterns_that_would_fail_later_or_hit_every_row_are_refused_at_once() -> None:
    for patterns, message in (
        ({"Not Snake": ("a",)}, "not snake_case"),
        ({"none": ()}, "has no pattern"),
        ({"broken": ("(",)}, "no regular expression"),
        ({"all": ("a*",)}, "fits the empty text"),
    ):
        with pytest.raises(ValueError, match=message):
            checked_patterns(patterns)
    with pytest.raises(ValueError, match="name of the teacher's is empty"):
        checked_patterns({}, [" "])


@given(st.text(max_size=200))
def test_any_text_gets_its_verdicts(text: str) -> None:
    assert check_leaks(text).outcome in ("pass", "fail")
    assert check_answer(text, text, NUMERIC, trace=text).outcome in ("pass", "fail", "error")


@pytest.mark.parametrize("ends", ["not 72", "more than 80", "71 or so", "3-4"])
def test_an_end_of_a_trace_that_cannot_be_read_is_no_proof_of_the_answer(ends: str) -> None:
    assert reason("72", "72", trace=f"The answer is {ends}.") == "answer_not_of_trace"
    assert reason("72", "72", trace="The answer is found by adding.") == ""
