from __future__ import annotations

import json
from pathlib import Path

import pytest

from mashbill.errors import BillError
from synth.taxonomy import load_taxonomy


def written(folder: Path, *entries: str) -> str:
    path = folder / "mine.yaml"
    lines = "\n".join(f"  - {one}" for one in entries)
    path.write_text(f"name: mine\ndisciplines:\n{lines}\n" if entries else "name: mine\ndisciplines: []\n")
    return str(path)


def test_the_one_that_comes_along_has_two_levels_and_knows_what_is_stem() -> None:
    ours = load_taxonomy()
    assert 12 <= len(ours.fields) <= 20
    assert len(ours.by_label) == len(ours.disciplines) > 50
    assert ours.find("mathematics/algebra").is_stem
    assert not ours.find("law/private law").is_stem
    assert all(one.about and one.name for one in ours.disciplines)
    assert "- physics/mechanics: motion" in ours.listed()


def test_a_sub_field_is_stem_when_its_field_is_unless_it_says_otherwise(tmp_path: Path) -> None:
    mine = load_taxonomy(
        written(
            tmp_path,
            "{name: medicine}",
            "{name: biostatistics, parent: medicine, stem: true}",
            "{name: nursing, parent: medicine}",
            "{name: trades, stem: true}",
        )
    )
    assert [(one.label, one.is_stem) for one in mine.disciplines] == [
        ("medicine/biostatistics", True),
        ("medicine/nursing", False),
        ("trades", True),
    ]
    assert mine.listed() == "- medicine/biostatistics\n- medicine/nursing\n- trades"


def test_a_taxonomy_in_json_is_the_same_as_in_yaml_and_where_it_lies_is_not_what_it_is(tmp_path: Path) -> None:
    yaml = load_taxonomy(written(tmp_path, "{name: law, about: rules}", "{name: crime, parent: law}"))
    (tmp_path / "mine.json").write_text(
        json.dumps(
            {"name": "mine", "disciplines": [{"name": "law", "about": "rules"}, {"name": "crime", "parent": "law"}]}
        )
    )
    assert load_taxonomy(str(tmp_path / "mine.json")).digest == yaml.digest != load_taxonomy().digest


def test_an_edited_file_is_read_anew(tmp_path: Path) -> None:
    import os

    path = written(tmp_path, "{name: law}")
    assert load_taxonomy(path).fields == ("law",)
    written(tmp_path, "{name: art}")
    os.utime(path, (1, 1))
    assert load_taxonomy(path).fields == ("art",)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((), r"mine\.yaml:2.*names no discipline"),
        (("{name: a, parent: b}", "{name: b, parent: c}", "{name: c, parent: a}"), r":5.*in a circle: a → b → c → a"),
        (("{name: a, parent: a}",), r":3.*in a circle: a → a"),
        (("{name: a}", "{name: b, parent: a}", "{name: c, parent: b}"), r":5.*this is a third: c → b → a; name 'a'"),
        (("{name: law}", "{name: Law}"), r":4.*'Law' is there already, in line 3"),
        (("{name: law, parent: lore}",), r":3.*no discipline is called 'lore'"),
        (("{name: 'law/crime'}",), r":3.*without '/'.*found 'law/crime'"),
        (("{name: '  '}",), r":3.*found '  '"),
        (("{title: law}",), r":3.*unknown field"),
        (("{parent: law}",), r":3.*needs the field 'name'"),
        (("{name: law, stem: perhaps}",), r":3.*stem.*found 'perhaps'"),
        (("{name: law, codes: 3}",), r":3.*codes.*found 3"),
    ],
)
def test_a_taxonomy_that_is_none_says_where_and_why(tmp_path: Path, entries: tuple[str, ...], message: str) -> None:
    with pytest.raises(BillError, match=message):
        load_taxonomy(written(tmp_path, *entries))


def test_a_file_that_is_not_there_and_an_unknown_label_are_named() -> None:
    with pytest.raises(BillError, match=r"nowhere\.yaml: no such file"):
        load_taxonomy("nowhere.yaml")
    with pytest.raises(KeyError, match=r"isced_f has no discipline 'mathematics/algebr'.*mathematics/algebra"):
        load_taxonomy().find("mathematics/algebr")
