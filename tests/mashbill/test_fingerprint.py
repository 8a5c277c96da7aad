"""What identity may be made of, and what it may not."""

from __future__ import annotations

import dataclasses
import enum
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from mashbill.errors import FingerprintError
from mashbill.fingerprint import content_id, fingerprint, seed_of, step_identity

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)

GOLDEN = "9267ea2b2e92bef191b82a4dd3dc0d2e"
SAMPLE = "fingerprint({'b': 1, 'a': (1.5, 'x', None, True, b'y'), 'z': frozenset({'p', 'q', 'r'}), 'ü': {'n': []}})"


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.IntEnum):
    ONE = 1


@dataclass(frozen=True)
class Recipe:
    prompt: str = "Say it."
    words: int = 50
    workers: int = field(default=4, metadata={"identity": False})


@dataclass(frozen=True)
class Other:
    prompt: str = "Say it."
    words: int = 50


class Shape(BaseModel):
    name: str
    sizes: list[int] = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


def canonical(value: Any) -> Any:
    """A value such that two are equal when, and only when, their identity should be."""
    if isinstance(value, dict):
        return ("dict", tuple(sorted((key, canonical(item)) for key, item in value.items())))
    if isinstance(value, list | tuple):
        return ("list", tuple(canonical(item) for item in value))
    return (type(value).__name__, repr(value + 0.0) if isinstance(value, float) else repr(value))


@given(st.dictionaries(st.text(), values, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_a_dict_does_not_matter(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert fingerprint({key: value[key] for key in keys}) == fingerprint(value)


@given(values, values)
def test_two_values_share_a_fingerprint_only_when_they_are_the_same(one: Any, two: Any) -> None:
    assert (fingerprint(one) == fingerprint(two)) == (canonical(one) == canonical(two))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (1, 1.0),
        (1, "1"),
        (1, True),
        (0, False),
        (0, None),
        ("", None),
        ("a", b"a"),
        (("ab", "c"), ("a", "bc")),
        ((("a",), "b"), ("a", ("b",))),
        ([], {}),
        ([[]], []),
        ({"a": {"b": 1}}, {"a": {}, "b": 1}),
        ({"a": [1, 2]}, {"a": [1], "b": 2}),
        (1, Size.ONE),
        (Colour.RED, Colour.BLUE),
        (Colour.RED, "RED"),
        (Recipe(), Other()),
        (Recipe(), Recipe),
        (Recipe(words=1), Recipe(words=2)),
        ({"prompt": "Say it.", "words": 50}, Other()),
        (Shape(name="a"), {"name": "a", "sizes": []}),
        (frozenset({1, 2}), [1, 2]),
        (frozenset({"12"}), frozenset({"1", "2"})),
        (0.1 + 0.2, 0.3),
        (Open.model_validate({"name": "a", "more": 1}), Open.model_validate({"name": "a", "more": 2})),
    ],
)
def test_values_that_differ_have_different_fingerprints(one: object, two: object) -> None:
    assert fingerprint(one) != fingerprint(two)


def test_tuples_and_lists_of_the_same_things_are_the_same() -> None:
    assert fingerprint((1, ("a",))) == fingerprint([1, ["a"]])


def test_minus_zero_is_zero() -> None:
    assert fingerprint(-0.0) == fingerprint(0.0)


def test_half_a_surrogate_pair_has_bytes_too() -> None:
    assert fingerprint({"\ud800": "\udfff"}) != fingerprint({"\ud800": "\udffe"})


def test_fields_that_say_how_it_runs_are_left_out() -> None:
    assert fingerprint(Recipe(workers=1)) == fingerprint(Recipe(workers=64))
    assert "workers" not in step_identity(Recipe())["fields"]  # type: ignore[operator]
    assert step_identity(Recipe(words=9))["fields"] == {"prompt": "Say it.", "words": 9}


def test_the_fingerprint_of_a_value_never_changes() -> None:
    assert fingerprint({"b": 1, "a": (1.5, "x", None, True, b"y"), "z": frozenset("pqr"), "ü": {"n": []}}) == GOLDEN


@pytest.mark.parametrize("hash_seed", ["0", "1", "4294967295"])
def test_another_process_gives_the_same_fingerprint(hash_seed: str) -> None:
    code = f"from mashbill.fingerprint import fingerprint; print({SAMPLE})"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == GOLDEN


@pytest.mark.parametrize(
    ("value", "where", "why"),
    [
        (object(), "value:", "type object"),
        ({"a": [1, {"b": object()}]}, "value.a[1].b:", "type object"),
        ({"a": {object()}}, "value.a{…}:", "type object"),
        (lambda: 1, "value:", "a function's behaviour has no stable bytes"),
        ([float("nan")], "value[0]:", "NaN"),
        (PurePosixPath("/data"), "value:", "where a thing lies is not what it is"),
        ({"p": Path("x")}, "value.p:", "where a thing lies"),
        ({1: "a"}, "value:", "the key 1 is not a string"),
        (Recipe(prompt=object()), "value.prompt:", "type object"),  # type: ignore[arg-type]
        (Shape.model_construct(name=1j), "value.name:", "type complex"),
    ],
)
def test_a_value_without_stable_bytes_is_refused_with_its_place(value: object, where: str, why: str) -> None:
    with pytest.raises(FingerprintError) as caught:
        fingerprint(value)
    assert str(caught.value).startswith(where)
    assert why in str(caught.value)


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_a_content_id_depends_on_the_parts_and_their_order(one: list[str], two: list[str]) -> None:
    assert (content_id(*one) == content_id(*two)) == (one == two)
    assert len(content_id(*one)) == 32


@given(st.integers(), st.text())
def test_a_seed_fits_where_engines_take_it(number: int, name: str) -> None:
    assert 0 <= seed_of(number, name) < 2**31
    assert seed_of(number, name) == seed_of(number, name)


def test_replacing_a_field_changes_the_fingerprint() -> None:
    assert fingerprint(dataclasses.replace(Recipe(), prompt="Sing it.")) != fingerprint(Recipe())
