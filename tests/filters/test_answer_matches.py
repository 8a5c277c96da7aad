"""Filters over worked answers: each way a row can be bad is a reason of its own, and none passes unchecked."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.answer_matches import AnswerMatches
from filters.answer_matches import judge as judge_answer
from filters.judged import judged, judged_score, judging
from filters.trace_arithmetic import TraceArithmetic
from filters.trace_arithmetic import judge as judge_arithmetic
from filters.trace_form import TraceForm
from filters.trace_leaks import TraceLeaks
from mashbill.errors import RegistryError
from mashbill.filter_stack import apply_filters
from mashbill.fingerprint import fingerprint
from mashbill.matching import matcher_of
from mashbill.records import Made, Rationale, from_table, to_table
from mashbill.step import Filter

TRACE = "She sold 48 / 2 = 24 clips in May, and 48 + 24 = 72 in all."


def row(**fields: Any) -> Rationale:
    return Rationale.new(**{"question": "How many?", "rationale": TRACE, "answer": "72", "gold": "72", **fields})


def reasons(steps: Filter[Rationale] | list[Filter[Rationale]], *rows: Rationale) -> list[str]:
    """The reason of each row in order, "" where it is kept; checks that no row is lost."""
    stack = steps if isinstance(steps, list) else [steps]
    rows = tuple(dataclasses.replace(one, question=f"{number}").identified() for number, one in enumerate(rows))
    table = to_table(list(rows), Rationale)
    output = apply_filters(stack, table, Rationale)
    assert output.kept.num_rows + output.rejects.num_rows == len(rows)
    again = apply_filters(stack, output.kept.slice(0), Rationale)
    assert again.rejects.num_rows == 0
    found = {json.loads(one["record"])["id"]: one["reason"] for one in output.rejects.to_pylist()}
    return [found.get(one.id, "") for one in rows]


def test_answers_are_compared_with_gold_and_with_their_trace() -> None:
    rows = [
        row(),
        row(answer="72.0"),
        row(answer="$72"),
        row(answer="seventy-two"),
        row(answer="71"),
        row(answer="many"),
        row(answer=""),
        row(answer="", rationale=TRACE + " The answer is 72."),
        row(answer="", rationale=TRACE + " The answer is 71. The answer is 72."),
        row(rationale=TRACE + "\n#### 71"),
        row(gold=None),
        row(gold="many"),
        row(answer="72 minutes", gold="72 hours"),
    ]
    assert reasons(AnswerMatches(matcher="numeric"), *rows) == [
        "",
        "",
        "",
        "",
        "wrong_answer",
        "answer_unreadable",
        "no_final_answer",
        "",
        "two_final_answers",
        "answer_not_of_trace",
        "no_gold",
        "gold_unreadable",
        "unit_mismatch",
    ]


def test_answers_among_options_and_labels() -> None:
    options = ("Paris", "Rome")
    assert reasons(
        AnswerMatches(matcher="choice"),
        row(answer="(B)", gold="Rome", options=options),
        row(answer="A", gold="Rome", options=options),
    ) == ["", "wrong_answer"]
    labels = AnswerMatches(allowed=("entails", "contradicts"), without_gold=True)
    assert reasons(labels, row(answer="Entails.", gold=None), row(answer="perhaps", gold=None)) == [
        "",
        "answer_not_allowed",
    ]


def test_a_sandbox_that_is_not_there_rejects_the_row_as_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    from mashbill.matching import sandbox

    monkeypatch.setattr(sandbox, "unshare", tuple)
    step = AnswerMatches(matcher={"code_tests": {"namespaces": "required"}})
    assert reasons(step, row(answer="x = 1", gold="assert x", rationale="")) == ["answer_check_error"]


def test_code_is_judged_by_its_tests() -> None:
    step = AnswerMatches(matcher={"code_tests": {"cpu_seconds": 2}})
    found = reasons(
        step, *[row(answer=code, gold="assert x == 1", rationale="One is set.") for code in ("x = 1", "x = 2", "x =")]
    )
    assert found == ["", "wrong_answer", "answer_unreadable"]
    other = row(answer="x = 1", gold="assert x == 1", rationale="One is set:\n```python\nx = 2\n```\n")
    assert reasons(step, other) == ["answer_not_of_trace"]


def test_the_matcher_with_all_its_fields_is_identity() -> None:
    plain, same = AnswerMatches(matcher="numeric"), AnswerMatches(matcher={"numeric": {"tolerance": 1e-3}})
    assert fingerprint(plain) == fingerprint(same) == fingerprint(AnswerMatches(matcher=plain.matcher))
    assert fingerprint(plain) != fingerprint(AnswerMatches(matcher={"numeric": {"tolerance": 1e-2}}))
    with pytest.raises(RegistryError, match="did you mean numeric"):
        AnswerMatches(matcher="numerc")


def test_equations_of_a_trace_must_hold() -> None:
    rows = [
        row(),
        row(rationale="48 + 24 = 73"),
        row(rationale="She sold 72."),
        row(rationale="<<9**9**9=1>>"),
        row(rationale="<<().__class__=1>>"),
        row(rationale="1/3 = 0.3"),
    ]
    assert reasons(TraceArithmetic(), *rows) == [
        "",
        "wrong_arithmetic",
        "nothing_to_check",
        "unread_equation",
        "unread_equation",
        "wrong_arithmetic",
    ]
    assert reasons(TraceArithmetic(tolerance=0.05, without_equations=True), *rows)[2:] == [
        "",
        "unread_equation",
        "unread_equation",
        "",
    ]
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="tolerance is"):
            TraceArithmetic(tolerance=wrong)


def test_how_many_equations_were_checked_is_a_score() -> None:
    output = apply_filters(
        [TraceArithmetic(without_equations=True)], to_table([row(), row(rationale="x")], Rationale), Rationale
    )
    assert [{one.name: one.value for one in kept.scores} for kept in from_table(output.kept, Rationale)] == [
        {"equations": 2.0},
        {"equations": 0.0},
    ]


def test_leaks_refusals_and_the_teachers_name() -> None:
    rows = [
        row(),
        row(rationale="As given in the context, 72."),
        row(rationale="The correct answer is marked as 72."),
        row(rationale="I'm sorry, but I can't help with that."),
        row(rationale="I, Qwen, say 72."),
    ]
    found = ["", "mentions_path", "mentions_given_answer", "refusal"]
    assert reasons(TraceLeaks(), *rows) == [*found, ""]
    assert reasons(TraceLeaks(names=("qwen",)), *rows) == [*found, "mentions_teacher"]
    assert reasons(TraceLeaks(patterns={"says_sold": (r"\bsold\b",)}), *rows) == ["says_sold", "", "", "refusal", ""]
    with pytest.raises(ValueError, match="no regular expression"):
        TraceLeaks(patterns={"broken": ("(",)})


def test_form_is_judged_before_anything_is_read() -> None:
    german = "Sie verkaufte im Mai halb so viele Klammern wie im April, also vierundzwanzig Stück."
    rows = [
        row(),
        row(made=Made(finish_reason="stop")),
        row(made=Made(finish_reason="length")),
        row(made=Made(finish_reason="content_filter")),
        row(rationale="72"),
        row(rationale="so " * 60 + TRACE),
        row(rationale=german),
        row(rationale="2 + 2 = 4, 4 * 18 = 72"),
    ]
    step = TraceForm(min_words=2, max_words=40, languages=("en",))
    assert reasons(step, *rows) == [
        "",
        "",
        "truncated",
        "unfinished",
        "trace_too_few_words",
        "trace_too_many_words",
        "trace_language",
        "",
    ]
    assert reasons(TraceForm(), *rows) == ["", "", "truncated", "unfinished", "", "", "", ""]
    with pytest.raises(ValueError, match="no row could pass"):
        TraceForm(min_words=5, max_words=2)
    with pytest.raises(ValueError, match="English"):
        TraceForm(languages=("English",))


STACK: list[Filter[Rationale]] = [
    TraceForm(languages=("en",)),
    AnswerMatches(matcher="numeric"),
    TraceLeaks(names=("qwen",)),
    TraceArithmetic(),
]


def test_the_stack_names_the_cheapest_reason_first() -> None:
    bad = row(rationale="The answer is marked. 2 + 2 = 5", answer="4", gold="5", made=Made(finish_reason="length"))
    assert reasons(STACK, bad) == ["truncated"]
    assert reasons(STACK[1:], bad) == ["wrong_answer"]
    assert reasons(STACK[2:], bad) == ["mentions_given_answer"]
    assert reasons(STACK[3:], bad) == ["wrong_arithmetic"]


TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@given(st.lists(st.tuples(TEXT, TEXT, st.none() | TEXT), max_size=5))
def test_no_row_is_lost_whatever_it_holds(texts: list[tuple[str, str, str | None]]) -> None:
    rows = {one.id: one for trace, answer, gold in texts for one in [row(rationale=trace, answer=answer, gold=gold)]}
    assert len(reasons(STACK, *rows.values())) == len(rows)


def test_the_checks_themselves_row_by_row() -> None:
    numeric = matcher_of("numeric")
    plain = {"rationale": TRACE, "answer": "72", "gold": "72", "options": []}
    assert judge_answer(numeric, (), False, plain) == ("", {})
    assert judge_answer(numeric, (), False, {**plain, "gold": None}) == ("no_gold", {})
    assert judge_answer(numeric, (), True, {**plain, "gold": None}) == ("", {})
    assert judge_arithmetic(1e-3, plain) == ("", {"equations": 2.0})
    assert judge_arithmetic(1e-3, {"rationale": "2 + 2 = 5"}) == ("wrong_arithmetic", {"equations": 1.0})
    rows = pa.array(['{"rationale": "2 + 2 = 5"}', '{"rationale": "5 + 5 = 10"}'], pa.large_string())
    found = judging(lambda one: judge_arithmetic(1e-3, one), ["wrong_arithmetic"], ["equations"])(rows)
    assert {name: column.tolist() for name, column in found.items()} == {"reason": [1, 0], "equations": [1, 1]}


def test_a_check_runs_once_for_a_row_however_many_reasons_it_has() -> None:
    seen = Counter[str]()

    def check(one: Any) -> tuple[str, dict[str, float]]:
        seen[one["answer"]] += 1
        return ("odd" if one["answer"] == "71" else ""), {"size": 1.0}

    import polars as pl

    remembered = judging(check, ["even", "odd"], ["size"])
    frame = pl.DataFrame({"answer": ["71", "72"]})
    found = frame.select(
        **judged(remembered, ["answer"], ["even", "odd"]), size=judged_score(remembered, ["answer"], "size")
    )
    assert found.to_dict(as_series=False) == {"even": [False, False], "odd": [True, False], "size": [1.0, 1.0]}
    assert seen == {"71": 1, "72": 1}


def test_a_data_set_s_own_solutions_can_be_verified() -> None:
    if "MASHBILL_DATA" not in os.environ:
        pytest.skip("MASHBILL_DATA, the folder of gsm8k_train_500.jsonl, is not set")
    lines = (Path(os.environ["MASHBILL_DATA"]) / "gsm8k_train_500.jsonl").read_text(encoding="utf-8").splitlines()
    parted = [json.loads(line)["answer"].partition("####") for line in lines]
    rows = [row(question=str(n), rationale=one[0], answer=one[2], gold=one[2]) for n, one in enumerate(parted)]
    found = Counter(reasons([TraceForm(), AnswerMatches(matcher="numeric"), TraceLeaks(), TraceArithmetic()], *rows))
    assert found == {"": 489, "nothing_to_check": 7, "wrong_arithmetic": 4}
