"""Deduplication of every record type, and of input that is not as it should be."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pyarrow as pa
import pytest

from filters.compared_text import COMPARED, compared_columns
from filters.exact_dedup import ExactDedup
from filters.minhash_dedup import MinhashDedup
from filters.repeated_lines import RepeatedLines
from mashbill.errors import BillError, InputError
from mashbill.records import (
    QA,
    RECORD_TYPES,
    Constraint,
    DatabaseTask,
    Document,
    Edge,
    Instruction,
    Path,
    Preference,
    Rationale,
    Record,
    Reject,
    Triple,
    to_table,
)
from mashbill.step import DatasetStep
from tests.filters.dedup_support import broken_text, run_any
from tests.filters.support import MemoryParts, doc
from tests.filters.texts import random_text

LONG = " ".join(random_text(random.Random(1), 60))
OTHER = " ".join(random_text(random.Random(2), 60))

TRIPLETS: list[tuple[type[Record], list[Record]]] = [
    (Document, [Document.new(text=LONG, title="a"), Document.new(text=LONG.upper(), title="b"), doc(OTHER)]),
    (
        Instruction,
        [
            Instruction.new(text=LONG, response="a"),
            Instruction.new(text=LONG, response="b"),
            Instruction.new(text=OTHER),
        ],
    ),
    (
        QA,
        [
            QA.new(question=LONG, answer="The Guild.", rationale="x"),
            QA.new(question=LONG, answer="guild", rationale="y"),
            QA.new(question=LONG, answer="guild", options=("guild", "salt", *OTHER.split())),
        ],
    ),
    (
        Rationale,
        [
            Rationale.new(question="q", rationale=LONG, answer="1", license="a"),
            Rationale.new(question="q", rationale=LONG, answer="1", domain="b"),
            Rationale.new(question="q", rationale=OTHER, answer="1"),
        ],
    ),
    (
        Preference,
        [
            Preference.new(prompt="p", chosen=LONG, rejected="r", domain="a"),
            Preference.new(prompt="p", chosen=LONG, rejected="r"),
            Preference.new(prompt="p", chosen=OTHER, rejected="r"),
        ],
    ),
    (
        Triple,
        [
            Triple.new(head="Ora", relation="sells", tail="salt", evidence=LONG, domain="a"),
            Triple.new(head="Ora", relation="sells", tail="salt", evidence=LONG),
            Triple.new(head="Ora", relation="sells", tail="salt", evidence=OTHER),
        ],
    ),
    (
        Path,
        [
            Path.new(edges=(Edge(head="a", relation="b", tail=LONG),), repeat=0),
            Path.new(edges=(Edge(head="a", relation="b", tail=LONG),), repeat=1),
            Path.new(edges=(Edge(head="a", relation="b", tail=OTHER),)),
        ],
    ),
]


def test_every_record_type_has_a_text_to_compare() -> None:
    assert set(COMPARED) == {kind for kind, _ in TRIPLETS}
    assert all(compared_columns(kind) for kind in RECORD_TYPES.values())
    assert compared_columns(DatabaseTask) == COMPARED[Instruction]
    with pytest.raises(BillError, match="Reject has no text to compare"):
        compared_columns(Reject)


@pytest.mark.parametrize("step", [ExactDedup(), MinhashDedup()])
@pytest.mark.parametrize(("kind", "rows"), TRIPLETS)
def test_copies_go_whatever_the_record_type(
    step: DatasetStep[Any, Any], kind: type[Record], rows: list[Record]
) -> None:
    first, second = sorted(rows[:2], key=lambda row: row.id)
    kept, rejects = run_any(step, [[second], [rows[2], first]], kind)
    assert [row.id for row in kept] == [rows[2].id, first.id]
    (gone,) = rejects
    assert (gone["id"], gone["kept_id"], gone["cluster"], gone["kind"]) == (
        second.id,
        first.id,
        first.id,
        kind.__name__,
    )


def instruction(text: str, *constraints: str, base: str = "Tell of salt.", **fields: Any) -> Instruction:
    said = tuple(Constraint(category="form", text=one) for one in constraints)
    return Instruction.new(text=text, base_query=base, constraints=said, **fields)


def test_instructions_of_one_set_of_constraints_are_equal() -> None:
    one = instruction("Tell of salt in verse and briefly.", "in verse", "at most ten lines")
    two = instruction("In ten lines, rhyme about salt.", "At most ten  lines", "in verse")
    three = instruction("Tell of salt in verse.", "in verse")
    base = instruction("Tell of salt in verse, briefly.", "in verse", "at most ten lines", base="Tell of brine.")
    bare = instruction("TELL of salt in verse.", base="")
    kept, rejects = run_any(ExactDedup(), [[one, two], [three, base, bare]], Instruction)
    first, second = sorted((one, two), key=lambda row: row.id)
    assert {row["id"]: (row["kept_id"], row["detail"]) for row in rejects} == {
        second.id: (first.id, "the same set of constraints"),
        max(three.id, bare.id): (min(three.id, bare.id), ""),
    }
    assert base in kept


def question(answer: str, asked: str = "Six times twelve?", **fields: Any) -> QA:
    return QA.new(question=asked, answer=answer, **fields)


def test_equal_questions_with_different_answers_are_a_conflict_and_all_go() -> None:
    rows = [question("72"), question("74", rationale="x"), question("72.", rationale="y"), question("72", "Other?")]
    kept, rejects = run_any(ExactDedup(), [rows[:2], rows[2:]], QA)
    assert kept == [rows[3]]
    assert {row["reason"] for row in rejects} == {"conflicting_answers"}
    assert len({row["cluster"] for row in rejects}) == 1
    assert {row["kept_id"] for row in rejects} == {""}
    (odd,) = [row for row in rejects if row["id"] == rows[1].id]
    assert odd["detail"] == "answers '74'; the same question is also answered '72'"
    assert '"answer":"74"' in str(odd["record"])  # it can be taken up again


def test_answers_that_a_row_accepts_do_not_conflict_and_other_options_are_another_question() -> None:
    accepting = question("72", accepted=("72", "six dozen"))
    kept, rejects = run_any(ExactDedup(), [[accepting, question("Six dozen.", rationale="x")]], QA)
    assert (len(kept), [row["reason"] for row in rejects]) == (1, ["exact_duplicate"])
    kept, rejects = run_any(ExactDedup(), [[question("a", options=("a", "b")), question("c", options=("c", "d"))]], QA)
    assert (len(kept), rejects) == (2, [])


def test_an_answered_question_is_kept_before_one_without_an_answer() -> None:
    for asked in ("Who?", LONG):
        for step in (ExactDedup(), MinhashDedup()):
            rows = [question("", asked), question("Ora", asked)]
            for order in (rows, rows[::-1]):
                kept, rejects = run_any(step, [order], QA)
                assert ([row.answer for row in kept], len(rejects)) == (["Ora"], 1)


def test_nearly_equal_questions_with_different_answers_both_stay() -> None:
    near = LONG.replace(LONG.split()[50], "brine")
    same, other = question("salt", LONG), question("brine", near)
    assert len(run_any(MinhashDedup(), [[same, other]], QA)[0]) == 2
    assert len(run_any(MinhashDedup(), [[same, question("Salt", near)]], QA)[0]) == 1


STEPS: list[DatasetStep[Any, Any]] = [ExactDedup(), MinhashDedup(), RepeatedLines()]


@pytest.mark.parametrize("step", STEPS)
def test_empty_and_blank_and_null_texts_are_kept_or_copies(step: DatasetStep[Any, Any]) -> None:
    texts = ["", " \n\t", "\u3000", "a\x00b", "مرحبا بالملح " * 9, "製塩所は島にある。" * 9]
    rows = [doc(text) for text in texts]
    table = to_table([*rows, doc("null")], Document)
    table = table.set_column(table.schema.get_field_index("text"), "text", pa.array([*texts, None], pa.string()))
    (made,) = step.run(MemoryParts([table]))
    assert made.kept.num_rows + made.rejects.num_rows == 7
    stays = {row["text"] for row in made.kept.to_pylist()}
    assert {rows[4].text, rows[5].text, "a\x00b"} <= stays
    reasons = {row["reason"] for row in made.rejects.to_pylist()}
    assert reasons == ({"exact_duplicate"} if isinstance(step, ExactDedup) else set())


@pytest.mark.parametrize("step", [ExactDedup(), MinhashDedup()])
@pytest.mark.parametrize("data", [b"a \xed\xa0\x80 b", b"\xff\xfe"])
def test_a_text_that_is_not_utf8_is_named_by_its_row(step: DatasetStep[Any, Any], data: bytes) -> None:
    rows = [doc("good one"), doc("another"), doc("x")]
    parts = MemoryParts([to_table(rows[:1], Document), broken_text(Document, rows[1:], "text", data)])
    with pytest.raises(InputError, match=f"row {rows[2].id} .part 1, row 1. has a text that is not UTF-8"):
        list(step.run(parts))


@pytest.mark.parametrize("step", STEPS)
def test_a_missing_column_is_named(step: DatasetStep[Any, Any]) -> None:
    table = to_table([doc("salt")], Document)
    with pytest.raises(BillError, match=r"nearest is Document, but it has no text; run the step"):
        list(step.run(MemoryParts([table.drop_columns(["text"])])))
    with pytest.raises(BillError, match=r"nearest is Document, but it has hue besides"):
        list(step.run(MemoryParts([table.append_column("hue", pa.array(["red"]))])))


def test_rows_of_one_id_go_but_for_one() -> None:
    rows = [doc(LONG), dataclasses.replace(doc(LONG), source="b"), dataclasses.replace(doc(LONG), license="c")]
    for step in (ExactDedup(), MinhashDedup()):
        kept, rejects = run_any(step, [rows], Document)
        again, _ = run_any(step, [rows[::-1]], Document)
        assert (len(kept), len(rejects), kept) == (1, 2, again)


def test_a_text_of_many_megabytes_is_one_row_among_others() -> None:
    words = random_text(random.Random(3), 500_000, vocabulary=10**6)
    large, near = " ".join(words), " ".join([*words[:-9], "and", "so", "on"])
    rows = [doc(large), doc(near, source="b"), doc("small")]
    kept, rejects = run_any(MinhashDedup(), [rows], Document)
    assert len(kept) == 2
    assert float(rejects[0]["value"]) > 0.999
