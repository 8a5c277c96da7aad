"""Records keep their types, their ids and every field, through Arrow and back."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashbill.records import (
    QA,
    RECORD_TYPES,
    Constraint,
    Document,
    Edge,
    Instruction,
    Made,
    Operation,
    Record,
    Reject,
    Score,
    Verdict,
    from_rows,
    join_texts,
    schema_of,
    to_row,
    to_table,
    with_scores,
)

KINDS = [*RECORD_TYPES.values(), Reject]

st.register_type_strategy(str, st.text(max_size=12))
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))
st.register_type_strategy(float, st.floats(allow_nan=False))


class Level(enum.StrEnum):
    EASY = "easy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd(Record):
    """The types no released record uses yet."""

    level: Level = Level.EASY
    body: bytes = b""
    sure: bool = False
    best: Constraint | None = None
    lists: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loose(Record):
    extra: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Torn(Record):
    either: int | str


@pytest.mark.parametrize("kind", [*KINDS, Odd])
def test_a_table_without_rows_has_every_column_with_its_type(kind: type[Record]) -> None:
    table = to_table([], kind)
    assert table.schema == schema_of(kind)
    assert not any(pa.types.is_null(column.type) for column in table.schema)


def test_a_column_empty_in_every_row_keeps_its_type() -> None:
    table = to_table([Document.new(text="a"), Document.new(text="b")], Document)
    assert table.schema.field("subjects").type == pa.list_(pa.field("item", pa.string(), nullable=False))
    assert pa.types.is_struct(table.schema.field("scores").type.value_type)


def test_only_fields_that_may_be_none_are_nullable() -> None:
    nullable = {field.name for field in schema_of(RECORD_TYPES["QA"]) if field.nullable}
    assert nullable == {"difficulty", "is_stem", "pass_rate"}


@pytest.mark.parametrize("kind", [*KINDS, Odd])
@settings(max_examples=20)
@given(data=st.data())
def test_what_goes_into_parquet_comes_out_the_same(kind: type[Record], data: st.DataObject, tmp_path: Path) -> None:
    records = data.draw(st.lists(st.builds(kind), max_size=3))
    pq.write_table(to_table(records, kind), tmp_path / "rows.parquet")
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert from_rows(rows, kind) == records


@given(st.builds(Document), st.builds(Made), st.lists(st.builds(Score)), st.text(), st.text())
def test_the_id_depends_on_the_content_alone(
    one: Document, made: Made, scores: list[Score], license_name: str, place: str
) -> None:
    other = dataclasses.replace(
        one, id="else", made=made, scores=tuple(scores), license=license_name, source_id=place, source=place
    )
    assert one.identified().id == other.identified().id
    assert len(one.identified().id) == 32


@given(st.builds(Document), st.sampled_from(["text", "title", "kind", "domain", "author", "year"]))
def test_any_change_of_content_changes_the_id(one: Document, name: str) -> None:
    changed = dataclasses.replace(one, **{name: getattr(one, name) + "."})
    assert changed.identified().id != one.identified().id


def test_two_rejects_of_two_places_are_two() -> None:
    assert Reject.new(reason="empty", source="a.md").id != Reject.new(reason="empty", source="b.md").id


def test_two_types_of_one_content_have_two_ids() -> None:
    assert Document.new(text="a").id != RECORD_TYPES["Instruction"].new(text="a").id


def test_a_source_record_is_its_own_source() -> None:
    record = Document.new(text="a")
    assert record.source_id == record.id


def test_a_child_inherits_where_it_comes_from() -> None:
    parent = Document.new(text="a", source="a.md", domain="salt", license="CC0-1.0")
    child = parent.child(Document, text="b")
    grandchild = child.child(Reject, reason="empty")
    assert child.parents == (parent.id,)
    assert grandchild.parents == (child.id,)
    for one in (child, grandchild):
        assert (one.source_id, one.source, one.domain, one.license) == (parent.id, "a.md", "salt", "CC0-1.0")


def test_a_child_may_name_more_parents() -> None:
    one, two = Document.new(text="a"), Document.new(text="b")
    assert one.child(Document, text="c", parents=(one.id, two.id)).parents == (one.id, two.id)


def test_scores_are_added_and_leave_the_id() -> None:
    record = with_scores(with_scores(Document.new(text="a"), {"words": 1}), {"fluency": 0.5})
    assert record.scores == (Score(name="words", value=1.0), Score(name="fluency", value=0.5))
    assert record.identified().id == record.id


@pytest.mark.parametrize(("kind", "field"), [(Loose, "extra"), (Torn, "either")])
def test_a_field_without_an_arrow_type_is_refused_by_name(kind: type[Record], field: str) -> None:
    with pytest.raises(TypeError, match=f"{field}: a record field cannot be .*; use str, int"):
        schema_of(kind)


def test_a_row_is_plain_values() -> None:
    row: dict[str, Any] = to_row(with_scores(Document.new(text="a"), {"words": 1}))
    assert row["scores"] == [{"name": "words", "value": 1.0}]
    assert row["made"]["asks"] == []


def test_a_short_list_for_a_message_says_how_many_more() -> None:
    assert join_texts(["a", "b"], most=2) == "a, b"
    assert join_texts(["a", "b", "c", "d"], most=2) == "a, b and 2 more"
    assert join_texts([]) == ""


def test_what_was_measured_or_judged_of_a_question_is_not_the_question() -> None:
    qa = QA.new(question="Who?", answer="Ora")
    judged = dataclasses.replace(qa, pass_rate=0.5, verdicts=(Verdict(name="grader:a", outcome="fail"),))
    assert judged.identified().id == qa.id


def test_the_hops_of_a_question_are_the_edges_of_its_path() -> None:
    edge = Edge(head="salt", relation="made_by", tail="Ora")
    without, one = QA.new(question="Who?", answer="Ora"), QA.new(question="Who?", answer="Ora", path=(edge,))
    assert (without.hops, one.hops) == (0, 1)


def test_what_was_found_out_about_an_instruction_leaves_its_id() -> None:
    plain = Instruction.new(text="Write of salt.", task_type="writing")
    known = Instruction.new(text="Write of salt.", task_type="writing", hop=2, task_cluster="prose", languages=("en",))
    assert known.id == plain.id
    assert Instruction.new(text="Write of salt.", operations=(Operation(name="add", constraint="Be brief."),)).id != (
        plain.id
    )


def test_labels_of_difficulty_and_what_must_be_known_are_not_the_question() -> None:
    plain = QA.new(question="How many?", answer="2")
    labelled = dataclasses.replace(plain, difficulty=3, is_stem=True, knowledge_points=("counting",)).identified()
    assert labelled.id == plain.id == "da7760a43a379491317f1ef2477e9195"
