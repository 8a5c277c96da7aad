"""Questions as plain text: the domain first, several templates, no mark of a chat, nothing lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.errors import BillError, StoreError
from mashbill.fingerprint import fingerprint
from mashbill.records import QA, Document, Rationale, to_row, to_table
from train.render import RenderSpec, columns_of, render, token_tables
from train.render_qa import TEMPLATES, QuestionText, question_text
from train.tokenizer import StudentTokenizer

PLAIN = RenderSpec(questions=QuestionText())
FENCE = QA.new(
    question="A fence of 60 m encloses a rectangle. What is its largest area?",
    rationale="15 * 15 = 225.",
    answer="225 m^2",
    discipline="mathematics/calculus",
)


def text_of(row: QA, **spec: Any) -> str:
    return render(to_row(row), RenderSpec(questions=QuestionText(**spec)))


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_has_the_domain_first_then_question_reasons_and_answer(template: str) -> None:
    text = text_of(FENCE, templates=(template,))
    assert text.split("\n", 1)[0] == "mathematics/calculus"
    places = [text.index(part) for part in (FENCE.question, FENCE.rationale, FENCE.answer)]
    assert places == sorted(places)
    assert "{" not in text
    assert "\n\n\n" not in text


def test_a_domain_goes_before_a_discipline_and_neither_is_needed() -> None:
    first = [
        text_of(QA.new(question="Why is that?", answer="so", **more)).split("\n")[0] for more in ({}, {"domain": "a"})
    ]
    assert first[1] == "a"
    assert first[0] != ""


def test_what_a_row_lacks_leaves_no_line() -> None:
    row = QA.new(question="Is salt white?", answer="yes.")
    template = "{question}\n{options}\n{rationale}\nThe answer is {answer}."
    assert text_of(row, templates=(template,)) == "Is salt white?\nThe answer is yes."
    both = QA.new(question="Is salt white?", options=("yes", "no"), answer="yes", rationale="It is.", context="Salt.")
    assert text_of(both, templates=(template,)) == "Salt.\n\nIs salt white?\nA) yes\nB) no\nIt is.\nThe answer is yes."
    assert "It is." not in text_of(both, templates=(template,), rationale=False)


def test_code_begins_on_a_line_of_its_own() -> None:
    row = QA.new(question="Write f.", answer="def f():\n    return 1")
    assert text_of(row, templates=("{question}\nAnswer: {answer}",)).endswith("Answer: \ndef f():\n    return 1")


def test_templates_are_drawn_by_the_row_alone_and_all_are_used() -> None:
    rows = [QA.new(question=f"What comes after {at}?", answer=str(at + 1)) for at in range(500)]
    spec = QuestionText()
    counts = Counter(spec.template_of(row.id) for row in rows)
    assert set(counts) == set(TEMPLATES)
    assert min(counts.values()) > 60
    assert [spec.template_of(row.id) for row in rows[::-1]] == [spec.template_of(row.id) for row in rows][::-1]
    assert any(QuestionText(seed=1).template_of(row.id) != spec.template_of(row.id) for row in rows)


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip), st.text())
def test_question_answer_and_reasons_are_in_the_text_whatever_they_hold(question: str, answer: str, why: str) -> None:
    row = {"id": "a", "question": question, "answer": answer, "rationale": why, "options": [], "context": ""}
    for template in TEMPLATES:
        text = question_text(row, QuestionText(templates=(template,)))
        for part in (question, answer, why):
            assert _solid(part) in _solid(text)


def _solid(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("<|im_start|>user {question} {answer}", "a mark of a chat"),
        ("User: {question}\nAssistant: {answer}", "'User:', a mark of a chat"),
        ("[INST] {question} [/INST] {answer}", "a mark of a chat"),
        ("{question}", r"lacks \{answer\}"),
        ("{question} {answer} {why}", r"has no place \{why\}; places are \{answer\}, \{options\}"),
    ],
)
def test_a_template_that_is_a_chat_or_lacks_a_part_is_refused(template: str, message: str) -> None:
    with pytest.raises(BillError, match=message):
        QuestionText(templates=(template,))
    with pytest.raises(BillError, match="templates is empty"):
        QuestionText(templates=())


def test_rows_of_questions_become_tokens(tokenizer: StudentTokenizer) -> None:
    worked = Rationale.new(question="Why?", rationale="So it is.", answer="so", domain="d")
    for row, domain in ((FENCE, "mathematics/calculus"), (worked, "d")):
        table = to_table([row], type(row)).select(columns_of(type(row)))
        (tokens,) = token_tables([table], tokenizer, PLAIN)
        assert tokenizer.decode(tokens.column("tokens")[0].as_py()) == render(to_row(row), PLAIN)
        assert tokens.column("domain").to_pylist() == [domain]


def test_the_heading_may_be_read_and_not_learned(tokenizer: StudentTokenizer) -> None:
    spec = RenderSpec(questions=QuestionText(), learn_heading=False)
    (tokens,) = token_tables([to_table([FENCE], QA)], tokenizer, spec)
    (given,), (ids,) = tokens.column("prompt_length").to_pylist(), tokens.column("tokens").to_pylist()
    assert tokenizer.decode(ids[:given]).strip() == "mathematics/calculus"
    assert FENCE.answer in tokenizer.decode(ids[given:])


def test_without_the_word_of_the_bill_they_are_no_texts(tokenizer: StudentTokenizer) -> None:
    with pytest.raises(StoreError, match="rows with a question"):
        list(token_tables([to_table([FENCE], QA)], tokenizer))


def test_documents_are_read_as_ever_and_their_plans_keep_their_identity(tokenizer: StudentTokenizer) -> None:
    table = to_table([Document.new(text="Salt.", domain="d")], Document)
    (with_questions,), (without,) = token_tables([table], tokenizer, PLAIN), token_tables([table], tokenizer)
    assert with_questions.equals(without)
    assert columns_of(Document) == ("id", "source_id", "domain", "title", "text")
    assert fingerprint(RenderSpec().identity) == "b6381bc675e6395a2a095ad17a305999"
    assert fingerprint(PLAIN.identity) != fingerprint(RenderSpec().identity)
