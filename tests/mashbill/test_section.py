"""The bill's YAML: every message with its file and line, and none of YAML's surprises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from mashbill.engine import Sampling
from mashbill.errors import BillError
from mashbill.section import Section
from mashbill.yaml_lines import load_yaml


@dataclass(frozen=True, kw_only=True)
class Recipe:
    name: str
    words: int = 50
    mode: Literal["fast", "slow"] = "fast"
    sampling: Sampling = Sampling(temperature=0.3)
    stop: tuple[str, ...] = ()
    path: str = field(default="", metadata={"identity": False})

    def __post_init__(self) -> None:
        if self.words < 0:
            raise ValueError("words cannot be fewer than none")


@pytest.fixture
def bill(tmp_path: Path) -> Callable[[str], Section]:
    def load(text: str) -> Section:
        path = tmp_path / "bill.yaml"
        path.write_text(text, encoding="utf-8")
        return Section.load(path)

    return load


Bill = Callable[[str], Section]


# YAML ----------------------------------------------------------------------------------------------------------------


def test_every_place_knows_its_line(bill: Bill) -> None:
    section = bill("a: 1\nb:\n  - x\n  - y: 2\n    z: 3\n")
    assert section.value == {"a": 1, "b": ["x", {"y": 2, "z": 3}]}
    assert section.lines == {
        (): 1, ("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1): 4, ("b", 1, "y"): 4, ("b", 1, "z"): 5,
    }  # fmt: skip


def test_on_off_yes_and_no_are_words(bill: Bill) -> None:
    section = bill("on: no\nyes: off\nlanguages: [no, en]\nfair: true\nfoul: False\n")
    assert section.value == {"on": "no", "yes": "off", "languages": ["no", "en"], "fair": True, "foul": False}


def test_anchors_merge_and_own_keys_win(bill: Bill) -> None:
    section = bill(
        "base: &base {words: 1, deep: {x: 1, y: [1, 2]}}\n"
        "more: &more {words: 2, kind: a}\n"
        "one:\n  <<: *base\n  words: 3\n  deep:\n    z: 9\n"
        "two:\n  <<: [*base, *more]\n"
        "three: *base\n"
        "four:\n  kind: b\n  <<: *more\n"
        "chain: &chain\n  <<: *base\n  words: 8\n"
        "five:\n  <<: *chain\n"
        "six: *chain\n"
    )
    assert section.value["one"] == {"words": 3, "deep": {"z": 9}}
    assert section.value["two"] == {"words": 1, "deep": {"x": 1, "y": [1, 2]}, "kind": "a"}
    assert section.value["three"] == section.value["base"]
    assert section.value["four"] == {"words": 2, "kind": "b"}
    assert section.value["five"] == section.value["six"] == {"words": 8, "deep": {"x": 1, "y": [1, 2]}}
    assert section.at("one").at("words").line == 5
    assert section.at("one").at("deep").at("z").line == 7
    assert not [where for where in section.lines if where[:2] == ("one", "deep") and where[2:3] in (("x",), ("y",))]
    assert section.at("two").line == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "bill.yaml:3: the key 'a' stands twice; keep one of them"),
        ("x:\n  a: 1\n  a: 2\n", "bill.yaml:3: the key 'a' stands twice"),
        ("a: 1\n2: b\n", "bill.yaml:2: the key 2 is not text; put it in quotes"),
        ("? [a]\n: b\n", "bill.yaml:1: the key ['a'] is not text"),
        ("a: b: c\n", "bill.yaml:1: is not valid YAML: mapping values are not allowed here"),
        ("a: [1,\n", "bill.yaml:2: is not valid YAML"),
        ("a: *nope\n", "bill.yaml:1: is not valid YAML: found undefined alias 'nope'"),
        ("a: !!python/object:os.system x\n", "bill.yaml:1: is not valid YAML: could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "bill.yaml:2: is not valid YAML: but found another document"),
        ("a: 1\nb: \x01\n", "bill.yaml: is not valid YAML: special characters are not allowed at character 8"),
        ("a: &x [*x]\n", "bill.yaml: is nested without end"),
        ("a: 1\nday: 2020-13-45\n", "bill.yaml:2: '2020-13-45' looks like a date"),
        ("a:\n  <<: 3\n", "bill.yaml:2: `<<` takes a mapping, or a list of mappings, to merge"),
    ],
)
def test_what_is_no_plain_yaml_is_said_with_its_place(bill: Bill, text: str, message: str) -> None:
    with pytest.raises(BillError) as caught:
        bill(text)
    assert message in str(caught.value)


def test_files_that_cannot_be_read_as_a_bill(tmp_path: Path) -> None:
    with pytest.raises(BillError, match=r"none\.yaml: no such file; give the path of a bill"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(BillError, match="is a directory; give the path of the bill inside it"):
        load_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: caf\xe9")
    with pytest.raises(BillError, match=r"is not UTF-8 \(byte 6\); save it as UTF-8"):
        load_yaml(tmp_path / "latin.yaml")


def test_an_empty_bill_is_none(bill: Bill) -> None:
    assert bill("").value is None
    assert bill("").line is None


# Sections ------------------------------------------------------------------------------------------------------------


def test_a_dataclass_takes_what_is_given_and_keeps_the_rest(bill: Bill) -> None:
    built = bill("name: a\nwords: 7\nstop: [x, y]\n").build(Recipe)
    assert built == Recipe(name="a", words=7, stop=("x", "y"))


def test_a_nested_dataclass_keeps_the_rest_of_its_default_or_of_the_base(bill: Bill) -> None:
    section = bill("sampling:\n  max_tokens: 9\n")
    base = Recipe(name="b", words=3, sampling=Sampling(temperature=0.9, top_k=5))
    assert section.build(Recipe, base) == Recipe(
        name="b", words=3, sampling=Sampling(temperature=0.9, top_k=5, max_tokens=9)
    )
    named = bill("name: a\nsampling:\n  max_tokens: 9\n").build(Recipe)
    assert named.sampling == Sampling(temperature=0.3, max_tokens=9)


def fails(message: str, act: Callable[[], Any]) -> None:
    with pytest.raises(BillError) as caught:
        act()
    assert message in str(caught.value)


def test_every_wrong_field_is_said_with_its_place_and_what_was_wanted(bill: Bill) -> None:
    wrong = {
        "name: a\nwrods: 3\n": "bill.yaml:2: wrods: unknown field (did you mean words?); it takes: name, words, mode",
        "words: 3\n": "bill.yaml:1: the bill: needs the field 'name'",
        "name: a\nwords: many\n": "bill.yaml:2: words: input should be a valid integer",
        "name: a\nmode: quick\n": "bill.yaml:2: mode: input should be 'fast' or 'slow'; found 'quick'",
        "name: a\n\nsampling:\n  max_token: 1\n": ":4: sampling.max_token: unknown field (did you mean max_tokens?)",
        "name: a\nsampling: 3\n": "bill.yaml:2: sampling: must be a mapping with some of: max_tokens",
        "name: a\nsampling:\n  top_k: x\n": "bill.yaml:3: sampling.top_k: input should be a valid integer",
        "name: a\nstop:\n- x\n- [1]\n": "bill.yaml:4: stop[1]: input should be a valid string; found [1]",
        "name: a\nwords: -1\n": "words cannot be fewer than none",
        "[a, b]\n": "bill.yaml:1: the bill: must be a mapping with some of: name",
        f"name: {'x' * 90}\nmode: {'x' * 90}\n": "found 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...",
    }
    for text, message in wrong.items():
        fails(message, lambda text=text: bill(text).build(Recipe))  # type: ignore[misc]


def test_a_hidden_field_is_not_the_bills_to_set(bill: Bill) -> None:
    fails("path: unknown field", lambda: bill("name: a\npath: x\n").build(Recipe, hide=("path",)))


def test_plain_types_are_checked(bill: Bill) -> None:
    section = bill("a: 3\nb: x\n")
    assert section.at("a").as_(int) == 3
    fails("bill.yaml:2: b: input should be a valid integer", lambda: section.at("b").as_(int))


def test_the_way_to_a_value_is_its_name(bill: Bill) -> None:
    section = bill("streams:\n  tales:\n  - generate: [x]\n")
    place = section.at("streams").at("tales").at(0).at("generate").at(0)
    assert (place.name, place.line, place.value) == ("streams.tales[0].generate[0]", 3, "x")
    assert section.name == "the bill"
    assert section.get("none", 5).value == 5
    assert section.get("streams").value == section.value["streams"]
    assert "streams" in section
    assert "streams" not in Section([1], section.path)
    assert section.get("none").line == 1


def test_names_lists_and_items(bill: Bill) -> None:
    section = bill("one: x\nmany: [x, {y: {a: 1}}, {z: }]\nnone:\nboth: {a: 1, b: 2}\n")
    assert [item.value for item in section.at("one").list()] == ["x"]
    assert section.at("none").list() == []
    named = [item.named() for item in section.at("many").list()]
    assert [(name, fields.value) for name, fields in named] == [("x", {}), ("y", {"a": 1}), ("z", {})]
    assert [name for name, _ in section.at("both").items()] == ["a", "b"]
    fails("both: must be a name, or one name with its fields", section.at("both").named)
    fails("one: must be a mapping of names; found 'x'", section.at("one").items)
