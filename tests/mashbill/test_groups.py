"""Groups: of what a question and a record are, and what is refused."""

from __future__ import annotations

import pytest

from mashbill.groups import Grouping
from mashbill.records import QA, Document, Edge, Instruction, Path, Triple, field_names, schema_of, to_row

EDGES = (
    Edge(head="Ora Venn", relation="inverse of led by", tail="Salt Guild", inverse=True, stated="led by"),
    Edge(head="Salt Guild", relation="seat of", tail="Veylund"),
)


def test_cells_are_of_the_upper_discipline_and_want_both_labels() -> None:
    cells = Grouping(by=("cells",))
    assert cells.of_question({"discipline": "law/public law", "difficulty": 0}) == ("law/0",)
    for row in ({"discipline": "law"}, {"difficulty": 3}, {"discipline": "", "difficulty": 3}, {}):
        assert cells.of_question(row) == ()
    assert cells.of_records([])({"discipline": "law", "difficulty": 2}) == ("law/2",)
    assert cells.columns(schema_of(QA).names) == ["discipline", "difficulty"]
    with pytest.raises(ValueError, match=r"lack the columns discipline, difficulty"):
        cells.columns(schema_of(Document).names)


def test_entities_are_found_by_whole_words_in_all_that_a_record_says() -> None:
    grouping = Grouping(by=("entities",))
    assert grouping.of_question({"entities": ["Salt Guild", "lamp", "Salt Guild"]}) == ("Salt Guild", "lamp")
    assert grouping.of_question({"path": [to_row(EDGES[1])]}) == ("Salt Guild", "Veylund")
    groups = grouping.of_records(["Salt Guild", "art", "lamp", "?"])
    assert groups(to_row(Document.new(title="Lamps", text="The party of the salt  guild’s men."))) == (
        "Salt Guild",
        "lamp",
    )
    assert groups(to_row(Path.new(edges=EDGES))) == ("Salt Guild",)
    assert groups(to_row(Triple.new(head="art", relation="of", tail="lamps"))) == ("art", "lamp")
    assert groups(to_row(QA.new(question="Who?", answer="Nobody"))) == ()


def test_relations_go_by_what_the_graph_states() -> None:
    grouping = Grouping(by=("relations",))
    assert grouping.of_question({"relations": ["seat of"]}) == ("seat of",)
    groups = grouping.of_records([])
    assert groups(to_row(Path.new(edges=EDGES))) == ("led by", "seat of")
    assert groups(to_row(QA.new(question="?", answer="!", path=EDGES))) == ("led by", "seat of")
    assert groups(to_row(Triple.new(head="a", relation="of", tail="b"))) == ("of",)
    assert grouping.columns(field_names(Triple)) == ["relation"]


def test_constraint_types_are_categories() -> None:
    grouping = Grouping(by=("constraints",))
    row = {"constraints": [{"category": "language", "text": "x"}, {"category": "language"}, "numerical", ""]}
    assert grouping.of_question(row) == ("language", "numerical")
    assert grouping.columns(schema_of(Instruction).names) == ["constraints"]
    with pytest.raises(ValueError, match="lack the column constraints"):
        grouping.columns(schema_of(Document).names)


def test_columns_multiply_and_a_missing_one_is_no_group() -> None:
    grouping = Grouping(by=("tags", "hops"), source=("subjects", "kind"))
    assert grouping.of_question({"tags": ["a", "b"], "hops": 2}) == ("a/2", "b/2")
    assert grouping.of_question({"tags": [], "hops": 2}) == ()
    assert grouping.of_question({"tags": ["a"], "hops": None}) == ()
    assert grouping.of_records([])({"subjects": ["a"], "kind": "2"}) == ("a/2",)
    assert grouping.columns(schema_of(Document).names) == ["subjects", "kind"]
    with pytest.raises(ValueError, match="lack the column kind"):
        grouping.columns(["subjects"])


@pytest.mark.parametrize(
    ("by", "source", "said"),
    [
        ((), (), r"by is \[\]; wanted is one of cells"),
        (("cells", "hops"), (), r"by is \['cells', 'hops'\]"),
        (("entities",), ("text",), "source means nothing by entities"),
        (("domain", "hops"), ("text",), r"source is \['text'\]; wanted is one column for each"),
    ],
)
def test_what_groups_nothing_is_refused(by: tuple[str, ...], source: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Grouping(by=by, source=source)
