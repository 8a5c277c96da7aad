"""Rubrics are files: those that come with Mashbill are whole, and one that is not says what is wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from filters.rubric_file import read_rubric, rubric_files, yes_no
from mashbill.errors import BillError, InputError

WHOLE = """
shown: {text: [text, question]}
dimensions:
  salt: {asks: "Is it salty?", anchors: {"1": No., "5": Yes.}}
"""


@pytest.mark.parametrize("name", ["document", "instruction", "knowledge", "qa", "rationale"])
def test_those_that_come_with_mashbill_anchor_each_dimension(name: str) -> None:
    rubric = read_rubric(name)
    assert rubric.about
    assert len(rubric.dimensions) == 3
    for one in rubric.dimensions.values():
        assert set(one.anchors) == {"1", "3", "5"}
        assert one.asks.endswith((".", "?"))


def test_a_folder_of_ones_own_comes_before(tmp_path: Path) -> None:
    (tmp_path / "knowledge.yaml").write_text(WHOLE, encoding="utf-8")
    (tmp_path / "salt.yaml").write_text(WHOLE, encoding="utf-8")
    assert list(read_rubric("knowledge", str(tmp_path)).dimensions) == ["salt"]
    assert {"salt", "qa"} <= set(rubric_files(str(tmp_path)))
    with pytest.raises(InputError, match="no such folder of rubrics"):
        read_rubric("salt", str(tmp_path / "nowhere"))


def test_an_unknown_name_is_answered_with_the_list() -> None:
    with pytest.raises(InputError, match=r"'knowlege' \(did you mean knowledge\?\); there are: document, instruction"):
        read_rubric("knowlege")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a", "a mapping with `shown` and `dimensions` is wanted"),
        ("shown: {text: text}", "dimensions: Field required"),
        (WHOLE.replace("shown", "show"), "shown: Field required"),
        (WHOLE + "colour: red", "colour: Extra inputs are not permitted"),
        (WHOLE.replace('"1": No., ', ""), r"salt has anchors for 5; wanted are those of 1 and 5, and of no level but"),
        (WHOLE.replace('"5": Yes.', '"5": Yes., "6": More.'), "salt has anchors for 1, 5, 6"),
        (WHOLE + "levels: [1, 1]", "levels are 1, 1; each is wanted once"),
        (WHOLE + "levels: [1]", "levels: Tuple should have at least 2 items"),
        (WHOLE + "optional: [text]", "optional names all tags; some of text are wanted, not all"),
        (WHOLE + "optional: [query]", "optional names query"),
        (WHOLE.replace("salt:", "reason:"), "'reason' cannot be a name"),
        (WHOLE.replace("salt:", "copy:"), "'copy' cannot be a name"),
        (WHOLE.replace("salt:", "Salt Taste:"), "'Salt Taste' cannot be a name"),
    ],
)
def test_a_file_that_is_no_rubric_says_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "salt.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as raised:
        read_rubric("salt", str(tmp_path))
    assert str(path) in str(raised.value)


def test_a_file_that_is_no_yaml_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "salt.yaml").write_text("shown: {text: text}\ndimensions: [", encoding="utf-8")
    with pytest.raises(BillError, match=r"salt.yaml:2: is not valid YAML"):
        read_rubric("salt", str(tmp_path))


@pytest.mark.parametrize(("said", "mark"), [(4, "4"), ("4", "4"), (4.0, "4"), (" 5 ", "5"), (None, None)])
def test_a_mark_may_be_written_in_several_ways(said: object, mark: str | None) -> None:
    rubric = read_rubric("knowledge")
    found = rubric.marks(rubric.reply.model_validate({"reason": "", "relevance": said}))
    assert found == {"relevance": mark, "brevity": None, "factuality": None}


@pytest.mark.parametrize("said", [0, 6, 4.5, "good", True, [4], {"mark": 4}])
def test_what_is_no_mark_is_refused(said: object) -> None:
    with pytest.raises(ValidationError):
        read_rubric("knowledge").reply.model_validate({"reason": "", "relevance": said})


def test_a_question_of_yes_or_no_is_a_rubric_too() -> None:
    rubric = yes_no("Is it about salt?")
    reply = rubric.reply.model_validate({"label": "yes"})
    assert rubric.marks(reply) == {"label": "yes"}
    assert [rubric.value(level) for level in rubric.levels] == [0.0, 1.0]
    assert rubric.digest != yes_no("Is it about oil?").digest
