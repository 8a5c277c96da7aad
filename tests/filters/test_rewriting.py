"""Steps that change a text: what becomes of it, of its id and of what cannot be mended."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest
from hypothesis import example, given, settings

from filters.c4_lines import C4Lines
from filters.repair_text import RepairText, repaired
from mashbill.errors import BillError
from mashbill.records import QA, Document, from_rows, to_table
from mashbill.step import DatasetStep
from tests.filters.support import MemoryParts, doc, run
from tests.filters.texts import texts

PROSE = "The café of the guild sold salt in Veylund."


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("The cafÃ© of the guild sold salt in Veylund.", PROSE),
        ("The cafe\u0301 of the guild sold salt in Veylund.", PROSE),
        ("\ufeffThe café\x00 of the\x07 guild \x1b[1msold\x1b[0m salt\u200b in Veylund.", PROSE),
        ("a\r\nb\rc\u2028d\u2029e", "a\nb\nc\nd\n\ne"),
        ("“Salt”, he said — ﬁne. می‌خواهم 👩‍🌾", "“Salt”, he said — ﬁne. می‌خواهم 👩‍🌾"),
        ("tab\there", "tab\there"),
    ],
)
def test_what_is_repaired_and_what_is_left(broken: str, whole: str) -> None:
    assert repaired(pl.Series([broken])).to_list() == [whole]


@settings(max_examples=150, deadline=None)
@given(texts)
@example("À\x1f°")
def test_repairing_twice_changes_nothing_more(text: str) -> None:
    once = repaired(pl.Series([text]))
    assert repaired(once).to_list() == once.to_list()


def test_a_changed_row_has_a_new_id_and_its_old_one_as_parent() -> None:
    rows = [doc("salt", title="as it was"), doc("fi\x00sh", source="09ab", title="x")]
    ((same, mended),), rejects = run(RepairText(), [rows])
    assert same == rows[0]
    assert rejects == []
    assert (mended.text, mended.parents, mended.source_id) == ("fish", (rows[1].id,), "09ab")
    assert mended.id == dataclasses.replace(rows[1], text="fish", parents=(rows[1].id,)).identified().id != rows[1].id


def test_what_cannot_be_repaired_is_rejected_as_it_was() -> None:
    rows = [doc("\ufffd\ufffd guild"), doc("\x00\x01"), doc("x" * 200 + "\ufffd"), doc("")]
    ((kept, empty),), rejects = run(RepairText(), [rows])
    assert (kept, empty) == (rows[2], rows[3])
    assert [(row["reason"], row["text"]) for row in rejects] == [
        ("lost_characters", "\ufffd\ufffd guild"),
        ("nothing_left", "\x00\x01"),
    ]


def test_any_text_column_of_any_record_is_repaired() -> None:
    row = QA.new(question="Wo ist das\x00 Salz?", answer="MÃ¼nchen")
    (output,) = RepairText(columns=("question", "answer")).run(MemoryParts([to_table([row], QA)]))
    (mended,) = from_rows(output.kept.to_pylist(), QA)
    assert (mended.question, mended.answer, mended.parents) == ("Wo ist das Salz?", "München", (row.id,))


@pytest.mark.parametrize("step", [RepairText(columns=("answer",)), C4Lines(column="subjects")])
def test_a_column_that_holds_no_text_is_named(step: DatasetStep[Document, Document]) -> None:
    with pytest.raises(BillError, match=rf"{step.name}: Document has no text column .*title.*text"):
        run(step, [[doc("salt")]])


def test_fields_that_repair_nothing_are_refused() -> None:
    with pytest.raises(BillError, match="no column"):
        RepairText(columns=())
    with pytest.raises(BillError, match="max_lost"):
        RepairText(max_lost=2)


def test_only_good_lines_stay() -> None:
    bad = "We use cookies here.\nRead on...\nToo short.\n\nAsk [edit]us!"
    page = "Home | About\n  The guild sold salt in Veylund.[1]\n" + bad
    rows = [doc(page), doc("Menu\nShop"), doc("It was so in Veylund.")]
    ((first, last),), rejects = run(C4Lines(), [rows])
    assert first.text == "The guild sold salt in Veylund."
    assert first.parents == (rows[0].id,)
    assert last == rows[2]
    assert [(row["reason"], row["text"]) for row in rejects] == [("no_good_line", "Menu\nShop")]
    ((again, _),), _ = run(C4Lines(), [[first, last]])
    assert again == first
