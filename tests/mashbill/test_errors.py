"""The tree in the docstring is the tree in the code."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from mashbill import errors
from mashbill.errors import BadReply, BillError, EngineDown, InputError, MashbillError, UserError


def drawn() -> dict[str, str]:
    """Class -> the class above it, read off the drawing."""
    above: dict[str, str] = {}
    last_at: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([ │├└─]*)([A-Z]\w+)(?: {2,}.*)?$", line)
        if match and ("─" in match[1] or match[2] == "MashbillError"):
            depth = len(match[1]) // 4
            last_at[depth] = match[2]
            if match[2] != "MashbillError":
                above[match[2]] = last_at[depth - 1]
    return above


def defined() -> dict[str, str]:
    """Class -> the public class above it, as Python has it."""
    public = {name: value for name, value in vars(errors).items() if isinstance(value, type) and name[0] != "_"}
    return {
        name: next(base.__name__ for base in value.__mro__[1:] if base.__name__[0] != "_")
        for name, value in public.items()
        if issubclass(value, MashbillError) and value is not MashbillError
    }


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    assert drawn() == defined()
    assert len(drawn()) > 15


@pytest.mark.parametrize("name", sorted(defined()))
def test_every_error_says_what_it_is_for(name: str) -> None:
    assert (getattr(errors, name).__doc__ or "").strip()


@pytest.mark.parametrize("kind", [BillError, InputError])
def test_an_error_at_a_place_shows_file_and_line(kind: type[BillError]) -> None:
    assert str(kind("broken")) == "broken"
    assert str(kind("broken", path="a.yaml")) == "a.yaml: broken"
    error = kind("broken", path="a.yaml", line=3)
    assert str(error) == "a.yaml:3: broken"
    assert (error.path, error.line) == (Path("a.yaml"), 3)


def test_a_bad_reply_carries_what_a_reject_row_needs() -> None:
    bad = BadReply("truncated", "512 tokens", text="{", asks=("c3",), subjects=("salt",))
    assert str(bad) == "truncated: 512 tokens"
    assert str(BadReply("empty")) == "empty"
    assert (bad.reason, bad.text, bad.asks, bad.subjects) == ("truncated", "{", ("c3",), ("salt",))


def test_errors_of_the_user_and_of_the_engine_are_apart() -> None:
    assert not issubclass(EngineDown, UserError)
    assert not issubclass(BadReply, UserError)


def test_errors_survive_the_way_between_processes() -> None:
    assert str(pickle.loads(pickle.dumps(EngineDown("gone")))) == "gone"
