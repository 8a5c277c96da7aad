"""Replies that must have a shape."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from mashbill.engine import Reply
from mashbill.shape import NotTheShape, parse_reply, schema_json
from tests.support.kernel import Names, reply


class Box(BaseModel):
    name: str
    inner: Names


def parsed(text: str, finish_reason: str = "stop") -> tuple[Names, bool]:
    return parse_reply(reply(text, finish_reason), Names)


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ('{"names": ["Ora"]}', False),
        ('  {"names": ["Ora"]}\n', False),
        ('Sure:\n```json\n{"names": ["Ora"]}\n```\nIs that all?', False),
        ('```\n{"names": ["Ora"]}\n```', False),
        ('The object is {"names": ["Ora"]}. Done.', False),
        ('{"names": ["Ora",]}', True),
        ("{'names': ['Ora']}", True),
        ('{names: ["Ora"]}', True),
        ('{"names": ["Ora"]', True),
    ],
)
def test_an_object_is_found_and_mending_is_noted(text: str, mended: bool) -> None:
    assert parsed(text) == (Names(names=["Ora"]), mended)


@given(st.lists(st.text()))
def test_what_was_sent_as_json_is_what_is_read(names: list[str]) -> None:
    assert parsed(json.dumps({"names": names}))[0].names == names


@pytest.mark.parametrize(
    "text", ['{"names": ["Ora", "Ve', '{"names": ["Ora"]', '{"names": ["Ora",', "{'names': ['a']}"]
)
def test_a_reply_that_was_cut_off_is_never_mended(text: str) -> None:
    with pytest.raises(NotTheShape) as caught:
        parsed(text, "length")
    assert caught.value.reason == "truncated"
    assert "cut off after 3 tokens" in caught.value.detail


def test_a_whole_object_at_the_very_limit_is_taken() -> None:
    assert parsed('{"names": []}', "length") == (Names(names=[]), False)


def test_what_the_provider_filtered_is_refused_even_when_it_parses() -> None:
    with pytest.raises(NotTheShape) as caught:
        parsed('{"names": []}', "content_filter")
    assert caught.value.reason == "filtered"


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "it is empty."),
        ("I will not.", "Invalid JSON"),
        ('{"name": ["Ora"]}', "names: Field required."),
        ('{"names": "Ora"}', "names: Input should be a valid"),
        ("[]", "the reply: Input should be an object"),
        ("{" * 3000, "nested too deeply"),
        ('{"a":' * 3000 + "1" + "}" * 3000, "nested too deeply"),
    ],
)
def test_what_has_another_shape_says_what_is_wrong(text: str, detail: str) -> None:
    with pytest.raises(NotTheShape) as caught:
        parsed(text)
    assert caught.value.reason == "unparsable"
    assert detail in caught.value.detail


def test_a_nested_problem_is_named_by_its_way() -> None:
    with pytest.raises(NotTheShape, match=r"inner\.names: Field required"):
        parse_reply(reply('{"name": "a", "inner": {}}'), Box)


def test_a_mended_object_of_another_shape_is_refused() -> None:
    with pytest.raises(NotTheShape, match="names: Field required"):
        parsed("{'name': 'Ora'}")


class Late(BaseModel):
    zebra: str
    apple: list[Box]


def test_the_schema_keeps_the_order_of_the_fields_and_allows_no_others() -> None:
    schema = json.loads(schema_json(Late))
    assert list(schema["properties"]) == ["zebra", "apple"]
    assert schema["additionalProperties"] is False
    assert [one["additionalProperties"] for one in schema["$defs"].values()] == [False, False]
    assert schema_json(Late) == json.dumps(schema, separators=(",", ":"))


def test_an_empty_reply_that_was_cut_off_is_truncated() -> None:
    with pytest.raises(NotTheShape) as caught:
        parse_reply(Reply(text="", finish_reason="length", prompt_tokens=1, completion_tokens=0), Names)
    assert caught.value.reason == "truncated"
