from __future__ import annotations

import json
from pathlib import Path

import pytest

from mashbill.engine import ScriptedEngine
from mashbill.records import Document
from synth.generators.document_questions import DocumentQuestions, pieces
from tests.synth.generator_helpers import GUILD
from tests.synth.rationale_helpers import asked, count_reasons, rejects_in, rows_of, run

FOUNDED = "Ora Venn founded the Salt Guild in Marrow Bay."


def said(*questions: tuple[str, str, str]) -> str:
    names = ("question", "evidence", "answer")
    return json.dumps({"questions": [dict(zip(names, one, strict=True)) for one in questions]})


async def test_a_question_is_kept_with_the_words_that_answer_it(tmp_path: Path) -> None:
    reply = said(("Who founded the Salt Guild?", FOUNDED, "Ora Venn"))
    (row,) = rows_of(await run(tmp_path, DocumentQuestions(), [GUILD], lambda _: reply))
    assert (row.question, row.answer, row.kind) == ("Who founded the Salt Guild?", "Ora Venn", "open")
    assert [(one.name, one.detail) for one in row.verdicts] == [("evidence", FOUNDED)]
    assert (row.parents, row.source_id, row.domain) == ((GUILD.id,), GUILD.source_id, "Veylund")
    assert row.made.asks


async def test_a_question_that_does_not_hold_is_rejected_with_its_reason(tmp_path: Path) -> None:
    reply = said(
        ("Who founded the Salt Guild?", FOUNDED, "Ora Venn"),
        ("Who founded the salt guild", FOUNDED, "Ora Venn"),
        ("Who led the Salt Guild?", "Ora Venn led it for years.", "Ora Venn"),
        ("Where was the Salt Guild founded?", FOUNDED, "Oskelby"),
        ("Who is mentioned in the text above?", FOUNDED, "Ora Venn"),
        ("Did Ora Venn found the Salt Guild?", FOUNDED, "Ora Venn"),
        ("?", FOUNDED, "Ora Venn"),
    )
    made = await run(tmp_path, DocumentQuestions(), [GUILD], lambda _: reply)
    assert len(rows_of(made)) == 1
    assert count_reasons(made) == {
        "answer_in_question": 1,
        "answer_unsupported": 1,
        "empty_question": 1,
        "evidence_absent": 1,
        "needs_document": 1,
        "repeated_question": 1,
    }
    assert all(one.made.asks for one in rejects_in(made))


async def test_a_long_document_is_asked_about_piece_by_piece(tmp_path: Path) -> None:
    text = "\n\n".join(f"Keeper {at} guards gate {at} of the long salt road." for at in range(4))
    engine = ScriptedEngine(
        lambda request: said(*((f"Who guards gate {at}?", f"Keeper {at} guards gate {at}", f"Keeper {at}")
                               for at in range(4) if f"Keeper {at} " in asked(request)))
    )  # fmt: skip
    rows = rows_of(await run(tmp_path, DocumentQuestions(most_words=20), [Document.new(text=text)], engine))
    assert len(engine.seen) == 2
    assert [row.answer for row in rows] == ["Keeper 0", "Keeper 1", "Keeper 2", "Keeper 3"]


async def test_a_piece_whose_reply_cannot_be_read_does_not_take_the_others_along(tmp_path: Path) -> None:
    text = "Ora Venn founded the Salt Guild.\n\nPerrick sells lamps in Oskelby."

    def teacher(request: object) -> str:
        if "Perrick" in str(request):
            return "I would rather not."
        return said(("Who founded the Salt Guild?", "Ora Venn founded the Salt Guild.", "Ora Venn"))

    made = await run(tmp_path, DocumentQuestions(most_words=6), [Document.new(text=text)], teacher)
    assert len(rows_of(made)) == 1
    assert count_reasons(made) == {"unparsable": 1}


async def test_a_document_without_text_is_a_reject(tmp_path: Path) -> None:
    made = await run(tmp_path, DocumentQuestions(), [Document.new(text=" \n ")], {})
    assert count_reasons(made) == {"empty_document": 1}


def test_pieces_lose_no_paragraph_and_hold_what_they_may() -> None:
    text = "\n \n".join(["a b c", "", "d", "e f g h i j", "k"])
    assert list(pieces(text, 4)) == ["a b c\n\nd", "e f g h i j", "k"]
    assert list(pieces(" \n\n ", 4)) == []


def test_fields_that_ask_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="each is 0"):
        DocumentQuestions(each=0)
    with pytest.raises(ValueError, match=r"lacks \{each\}"):
        DocumentQuestions(ask_for="Ask.")
